"""What a baseline bears, and how it is put at the end of a suite."""

from __future__ import annotations

import json

import pytest

from tidegate.adapters.contract_files.amending import amended
from tidegate.domain.contract import Column
from tidegate.domain.suggestion import Profile, Suggestion, suggest

NOT_NULL, BETWEEN, IN_SET = (
    f"expect_column_values_to_{name}" for name in ("not_be_null", "be_between", "be_in_set")
)


def kinds(column: Column, profile: Profile) -> list[str]:
    return [each.expectation for each in suggest((column,), (profile,), "2013-01")]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (Profile("level", 9, 0, -1.5, 3), [NOT_NULL, BETWEEN]),
        (Profile("level", 9, 2, -1.5, 3), [BETWEEN]),
        (Profile("level", 9, 9), []),
        (Profile("level", 1, 0, 3, 3), []),
        (Profile("level", 9, 0, values=("a", "b")), [NOT_NULL, IN_SET]),
        (Profile("other", 9, 0, 1, 2), []),
    ],
)
def test_a_column_bears_what_its_values_bear(profile: Profile, expected: list[str]) -> None:
    assert kinds(Column("level", "number", classification="public"), profile) == expected


@pytest.mark.parametrize(
    ("classification", "told"), [("public", True), ("internal", True), ("personal", False)]
)
def test_the_values_of_what_is_personal_are_not_told(classification: str, told: bool) -> None:
    found = suggest(
        (Column("name", "string", classification=classification),),
        (Profile("name", 9, 0, values=("Ada", "Rita")),),
        "2013-01",
    )
    assert [each.expectation for each in found] == ([NOT_NULL, IN_SET] if told else [NOT_NULL])
    assert ("Ada" in str(found)) is told


def test_a_sentence_says_what_was_seen_and_when() -> None:
    (_, found) = suggest((Column("level", "number"),), (Profile("level", 9, 0, 1, 4983),), "2013-01")
    assert found.sentence == "level lies between 1 and 4,983, as in 2013-01"
    assert found.kwargs == {"column": "level", "min_value": 1, "max_value": 4983}


HELD = {
    "type": NOT_NULL,
    "kwargs": {"column": "level"},
    "severity": "critical",
    "meta": {"rule": "S01", "on_row": "keep", "sentence": "expectations [of] old"},
}
SUITE = {"meta": {"note": '"expectations": [ 1'}, "name": "tides", "expectations": [HELD]}
NEW = (
    Suggestion(NOT_NULL, {"column": "level"}, "x"),
    Suggestion(BETWEEN, {"column": "level", "min_value": 1}, "y"),
)


@pytest.mark.parametrize("indent", [None, 1, 2, 4, "\t"])
def test_a_suite_gains_what_it_lacks_and_nothing_else_of_its_text_changes(indent: int | str | None) -> None:
    text = json.dumps(SUITE, indent=indent)
    after, new = amended(text, NEW)
    assert [each.expectation for each in new] == [BETWEEN]
    read = json.loads(after)
    assert read["expectations"][0] == HELD
    assert read["expectations"][1] == {
        "type": BETWEEN,
        "kwargs": {"column": "level", "min_value": 1},
        "severity": "warning",
        "meta": {"rule": "S02", "on_row": "keep", "sentence": "y"},
    }
    assert {name: read[name] for name in ("meta", "name")} == {name: SUITE[name] for name in ("meta", "name")}
    place = text.rindex("]")
    assert after.startswith(text[:place].rstrip())
    assert after.endswith(text[place:])


def test_a_suite_that_holds_all_of_it_stays_as_it_is() -> None:
    text = json.dumps(SUITE)
    assert amended(text, NEW[:1]) == (text, ())
