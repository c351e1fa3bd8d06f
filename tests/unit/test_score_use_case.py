"""Scoring a period, on fakes: the live version and what stands in canary beside it, on the same rows, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from tidegate.application.canary import analyse
from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.ports import Frame, Marking, ModelSpec, Part, Segment
from tidegate.application.promote import climb
from tidegate.application.resolve import Say, resolve
from tidegate.application.score import score
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.feature_change import Definitions
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import ScoringRow, VersionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities, StatedMonitors
from tidegate.testing.fakes.scorer import FakeScorer
from tidegate.testing.material import trips, write_rows

JANUARY = "2024-01-02"


class Rows:
    """Entities that are the trips of the window, whatever was accepted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.asked = 0
        self.load = 0.0
        self.outcomes_known = True

    def frame(
        self, model: ModelSpec, batches: object, declared: object, window: tuple[datetime, datetime]
    ) -> Frame:
        self.asked += 1
        inside = [row for row in trips() if window[0] <= row["departs_at"] < window[1]]  # type: ignore[operator]
        rows = [{**row, "stops": 5 + self.load} for row in inside]
        if not self.outcomes_known:
            rows = [
                {**row, "status": "pending", "late": None, "delay": None, "known_at": None} for row in rows
            ]
        return write_rows(rows, self._folder / f"rows-{self.asked}.parquet")


class Watched(FakeScorer):
    """A scorer during whose work something else may happen."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] = lambda: None
        self.artifacts: list[str] = []

    def score(
        self,
        artifact: Path,
        artifact_digest: str,
        model: ModelSpec,
        frame: Frame,
        into: Path,
        part: Part | None = None,
        marking: Marking | None = None,
    ) -> Segment:
        self.artifacts.append(artifact_digest)
        into.mkdir(parents=True, exist_ok=True)
        segment = super().score(artifact, artifact_digest, model, frame, into, part, marking)
        self.meanwhile()
        return segment


def store_in(folder: Path) -> SimpleNamespace:
    """Return a store without a feature: what it joins is what it was told to keep."""

    def joined(entities: Frame, _: str, keep: Sequence[str]) -> Frame:
        rows = [{name: row[name] for name in keep} for row in pq.read_table(entities.path).to_pylist()]
        return write_rows(rows, folder / f"joined-{entities.path.name}")

    return SimpleNamespace(
        training_frame=joined,
        verify=lambda _: None,
        reread=lambda digest: digest,
        registered=lambda _: Definitions(),
    )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world with version 1 live and version 2 in canary, in which scoring works."""
    world = FakePlatform(tmp_path)
    world.accept()
    world.entities = Rows(tmp_path)
    world.scorer = Watched()
    monkeypatch.setitem(world.__dict__, "features", store_in(tmp_path))
    world.register()
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    approved(world, 1)
    world.register()
    climb(world, world.acting("p-2"), MODEL, 2)
    return world


def approved(world: FakePlatform, version: int) -> None:
    resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, "Evidence looks sound to me.")


def run(world: FakePlatform, period: str = JANUARY, who: str = "s-6") -> tuple[ScoringRow, ...]:
    return score(world, world.acting(who), MODEL, period)


def watched(world: FakePlatform) -> Watched:
    assert isinstance(world.scorer, Watched)
    return world.scorer


def rows_asked(world: FakePlatform) -> int:
    return rows_of(world).asked


def scored(world: FakePlatform) -> list[Event]:
    return [event for event in world.ledger.events() if event.type is EventType.DECISIONS_SCORED]


def test_the_live_version_comes_first_and_the_canary_beside_it(world: FakePlatform) -> None:
    rows = run(world)
    assert [(row.version, row.stage) for row in rows] == [(1, "prod"), (2, "canary")]
    assert [(event.payload["version"], event.payload["stage"]) for event in scored(world)] == [
        (1, "prod"),
        (2, "canary"),
    ]


def test_both_score_the_same_rows_and_keep_every_decision(world: FakePlatform) -> None:
    live, canary = run(world)
    assert (live.entities, live.rows) == (canary.entities, canary.rows)
    assert (live.rows, rows_asked(world)) == (120, 1)
    assert live.artifact != canary.artifact
    for row in (live, canary):
        assert pq.read_table(world.frames / "scores" / row.file).num_rows == 120


