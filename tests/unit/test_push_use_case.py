"""Pushing, on fakes: what is written and what is online for good, bad, repeated, late and unreadable rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.features import materialize
from tidegate.application.ingest import ingest
from tidegate.application.lawfulness import unlawful
from tidegate.application.parity import parity
from tidegate.application.push import Outcome, push
from tidegate.application.status import status
from tidegate.application.waive import waive
from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import BatchRow, PushRow
from tidegate.entrypoints.cli.work import _data
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate, Whole
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.fakes.views import FakeView
from tidegate.testing.looking import at, events

NOW = datetime(2013, 2, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


def check(rule: str, on_row: OnRow = OnRow.QUARANTINE, *, row_level: bool = True) -> Check:
    kind = "expect_column_values_to_be_between" if row_level else "expect_table_row_count_to_be_between"
    return Check(rule, kind, Severity.CRITICAL, on_row, row_level, f"{rule} holds")


LEVELS = Contract(
    dataset="levels",
    version="1",
    owner="harbour-office",
    columns=(
        Column("gauge", "string", required=True),
        Column("at", "timestamp", required=True),
        Column("level", "number"),
        Column("wind", "number"),
    ),
    key=("gauge", "at"),
    checks=(check("T01"), check("T02", OnRow.KEEP), check("T03", OnRow.KEEP, row_level=False)),
    min_rows=2,
    max_rows=100,
    max_age=timedelta(days=3),
    quarantine_limit=0.1,
    digest="sha256:contract",
    period_columns=("at",),
    push=(1, 5),
)
RULES = {
    "T01": EachValue("level", lambda level: -5 <= level <= 15),
    "T02": EachValue("wind", lambda wind: wind >= 0),
    "T03": Whole(lambda rows: len(rows) > 1),
}


def rows_of(files: Any, _: object) -> list[dict[str, Any]]:
    """Return the view's rows: a level counts from the end of its hour."""
    found = [json.loads(line) for path in files["levels"] for line in path.read_bytes().splitlines()]
    return [
        {
            "gauge": row["gauge"],
            "level": row["level"],
            "event_timestamp": datetime.fromisoformat(row["at"]) + HOUR,
            "created_timestamp": datetime.fromisoformat(row["at"]) + HOUR,
        }
        for row in found
    ]


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world in which January's drop is accepted and online."""
    platform = FakePlatform(tmp_path)
    assert isinstance(platform.clock, FixedClock)
    platform.clock.moment = NOW
    platform.contracts = FakeContracts(LEVELS, replace(LEVELS, dataset="tides", push=None))
    platform.gate = FakeDataGate(RULES)
    view = FakeView(("gauge",), ("level",), None, rows_of, datasets=frozenset({"levels"}), stream=True)
    platform.features = FakeFeatures(tmp_path, {"gauge_hour": view}, {"gauges": ("gauge_hour",)})
    bring_drop(platform, "2013-01", "ABC,2013-01-31T04:00:00Z,1.0,3", "BCD,2013-01-31T04:00:00Z,2.0,3")
    materialize(platform, platform.acting("s-5"))
    return platform


def bring_drop(world: FakePlatform, period: str, *lines: str) -> BatchRow:
    path = world.frames / f"levels-{period}.csv"
    path.write_text("\n".join(["gauge,at,level,wind", *lines]))
    return ingest(world, world.acting("s-3"), "levels", path)


def row(
    gauge: str = "ABC", at: str = "2013-02-01T04:00:00Z", level: object = 3.0, wind: object = 1.0
) -> dict[str, Any]:
    return {"gauge": gauge, "at": at, "level": level, "wind": wind}


def written(world: FakePlatform, *rows: object, name: str = "rows.jsonl") -> Path:
    path = world.frames / name
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in rows))
    return path


def pushed(world: FakePlatform, *rows: object, who: str = "s-3", dataset: str = "levels") -> Outcome:
    return push(world, world.acting(who), dataset, written(world, *rows))


def online(world: FakePlatform, gauge: str = "ABC") -> object:
    (found,) = world.features.online("gauges", [{"gauge": gauge}], world.clock.now())
    return found["level"]


