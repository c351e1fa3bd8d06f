"""Rows go when their subject asks, or when their time is over; the record says so, and they stay away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.application.erase_rows import erase_subject, let_go, over
from tidegate.application.erased import finish, left_of, unfinished, unread
from tidegate.application.features import materialize
from tidegate.application.ingest import ingest
from tidegate.application.lawfulness import judged, unlawful
from tidegate.application.replay import replay
from tidegate.application.revisions import in_force
from tidegate.application.timeline import sentence
from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.fold import StateView, fingerprint
from tidegate.domain.fold import replay as refold
from tidegate.domain.keeping import Term, Without
from tidegate.domain.state import BatchRow, ErasedSubjectRow, FeatureViewRow
from tidegate.testing.fakes.batches import FakeBatches
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.fakes.views import FakeView
from tidegate.testing.looking import at, last

WHY = "Article 17, letter of 3 May."
NOW = datetime(2013, 2, 1, 6, tzinfo=UTC)
CHECK = Check(
    "T01", "expect_column_values_to_be_between", Severity.CRITICAL, OnRow.QUARANTINE, True, "0 to 1"
)
TRIPS = Contract(
    dataset="trips", version="1", owner="operations",
    columns=(Column("trip", "integer", required=True), Column("rider", "string"), Column("load", "number")),
    key=("trip",), checks=(CHECK,), min_rows=0, max_rows=100, max_age=None, quarantine_limit=0.9,
    digest="sha256:contract", subject="rider",
)  # fmt: skip
ROWS = ("1,Ann,0.5", "2,Ann,7", "3,Bob,0.5", "4,Bob,7")


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    return a_world(tmp_path)


def a_world(folder: Path) -> FakePlatform:
    """Return a world in which January came: of Ann and Bob one row each was accepted, and one held back."""
    platform = FakePlatform(folder)
    assert isinstance(platform.clock, FixedClock)
    platform.clock.moment = NOW
    platform.contracts = FakeContracts(TRIPS)
    platform.gate = FakeDataGate({"T01": EachValue("load", lambda load: 0 <= load <= 1)})
    brought(platform, ROWS)
    return platform


def brought(world: FakePlatform, rows: tuple[str, ...], period: str = "2013-01") -> BatchRow:
    path = world.frames / f"trips-{period}.csv"
    path.write_text("\n".join(["trip,rider,load", *rows, ""]))
    return ingest(world, world.acting("s-3"), "trips", path)


def erased(world: FakePlatform, name: str = "Ann") -> Any:
    return erase_subject(world, world.acting("p-1"), "trips", name, WHY)


def adds_up(world: FakePlatform) -> bool:
    rows = world.ledger.state().select(BatchRow)
    return all(row.read == row.accepted + row.quarantined + row.erased for row in rows)


def text_below(folder: Path) -> str:
    return "".join(
        path.read_text() for path in folder.rglob("*") if path.is_file() and path.suffix == ".jsonl"
    )


# ── asked for by somebody ─────────────────────────────────────────────────────────────────────────


def test_a_subjects_rows_go_from_batch_and_quarantine_and_what_is_left_is_in_force(
    world: FakePlatform,
) -> None:
    (before,) = in_force(world.ledger.state())
    done = erased(world)
    (after,) = in_force(world.ledger.state())
    assert (done.rows, len(done.files), done.sequence) == (2, 2, world.ledger.head().sequence)
    assert after.batch != before.batch
    assert (after.read, after.accepted, after.quarantined, after.erased) == (4, 1, 1, 2)
    assert [row["values"] for row in world.batches.quarantined("trips", after.quarantine_root)] == [
        {"trip": 4, "rider": "Bob", "load": 7.0}
    ]
    assert world.batches.values("trips", [after.batch], "rider") == ("Bob",)
    assert "Ann" not in text_below(world.frames)
    assert adds_up(world)
    assert world.ledger.verify() == unlawful(world) == ()


def test_the_event_names_files_rows_and_why_and_nobody(world: FakePlatform) -> None:
    (before,) = in_force(world.ledger.state())
    erased(world)
    event = last(world)
    assert (event.type, event.actor, event.stream) == (EventType.ROWS_ERASED, "p-1", "dataset/trips")
    assert (event.payload["cause"], event.payload["periods"], event.payload["rows"]) == (
        "subject",
        ["2013-01"],
        2,
    )
    assert {each["digest"] for each in event.payload["files"]} == {before.batch, before.quarantine_root}
    assert event.payload["subject"].startswith("hash:")
    assert "Ann" not in event.body
    assert world.ledger.text(event.payload["texts"]["reason"]) == WHY
    assert sentence(event) == "p-1 erased 2 rows of trips 2013-01: a subject's, who stays away"


def test_the_same_again_finds_nothing_and_writes_nothing(world: FakePlatform) -> None:
    erased(world)
    head = world.ledger.head()
    again = erased(world)
    assert (again.rows, again.files, again.sequence) == (0, (), 0)
    assert world.ledger.head() == head


def test_somebody_who_is_not_there_is_kept_away_from_what_comes(world: FakePlatform) -> None:
    done = erased(world, "Zoe")
    assert (done.rows, done.files, done.sequence) == (0, (), world.ledger.head().sequence)
    row = brought(world, ("5,Zoe,0.5", "6,Bob,0.5"), "2013-02")
    assert (row.read, row.accepted, row.erased) == (2, 1, 1)
    assert unlawful(world) == ()


def test_trying_it_changes_nothing(world: FakePlatform) -> None:
    head, files = world.ledger.head(), sorted(world.frames.rglob("*"))
    tried = erase_subject(world, world.acting("p-1"), "trips", "Ann", WHY, dry_run=True)
    assert (tried.rows, tried.sequence) == (2, 0)
    assert (world.ledger.head(), sorted(world.frames.rglob("*"))) == (head, files)


def test_the_same_drop_again_brings_nothing_back(world: FakePlatform) -> None:
    erased(world)
    head = world.ledger.head()
    row = brought(world, ROWS)
    assert (row.accepted, row.erased) == (1, 2)
    assert world.ledger.head() == head


def test_a_restated_drop_is_read_without_who_was_erased(world: FakePlatform) -> None:
    erased(world)
    path = world.frames / "trips-2013-01.r1.csv"
    path.write_text("\n".join(["trip,rider,load", *ROWS, "5,Ann,0.25", "6,Bob,0.25", ""]))
    row = ingest(world, world.acting("s-3"), "trips", path)
    assert (row.read, row.accepted, row.quarantined, row.erased) == (6, 2, 1, 3)
    assert "Ann" not in text_below(world.frames)
    assert "3 left out whose subject was erased" in sentence(last(world))
    assert unlawful(world) == ()


def test_every_edition_of_a_period_loses_the_rows_and_the_latest_stays_in_force(world: FakePlatform) -> None:
    path = world.frames / "trips-2013-01.r1.csv"
    path.write_text("trip,rider,load\n1,Ann,0.25\n3,Bob,0.5\n")
    ingest(world, world.acting("s-3"), "trips", path)
    erased(world)
    (row,) = in_force(world.ledger.state())
    assert (row.revision, row.accepted, row.erased) == (1, 1, 1)
    assert "Ann" not in text_below(world.frames)
    assert unlawful(world) == ()


def test_training_sets_and_versions_that_had_learned_from_them_are_named(world: FakePlatform) -> None:
    (row,) = in_force(world.ledger.state())
    told = {"model": "m", "service": "s", "entities": "tg1:e", "rows": 1, "windows": {}}
    built = {"digest": "tg1:set", "batches": [row.batch], **told}
    world.write(EventType.TRAINING_SET_BUILT, built, "s-1", "model/m")
    done = erased(world)
    assert done.touches == {"training_sets": ["tg1:set"], "versions": []}
    assert last(world).payload["touches"] == done.touches
    assert unlawful(world) == ()


def test_copies_lose_them_and_are_named(world: FakePlatform) -> None:
    frame = world.copies.plant("frame", "", [{"rider": "Ann", "x": 1}, {"rider": "Bob", "x": 2}])  # type: ignore[attr-defined]
    erased(world)
    left, rows = left_of(world.ledger.state(), "frame", frame)
    assert (left != frame, rows) == (True, 1)
    assert list(world.copies.files) == [("frame", "", left)]  # type: ignore[attr-defined]


def test_somebody_else_is_erased_from_what_was_left(world: FakePlatform) -> None:
    (first,) = in_force(world.ledger.state())
    erased(world)
    erased(world, "Bob")
    (row,) = in_force(world.ledger.state())
    assert (row.accepted, row.quarantined, row.erased) == (0, 0, 4)
    assert left_of(world.ledger.state(), "batch", first.batch, "trips") == (row.batch, 2)
    assert unlawful(world) == ()


def test_mended_rows_of_before_are_not_put_back(world: FakePlatform) -> None:
    export = world.frames / "held.csv"
    export.write_text("_period,_revision,_row,_reasons,trip,rider,load\n2013-01,0,1,T01,2,Ann,0.5\n")
    erased(world)
    with pytest.raises(BadInput) as caught:
        replay(world, world.acting("s-3"), "trips", export)
    assert caught.value.code == "rows-erased"
    assert "Ann" not in caught.value.sentence


def test_a_row_is_not_mended_into_one_of_who_was_erased(world: FakePlatform) -> None:
    erased(world, "Zoe")
    export = world.frames / "held.csv"
    export.write_text("_period,_revision,_row,_reasons,trip,rider,load\n2013-01,0,3,T01,4,Zoe,0.5\n")
    with pytest.raises(BadInput) as caught:
        replay(world, world.acting("s-3"), "trips", export)
    assert caught.value.code == "erased-subject"


@pytest.mark.parametrize("who", ["p-3", "p-5", "s-3"])
def test_whoever_may_not_erase_is_refused_and_the_refusal_recorded(world: FakePlatform, who: str) -> None:
    with pytest.raises(Refused) as caught:
        erase_subject(world, world.acting(who), "trips", "Ann", WHY)
    assert (caught.value.code, caught.value.data["rule"]) == ("not-permitted", "A1")
    assert last(world).type is EventType.ACTION_REFUSED
    assert "Ann" not in last(world).body
    with pytest.raises(Refused):
        let_go(world, world.acting(who))


@pytest.mark.parametrize(
    ("dataset", "name", "reason", "code"),
    [
        ("trips", " ", WHY, "bad-subject"),
        ("trips", "Ann", " ", "no-reason"),
        ("waves", "Ann", WHY, "contract"),
    ],
)
def test_what_cannot_be_asked_is_bad_input(
    world: FakePlatform, dataset: str, name: str, reason: str, code: str
) -> None:
    head = world.ledger.head()
    with pytest.raises(BadInput) as caught:
        erase_subject(world, world.acting("p-1"), dataset, name, reason)
    assert caught.value.code == code
    assert world.ledger.head() == head


# ── cut short ─────────────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process is gone."""


