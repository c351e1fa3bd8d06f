"""What was pushed goes too when its subject asks or its time is over, and no push brings it back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.application.erase_rows import Erased, erase_subject, let_go, over
from tidegate.application.erased import unfinished
from tidegate.application.features import materialize
from tidegate.application.ingest import ingest
from tidegate.application.lawfulness import judged, unlawful
from tidegate.application.parity import parity
from tidegate.application.push import Outcome, push
from tidegate.application.timeline import sentence
from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.fold import fingerprint
from tidegate.domain.fold import replay as refold
from tidegate.domain.keeping import Term
from tidegate.domain.push import held_period, period_of_row
from tidegate.domain.state import BatchRow, PushRow
from tidegate.testing.fakes.batches import FakeBatches
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.views import FakeView
from tidegate.testing.looking import at, last

WHY = "Article 17, letter of 3 May."
NOW = datetime(2013, 2, 1, 6, tzinfo=UTC)
CHECK = Check(
    "T01", "expect_column_values_to_be_between", Severity.CRITICAL, OnRow.QUARANTINE, True, "0 to 9"
)
TRIPS = Contract(
    dataset="trips", version="1", owner="operations",
    columns=(Column("rider", "string"), Column("at", "timestamp", required=True), Column("load", "number")),
    key=("rider", "at"), checks=(CHECK,), min_rows=1, max_rows=100, max_age=None, quarantine_limit=0.9,
    digest="sha256:contract", period_columns=("at",), push=(1, 9), subject="rider",
)  # fmt: skip
#: A row of the first of February at 4 o'clock: good, or held back.
GOOD, BAD = 1.5, 77.0


def rows_of(files: Any, _: object) -> list[dict[str, Any]]:
    found = [json.loads(line) for path in files["trips"] for line in path.read_bytes().splitlines()]
    times = ("event_timestamp", "created_timestamp")
    return [
        {
            "rider": row["rider"],
            "load": row["load"],
            **dict.fromkeys(times, datetime.fromisoformat(row["at"])),
        }
        for row in found
    ]


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    return a_world(tmp_path)


def a_world(folder: Path) -> FakePlatform:
    """Return a world in which January's drop is accepted and online, of Ann, Bob and Cid."""
    platform = FakePlatform(folder)
    platform.contracts = FakeContracts(TRIPS)
    platform.gate = FakeDataGate({"T01": EachValue("load", lambda load: 0 <= load <= 9)})
    view = FakeView(("rider",), ("load",), None, rows_of, datasets=frozenset({"trips"}), stream=True)
    platform.features = FakeFeatures(folder, {"riders": view}, {"riders": ("riders",)})
    at(platform, NOW)
    dropped(platform, "2013-01", *(f"{name},2013-01-31T04:00:00Z,1.0" for name in ("Ann", "Bob", "Cid")))
    materialize(platform, platform.acting("s-5"))
    return platform


def dropped(world: FakePlatform, period: str, *lines: str) -> BatchRow:
    path = world.frames / f"trips-{period}.csv"
    path.write_text("\n".join(["rider,at,load", *lines, ""]))
    return ingest(world, world.acting("s-3"), "trips", path)


def pushed(world: FakePlatform, *rows: tuple[str, float], day: str = "2013-02-01") -> Outcome:
    path = world.frames / "rows.json"
    told = [{"rider": name, "at": f"{day}T04:00:00Z", "load": load} for name, load in rows]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in told))
    try:
        return push(world, world.acting("s-3"), "trips", path)
    finally:
        path.unlink()  # the file that was pushed is not ours


def erased(world: FakePlatform, name: str = "Ann") -> Erased:
    return erase_subject(world, world.acting("p-1"), "trips", name, WHY)


def the_push(world: FakePlatform) -> PushRow:
    (row,) = world.ledger.state().select(PushRow)
    return row


def counts(row: PushRow | BatchRow) -> tuple[int, int, int, int]:
    return row.read, row.accepted, row.quarantined, row.erased


def online(world: FakePlatform, *names: str) -> list[object]:
    asked = [{"rider": name} for name in names]
    return [found["load"] for found in world.features.online("riders", asked, world.clock.now())]