# ── what is accepted ──────────────────────────────────────────────────────────────────────────────


def test_what_is_pushed_is_online_at_once_and_on_record(world: FakePlatform) -> None:
    assert online(world) == 1.0
    done = pushed(world, row(level=3.0))
    assert (online(world), online(world, "BCD")) == (3.0, 2.0)
    assert done.online == {"gauge_hour": 1}
    assert (done.row.verdict, done.row.read, done.row.accepted, done.row.quarantined) == ("passed", 1, 1, 0)
    event = events(world)[-1]
    assert (event.type, event.sequence, event.actor) == (EventType.PUSH_ACCEPTED, done.row.sequence, "s-3")
    assert {period: part["rows"] for period, part in event.payload["parts"].items()} == {"2013-02-01": 1}
    assert unlawful(world) == ()  # type: ignore[arg-type]


def test_the_same_bytes_twice_write_nothing_and_say_the_same(world: FakePlatform) -> None:
    first = pushed(world, row())
    before = events(world)
    again = pushed(world, row())
    assert events(world) == before
    assert (again.row, again.fresh, again.online) == (first.row, False, {})


def test_bad_rows_are_set_aside_with_all_their_reasons_and_the_good_ones_go_on(world: FakePlatform) -> None:
    done = pushed(world, row(level=99), row("BCD", level=4.0), row("BCD", "2013-01-31T05:00:00Z", level=-9))
    assert (done.row.read, done.row.accepted, done.row.quarantined) == (3, 1, 2)
    held = world.batches.quarantined("levels", done.row.quarantine_root)
    assert [(each["row"], each["reasons"]) for each in held] == [
        (0, ["T01"]), (2, ["T01", "push:delivered"]),
    ]  # fmt: skip
    assert (online(world), online(world, "BCD")) == (1.0, 4.0)


def test_what_a_contract_promises_of_a_period_is_not_asked_of_a_push_and_that_is_said(
    world: FakePlatform,
) -> None:
    """One row breaks the volume, the table-level check T03, and alone could be any share of bad rows."""
    done = pushed(world, row())
    report = done.row.report
    assert report["not_asked"] == ["T03"]
    assert [each["id"] for each in report["checks"]] == ["T01", "T02"]


def test_a_critical_check_that_finds_nothing_to_look_at_says_nothing_of_a_few_rows(
    world: FakePlatform,
) -> None:
    done = pushed(world, row(wind=None))
    assert {each["id"]: each["verdict"] for each in done.row.report["checks"]}["T02"] == Verdict.INCONCLUSIVE
    assert done.row.accepted == 1
    assert unlawful(world) == ()  # type: ignore[arg-type]


def test_a_critical_check_that_keeps_its_rows_holds_the_push_back_whole(world: FakePlatform) -> None:
    done = pushed(world, row(wind=-1.0), row("BCD"))
    assert (done.row.verdict, done.row.accepted, done.row.quarantined, dict(done.row.parts)) == (
        "failed",
        0,
        2,
        {},
    )
    assert done.row.report["stops"][0]["rule"] == "G2"
    assert (events(world)[-1].type, online(world)) == (EventType.PUSH_REFUSED, 1.0)


def test_a_check_that_cannot_measure_holds_the_push_back_and_is_asked_again(world: FakePlatform) -> None:
    world.gate = FakeDataGate({name: rule for name, rule in RULES.items() if name != "T01"})
    assert pushed(world, row()).row.report["stops"][0]["rule"] == "G1"
    world.gate = FakeDataGate(RULES)
    assert pushed(world, row()).row.accepted == 1
    assert online(world) == 3.0


def test_of_rows_that_are_all_bad_nothing_goes_on(world: FakePlatform) -> None:
    done = pushed(world, row(level=99), row("BCD", "2013-01-31T05:00:00Z"))
    assert done.row.verdict == "failed"
    (stop,) = done.row.report["stops"]
    assert stop["sentence"] == "nothing of its 2 rows may go on (T01: 1, push:delivered: 1)"
    held = world.batches.quarantined("levels", done.row.quarantine_root)
    assert [each["reasons"] for each in held] == [["T01"], ["push:delivered"]]


