"""The way back is tried: what each step is, how it fails, and that nothing is written (rule P8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.promote import climb
from tidegate.application.rehearse import rehearse, rehearsed
from tidegate.application.resolve import resolve
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action, WayBack
from tidegate.domain.policy import Stage
from tidegate.domain.state import VersionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.views import FakeView
from tidegate.testing.material import altered

SOLD = FakeView(("line",), ("sold",), None, lambda *_: [])


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world with version 1 live, which learned from one view, and version 2 registered."""
    world = FakePlatform(tmp_path)
    store = FakeFeatures(tmp_path, {"stops": SOLD}, {MODEL: ("stops",)})
    world.__dict__["features"] = store
    (built,) = store.build({}, {}).values()
    view = {"definition": "d", "source": built.digest, "rows": 0, "objective": {}}
    world.write(EventType.FEATURES_BUILT, {"views": {"stops": view}, "batches": []}, "s-5", "features")
    world.register()
    learned(world, 1)
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "Evidence looks sound to me.")
    world.register()
    return world


def learned(world: FakePlatform, version: int) -> None:
    """Have a version learn from the one view, and ask for two inputs."""
    row = row_of(world, version)
    names = ("model", "number", "artifact", "training_set", "trainer", "registrar", "on_behalf_of", "source")
    features = {"service": MODEL, "definitions": {"stops": "d"}, "sources": {"stops": "tg1:s"}}
    signature = {"inputs": ["load: float", "line: string"], "outputs": ["score: float"]}
    facts = {**row.facts, "features": features, "signature": signature}
    payload = {**{name: getattr(row, name) for name in names}, "links": row.links, "facts": facts}
    world.write(EventType.VERSION_REGISTERED, payload, "s-1", f"model/{MODEL}")


def row_of(world: FakePlatform, version: int) -> VersionRow:
    row = world.ledger.state().get(VersionRow, MODEL, version)
    assert row is not None
    return row


def tried(world: FakePlatform, version: int = 2) -> WayBack:
    state = world.ledger.state()
    life = lifecycle(state, MODEL, version)
    return rehearse(world, state, life, life.versions[version])


def test_a_whole_way_back_says_every_step_and_when(world: FakePlatform) -> None:
    way_back = tried(world)
    assert (way_back.kind, way_back.name, way_back.verified) == ("version", "version 1", True)
    assert way_back.steps == (
        f"version 1 loads by its digest {row_of(world, 1).artifact}",
        "its 2 inputs are declared, and its 1 views are built and whole",
        "version 1 predicts as it did: 1 golden predictions differ by 0 at most",
    )
    assert way_back.at == "2020-01-01T00:00:00Z"


def bytes_altered(world: FakePlatform) -> None:
    world.registry.fetch(MODEL, 1, row_of(world, 1).artifact).write_bytes(b"other")


def registry_down(world: FakePlatform) -> None:
    world.registry.down = True


def input_gone(world: FakePlatform) -> None:
    world.models.put(replace(world.models.spec(MODEL), numeric=("stops",)))


def input_of_another_kind(world: FakePlatform) -> None:
    world.models.put(replace(world.models.spec(MODEL), numeric=("load", "line"), categorical=()))


def view_never_built(world: FakePlatform) -> None:
    row = row_of(world, 1)
    row.facts["features"]["definitions"]["tides"] = "d"  # type: ignore[index]


def service_gone(world: FakePlatform) -> None:
    store = world.features
    assert isinstance(store, FakeFeatures)
    store.edit(services={"another": ("stops",)})
    store.apply()


def view_altered(world: FakePlatform) -> None:
    built = {"stops": {"definition": "d", "source": "tg1:" + "0" * 64, "rows": 0, "objective": {}}}
    world.write(EventType.FEATURES_BUILT, {"views": built, "batches": []}, "s-5", "features")


def reference(world: FakePlatform) -> Path:
    row = row_of(world, 1)
    return world.trainer.reference(row.artifact, row.facts["reference"]).path


def rows_gone(world: FakePlatform) -> None:
    reference(world).unlink()


def rows_altered(world: FakePlatform) -> None:
    altered(reference(world), "score", 0)


def predicts_otherwise(world: FakePlatform) -> None:
    row = row_of(world, 1)
    kept = world.trainer.keep([{"trip": 0, "score": 0.25}], row.artifact)
    row.facts["reference"] = kept.digest  # type: ignore[index]