class Fragile(FakeBatches):
    """Batches whose holder is killed before an act."""

    at = ""

    def thinned(self, *given: Any, **more: Any) -> Any:
        if self.at == "before":
            raise Killed
        found = super().thinned(*given, **more)
        if self.at == "after":
            raise Killed
        return found

    def discard(self, files: Any) -> None:
        if self.at == "half":
            super().discard(files[:1])
        if self.at in {"half", "none"}:
            raise Killed
        super().discard(files)


@pytest.mark.parametrize("at", ["before", "after", "none", "half"])
def test_whoever_is_killed_and_does_it_again_comes_to_the_same(
    world: FakePlatform, tmp_path: Path, at: str
) -> None:
    (tmp_path / "calm").mkdir()
    calm = a_world(tmp_path / "calm")
    erased(calm)
    fragile = Fragile(world.frames)
    fragile.at, world.batches = at, fragile
    with pytest.raises(Killed):
        erased(world)
    fragile.at = ""
    erased(world)
    assert unfinished(world) == ()
    assert "Ann" not in text_below(world.frames)
    assert fingerprint(refold(world.ledger.events())) == fingerprint(refold(calm.ledger.events()))
    assert sorted(path.name for path in world.frames.rglob("*.jsonl") if "calm" not in path.parts) == sorted(
        path.name for path in calm.frames.rglob("*.jsonl")
    )