def test_each_version_is_given_the_features_of_the_service_it_was_trained_on_and_both_are_compared(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once model.yaml names a service beside the old one, the live version still decides on the old one's."""
    seen: list[tuple[str, str]] = []
    plain, scorer = world.features.training_frame, watched(world)

    def joined(entities: Frame, service: str, keep: Sequence[str]) -> Frame:
        found = plain(entities, service, keep)
        rows = [
            {**row, "load": 1.0 if service == "tram_delay" else 2.0}
            for row in pq.read_table(found.path).to_pylist()
        ]
        return write_rows(rows, world.frames / f"{service}-{found.path.name}")

    monkeypatch.setattr(world.features, "training_frame", joined)
    world.models.put(replace(world.models.spec(MODEL), service="tram_delay_v2"))
    lower(world, world.acting("p-5"), MODEL, Action.RETIRE, "Make room.", 2)
    world.register()
    climb(world, world.acting("p-2"), MODEL, 3)
    scoring = scorer.score

    def looking(artifact: Path, digest: str, model: ModelSpec, frame: Frame, *more: Any) -> Segment:
        seen.append((digest, str(set(pq.read_table(frame.path).column("load").to_pylist()))))
        return scoring(artifact, digest, model, frame, *more)

    scorer.score = looking  # type: ignore[method-assign]
    live, canary = run(world)
    assert seen == [(live.artifact, "{1.0}"), (canary.artifact, "{2.0}")]
    assert (live.entities, live.rows) == (canary.entities, canary.rows)
    world.entities = StatedEntities(world.frames)
    analyse(world, world.acting("s-4"), MODEL)
    assert isinstance(world.monitors, StatedMonitors)
    ((_, beside),) = world.monitors.compared
    assert isinstance(beside, Segment)
    assert beside.root == live.root


def test_what_is_scored_is_not_scored_again(world: FakePlatform) -> None:
    first = run(world)
    before = len(list(world.ledger.events()))
    assert run(world) == first
    assert (len(list(world.ledger.events())), len(watched(world).artifacts), rows_asked(world)) == (
        before,
        2,
        1,
    )


def test_a_version_that_entered_canary_later_scores_what_the_live_one_has_scored_before(
    world: FakePlatform,
) -> None:
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, "Not yet.", 2, Stage.CANDIDATE)
    (alone,) = run(world)
    climb(world, world.acting("p-2"), MODEL, 2)
    live, canary = run(world)
    assert live == alone
    assert (canary.version, canary.stage, canary.entities) == (2, "canary", alone.entities)


def rows_of(world: FakePlatform) -> Rows:
    assert isinstance(world.entities, Rows)
    return world.entities


def test_rows_are_named_by_what_was_scored_and_not_by_what_is_heard_of_them_later(
    world: FakePlatform,
) -> None:
    """A canary that scores a month after its outcomes came has scored the live version's very rows."""
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, "Not yet.", 2, Stage.CANDIDATE)
    rows_of(world).outcomes_known = False
    (alone,) = run(world)
    climb(world, world.acting("p-2"), MODEL, 2)
    rows_of(world).outcomes_known = True
    live, canary = run(world)
    assert (live, canary.entities) == (alone, alone.entities)
    world.entities = StatedEntities(world.frames)
    analyse(world, world.acting("s-4"), MODEL)
    assert isinstance(world.monitors, StatedMonitors)
    ((_, beside),) = world.monitors.compared
    assert isinstance(beside, Segment)
    assert beside.root == alone.root


def test_nothing_that_came_of_a_row_reaches_what_is_scored(world: FakePlatform) -> None:
    seen: list[Frame] = []
    scorer = watched(world)
    plain = scorer.score

    def looking(artifact: Path, digest: str, model: ModelSpec, frame: Frame, *more: Any) -> Segment:
        seen.append(frame)
        return plain(artifact, digest, model, frame, *more)

    scorer.score = looking  # type: ignore[method-assign]
    run(world)
    assert {frame.columns for frame in seen} == {("departs_at", "line", "trip", "load", "stops")}


def test_only_the_versions_that_answer_for_it_score_a_period(world: FakePlatform) -> None:
    assert [row.version for row in run_for(world, 1)] == [1]
    assert [event.payload["version"] for event in scored(world)] == [1]
    assert run_for(world, 3) == ()
    assert [row.version for row in run_for(world, 1, 2)] == [1, 2]