def kept_text(world: FakePlatform) -> str:
    return "".join(path.read_text() for path in world.frames.rglob("*.jsonl"))


def sound(world: FakePlatform) -> bool:
    rows: Sequence[PushRow | BatchRow] = (
        *world.ledger.state().select(PushRow),
        *world.ledger.state().select(BatchRow),
    )
    return (
        all(row.read == row.accepted + row.quarantined + row.erased for row in rows)
        and unfinished(world) == ()
        and world.ledger.verify() == unlawful(world) == ()
    )


# ── somebody asks ─────────────────────────────────────────────────────────────────────────────────


def test_a_subjects_pushed_rows_go_and_what_is_left_of_the_push_stands(world: FakePlatform) -> None:
    before = pushed(world, ("Ann", GOOD), ("Bob", 2.5), ("Ann", BAD), ("Bob", BAD)).row
    done = erased(world)
    after = the_push(world)
    assert counts(after) == (4, 1, 1, 2)
    assert (after.parts["2013-02-01"]["rows"], after.sequence) == (1, before.sequence)
    assert after.parts["2013-02-01"]["batch"] != before.parts["2013-02-01"]["batch"]
    assert [each["values"]["rider"] for each in world.batches.held("trips", after.quarantine_root)] == ["Bob"]  # type: ignore[index]
    assert (done.rows, last(world).payload["periods"]) == (3, ["2013-01", "2013-02-01"])
    assert "Ann" not in kept_text(world)
    assert sound(world)


def test_the_online_row_goes_at_once_and_others_stay_online_over_what_comes_next(world: FakePlatform) -> None:
    pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    erased(world)
    assert online(world, "Ann", "Bob", "Cid") == [None, 2.5, 1.0]
    assert pushed(world, ("Cid", 3.5)).online == {"riders": 1}
    at(world, NOW + timedelta(hours=1))
    materialize(world, world.acting("s-5"))
    assert online(world, "Ann", "Bob", "Cid") == [None, 2.5, 3.5]
    assert parity(world, world.acting("s-5"))["riders"].verdict is Verdict.PASSED
    assert sound(world)


