"""Views that say how fresh they must be, on fakes: what goes live on them, what is decided on them, what is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tidegate.application import preconditions, train
from tidegate.application.backtest import backtest
from tidegate.application.features import materialize
from tidegate.application.freshness import fresh_views
from tidegate.application.lawfulness import unlawful
from tidegate.application.online import online, typed_key
from tidegate.application.ports import Frame, ModelSpec
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.application.score import score
from tidegate.application.status import status
from tidegate.application.timeline import stale_rows
from tidegate.application.weighing import Outcome
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput
from tidegate.domain.events import Event, EventType
from tidegate.domain.freshness import Objective
from tidegate.domain.lifecycle import Action, Precondition
from tidegate.domain.policy import Policy, Preconditions, Stage
from tidegate.domain.state import FeatureViewRow, ScoringRow, VersionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.scorer import FakeScorer
from tidegate.testing.fakes.small import START, FixedClock
from tidegate.testing.fakes.views import FakeView
from tidegate.testing.material import trips, write_rows

WELL, HOUR, DAY = "Evidence looks sound to me.", timedelta(hours=1), timedelta(days=1)
ASKS_A_DAY: Objective = {"freshness": 86_400}
ASKING = replace(
    a_policy("fresh"),
    body="asks how fresh views are",
    digest="sha256:fresh",
    preconditions=Preconditions(fresh_views=True),
)


@dataclass
class Feed:
    """Where the rows of a view come from: one for each moment at which something happened, known an hour later."""

    happened: list[datetime] = field(default_factory=list)

    def rows(self, *_: object) -> list[dict[str, Any]]:
        return [
            {
                "line": line,
                "event_timestamp": moment,
                "created_timestamp": moment + HOUR,
                "riders": number,
            }
            for number, moment in enumerate(self.happened)
            for line in ("1", "2")
        ]


@dataclass
class Town:
    """A platform, the feed of its one view, and the store in which it is defined."""

    world: FakePlatform
    feed: Feed
    store: FakeFeatures

    def define(self, objective: Objective, ttl: timedelta | None = None) -> None:
        view = FakeView(("line",), ("riders",), ttl, self.feed.rows, objective=objective)
        aside = FakeView(("line",), ("noise",), ttl, lambda *_: [], objective=ASKS_A_DAY)
        self.store.edit({"stops": view, "aside": aside}, {MODEL: ("stops",), "others": ("aside",)})

    def bring(self) -> None:
        materialize(self.world, self.world.acting("s-9"))

    def later(self, by: timedelta) -> None:
        assert isinstance(self.world.clock, FixedClock)
        self.world.clock.moment += by


Made = Callable[..., Town]


@pytest.fixture
def town(tmp_path: Path) -> Made:
    """Return what makes a world in which version 1 learned from one view: its newest row is from the first moment."""

    def made(
        objective: Objective = ASKS_A_DAY, policy: Policy = ASKING, ttl: timedelta | None = None
    ) -> Town:
        world = FakePlatform(tmp_path, policy)
        world.add_actor("s-9", "feature_service")
        world.accept()
        town = Town(world, Feed([START]), FakeFeatures(tmp_path / "home", {}, {}))
        town.define(objective, ttl)
        world.__dict__["features"] = town.store
        town.later(2 * HOUR)
        town.bring()
        world.register(on_behalf_of="p-2")
        return town

    return made


def ask(town: Town) -> Outcome:
    return climb(town.world, town.world.acting("p-2"), MODEL, 1, Stage.PROD)


def approve(town: Town) -> Outcome:
    return resolve(town.world, town.world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL)


def version(town: Town) -> VersionRow:
    row = town.world.ledger.state().get(VersionRow, MODEL, 1)
    assert row is not None
    return row


def view(town: Town, name: str = "stops") -> FeatureViewRow:
    row = town.world.ledger.state().get(FeatureViewRow, name)
    assert row is not None
    return row


def found(town: Town) -> Precondition:
    return fresh_views(town.world.ledger.state(), version(town), town.world.clock.now())


def events(town: Town, kind: EventType) -> list[Event]:
    return [event for event in town.world.ledger.events() if event.type is kind]


# ── what is on record of a view ───────────────────────────────────────────────────────────────────


def test_a_materialization_records_what_is_asked_and_from_when_the_newest_known_data_are(town: Made) -> None:
    here = town({"freshness": 3600, "lag": 7200})
    assert dict(view(here).objective) == {"freshness": 3600, "lag": 7200}
    assert view(here).newest == utc_text(START)
    assert view(here, "aside").newest == "", "of a view without a row nothing is known"
    here.feed.happened.append(START + 3 * HOUR)
    here.later(1.5 * HOUR)
    here.bring()
    assert view(here).newest == utc_text(START), "it happened, and nobody knew"
    here.later(HOUR)
    here.bring()
    assert view(here).newest == utc_text(START + 3 * HOUR)


def test_an_objective_that_alone_is_edited_is_recorded_with_the_next_materialization(town: Made) -> None:
    here = town()
    here.define({"freshness": 60})
    assert dict(view(here).objective) == ASKS_A_DAY
    here.later(HOUR)
    here.bring()
    assert dict(view(here).objective) == {"freshness": 60}
    assert unlawful(here.world) == ()


# ── going live ────────────────────────────────────────────────────────────────────────────────────


def test_a_stale_view_holds_a_version_back_and_newer_data_let_it_in(town: Made) -> None:
    here = town()
    ask(here)
    here.later(DAY)
    outcome = approve(here)
    (reason,) = outcome.waits
    assert (outcome.stage, reason.code, reason.rule) == ("canary", "precondition-fresh_views", "P8")
    assert reason.sentence == "the newest data of stops are 1d 2h old, expected at most 1d"
    assert reason.next_step == "ingest what is late, then `tidegate run materialize`"
    here.feed.happened.append(START + DAY)
    assert found(here).holds is False, "what was not materialized makes nothing fresh"
    here.bring()
    assert ask(here).stage == "prod", "the approval stands"
    done = events(here, EventType.PROMOTION_APPLIED)[-1].payload["preconditions"]
    assert done["views"] == {
        "stops": {"newest": utc_text(START + DAY), "age": 2 * 3600, "objective": 86_400, "fresh": True}
    }
    assert [each["name"] for each in done["asked"]] == ["fresh_views"]
    assert unlawful(here.world) == ()


def test_the_bound_is_within_the_objective(town: Made) -> None:
    here = town()
    here.later(22 * HOUR)
    assert found(here).holds is True
    here.later(timedelta(microseconds=1))
    assert found(here).holds is False


def test_a_lag_is_asked_of_the_newest_data_and_not_the_freshness_beside_it(town: Made) -> None:
    here = town({"freshness": 3600, "lag": 7200})
    assert found(here).holds is True
    here.later(HOUR)
    assert found(here).sentence == "the newest data of stops are 3h old, expected at most 2h"


def test_a_view_of_which_nothing_is_known_is_stale(town: Made) -> None:
    here = town()
    here.feed.happened.clear()
    here.later(HOUR)
    here.bring()
    assert (found(here).holds, found(here).sentence) == (
        False,
        "nothing of stops is known, expected data at most 1d old",
    )


def test_views_that_state_nothing_or_are_not_consumed_are_not_asked(town: Made) -> None:
    here = town({})
    here.later(100 * DAY)
    assert (found(here).holds, dict(found(here).views)) == (True, {})
    assert found(here).sentence == "no view that it consumes says how fresh it must be"


def test_a_policy_that_does_not_ask_lets_a_stale_view_pass(town: Made) -> None:
    here = town(policy=a_policy())
    ask(here)
    here.later(100 * DAY)
    assert approve(here).stage == "prod"
    assert events(here, EventType.PROMOTION_APPLIED)[-1].payload["preconditions"]["views"] == {}


def test_a_clock_that_is_set_back_makes_nothing_fresh_again(town: Made) -> None:
    here = town()
    here.later(3 * DAY)
    here.world.accept("2024-02")
    here.later(-3 * DAY)
    assert found(here).sentence == "the newest data of stops are 3d 2h old, expected at most 1d"


def test_a_backtest_asks_the_moment_as_it_was(town: Made) -> None:
    here = town(policy=a_policy())
    ask(here)
    here.later(2 * DAY)
    approve(here)
    (flipped,) = [each for each in backtest(here.world, ASKING) if each.flips]
    assert (flipped.target, flipped.then, flipped.now) == ("prod", "passed", "refused")
    assert [reason.code for reason in flipped.reasons] == ["precondition-fresh_views"]


@pytest.mark.parametrize(
    ("days", "views", "sentence"),
    [
        (0, {}, "says how fresh other views are, or other data of them, than version 1 has"),
        (0, {"newest": "2020-01-05T00:00:00Z"}, "says how fresh other views are, or other data of them"),
        (0, {"objective": 60}, "says how fresh other views are, or other data of them"),
        (2, {"age": 0}, "is applied while the newest data of stops are 2d 2h old, expected at most 1d"),
    ],
)
def test_a_promotion_that_tells_otherwise_than_the_record_is_named(
    town: Made, monkeypatch: pytest.MonkeyPatch, days: int, views: Mapping[str, Any], sentence: str
) -> None:
    here = town()
    ask(here)
    here.later(days * DAY)
    plain = {"newest": utc_text(START), "age": 0, "objective": 86_400, "fresh": True}
    lie = Precondition(
        "fresh_views", "P8", True, "all is well", "", {"stops": plain | views} if views else {}
    )
    with monkeypatch.context() as lying:
        lying.setattr(preconditions, "fresh_views", lambda *_: lie)
        approve(here)
    applied = events(here, EventType.PROMOTION_APPLIED)[-1]
    (told,) = unlawful(here.world)
    assert told.startswith(f"event {applied.sequence}: ")
    assert told.endswith("rule P8")
    assert sentence in told


# ── deciding ──────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Asked:
    """Trips of line 1, one an hour from the first moment on; the entity frame that a store joins."""

    folder: Path
    count: int = 60

    def frame(self, model: ModelSpec, *_: object) -> Frame:
        rows = [
            {**row, "event_timestamp": START + place * HOUR, "line": "1"}
            for place, row in enumerate(trips(days=2)[: self.count])
        ]
        return write_rows(rows, self.folder / "asked.parquet")


@pytest.fixture
def deciding(town: Made, tmp_path: Path) -> Town:
    """Return the town with version 1 live, whose view has a value from hour 0, and one from hour 40."""
    here = town(ttl=30 * HOUR)
    ask(here)
    approve(here)
    here.feed.happened.append(START + 40 * HOUR)
    here.world.__dict__["entities"] = Asked(tmp_path)
    here.world.scorer = FakeScorer()
    here.later(3 * DAY)
    here.bring()
    return here


def decided(here: Town) -> ScoringRow:
    (row,) = score(here.world, here.world.acting("s-6"), MODEL, "2020-01")
    return row


def test_decisions_are_marked_where_they_rest_on_what_is_too_old_or_on_nothing(deciding: Town) -> None:
    """Hour 0 is known from hour 1 on, is a day old in hour 24, and gone after hour 30; hour 40 is known from 41 on."""
    row = decided(deciding)
    marks = pq.read_table(deciding.world.frames / "scores" / row.file).column("stale_views").to_pylist()
    stale = {0, *range(25, 41)}
    assert [place for place, mark in enumerate(marks) if mark] == sorted(stale)
    assert {mark for mark in marks if mark} == {"stops"}
    assert row.freshness == {"stops": {"objective": 86_400, "stale": len(stale), "unknown": 1 + 10}}
    assert unlawful(deciding.world) == ()


def test_where_no_view_states_a_freshness_no_decision_is_marked(deciding: Town) -> None:
    deciding.define({"lag": 86_400}, ttl=30 * HOUR)
    deciding.later(HOUR)
    deciding.bring()
    row = decided(deciding)
    assert row.freshness == {}
    assert "stale_views" not in pq.read_table(deciding.world.frames / "scores" / row.file).column_names


def test_an_objective_that_changed_while_a_version_scored_is_the_one_it_is_marked_by(
    deciding: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, asked = deciding.store.ages, []

    def ages(*given: Any) -> Frame:
        asked.append(given)
        if len(asked) == 1:
            deciding.define({"freshness": 3600}, ttl=30 * HOUR)
            deciding.later(HOUR)
            deciding.bring()
        return plain(*given)

    monkeypatch.setattr(deciding.store, "ages", ages)
    row = decided(deciding)
    assert (row.freshness["stops"]["objective"], len(asked)) == (3600, 2)
    assert unlawful(deciding.world) == ()


def test_of_a_version_without_a_record_of_what_it_selects_the_views_of_its_service_mark(
    town: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older release registered it: each view is asked when it goes live, and what its service selects marks."""
    learned = {"definitions": {"stops": "sha256:d", "aside": "sha256:d"}}
    monkeypatch.setattr(train, "_selected", lambda *_: learned)
    here = town(policy=a_policy())
    assert set(found(here).views) == {"stops", "aside"}
    ask(here)
    approve(here)
    here.world.__dict__["entities"] = Asked(tmp_path)
    here.world.scorer = FakeScorer()
    assert set(decided(here).freshness) == {"stops"}
    assert unlawful(here.world) == ()