@pytest.mark.parametrize(
    ("spoil", "before", "sentence"),
    [
        (bytes_altered, 0, "got an artifact with the digest sha256:"),
        (registry_down, 0, "got no answer from the registry, expected one"),
        (
            input_gone,
            1,
            "got no load: float among the declared inputs, expected all that version 1 asks for",
        ),
        (
            input_of_another_kind,
            1,
            "got no line: string among the declared inputs, expected all that version 1 asks for",
        ),
        (view_never_built, 1, "got no view tides, expected those that version 1 learned from"),
        (
            service_gone,
            1,
            "got no feature service tram_delay, expected the one that version 1 was trained on",
        ),
        (view_altered, 1, "got the source of stops with the content tg1:"),
        (rows_gone, 2, "got no readable Parquet file"),
        (rows_altered, 2, "got the reference rows with the content tg1:"),
        (
            predicts_otherwise,
            2,
            "version 1 predicts otherwise than it did: 1 golden predictions differ by 0.05 at most",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_step_that_fails_is_the_last_and_says_why(
    world: FakePlatform, spoil: Callable[[FakePlatform], None], before: int, sentence: str
) -> None:
    steps = tried(world).steps
    spoil(world)
    way_back = tried(world)
    assert not way_back.verified
    assert way_back.steps[:-1] == steps[:before]
    assert way_back.steps[-1].startswith(sentence)


def test_a_way_back_that_fails_keeps_a_version_out_of_prod_and_the_reason_is_told(
    world: FakePlatform,
) -> None:
    climb(world, world.acting("p-2"), MODEL, 2, Stage.CANARY)
    input_gone(world)
    with pytest.raises(Refused) as error:
        climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    assert error.value.sentence == (
        "P8: prod needs a tried way back, got version 1 untried (got no load: float among the declared inputs, "
        "expected all that version 1 asks for)"
    )


def test_a_view_that_is_defined_otherwise_does_not_bar_the_way_and_is_told(world: FakePlatform) -> None:
    (built,) = world.features.build({}, {}).values()
    view = {"stops": {"definition": "other", "source": built.digest, "rows": 0, "objective": {}}}
    world.write(EventType.FEATURES_BUILT, {"views": view, "batches": []}, "s-5", "features")
    way_back = tried(world)
    assert way_back.verified
    assert way_back.steps[1].endswith("its 1 views are built and whole; defined otherwise since: stops")


# ── the first version ─────────────────────────────────────────────────────────────────────────────


def first(tmp_path: Path, fallback: str, **facts: Any) -> WayBack:
    world = FakePlatform(tmp_path)
    world.models.put(replace(world.models.spec(MODEL), fallback=fallback))
    world.register()
    row_of(world, 1).facts.update(facts)  # type: ignore[attr-defined]
    return tried(world, 1)


def test_the_first_version_goes_back_to_one_number_for_every_row(tmp_path: Path) -> None:
    way_back = first(tmp_path, "base_rate: Every tram gets the share of late ones.")
    assert (way_back.kind, way_back.verified) == ("fallback", True)
    assert way_back.steps == (
        "no earlier version takes over; the fallback is declared: base_rate: Every tram gets the share of late ones.",
        "it is constant: 0.2, the mean label of the training window, of every row; it needs no feature",
    )


def test_or_to_none_at_all(tmp_path: Path) -> None:
    way_back = first(tmp_path, "abstain: Nobody is told anything.", base_rate=None)
    assert way_back.verified
    assert len(way_back.steps) == 1


@pytest.mark.parametrize(
    ("fallback", "rate", "sentence"),
    [
        ("", 0.2, "got no declared fallback, expected one"),
        (
            "base_rate: The share.",
            None,
            "got none as the mean label of the training window, expected the finite",
        ),
        ("base_rate: The share.", float("nan"), "got nan as the mean label of the training window, expected"),
    ],
)
def test_a_fallback_that_says_nothing_is_no_way_back(
    tmp_path: Path, fallback: str, rate: float | None, sentence: str
) -> None:
    way_back = first(tmp_path, fallback, base_rate=rate)
    assert not way_back.verified
    assert way_back.steps[-1].startswith(sentence)


# ── asked by itself ───────────────────────────────────────────────────────────────────────────────


def test_what_is_rehearsed_is_leaving_what_is_live_and_nothing_is_written(world: FakePlatform) -> None:
    before = len(list(world.ledger.events()))
    version, way_back = rehearsed(world, MODEL)
    assert (version.number, way_back.kind, way_back.verified) == (1, "fallback", True)
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 2, Action.APPROVE, "Evidence looks sound to me.")
    assert len(list(world.ledger.events())) > before
    written = len(list(world.ledger.events()))
    version, way_back = rehearsed(world, MODEL)
    assert (version.number, way_back.name, way_back.verified) == (2, "version 1", True)
    assert len(list(world.ledger.events())) == written


def test_while_none_is_live_the_newest_version_s_is(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.register()
    world.register()
    assert rehearsed(world, MODEL)[0].number == 2


def test_a_model_without_a_version_or_an_unknown_one_is_bad_input(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    with pytest.raises(BadInput) as error:
        rehearsed(world, "other")
    assert error.value.code == "unknown-model"
    spec = world.models.spec(MODEL)
    about = {name: getattr(spec, name) for name in ("name", "owner", "purpose", "tier", "fallback")}
    world.write(EventType.MODEL_REGISTERED, about, "s-1", f"model/{MODEL}")
    with pytest.raises(BadInput) as error:
        rehearsed(world, MODEL)
    assert error.value.sentence == f"got no version of `{MODEL}`, expected one"
