"""What training refuses, whoever asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.application import train as use_case
from tidegate.application.platform import Acting
from tidegate.application.ports import Frame, Marks
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.feature_change import Definitions
from tidegate.domain.state import ModelRow, VersionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock

SPRING = datetime(2024, 2, 1, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world with version 1 of tier standard, in which training always finds the same rows."""
    world = FakePlatform(tmp_path)
    world.register(on_behalf_of="p-2")
    view = {"definition": "d", "source": "tg1:s", "rows": 1, "objective": {}}
    world.open_views("shop_sales")
    world.write(EventType.FEATURES_BUILT, {"views": {"shop_sales": view}, "batches": []}, stream="features")
    frame = Frame("tg1:rows", tmp_path / "rows.parquet", 1)
    world.entities = SimpleNamespace(frame=lambda *_: frame)
    store = SimpleNamespace(
        training_frame=lambda *_, **__: frame,
        marks=lambda service, rows: Marks({"service": service, "rows": str(rows)}),
        verify=lambda _: None,
        registered=lambda _: Definitions(),
    )
    monkeypatch.setitem(world.__dict__, "features", store)
    monkeypatch.setattr(use_case, "accepted", lambda *_: ({}, []))
    monkeypatch.setattr(use_case, "declared", lambda _: {})
    return world


def trained(world: FakePlatform) -> VersionRow:
    return use_case.train(world, world.acting("s-1", on_behalf_of="p-2"), MODEL, SPRING)


def tier(world: FakePlatform, name: str) -> None:
    world.models.put(replace(world.models.spec(MODEL), tier=name))


def test_a_trainer_cannot_lower_a_model_s_tier_to_pick_the_weaker_gate(world: FakePlatform) -> None:
    tier(world, "low")
    with pytest.raises(Refused) as refused:
        trained(world)
    assert refused.value.code == "tier-lowered"
    assert "got tier low in model.yaml, expected at least standard" in refused.value.sentence
    row = world.ledger.state().get(ModelRow, MODEL)
    assert row is not None
    assert row.tier == "standard"


def test_a_tier_that_is_none_is_bad_input(world: FakePlatform) -> None:
    tier(world, "lunar")
    with pytest.raises(BadInput) as refused:
        trained(world)
    assert refused.value.code == "bad-tier"


def test_the_registry_is_told_what_a_version_learned_from(world: FakePlatform) -> None:
    told: list[tuple[object, ...]] = []
    world.registry = SimpleNamespace(
        register=lambda *given: (
            told.append(given[3:]) or SimpleNamespace(number=2, run_id="r", uri="models:/m/2")
        )
    )
    other, _ = world._trained({})
    world.trainer = SimpleNamespace(train=lambda *_: other)
    trained(world)
    ((facts, marks),) = told
    assert {"training_set", "entities", "commit"} == set(facts)
    assert (facts["training_set"], facts["entities"]) == ("tg1:rows", "tg1:rows")
    assert marks.tags == {"service": world.models.spec(MODEL).service, "rows": "1"}


def test_a_read_of_the_same_rows_is_noted_unless_the_event_of_the_training_set_tells_of_it(
    world: FakePlatform,
) -> None:
    """A killed training that is run again at its own simulated moment leaves no other record than one that was not."""

    class Killed(Exception):
        pass

    def killed(*_: object) -> None:
        raise Killed

    def noted(acting: Acting) -> int:
        with pytest.raises(Killed):
            use_case.train(world, acting, MODEL, SPRING)
        return len(world.read_log.pending())

    world.trainer = SimpleNamespace(train=killed)
    assert isinstance(world.clock, FixedClock)
    maker, other = world.acting("s-1", on_behalf_of="p-2"), world.acting("s-1", on_behalf_of="p-4")
    assert noted(maker) == 0, "it is the event of the training set that tells of it"
    assert noted(maker) == 0, "it came back to the same moment"
    assert noted(other) == 1
    world.clock.moment += timedelta(seconds=1)
    assert noted(maker) == 2


def test_a_number_the_ledger_gave_to_another_version_is_never_answered_with_that_one(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = world._trained({})
    world.trainer = SimpleNamespace(train=lambda *_: other)
    lost = SimpleNamespace(
        number=1, run_id="r", uri="models:/m/1"
    )  # versions were deleted by hand: it counts anew
    world.registry = SimpleNamespace(register=lambda *_: lost)
    before = len(list(world.ledger.events()))
    with pytest.raises(DependencyFailed) as failed:
        trained(world)
    assert failed.value.code == "registry-number-taken"
    written = [event.type for event in world.ledger.events(after=before)]
    assert EventType.VERSION_REGISTERED not in written