def run_for(world: FakePlatform, *versions: int) -> tuple[ScoringRow, ...]:
    return score(world, world.acting("s-6"), MODEL, JANUARY, versions)


def test_rows_that_were_restated_in_between_are_named_as_other_rows(world: FakePlatform) -> None:
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, "Not yet.", 2, Stage.CANDIDATE)
    run(world)
    climb(world, world.acting("p-2"), MODEL, 2)
    rows_of(world).load = 1.0
    live, canary = run(world)
    assert live.entities != canary.entities


# ── a share of the rows ───────────────────────────────────────────────────────────────────────────


def limited(world: FakePlatform, most: float = 0.1) -> FakePlatform:
    """Let version 2 into prod on the condition that it decides a share only."""
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    say = Say(conditions={"max_share": most})
    resolve(world, world.acting("p-3"), MODEL, 2, Action.APPROVE, "Let it try a little.", say)
    return world


def names(world: FakePlatform, row: ScoringRow) -> set[object]:
    rows = pq.read_table(world.frames / "scores" / row.file).to_pylist()
    return {(each["departs_at"], each["line"], each["trip"]) for each in rows}


def test_a_version_let_in_for_a_share_decides_no_more_and_the_one_before_it_the_rest(
    world: FakePlatform,
) -> None:
    limited(world)
    before, live = run(world)
    assert [(row.version, row.stage) for row in (before, live)] == [(1, "retired"), (2, "prod")]
    assert live.of == before.of > 20
    assert live.rows == live.of // 10
    assert before.rows == before.of - live.rows
    assert len(names(world, live) | names(world, before)) == live.of
    assert live.entities == before.entities
    assert unlawful(world) == ()
    assert run(world) == (before, live)
    assert len(scored(world)) == 2


def test_a_first_version_let_in_for_a_share_leaves_the_rest_to_the_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = FakePlatform(tmp_path)
    world.accept()
    world.entities, world.scorer = Rows(tmp_path), Watched()
    monkeypatch.setitem(world.__dict__, "features", store_in(tmp_path))
    world.register()
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    say = Say(conditions={"max_share": 0.25})
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "A quarter.", say)
    (row,) = run(world)
    assert row.rows == row.of // 4
    assert unlawful(world) == ()


def test_a_canary_beside_a_share_decides_all_rows(world: FakePlatform) -> None:
    world.register()
    climb(world, world.acting("p-2"), MODEL, 3)
    limited(world)
    rows = {row.version: row for row in run(world)}
    assert rows[3].rows == rows[3].of > rows[2].rows
    assert unlawful(world) == ()


def test_a_crash_between_the_two_leaves_the_month_owed(world: FakePlatform) -> None:
    limited(world)

    def killed() -> None:
        if watched(world).artifacts[1:]:
            raise KeyboardInterrupt

    watched(world).meanwhile = killed
    with pytest.raises(KeyboardInterrupt):
        run(world)
    assert [event.payload["version"] for event in scored(world)] == [1]
    watched(world).meanwhile = lambda: None
    assert [row.version for row in run(world)] == [1, 2]
    assert unlawful(world) == ()


def test_a_share_that_was_lifted_meanwhile_is_not_recorded_as_one(world: FakePlatform) -> None:
    limited(world)

    def meanwhile() -> None:
        watched(world).meanwhile = lambda: None
        lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "Odd scores.")

    watched(world).meanwhile = meanwhile
    (row,) = run(world)
    assert (row.version, row.stage, row.rows) == (1, "prod", row.of)
    assert unlawful(world) == ()


@pytest.mark.parametrize(("rows", "version"), [(101, 2), (99, 2), (901, 1), (1000, 2)])
def test_more_than_the_share_is_found_on_the_record(world: FakePlatform, rows: int, version: int) -> None:
    limited(world)
    world.scored(version, stage="prod" if version == 2 else "retired", rows=rows)
    (breach,) = unlawful(world)
    due = 100 if version == 2 else 900
    assert f"decided {rows} of 1000 rows of 2024-01, and was to decide {due} on the conditions" in str(breach)