@pytest.mark.parametrize(
    ("marks", "sentence"),
    [
        ({}, "by other objectives than its views have"),
        ({"stops": {"objective": 60, "stale": 0, "unknown": 0}}, "by other objectives than its views have"),
        ({"stops": {"objective": 86_400, "stale": 1001, "unknown": 0}}, "marked 1001 of 1000 rows"),
        ({"stops": {"objective": 86_400, "stale": 1, "unknown": 2}}, "2 of them without a value"),
    ],
)
def test_marks_that_do_not_fit_the_record_are_named(
    deciding: Town, marks: Mapping[str, Any], sentence: str
) -> None:
    world = deciding.world
    world.scored(1, "2020-02")
    payload = {
        **events(deciding, EventType.DECISIONS_SCORED)[-1].payload,
        "period": "2020-03",
        "freshness": marks,
    }
    forged = world.write(EventType.DECISIONS_SCORED, payload, "s-6", f"model/{MODEL}").sequence
    (told,) = [each for each in unlawful(world) if each.startswith(f"event {forged}: ") and "P8" in each]
    assert sentence in told


def test_status_names_stale_views_and_the_marks_of_what_is_live(deciding: Town) -> None:
    row = decided(deciding)
    told = status(deciding.world)
    assert told["scorings"] == [
        {"model": MODEL, "period": "2020-01", "version": 1, "rows": row.rows, "freshness": row.freshness}
    ]
    assert {each["view"]: (each["fresh"], each["sentence"]) for each in told["features"]} == {
        "aside": (False, "nothing of aside is known, expected data at most 1d old"),
        "stops": (False, "the newest data of stops are 1d 10h old, expected at most 1d"),
    }