def test_a_waiver_lets_a_push_through_and_is_counted(world: FakePlatform) -> None:
    waive(
        world, world.acting("p-3"), "levels", "T02", NOW + HOUR, "The gauge was replaced today, see the log."
    )
    done = pushed(world, row(wind=-1.0))
    assert [use["check"] for use in done.row.report["waived"]] == ["T02"]
    assert done.row.accepted == 1
    assert pushed(world, row(wind=-2.0)).row.accepted == 0  # it was for one
    assert unlawful(world) == ()  # type: ignore[arg-type]


# ── order, and what comes later ───────────────────────────────────────────────────────────────────


def test_an_older_row_never_replaces_a_newer_one(world: FakePlatform) -> None:
    pushed(world, row(at="2013-02-01T04:00:00Z", level=4.0))
    pushed(world, row(at="2013-02-01T03:00:00Z", level=3.0))
    assert online(world) == 4.0


def test_a_row_that_is_pushed_again_with_another_value_is_corrected(world: FakePlatform) -> None:
    pushed(world, row(level=4.0))
    at(world, NOW + timedelta(minutes=1))
    pushed(world, row(level=5.0))
    assert online(world) == 5.0


def test_what_a_query_says_is_not_known_yet_waits_for_the_next_materialization(world: FakePlatform) -> None:
    done = pushed(world, row(at="2013-02-01T06:00:00Z", level=7.0))
    assert (done.row.accepted, online(world)) == (1, 1.0)
    at(world, NOW + HOUR)
    materialize(world, world.acting("s-5"))
    assert online(world) == 7.0


def test_pushes_stay_online_over_a_materialization_until_their_drop_comes(world: FakePlatform) -> None:
    pushed(world, row(level=3.0))
    at(world, NOW + HOUR)
    materialize(world, world.acting("s-5"))
    assert online(world) == 3.0
    at(world, NOW + timedelta(days=1))
    later = bring_drop(
        world, "2013-02-01", "ABC,2013-02-01T03:00:00Z,2.5,1", "BCD,2013-02-01T03:00:00Z,2.5,1"
    )
    assert later.report["pushed"] == {"pushes": 1, "rows": 1, "same": 0, "other": 0, "absent": 1}
    materialize(world, world.acting("s-5"))
    assert online(world) == 2.5  # the drop has no row of 4 o'clock, and it is the truth


def test_a_drop_says_what_it_makes_of_what_was_pushed(world: FakePlatform) -> None:
    pushed(world, row("ABC", level=3.0), row("BCD", level=4.0))
    pushed(world, row("BCD", level=4.5), row("CDE", level=5.0))
    drop = bring_drop(
        world, "2013-02", "ABC,2013-02-01T04:00:00Z,3.0,1.0", "BCD,2013-02-01T04:00:00Z,4.0,1.0"
    )
    assert drop.report["pushed"] == {"pushes": 2, "rows": 3, "same": 1, "other": 1, "absent": 1}
    assert (
        "pushed"
        not in bring_drop(
            world, "2013-03", "ABC,2013-03-01T04:00:00Z,3,1", "B,2013-03-01T04:00:00Z,4,1"
        ).report
    )