def test_it_is_finished_without_saying_again_whom_it_was_about(world: FakePlatform) -> None:
    fragile = Fragile(world.frames)
    fragile.at, world.batches = "none", fragile
    with pytest.raises(Killed):
        erased(world)
    assert len(unfinished(world)) == 2
    fragile.at = ""
    assert finish(world) == 2
    assert finish(world) == 0
    assert "Ann" not in text_below(world.frames)


def test_what_comes_while_rows_are_searched_is_searched_too(world: FakePlatform) -> None:
    class Busy(FakeBatches):
        came = False

        def thinned(self, *given: Any, **more: Any) -> Any:
            found = super().thinned(*given, **more)
            if not self.came:
                self.came = True
                brought(world, ("7,Ann,0.5", "8,Bob,0.5"), "2013-02")
            return found

    world.batches = Busy(world.frames)
    assert erased(world).rows == 3
    assert "Ann" not in text_below(world.frames)


def test_a_drop_that_is_gated_while_its_subject_is_erased_leaves_nothing_of_them(world: FakePlatform) -> None:
    class Slow(FakeDataGate):
        def run(self, *given: Any, **more: Any) -> Any:
            if not world.ledger.state().select(ErasedSubjectRow):
                erased(world)
            return super().run(*given, **more)

    world.gate = Slow({"T01": EachValue("load", lambda load: 0 <= load <= 1)})
    row = brought(world, ("7,Ann,0.5", "8,Bob,0.5"), "2013-02")
    assert (row.read, row.accepted, row.erased) == (2, 1, 1)
    assert "Ann" not in text_below(world.frames)


