"""What reviews decided is carried out, on fakes: for who decided it, once, and refusals are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.application import follow as use_case
from tidegate.application import train as training
from tidegate.application.follow import follow, outstanding
from tidegate.application.lower import lower
from tidegate.application.ports import Frame, Marks
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.feature_change import Definitions
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import ReviewRow, VersionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.looking import stage, writes

WELL = "Evidence looks sound to me."


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world with version 2 live in the place of version 1, which can be trained anew at any time."""
    world = FakePlatform(tmp_path)
    for version in (1, 2):
        world.register()
        climb(world, world.acting("p-2"), MODEL, version, Stage.PROD)
        resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, WELL)
    world.accept()
    world.entities = StatedEntities(tmp_path / "entities")
    view = {"definition": "d", "source": "tg1:s", "rows": 1, "objective": {}}
    world.open_views("stops")
    world.write(EventType.FEATURES_BUILT, {"views": {"stops": view}, "batches": []}, "s-5", "features")
    frame = Frame("tg1:rows", tmp_path / "rows.parquet", 1000)
    store = SimpleNamespace(
        training_frame=lambda *_, **__: frame,
        marks=lambda *_: Marks(),
        verify=lambda _: None,
        reread=lambda digest: digest,
        registered=lambda _: Definitions(),
    )
    monkeypatch.setitem(world.__dict__, "features", store)
    monkeypatch.setattr(world.trainer, "train", lambda *_: world._trained({})[0])
    return world


def reviewed(
    world: FakePlatform, outcome: ReviewOutcome, name: str = "R-1", version: int = 2, who: str = "p-6"
) -> ReviewRow:
    """Have a review opened and decided."""
    opened = {"id": name, "model": MODEL, "period": "2024-01", "version": version, "cause": "brier failed"}
    more = {"kind": "finding", "role": "reviewer", "due_at": "2024-02-08T00:00:00Z"}
    world.write(EventType.REVIEW_OPENED, {**opened, **more}, "s-2", f"model/{MODEL}")
    return decide_review(world, world.acting(who), name, outcome, "It has lost its way.")


def carried_out(world: FakePlatform, review: ReviewRow, who: str = "s-1") -> ReviewRow:
    return follow(world, world.acting(who), review)


def versions(world: FakePlatform) -> int:
    return len(world.ledger.state().select(VersionRow))


def later(world: FakePlatform) -> None:
    assert isinstance(world.clock, FixedClock)
    world.clock.moment += timedelta(days=1)


# ── what asks for something ───────────────────────────────────────────────────────────────────────


def test_only_outcomes_that_ask_for_something_are_outstanding_oldest_first(world: FakePlatform) -> None:
    for number, outcome in enumerate(ReviewOutcome, 1):
        reviewed(world, outcome, f"R-{number}")
    state = world.ledger.state()
    assert [row.outcome for row in outstanding(state)] == ["retrain", "roll_back"]
    assert [row.id for row in outstanding(state, ReviewOutcome.ROLL_BACK)] == ["R-4"]
    assert outstanding(state, ReviewOutcome.WATCH) == ()


def test_a_review_that_is_open_asks_for_nothing_yet(world: FakePlatform) -> None:
    opened = {"id": "R-1", "model": MODEL, "period": "2024-01", "version": 2, "cause": "brier failed"}
    more = {"kind": "finding", "role": "reviewer", "due_at": "2024-02-08T00:00:00Z"}
    world.write(EventType.REVIEW_OPENED, {**opened, **more}, "s-2", f"model/{MODEL}")
    row = world.ledger.state().get(ReviewRow, "R-1")
    assert row is not None
    assert outstanding(world.ledger.state()) == ()
    assert writes(world, lambda: carried_out(world, row)) == []


@pytest.mark.parametrize("outcome", [ReviewOutcome.BENIGN, ReviewOutcome.WATCH])
def test_an_outcome_that_asks_for_nothing_has_nothing_done(
    world: FakePlatform, outcome: ReviewOutcome
) -> None:
    review = reviewed(world, outcome)
    assert writes(world, lambda: carried_out(world, review)) == []


# ── retraining ────────────────────────────────────────────────────────────────────────────────────


def test_retrain_trains_on_behalf_of_the_reviewer_and_climbs_to_canary(world: FakePlatform) -> None:
    review = reviewed(world, ReviewOutcome.RETRAIN)
    row = carried_out(world, review)
    assert row.followed == "version 3 trained, stands in canary"
    version = world.ledger.state().get(VersionRow, MODEL, 3)
    assert version is not None
    assert (version.trainer, version.on_behalf_of, version.stage) == ("s-1", "p-6", "canary")
    assert stage(world, 2) == "prod"


