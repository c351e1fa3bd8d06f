"""The page of events is what the code says of them, and it says something of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.application.catalogue import catalogue
from tidegate.application.lawfulness import WRITERS
from tidegate.domain.events import SCHEMA_VERSIONS, EventType
from tidegate.domain.state import ROWS
from tidegate.testing.catalogue import page
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story, whole_story

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_the_page_in_the_docs_is_exactly_the_one_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run `python -m tidegate.testing.catalogue > docs/events.md`"
    )


def test_every_event_has_a_section_with_its_version_who_may_write_it_and_what_it_writes() -> None:
    shown = page()
    for kind in EventType:
        _, _, section = shown.partition(f"## `{kind}`, version {SCHEMA_VERSIONS[kind]}\n")
        section = section.partition("\n## ")[0]
        assert section, kind
        for line in ("- by: ", "- payload: ", "- rows: "):
            assert section.count(line) == 1
        for permission in WRITERS.get(kind, ()):
            assert f"`{permission}`" in section
    for row in ROWS:
        assert f"`{row.TABLE}`" in shown


def test_what_a_text_is_called_and_what_a_field_holds_is_said() -> None:
    section = page().partition("## `actor.added`")[2].partition("\n## ")[0]
    assert (
        section
        == """, version 1

*p-1 added the person p-1 as administrator*

- by: `actor:account:manage` (administrator)
- payload: `id` text, `kind` text, `roles` list, `subject` text
- beside it: `name`
- rows: `actors`, `commitments`
"""
    )


def test_a_story_that_misses_an_event_makes_no_page() -> None:
    ledger = MemoryLedger(TickingClock(), CountingEntropy())
    Story(ledger).opened()
    with pytest.raises(LookupError, match=r"got no example of actor\.roles_changed, "):
        catalogue(ledger.events())


def test_the_page_is_the_same_on_every_machine() -> None:
    ledger = MemoryLedger(TickingClock(), CountingEntropy(count=1000))
    whole_story(ledger)
    assert catalogue(ledger.events()) == page()