def test_marks_are_told_by_what_they_rest_on() -> None:
    asked = {"objective": 7200}
    assert stale_rows(
        {
            "a": {**asked, "stale": 0, "unknown": 0},
            "b": {**asked, "stale": 5, "unknown": 0},
            "c": {**asked, "stale": 5, "unknown": 5},
            "d": {**asked, "stale": 5, "unknown": 2},
        }
    ) == [
        "5 of them rest on b older than 2h",
        "5 of them rest on no value of c",
        "5 of them rest on d older than 2h, or on no value of it (2)",
    ]


# ── serving ───────────────────────────────────────────────────────────────────────────────────────


def test_a_value_that_is_stale_is_served_and_marked_until_its_ttl_is_over(town: Made) -> None:
    here = town(ttl=30 * HOUR)
    told = []
    for _ in range(3):  # the one value is 2, 24, and more than 30 hours old
        (read,) = online(here.world, here.world.acting("s-6"), MODEL, [{"line": "1"}])
        age = read.ages["stops"]
        told.append((read.values["riders"], age and age / HOUR, read.stale))
        here.later(22 * HOUR + timedelta(minutes=1) * len(told))
    assert told == [(0, 2, ()), (0, pytest.approx(24 + 1 / 60), ("stops",)), (None, None, ("stops",))]