def test_the_reviewer_who_wanted_it_does_not_approve_it(world: FakePlatform) -> None:
    carried_out(world, reviewed(world, ReviewOutcome.RETRAIN))
    world.change_roles("p-6", "reviewer", "approver")
    climb(world, world.acting("p-2"), MODEL, 3, Stage.PROD)
    with pytest.raises(Refused, match="P4: p-6 cannot approve version 3"):
        resolve(world, world.acting("p-6"), MODEL, 3, Action.APPROVE, WELL)


def test_what_was_done_is_recorded_for_who_decided_it_and_points_to_the_review(world: FakePlatform) -> None:
    review = reviewed(world, ReviewOutcome.RETRAIN)
    event = writes(world, lambda: carried_out(world, review))[-1]
    assert (event.type, event.actor, event.on_behalf_of) == (EventType.REVIEW_FOLLOWED, "s-1", "p-6")
    assert (event.causation, event.payload["id"]) == (review.sequence, "R-1")


def test_a_version_that_its_gate_refuses_is_told_as_what_came_of_it(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Measure(0.3, 1000, 0.2, 0.4)
    monkeypatch.setattr(world.trainer, "train", lambda *_: world._trained({"calibration_gap": bad})[0])
    row = carried_out(world, reviewed(world, ReviewOutcome.RETRAIN))
    assert row.followed.startswith("version 3 trained, and refused: P2: calibrated failed: got packet.")
    assert stage(world, 3) == "staging"


def test_training_that_is_refused_is_told_and_not_tried_for_ever(world: FakePlatform) -> None:
    world.models.put(replace(world.models.spec(MODEL), tier="low"))
    review = reviewed(world, ReviewOutcome.RETRAIN)
    row = carried_out(world, review)
    assert row.followed == (
        f"not trained: got tier low in model.yaml, expected at least standard, which `{MODEL}` holds"
    )
    assert (outstanding(world.ledger.state()), versions(world)) == ((), 2)


def test_a_model_that_cannot_be_trained_or_a_tool_that_is_down_leaves_the_review_outstanding(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = reviewed(world, ReviewOutcome.RETRAIN)
    for error in (BadInput("b", "got no label, expected some"), DependencyFailed("d", "got no answer")):

        def broken(*_: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(world.trainer, "train", broken)
            with pytest.raises(type(error)):
                carried_out(world, review)
        assert outstanding(world.ledger.state()) == (review,)
    assert carried_out(world, review).followed.startswith("version 3 trained")


# ── rolling back ──────────────────────────────────────────────────────────────────────────────────


def test_roll_back_restores_the_previous_version_for_the_reviewer(world: FakePlatform) -> None:
    review = reviewed(world, ReviewOutcome.ROLL_BACK)
    written = writes(world, lambda: carried_out(world, review, "s-4"))
    assert [event.type for event in written] == [EventType.MODEL_ROLLED_BACK, EventType.REVIEW_FOLLOWED]
    assert {(event.actor, event.on_behalf_of) for event in written} == {("s-4", "p-6")}
    reason = world.ledger.text(written[0].payload["texts"]["reason"])
    assert reason == "Review R-1 decided to roll back."
    assert (stage(world, 1), stage(world, 2)) == ("prod", "candidate")
    row = world.ledger.state().get(ReviewRow, "R-1")
    assert row is not None
    assert row.followed == "version 1 restored"


def test_a_rollback_of_a_version_that_is_live_no_more_leaves_the_one_that_is(world: FakePlatform) -> None:
    """The review was about version 2. By the time it is followed a sound version 3 has taken its place."""
    review = reviewed(world, ReviewOutcome.ROLL_BACK)
    third = world.register()
    climb(world, world.acting("p-2"), MODEL, third, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, third, Action.APPROVE, WELL)
    row = carried_out(world, review, "s-4")
    assert row.followed.startswith("not rolled back: P1: got: roll_back version 2; it stands in retired")
    assert (stage(world, 2), stage(world, third)) == ("retired", "prod")


def test_a_rollback_decided_on_a_canary_touches_nothing_in_prod(world: FakePlatform) -> None:
    third = world.register()
    climb(world, world.acting("p-2"), MODEL, third)
    review = reviewed(world, ReviewOutcome.ROLL_BACK, version=third)
    row = carried_out(world, review, "s-4")
    assert row.followed.startswith("not rolled back: P1: ")
    assert (stage(world, 2), stage(world, third)) == ("prod", "canary")


def test_a_rollback_with_nothing_to_go_back_to_is_told(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.register()
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL)
    row = carried_out(world, reviewed(world, ReviewOutcome.ROLL_BACK, version=1), "s-4")
    assert row.followed == f"not rolled back: P5: {MODEL} has no earlier version that was approved into prod"
    assert stage(world, 1) == "prod"


def test_a_rollback_that_somebody_did_by_hand_is_not_done_once_more(world: FakePlatform) -> None:
    review = reviewed(world, ReviewOutcome.ROLL_BACK)
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "I was faster.")
    row = carried_out(world, review, "s-4")
    assert row.followed.startswith("not rolled back: P1: got: roll_back version 2; it stands in candidate")
    assert stage(world, 1) == "prod"


# ── once ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "who"), [(ReviewOutcome.RETRAIN, "s-1"), (ReviewOutcome.ROLL_BACK, "s-4")]
)
def test_nothing_is_done_twice(world: FakePlatform, outcome: ReviewOutcome, who: str) -> None:
    review = reviewed(world, outcome)
    done = carried_out(world, review, who)
    later(world)
    assert writes(world, lambda: carried_out(world, done, who)) == []
    # Not even by somebody who still holds the row as it was before.
    again = [event.type for event in writes(world, lambda: carried_out(world, review, who))]
    assert again == []
    assert world.ledger.verify() == ()


@pytest.mark.parametrize(
    ("outcome", "who"), [(ReviewOutcome.RETRAIN, "s-1"), (ReviewOutcome.ROLL_BACK, "s-4")]
)
@pytest.mark.parametrize("point", ["climb", "draft"])
def test_a_run_that_was_killed_midway_goes_on_where_it_was(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch, outcome: ReviewOutcome, who: str, point: str
) -> None:
    review = reviewed(world, outcome)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if (outcome, point) == (ReviewOutcome.ROLL_BACK, "climb"):
        point = "lower"
    with monkeypatch.context() as patched:
        patched.setattr(use_case, point, killed)
        with pytest.raises(KeyboardInterrupt):
            carried_out(world, review, who)
    later(world)  # training again now would give another version
    assert outstanding(world.ledger.state()) == (review,)
    row = carried_out(world, review, who)
    if outcome is ReviewOutcome.RETRAIN:
        assert (versions(world), row.followed) == (3, "version 3 trained, stands in canary")
    else:
        assert (stage(world, 1), stage(world, 2), row.followed) == ("prod", "candidate", "version 1 restored")


def test_two_reviews_that_ask_for_a_new_version_get_one(world: FakePlatform) -> None:
    first, second = reviewed(world, ReviewOutcome.RETRAIN), reviewed(world, ReviewOutcome.RETRAIN, "R-2")
    carried_out(world, first)
    later(world)
    assert carried_out(world, second).followed == "version 3 trained, stands in canary"
    assert versions(world) == 3


def test_a_version_trained_before_the_decision_is_no_answer_to_it(world: FakePlatform) -> None:
    carried_out(world, reviewed(world, ReviewOutcome.RETRAIN))
    later(world)
    assert carried_out(world, reviewed(world, ReviewOutcome.RETRAIN, "R-2")).followed.startswith("version 4")


# ── who ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["p-2", "p-6", "s-2", "s-6"])
def test_who_may_not_follow_is_refused_and_the_review_stays_outstanding(
    world: FakePlatform, who: str
) -> None:
    review = reviewed(world, ReviewOutcome.RETRAIN)
    with pytest.raises(Refused, match=r"A1: .* `review:outcome:follow`"):
        carried_out(world, review, who)
    assert outstanding(world.ledger.state()) == (review,)
    assert list(world.ledger.events())[-1].type is EventType.ACTION_REFUSED


@pytest.mark.parametrize(
    ("outcome", "who", "lacks"),
    [
        (ReviewOutcome.RETRAIN, "s-4", "model:version:register"),
        (ReviewOutcome.ROLL_BACK, "s-1", "model:version:roll_back"),
    ],
)
def test_a_service_that_may_follow_but_not_do_it_leaves_it_to_the_one_that_may(
    world: FakePlatform, outcome: ReviewOutcome, who: str, lacks: str
) -> None:
    review = reviewed(world, outcome)
    with pytest.raises(Refused, match=f"A1: {who} holds no role that permits `{lacks}`"):
        carried_out(world, review, who)
    assert outstanding(world.ledger.state()) == (review,)


def test_training_uses_what_is_known_when_it_is_followed(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = reviewed(world, ReviewOutcome.RETRAIN)
    later(world)
    asked: list[object] = []
    whole = training.windows
    monkeypatch.setattr(training, "windows", lambda spec, moment: asked.append(moment) or whole(spec, moment))
    carried_out(world, review)
    assert asked == [world.clock.now()]