def test_what_others_pushed_is_online_again_where_a_views_source_lost_rows(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bringing what is left of a source online brings that alone; the record has the rest."""
    pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    forget = world.features.forget

    def forgotten(*given: Any) -> int:
        store: Any = world.features
        store.materialize(store._windows["riders"].until)
        return forget(*given)

    monkeypatch.setattr(world.features, "forget", forgotten)
    erased(world)
    assert online(world, "Ann", "Bob") == [None, 2.5]


def test_a_push_that_was_not_brought_online_yet_brings_what_is_left_of_it(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> Any:
        raise DependencyFailed("online-store-gone", "got no answer, expected one", "start it")

    with monkeypatch.context() as killed:
        killed.setattr(world.features, "push", away)
        with pytest.raises(DependencyFailed):
            pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    erased(world)
    assert online(world, "Ann", "Bob") == [None, 2.5]
    assert pushed(world, ("Ann", GOOD), ("Bob", 2.5)).fresh is False
    assert online(world, "Ann", "Bob") == [None, 2.5]


def test_the_same_push_again_writes_nothing_and_brings_nothing_back(world: FakePlatform) -> None:
    pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    erased(world)
    head = world.ledger.head()
    again = pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    assert (again.fresh, again.row.accepted, again.row.erased, again.online) == (False, 1, 1, {})
    assert (world.ledger.head(), online(world, "Ann")) == (head, [None])


def test_another_push_is_read_without_who_was_erased(world: FakePlatform) -> None:
    erased(world)
    done = pushed(world, ("Ann", GOOD), ("Ann", BAD), ("Bob", 2.5))
    assert (counts(done.row), done.row.report["erased"], done.row.verdict) == ((3, 1, 0, 2), 2, "passed")
    assert online(world, "Ann", "Bob") == [None, 2.5]
    assert sentence(last(world)).endswith("1 on, 0 quarantined, 2 left out whose subject was erased")
    assert "Ann" not in kept_text(world)
    assert sound(world)


def test_a_push_of_nobody_else_is_held_back_and_on_record_once(world: FakePlatform) -> None:
    erased(world)
    done = pushed(world, ("Ann", GOOD))
    assert (counts(done.row), last(world).type) == ((1, 0, 0, 1), EventType.PUSH_REFUSED)
    (stop,) = done.row.report["stops"]
    assert (stop["rule"], stop["sentence"]) == (
        "G7",
        "nothing of its 1 row may go on: whoever they are about was erased",
    )
    assert pushed(world, ("Ann", GOOD)).fresh is False
    assert sound(world)


@pytest.mark.parametrize("rows", [(("Ann", GOOD),), (("Ann", GOOD), ("Bob", 2.5), ("Ann", BAD))])
def test_whoever_is_erased_while_rows_are_gated_stays_away_and_no_file_says_otherwise(
    world: FakePlatform, rows: tuple[tuple[str, float], ...]
) -> None:
    class Slow(FakeBatches):
        asked = False

        def quarantine(self, *given: Any) -> Any:
            kept = super().quarantine(*given)
            if not self.asked:
                self.asked = True
                erased(world)
                super().accept(TRIPS, given[1], {})  # as if it was written after the search
                super().quarantine(*given)
            return kept

    world.batches = Slow(world.frames)
    done = pushed(world, *rows)
    assert done.row.accepted + done.row.quarantined == sum(name != "Ann" for name, _ in rows)
    written = {path.name for path in world.frames.rglob("*.jsonl") if "Ann" in path.read_text()}
    assert len(written) <= 1, "only what was written past the push itself"
    assert unlawful(world) == ()


def test_the_drop_of_the_period_is_compared_with_what_is_left(world: FakePlatform) -> None:
    pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    erased(world)
    row = dropped(world, "2013-02-01", "Ann,2013-02-01T04:00:00Z,1.5", "Bob,2013-02-01T04:00:00Z,2.5")
    assert row.report["pushed"] == {"pushes": 1, "rows": 1, "same": 1, "other": 0, "absent": 0}
    assert counts(row) == (2, 1, 0, 1)
    assert sound(world)


def test_what_is_pushed_while_rows_are_searched_is_searched_too(world: FakePlatform) -> None:
    class Busy(FakeBatches):
        came = False

        def thinned(self, *given: Any, **more: Any) -> Any:
            found = super().thinned(*given, **more)
            if not self.came:
                self.came = True
                pushed(world, ("Ann", GOOD), ("Bob", 2.5))
            return found

    world.batches = Busy(world.frames)
    assert erased(world).rows == 2
    assert ("Ann" in kept_text(world), online(world, "Ann", "Bob")) == (False, [None, 2.5])
    assert sound(world)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("where", ["thinned", "forget", "discard", "push"])
def test_whoever_is_killed_and_does_it_again_comes_to_the_same(
    world: FakePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "calm").mkdir()
    calm = a_world(tmp_path / "calm")
    for each in (world, calm):
        pushed(each, ("Ann", GOOD), ("Bob", 2.5), ("Ann", BAD))
        if where == "push":  # something is left to bring
            store: Any = each.features
            store._windows["riders"] = replace(store._windows["riders"], pushed=0)
    erased(calm)

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as cut:
        holder: Any = world.features if where in {"forget", "push"} else world.batches
        cut.setattr(holder, where, killed)
        with pytest.raises(Killed):
            erased(world)
    erased(world)
    assert fingerprint(refold(world.ledger.events())) == fingerprint(refold(calm.ledger.events()))
    assert online(world, "Ann", "Bob") == online(calm, "Ann", "Bob") == [None, 2.5]
    assert sound(world)


# ── time is over ──────────────────────────────────────────────────────────────────────────────────


def kept_for(world: FakePlatform, days: int) -> None:
    world.contracts = FakeContracts(replace(TRIPS, keeps=Term(days, "day")))


def test_pushed_rows_go_with_their_period_and_held_back_ones_of_none_with_their_day(
    world: FakePlatform,
) -> None:
    pushed(world, ("Ann", GOOD), ("Bob", BAD))
    pushed(world, ("Bob", 2.5), ("Cid", BAD), day="2013-02-03")
    kept_for(world, 30)
    at(world, datetime(2013, 3, 4, tzinfo=UTC))
    (line,) = over(world, world.ledger.state())
    assert (line.periods, line.rows) == (("2013-01", "2013-02-01"), 5)
    let_go(world, world.acting("p-1"))
    first, second = sorted(world.ledger.state().select(PushRow), key=lambda row: row.sequence)
    assert (counts(first), counts(second)) == ((2, 0, 0, 2), (2, 1, 1, 0))
    materialize(world, world.acting("s-5"))
    assert online(world, "Ann", "Bob") == [None, 2.5]
    assert sound(world)
    at(world, datetime(2013, 3, 6, tzinfo=UTC))
    let_go(world, world.acting("p-1"))
    assert not kept_text(world).strip()
    assert let_go(world, world.acting("p-1"))[0].rows == 0
    assert sound(world)


def test_rows_of_a_period_whose_time_is_over_are_turned_away_once(world: FakePlatform) -> None:
    kept_for(world, 30)
    at(world, datetime(2013, 6, 1, tzinfo=UTC))
    before = len(list(world.ledger.events()))
    for _ in range(2):
        with pytest.raises(BadInput) as refused:
            pushed(world, ("Ann", GOOD))
        assert (refused.value.code, refused.value.data["period"]) == ("time-over", "2013-02-01")
    (event,) = list(world.ledger.events())[before:]
    assert (event.type, event.payload["code"]) == (EventType.DROP_REFUSED, "time-over")
    assert world.ledger.state().select(PushRow) == ()


def test_the_very_rows_that_went_do_not_come_back_in_another_push(world: FakePlatform) -> None:
    pushed(world, ("Ann", GOOD))
    kept_for(world, 1)
    at(world, datetime(2013, 2, 9, tzinfo=UTC))
    let_go(world, world.acting("p-1"))
    kept_for(world, 999)
    path = world.frames / "again.json"
    path.write_text(json.dumps({"load": GOOD, "at": "2013-02-01T04:00:00Z", "rider": "Ann"}))
    for _ in range(2):
        with pytest.raises(BadInput) as refused:
            push(world, world.acting("s-3"), "trips", path)
        assert refused.value.code == "erased-rows"
    assert not kept_text(world).strip()
    assert sound(world)


@pytest.mark.parametrize(
    ("values", "period"),
    [((9999, 12, 31), ""), ((datetime(9999, 1, 1, tzinfo=UTC),), ""), ((9998, 12), "9998-12")],
)
def test_a_row_of_the_last_year_names_no_period_for_that_never_ends(
    values: tuple[object, ...], period: str
) -> None:
    assert period_of_row(values) == period


@pytest.mark.parametrize("unit", ["day", "year"])
def test_a_term_beyond_the_calendar_never_ends(unit: str) -> None:
    assert Term(9_000, unit).after(datetime(9990, 1, 1, tzinfo=UTC)).year == 9999 if unit == "year" else True
    assert Term(10**9, unit).after(NOW) == datetime.max.replace(tzinfo=UTC)


def test_held_back_rows_are_kept_by_the_period_that_all_name_or_by_their_day() -> None:
    assert held_period({"period": "2012-05-01"}, "2013-02-01T06:00:00Z") == "2012-05-01"
    assert held_period({"period": ""}, "2013-02-01T06:00:00Z") == "2013-02-01"


# ── judged ────────────────────────────────────────────────────────────────────────────────────────


def breaches(world: FakePlatform, event: Event) -> list[tuple[str, str]]:
    found = judged(world.ledger.events(), world.policies, world.expressions)
    return [(each.rule, each.told) for each in found if each.event == event.sequence]


def test_a_push_that_has_erased_rows_again_is_told(world: FakePlatform) -> None:
    pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    payload = dict(last(world).payload)
    erased(world)
    event = world.write(EventType.PUSH_ACCEPTED, {**payload, "drop": "sha256:x"}, "s-3", "dataset/trips")
    assert breaches(world, event) == [
        ("E1", "a push of trips 2013-02-01 has the rows again that were erased from one")
    ]


def test_a_push_that_leaves_out_more_than_it_says_is_told(world: FakePlatform) -> None:
    erased(world)
    pushed(world, ("Ann", GOOD), ("Bob", 2.5))
    payload = dict(last(world).payload)
    report = {**payload["report"], "erased": 0}
    event = world.write(
        EventType.PUSH_ACCEPTED, {**payload, "drop": "sha256:x", "report": report}, "s-3", "dataset/trips"
    )
    assert [rule for rule, _ in breaches(world, event)] == ["G7"]


@pytest.mark.parametrize(
    ("rows", "more", "rule", "told"),
    [
        (1, {}, "", ""),
        (5, {"rows": 5}, "E2", "loses 5 rows, more than it had"),
        (
            1,
            {"cause": "retention", "subject": "", "keeps": {"value": 9, "unit": "year"}},
            "E3",
            "rows of trips 2013-02-01 go, which are kept for 9 years",
        ),
        (
            1,
            {"cause": "retention", "subject": "", "keeps": {"value": 1, "unit": "day"}, "periods": []},
            "E3",
            "rows of trips 2013-02-01 go, which is not named",
        ),
    ],
)
def test_an_erasure_of_pushed_rows_past_the_use_case_is_told(
    world: FakePlatform, rows: int, more: dict[str, Any], rule: str, told: str
) -> None:
    batch = pushed(world, ("Ann", GOOD), ("Bob", 2.5)).row.parts["2013-02-01"]["batch"]
    file = {"kind": "batch", "place": "trips", "digest": batch, "successor": "tg1:left", "rows": rows}
    about = {"cause": "subject", "subject": "hash:1", "dataset": "trips", "periods": ["2013-02-01"]}
    told_of = {"keeps": {}, "rows": 1, "files": [file], "touches": {"training_sets": [], "versions": []}}
    event = world.write(EventType.ROWS_ERASED, {**about, **told_of, **more}, "p-1", "dataset/trips")
    found = breaches(world, event)
    assert found == [] if not rule else any(rule == each and told in said for each, said in found)


# ── whatever comes in whatever order ──────────────────────────────────────────────────────────────

NAMES = ("Ann", "Bob", "Cid")
ROWS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from((GOOD, 2.5, BAD))), min_size=1, max_size=5)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), ROWS),
        st.tuples(st.just("erase"), st.sampled_from(NAMES)),
        st.tuples(st.just("drop"), st.sampled_from(("2013-02-01", "2013-02-02"))),
        st.tuples(st.just("materialize"), st.none()),
    ),
    max_size=7,
)


@settings(max_examples=40, deadline=None)
@given(acts=ACTS)
@example(acts=[("erase", name) for name in NAMES])
def test_rows_always_add_up_and_nobody_who_was_erased_is_anywhere(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, Any]]
) -> None:
    world, gone = a_world(tmp_path_factory.mktemp("world")), set[str]()
    for number, (act, what) in enumerate(acts):
        at(world, NOW + timedelta(days=2, minutes=number))
        if act == "push":
            pushed(world, *what, day=f"2013-02-0{1 + number % 2}")
        elif act == "erase":
            erased(world, what)
            gone.add(what)
        elif act == "materialize":
            materialize(world, world.acting("s-5"))
        elif not world.ledger.state().select(BatchRow, period=what):
            dropped(
                world, what, *(f"{name},{what}T05:00:00Z,4.0" for name in NAMES), f"Dot,{what}T05:00:00Z,4.0"
            )
    assert sound(world)
    assert not [name for name in gone if name in kept_text(world)]
    at(world, NOW + timedelta(days=3))
    for _ in range(2):
        assert online(world, *sorted(gone)) == [None] * len(gone)
        materialize(world, world.acting("s-5"))
    told = parity(world, world.acting("s-5"))["riders"]
    assert told.sampled or gone == {*NAMES}, "only where nobody is left there is no key to compare"
    assert told.verdict is (Verdict.PASSED if told.sampled else Verdict.INCONCLUSIVE)
