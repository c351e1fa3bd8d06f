"""What a baseline bears, and how it is put at the end of a suite."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tidegate.adapters.contract_files.amending import amended
from tidegate.adapters.contract_files.promising import promised
from tidegate.domain.contract import Column, Contract
from tidegate.domain.suggestion import Profile, Promise, Promised, Suggestion, promise, suggest

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


def terms(low: int = 0, high: int = 100, days: int | None = None) -> Contract:
    age = None if days is None else timedelta(days=days)
    return Contract("tides", "1", "harbour", (), ("at",), (), low, high, age, 0.1, "c0")


@pytest.mark.parametrize(
    ("contract", "read", "late", "expected"),
    [
        (terms(0, 100, 30), 40, timedelta(days=2, hours=1), [("rowCount", (30, 50)), ("freshness", (4,))]),
        (terms(0, 100), 40, timedelta(0), [("rowCount", (30, 50)), ("freshness", (1,))]),
        (terms(35, 45, 3), 40, timedelta(days=2), []),  # what is promised is stricter already
        (terms(35, 100, 2), 40, None, [("rowCount", (35, 50))]),
        (terms(0, 100), 1, None, []),  # of one row nothing is learned
        (terms(0, 10), 400, None, []),  # a volume outside of what is promised was let in by a person
        (terms(40, 40), 40, timedelta(days=-3), [("freshness", (1,))]),  # a period may come before it ends
    ],
)
def test_a_promise_is_only_made_stricter_and_leaves_room(
    contract: Contract, read: int, late: timedelta | None, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    found = promise(contract, read, late, "2013-01")
    assert [(str(each.about), each.value) for each in found] == expected
    assert all("2013-01" in each.sentence for each in found)


HEAD = "schema:\n  - name: tides  # one\n    quality:\n      - metric: rowCount\n        mustBeBetween: "
MONTHLY = "- property: frequency\n  value: 1\n"
FLOW = "{property: frequency, value: 1}"
FRESH = "\nslaProperties:\n  - property: freshness\n    value: 4\n    unit: d\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{HEAD}[0, 100]  # both\n", f"{HEAD}[30, 50]  # both\n{FRESH}"),
        (
            f"{HEAD}\n          - 0  # least\n          - 100",
            f"{HEAD}\n          - 30  # least\n          - 50\n{FRESH}",
        ),
        (
            f"{HEAD}[0, 100]\nslaProperties:\n  - property: freshness\n    unit: h\n    value: 900  # hours\n",
            f"{HEAD}[30, 50]\nslaProperties:\n  - property: freshness\n    unit: d\n    value: 4  # hours\n",
        ),
        (
            f"{HEAD}[0, 100]\nslaProperties:\n{MONTHLY}",
            f"{HEAD}[30, 50]\nslaProperties:\n- property: freshness\n  value: 4\n  unit: d\n{MONTHLY}",
        ),
        (
            f"{HEAD}[0, 100]\nslaProperties: [{FLOW}]\n",
            f"{HEAD}[30, 50]\nslaProperties: [{{property: freshness, value: 4, unit: d}}, {FLOW}]\n",
        ),
    ],
)
def test_promises_stand_where_the_old_ones_stood_and_nothing_else_changes(before: str, after: str) -> None:
    volume = Promise(Promised.VOLUME, (30, 50), "")
    assert promised(before, (volume, Promise(Promised.FRESHNESS, (4,), ""))) == after
    assert promised(before, ()) == before