def test_what_was_made_of_batches_that_lost_rows_meanwhile_is_refused_and_removed(
    world: FakePlatform,
) -> None:
    (row,) = in_force(world.ledger.state())
    erased(world)
    digest = world.copies.plant("frame", "", [{"rider": "Ann"}])  # type: ignore[attr-defined]
    made = [Without("frame", "", digest, "", 0)]
    with pytest.raises(DependencyFailed) as caught:
        unread(world, world.ledger.state(), [row.batch], made)
    assert caught.value.code == "rows-erased-meanwhile"
    assert world.copies.left(made) == ()
    (row,) = in_force(world.ledger.state())
    unread(world, world.ledger.state(), [row.batch], made)


def test_once_views_are_built_again_no_older_build_is_kept(world: FakePlatform) -> None:
    def rows(batches: Mapping[str, Sequence[Path]], _: object) -> list[dict[str, Any]]:
        told = [json.loads(line) for path in batches["trips"] for line in path.read_bytes().splitlines()]
        times = {"event_timestamp": NOW, "created_timestamp": NOW}
        return [{"line": 1, "count": len(told), **times}]

    world.__dict__["features"] = FakeFeatures(
        world.frames, {"lines": FakeView(("line",), ("count",), None, rows)}, {}
    )
    materialize(world, world.acting("s-5"), NOW)
    (before,) = world.ledger.state().select(FeatureViewRow)
    world.copies.files["source", "lines", before.source] = [{"line": 1, "count": 2}]  # type: ignore[attr-defined]
    erased(world)
    (untold,) = world.ledger.state().select(FeatureViewRow)
    assert untold.source == before.source, "nothing in it says whom it is about"
    materialize(world, world.acting("s-5"))
    (after,) = world.ledger.state().select(FeatureViewRow)
    assert after.source != before.source
    assert world.copies.files == {}  # type: ignore[attr-defined]


# ── time is over ──────────────────────────────────────────────────────────────────────────────────


