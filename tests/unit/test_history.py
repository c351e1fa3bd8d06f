"""What a chain tells of one version, and what of it is shown."""

from __future__ import annotations

import pytest

from tidegate.application.history import concerning, lines, names, page
from tidegate.domain.events import EventType
from tidegate.domain.policy import Stage
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story, whole_story


def told(ledger, version, model="tides"):
    return concerning(ledger.events(), ledger.state(), model, version)


@pytest.fixture
def ledger():
    return MemoryLedger(TickingClock(), CountingEntropy())


def test_every_type_of_event_of_a_whole_life_is_placed(ledger):
    whole_story(ledger)
    events = list(ledger.events())
    for version in (1, 2):
        found = told(ledger, version)
        assert [event.sequence for event in found] == sorted(event.sequence for event in found)
        assert len(found) < len(events)
        assert len(list(lines(found, {}, {}))) == len(found)


def test_it_begins_with_the_ground_and_goes_from_its_data_to_where_it_stands(ledger):
    Story(ledger).opened().with_data("2020-01").with_version().in_prod(1).with_version().promoted(
        2, Stage.STAGING
    )
    kinds = [event.type for event in told(ledger, 1)]
    assert kinds[0] is EventType.LEDGER_OPENED
    assert kinds.count(EventType.VERSION_REGISTERED) == 1
    assert kinds.count(EventType.PROMOTION_APPLIED) == 3
    assert kinds[-1] is EventType.PROMOTION_APPLIED
    assert {EventType.POLICY_ADOPTED, EventType.TRAINING_SET_BUILT} < set(kinds)
    assert EventType.CREDENTIAL_ISSUED not in kinds


def test_only_those_who_asked_or_decided_are_introduced(ledger):
    Story(ledger).opened().with_version().in_prod(1)
    added = {event.payload["id"] for event in told(ledger, 1) if event.type is EventType.ACTOR_ADDED}
    assert added == {"p-2", "p-3"}


def test_another_version_s_promotions_reviews_and_refusals_are_not_its_own(ledger):
    story = Story(ledger).opened().with_version().in_prod(1).with_version().refused()
    story.monitored("2020-02", 1, "failed").reviewed("R-1", "roll_back").followed("R-1", "rolled back")
    one, two = told(ledger, 1), told(ledger, 2)
    reviewed = {EventType.REVIEW_OPENED, EventType.REVIEW_DECIDED, EventType.REVIEW_FOLLOWED}
    assert reviewed <= {event.type for event in one}
    assert not reviewed & {event.type for event in two}
    assert EventType.ACTION_REFUSED in {event.type for event in two}
    assert EventType.ACTION_REFUSED not in {event.type for event in one}


def test_a_version_that_replaced_another_is_in_both_histories(ledger):
    Story(ledger).opened().with_version().in_prod(1).with_version().in_prod(2)
    replaced = told(ledger, 1)[-1]
    assert (replaced.type, replaced.payload["promotion"]) == (EventType.PROMOTION_APPLIED, "tides-P6")


def test_a_name_and_a_reason_stand_where_they_are_known(ledger):
    Story(ledger).opened().with_version().in_prod(1)
    texts = {
        each: ledger.text(each)
        for event in ledger.events()
        for each in event.payload.get("texts", {}).values()
    }
    called = names(ledger.events(), texts)
    shown = "\n".join(lines(told(ledger, 1), called, texts))
    assert "Amir Spring (p-3) approved tides-P3 as approver" in shown
    assert "“The evidence holds.”" in shown
    hidden = "\n".join(lines(told(ledger, 1), {}, {}))
    assert "p-3 approved tides-P3" in hidden
    assert "Amir" not in hidden


def test_no_text_breaks_out_of_its_line_or_its_page(ledger):
    Story(ledger).opened().with_version().in_prod(1)
    (committed,) = {
        event.payload["texts"]["reason"]
        for event in ledger.events()
        if event.type is EventType.PROMOTION_APPROVED and event.payload["promotion"] == "tides-P1"
    }
    hostile = {committed: "fine\n```\n# <b>Approved</b>\x1b[2J"}
    shown = list(lines(told(ledger, 1), {}, hostile))
    assert all(line.isprintable() for line in shown)
    made = page("tides, version 1", "A preface.", shown)
    assert [line for line in made.splitlines() if line.startswith("```")] == ["```text", "```"]