def test_a_column_that_was_promised_since_is_there_for_what_was_pushed_before(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = pushed(world, row())
    wider = replace(LEVELS, columns=(*LEVELS.columns, Column("salt", "number")))
    world.contracts = FakeContracts(wider)
    given: list[Any] = []
    monkeypatch.setattr(world.features, "paired", lambda *told: given.append(told[-1]) or [])
    parity(world, world.acting("s-5"))
    (stands,) = given[0].rows
    shape, part = stands.files
    assert shape == world.batches.empty(wider)
    assert part == world.batches.path("levels", done.row.parts["2013-02-01"]["batch"])


def test_a_push_of_two_days_ends_day_by_day(world: FakePlatform) -> None:
    """The drop of one of them leaves the rows of the other where they are."""
    pushed(
        world, row("ABC", level=3.0), row("BCD", "2013-01-30T23:00:00+00:00") | {"at": "2013-02-02T03:00:00Z"}
    )
    drop = bring_drop(world, "2013-02-02", "ABC,2013-02-02T02:00:00Z,3,1", "CDE,2013-02-02T02:00:00Z,4,1")
    assert drop.report["pushed"]["absent"] == 1
    assert pushed(world, row("BCD", level=6.0)).row.accepted == 1
    assert pushed(world, row("BCD", "2013-02-02T01:00:00Z", level=6.0)).row.accepted == 0


def test_parity_does_not_take_what_was_pushed_for_a_skew_and_sees_what_is(world: FakePlatform) -> None:
    pushed(world, row(level=3.0), row("CDE", level=8.0))
    found = parity(world, world.acting("s-5"))["gauge_hour"]
    assert (found.verdict, found.sampled) == (Verdict.PASSED, 3)
    store: Any = world.features
    store._pushed["gauge_hour"][0]["level"] = 3.5
    assert parity(world, world.acting("s-5"))["gauge_hour"].verdict is Verdict.FAILED


# ── killed, away, at once ─────────────────────────────────────────────────────────────────────────


def failing(*_: object) -> Any:
    raise DependencyFailed("online-store-gone", "got no answer, expected one", "start it")


def test_an_online_store_that_is_away_loses_nothing_and_a_retry_completes(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(world.features, "push", failing)
        with pytest.raises(DependencyFailed):
            pushed(world, row())
    assert (events(world)[-1].type, online(world)) == (EventType.PUSH_ACCEPTED, 1.0)
    before = events(world)
    again = pushed(world, row())
    assert (events(world), again.fresh, again.online, online(world)) == (
        before,
        False,
        {"gauge_hour": 1},
        3.0,
    )


@pytest.mark.parametrize("completes", ["another push", "a materialization"])
def test_what_a_killed_push_left_undone_the_next_act_completes(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch, completes: str
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(world.features, "push", failing)
        with pytest.raises(DependencyFailed):
            pushed(world, row())
    if completes == "another push":
        assert pushed(world, row("BCD")).online == {"gauge_hour": 2}
    else:
        materialize(world, world.acting("s-5"))
    assert online(world) == 3.0


def test_a_view_that_is_not_online_yet_gets_what_was_pushed_with_its_first_window(
    world: FakePlatform,
) -> None:
    store: Any = world.features
    store._windows.clear()
    done = pushed(world, row())
    assert (done.online, done.waiting) == ({}, ("gauge_hour",))
    at(world, NOW + HOUR)
    materialize(world, world.acting("s-5"))
    assert online(world) == 3.0


def meanwhile(world: FakePlatform, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen once, after the rows were looked at and before they are recorded."""
    keep, left = world.batches.quarantine, [act]

    def quarantine(*given: Any) -> Any:
        kept = keep(*given)
        if left:
            left.pop()()
        return kept

    monkeypatch.setattr(world.batches, "quarantine", quarantine)


def test_of_two_pushes_of_the_same_bytes_at_once_one_wins_and_both_say_the_same(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: list[Outcome] = []
    meanwhile(world, monkeypatch, lambda: other.append(pushed(world, row())))
    mine = pushed(world, row())
    assert [(each.fresh, each.row) for each in (*other, mine)] == [(True, mine.row), (False, mine.row)]
    assert len(world.ledger.state().select(PushRow)) == 1


def test_a_drop_that_comes_while_rows_are_looked_at_is_the_truth(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("ABC,2013-02-01T02:00:00Z,3,1", "BCD,2013-02-01T02:00:00Z,4,1")
    meanwhile(world, monkeypatch, lambda: bring_drop(world, "2013-02-01", *lines))
    done = pushed(world, row())
    assert done.row.report["stops"][0]["sentence"] == "nothing of its 1 row may go on (push:delivered: 1)"
    assert unlawful(world) == ()  # type: ignore[arg-type]


def test_rows_that_are_pushed_while_their_drop_is_looked_at_are_told_by_it(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(world, monkeypatch, lambda: pushed(world, row()))
    drop = bring_drop(
        world, "2013-02", "ABC,2013-02-01T04:00:00Z,3.0,1.0", "BCD,2013-02-01T04:00:00Z,4.0,1.0"
    )
    assert drop.report["pushed"] == {"pushes": 1, "rows": 1, "same": 1, "other": 0, "absent": 0}


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


BAD: tuple[tuple[str, tuple[object, ...], str], ...] = (
    ("malformed-push", (row(), '{"gauge": "ABC"'), "line 2"),
    ("columns", ({"gauge": "ABC"},), "line 1"),
    ("mistyped-column", (row(level="high"),), "`level`"),
    ("empty-push", (), "without a row"),
    ("push-size", tuple(row(f"G{n}") for n in range(6)), "more than 5 rows, expected 1 to 5"),
)


@pytest.mark.parametrize(("code", "rows", "said"), BAD, ids=[code for code, _, _ in BAD])
def test_what_cannot_be_read_is_one_sentence_and_on_record_once(
    world: FakePlatform, code: str, rows: tuple[object, ...], said: str
) -> None:
    before = len(events(world))
    for _ in range(2):
        with pytest.raises(BadInput) as refused:
            pushed(world, *rows)
        assert refused.value.code == code
        assert said in refused.value.sentence
    assert [event.payload["code"] for event in events(world)[before:]] == [code]
    assert online(world) == 1.0


def test_a_dataset_that_may_not_be_pushed_is_refused(world: FakePlatform) -> None:
    with pytest.raises(BadInput) as refused:
        pushed(world, row(), dataset="tides")
    assert refused.value.code == "not-pushed"
    with pytest.raises(BadInput, match="one under contract"):
        pushed(world, row(), dataset="nothing")


def test_a_push_that_feeds_no_view_is_refused(world: FakePlatform) -> None:
    store: Any = world.features
    store.edit({name: replace(view, stream=False) for name, view in store._views.items()})
    with pytest.raises(BadInput) as refused:
        pushed(world, row())
    assert refused.value.code == "no-stream"


def test_a_view_whose_query_needs_more_than_the_pushed_rows_is_refused_before_anything_is_accepted(
    world: FakePlatform,
) -> None:
    def first(files: Any, declared: object) -> list[dict[str, Any]]:
        found = rows_of(files, declared)
        return [{**each, "level": each["level"] + len(found)} for each in found]

    store: Any = world.features
    store.edit({name: replace(view, rows=first) for name, view in store._views.items()})
    with pytest.raises(BadInput) as refused:
        pushed(world, row())
    assert refused.value.code == "push-needs-history"
    assert world.ledger.state().select(PushRow) == ()


def test_who_may_not_ingest_may_not_push(world: FakePlatform) -> None:
    with pytest.raises(Refused) as refused:
        pushed(world, row(), who="p-2")
    assert refused.value.data["rule"] == "A1"
    assert world.ledger.state().select(PushRow) == ()


def test_a_forged_push_is_seen(world: FakePlatform) -> None:
    done = pushed(world, row())
    payload = dict(events(world)[-1].payload)
    forged = {**payload, "drop": "sha256:forged"}
    world.write(EventType.PUSH_ACCEPTED, {**forged, "accepted": 2}, "s-3", "dataset/levels")
    delivered = {"parts": {"2013-01-31": {"batch": "tg1:x", "rows": 1}}}
    world.write(EventType.PUSH_ACCEPTED, {**forged, **delivered}, "s-3", "dataset/levels")
    found = unlawful(world)  # type: ignore[arg-type]
    assert [told.endswith("rule G7") for told in found] == [True, True]
    assert f"event {done.row.sequence + 1}" in found[0]


# ── what status counts ────────────────────────────────────────────────────────────────────────────


def test_status_counts_what_was_pushed_and_what_was_held_back_of_it(world: FakePlatform) -> None:
    (drops,) = _data(status(world))  # type: ignore[arg-type]
    assert drops == "data: 1 batch, 2 rows; 0 rows quarantined, 0 drops held back, 0 batches restated"
    pushed(world, row(), row("BCD", level=99))
    pushed(world, row("BCD", level=98))
    found = status(world)  # type: ignore[arg-type]
    assert found["pushes"] == {"accepted": 1, "held_back": 1, "rows": 1, "quarantined": 2}
    assert found["batches"]["quarantined"] == 0
    assert _data(found)[1:] == ["pushed: 1 push, 1 row; 2 rows quarantined, 1 push held back"]