def kept_for(world: FakePlatform, value: int, unit: str = "year") -> FakePlatform:
    world.contracts = FakeContracts(replace(TRIPS, keeps=Term(value, unit)))
    return world


def test_rows_go_once_their_period_is_over_for_as_long_as_they_are_kept(world: FakePlatform) -> None:
    kept_for(world, 1)
    at(world, datetime(2014, 1, 31, 23, tzinfo=UTC))
    (line,) = let_go(world, world.acting("p-1"))
    assert (line.periods, line.rows) == ((), 0)
    at(world, datetime(2014, 2, 1, tzinfo=UTC))
    (line,) = over(world, world.ledger.state())
    assert (line.periods, line.rows) == (("2013-01",), 4)
    let_go(world, world.acting("p-1"))
    event = last(world)
    assert (event.payload["cause"], event.payload["keeps"]) == ("retention", {"value": 1, "unit": "year"})
    (row,) = in_force(world.ledger.state())
    assert (row.read, row.accepted, row.quarantined, row.erased) == (4, 0, 0, 4)
    assert not text_below(world.frames).strip()
    head = world.ledger.head()
    let_go(world, world.acting("p-1"))
    assert world.ledger.head() == head
    assert world.ledger.verify() == unlawful(world) == ()


def test_a_dataset_without_a_term_is_kept_without_end(world: FakePlatform) -> None:
    at(world, datetime(2113, 1, 1, tzinfo=UTC))
    assert over(world, world.ledger.state()) == let_go(world, world.acting("p-1")) == ()


def test_a_drop_whose_time_is_over_is_turned_away_once(world: FakePlatform) -> None:
    kept_for(world, 30, "day")
    at(world, datetime(2013, 6, 1, tzinfo=UTC))
    for _ in range(2):
        with pytest.raises(BadInput) as caught:
            brought(world, ROWS[:1], "2013-02")
        assert caught.value.code == "time-over"
        assert "30 days after it were over on 2013-03-31" in caught.value.sentence
    assert [event.type for event in world.ledger.events()].count(EventType.DROP_REFUSED) == 1


def test_the_very_rows_that_went_do_not_come_back_although_they_would_be_kept_longer_now(
    world: FakePlatform,
) -> None:
    at(kept_for(world, 1), datetime(2014, 2, 1, tzinfo=UTC))
    let_go(world, world.acting("p-1"))
    kept_for(world, 9)
    path = world.frames / "trips-2013-01.r1.csv"
    path.write_text("\n".join(["trip,rider,load", *reversed(ROWS), ""]))
    with pytest.raises(BadInput) as caught:
        ingest(world, world.acting("s-3"), "trips", path)
    assert caught.value.code == "erased-rows"
    assert not text_below(world.frames).strip()
    assert unlawful(world) == ()