# ── who scores ────────────────────────────────────────────────────────────────────────────────────


def test_a_first_version_in_canary_scores_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = FakePlatform(tmp_path)
    world.accept()
    world.entities, world.scorer = Rows(tmp_path), Watched()
    monkeypatch.setitem(world.__dict__, "features", store_in(tmp_path))
    world.register()
    climb(world, world.acting("p-2"), MODEL, 1)
    assert [(row.version, row.stage) for row in run(world)] == [(1, "canary")]


@pytest.mark.parametrize("to", [None, Stage.STAGING])
def test_without_a_version_in_prod_or_canary_there_is_nothing_to_score_with(
    tmp_path: Path, to: Stage | None
) -> None:
    world = FakePlatform(tmp_path, a_policy())
    world.register()
    if to is not None:
        climb(world, world.acting("p-2"), MODEL, 1, to)
    with pytest.raises(Refused) as error:
        run(world)
    assert error.value.code == "nothing-to-score-with"
    assert (
        error.value.sentence == f"got no version of `{MODEL}` in prod or canary, expected one to score with"
    )


def test_a_period_without_a_row_is_refused_and_leaves_nothing(world: FakePlatform) -> None:
    with pytest.raises(Refused) as error:
        run(world, "2023-12")
    assert error.value.code == "nothing-to-score"
    assert scored(world) == []


def test_a_version_that_moved_while_it_scored_is_recorded_where_it_stands_then(world: FakePlatform) -> None:
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)

    def meanwhile() -> None:
        watched(world).meanwhile = lambda: None
        approved(world, 2)

    watched(world).meanwhile = meanwhile
    rows = run(world)
    assert [(row.version, row.stage) for row in rows] == [(2, "prod")]
    assert [event.payload["version"] for event in scored(world)] == [2]  # version 1 had left prod by then


def test_a_canary_that_was_taken_back_while_it_scored_leaves_no_decisions(world: FakePlatform) -> None:
    run(world, "2024-01-01")

    def meanwhile() -> None:
        if len(watched(world).artifacts) == 4:
            lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, "It failed.", 2, Stage.CANDIDATE)

    watched(world).meanwhile = meanwhile
    assert [row.version for row in run(world)] == [1]
    assert [event.payload["version"] for event in scored(world)] == [1, 2, 1]


def test_a_run_that_was_killed_after_one_version_scores_the_other(world: FakePlatform) -> None:
    whole = watched(world).meanwhile

    def killed() -> None:
        if len(watched(world).artifacts) == 2:
            raise KeyboardInterrupt

    watched(world).meanwhile = killed
    with pytest.raises(KeyboardInterrupt):
        run(world)
    assert [event.payload["version"] for event in scored(world)] == [1]
    watched(world).meanwhile = whole
    assert [row.version for row in run(world)] == [1, 2]
    assert len(scored(world)) == 2


def test_two_runs_at_once_record_each_version_once(world: FakePlatform) -> None:
    def other() -> None:
        watched(world).meanwhile = lambda: None
        run(world)

    watched(world).meanwhile = other
    run(world)
    assert [event.payload["version"] for event in scored(world)] == [1, 2]


def test_an_artifact_that_is_not_the_registered_one_scores_nothing(world: FakePlatform) -> None:
    version = world.ledger.state().get(VersionRow, MODEL, 2)
    assert version is not None
    world.registry.fetch(MODEL, 2, version.artifact).write_bytes(b'{"rate":1}')
    with pytest.raises(DependencyFailed) as error:
        run(world)
    assert error.value.code == "artifact-altered"
    assert [event.payload["version"] for event in scored(world)] == [1]


@pytest.mark.parametrize("who", ["p-2", "s-1", "s-4"])
def test_who_may_not_score_is_refused_and_the_refusal_recorded(world: FakePlatform, who: str) -> None:
    with pytest.raises(Refused, match=r"A1: .* `model:decision:score`"):
        run(world, who=who)
    assert list(world.ledger.events())[-1].type is EventType.ACTION_REFUSED
    assert scored(world) == []


def test_an_unknown_model_or_a_malformed_period_is_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got the model 'other'"):
        score(world, world.acting("s-6"), "other", JANUARY)
    with pytest.raises(BadInput, match="got the period `2024-13`"):
        run(world, "2024-13")