def test_what_is_fresh_or_not_asked_is_not_marked(town: Made) -> None:
    here = town()
    (read,) = online(here.world, here.world.acting("s-6"), MODEL, [{"line": "1"}])
    assert (dict(read.values), read.stale) == ({"riders": 0}, ())
    here.define({"lag": 60})
    here.later(100 * DAY)
    here.bring()
    (read,) = online(here.world, here.world.acting("s-6"), MODEL, [{"line": "1"}])
    assert (dict(read.values), dict(read.ages), read.stale) == (
        {"riders": 0},
        {"stops": 100 * DAY + 2 * HOUR},
        (),
    )


def test_a_key_given_as_text_has_the_type_of_its_view(town: Made) -> None:
    here = town()
    assert typed_key(here.world, MODEL, {"line": "7"}) == {"line": "7"}
    kept = here.store.registered({}).views["stops"]
    here.store.registered = lambda _: replace(  # type: ignore[method-assign]
        here.store.defined(), views={"stops": replace(kept, keys={"line": "INT64"})}
    )
    assert typed_key(here.world, MODEL, {"line": "-7"}) == {"line": -7}
    for wrong in ("seven", "", "7.0", "٣", "--7"):
        with pytest.raises(BadInput) as refused:
            typed_key(here.world, MODEL, {"line": wrong})
        assert refused.value.code == "bad-key"