@pytest.mark.parametrize(
    ("term", "since", "until"),
    [
        (Term(1, "year"), datetime(2012, 2, 29, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)),
        (Term(4, "year"), datetime(2012, 2, 29, tzinfo=UTC), datetime(2016, 2, 29, tzinfo=UTC)),
        (Term(1, "day"), datetime(2013, 12, 31, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_term_ends_on_its_day(term: Term, since: datetime, until: datetime) -> None:
    assert term.after(since) == until


# ── judged ────────────────────────────────────────────────────────────────────────────────────────


def forged(world: FakePlatform, actor: str = "p-1", **more: Any) -> list[tuple[str, str]]:
    """Write an erasure past the use case, with something else in it; return what the judge says of it."""
    (row,) = in_force(world.ledger.state())
    file = {"kind": "batch", "place": "trips", "digest": row.batch, "successor": "tg1:left", "rows": 1}
    about = {"cause": "subject", "subject": "hash:1", "dataset": "trips", "periods": ["2013-01"], "keeps": {}}
    touched = {"training_sets": [], "versions": []}
    payload = {**about, "rows": 1, "files": [file], "touches": touched, **more}
    event = world.write(EventType.ROWS_ERASED, payload, actor, "dataset/trips")
    return [
        (each.rule, each.told)
        for each in judged(world.ledger.events(), world.policies, world.expressions)
        if each.event == event.sequence
    ]


def a_file(**more: Any) -> Mapping[str, Any]:
    file = {"kind": "batch", "place": "trips", "digest": "tg1:never", "successor": "tg1:left", "rows": 1}
    return {**file, **more}


def test_an_erasure_as_it_should_be_is_lawful(world: FakePlatform) -> None:
    assert forged(world) == []


@pytest.mark.parametrize(
    ("more", "rule", "told"),
    [
        ({"subject": ""}, "E1", "nothing keeps them from coming back"),
        ({"cause": "whim"}, "E1", "for no cause that there is"),
        ({"files": [a_file()]}, "E2", "is of no drop or push of trips on record"),
        ({"files": [a_file(place="waves")]}, "E2", "is of waves, and rows of trips are erased"),
        ({"files": [a_file(rows=0)], "rows": 0}, "E2", "loses no row"),
        ({"rows": 9}, "E2", "9 rows of trips are erased, of files that lose 1"),
        (
            {"touches": {"training_sets": ["tg1:x"], "versions": []}},
            "E2",
            "names others than those who had learned",
        ),
        (
            {"cause": "retention", "subject": "", "keeps": {"value": 9, "unit": "year"}},
            "E3",
            "rows of trips 2013-01 go, which are kept for 9 years",
        ),
        (
            {"cause": "retention", "subject": "", "keeps": {"value": 1, "unit": "day"}, "periods": []},
            "E3",
            "rows of trips 2013-01 go, which is not named",
        ),
    ],
)
def test_an_erasure_past_the_use_case_is_told(world: FakePlatform, more: Any, rule: str, told: str) -> None:
    assert any(rule == each and told in said for each, said in forged(world, **more))


def test_who_may_not_erase_is_told(world: FakePlatform) -> None:
    assert any(rule == "A1" and "p-3" in told for rule, told in forged(world, "p-3"))


def test_more_rows_than_a_batch_had_are_told(world: FakePlatform) -> None:
    (row,) = in_force(world.ledger.state())
    files = [a_file(digest=row.batch, rows=5)]
    assert any("loses 5 rows, more than it had" in told for _, told in forged(world, files=files, rows=5))


def test_a_batch_that_comes_back_is_told(world: FakePlatform) -> None:
    (before,) = in_force(world.ledger.state())
    erased(world)
    world.accept("2013-01", dataset="trips", batch=before.batch, revision=1)
    assert any("has the rows again that were erased from it" in told for told in unlawful(world))


# ── whatever comes in whatever order ──────────────────────────────────────────────────────────────

NAMES = ("Ann", "Bob", "Cid")
ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("bring"),
            st.lists(
                st.tuples(st.sampled_from(NAMES), st.sampled_from(("0.5", "7"))), min_size=1, max_size=5
            ),
        ),
        st.tuples(st.just("erase"), st.sampled_from(NAMES)),
    ),
    max_size=7,
)


@settings(max_examples=40, deadline=None)
@given(acts=ACTS)
def test_rows_always_add_up_and_nobody_who_was_erased_is_there(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, Any]]
) -> None:
    world = a_world(tmp_path_factory.mktemp("world"))
    gone: set[str] = set()
    for number, (act, what) in enumerate(acts):
        if act == "erase":
            erased(world, what)
            gone.add(what)
        else:
            path = world.frames / f"trips-2013-01.r{number + 1}.csv"
            rows = [f"{10 * number + place},{who},{load}" for place, (who, load) in enumerate(what)]
            path.write_text("\n".join(["trip,rider,load", *rows, ""]))
            ingest(world, world.acting("s-3"), "trips", path)
    assert adds_up(world)
    assert not [name for name in gone if name in text_below(world.frames)]
    assert unfinished(world) == ()
    assert unlawful(world) == ()
    state = StateView(refold(world.ledger.events()))
    for row in in_force(state):
        world.batches.path("trips", row.batch)
        world.batches.quarantined("trips", row.quarantine_root)
