"""Held changes: what an edit of the feature definitions changes, who consumes it, and what then happens (rule F1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application import features, held, train
from tidegate.application.lineage import of_feature, of_version
from tidegate.application.lower import lower
from tidegate.application.parity import parity
from tidegate.application.promote import climb
from tidegate.application.resolve import Say, resolve
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.feature_change import Change
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import FeatureViewRow, VersionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.views import FakeView

DAY = timedelta(days=1)
WHY = "Evidence looks sound to me."
STARTED = datetime(2024, 1, 1, tzinfo=UTC)


def rows(*_: object) -> list[dict[str, Any]]:
    """One stop, known from the start."""
    return [{"stop": "s", "event_timestamp": STARTED, "created_timestamp": STARTED, "late": 1, "load": 2}]


STOPS = FakeView(("stop",), ("late", "load"), 7 * DAY, rows)
WEATHER = FakeView(("stop",), ("late",), None, rows)
V2 = replace(STOPS, ttl=DAY)
HERE = {"stops": STOPS, "weather": WEATHER}
SERVICES = {"tram_delay": ("stops",), "other": ("weather",)}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world with two views built, of which the model's service selects one, and nothing trained."""
    world = FakePlatform(tmp_path)
    monkeypatch.setitem(world.__dict__, "features", FakeFeatures(tmp_path / "home", HERE, SERVICES))
    world.accept()
    monkeypatch.setattr(features, "accepted", lambda *_: ({}, []))
    monkeypatch.setattr(features, "declared", lambda _: {})
    materialize(world)
    return world


def materialize(world: FakePlatform) -> tuple[FeatureViewRow, ...]:
    world.clock.moment += timedelta(hours=1)  # type: ignore[attr-defined]
    return features.materialize(world, world.acting("s-5"))


def store(world: FakePlatform) -> FakeFeatures:
    assert isinstance(world.features, FakeFeatures)
    return world.features


def version(world: FakePlatform, stage: Stage, service: str = "tram_delay", **forgotten: bool) -> int:
    """Train a version on what is registered now, and take it up to a stage."""
    spec = replace(world.models.spec(MODEL), service=service)
    world.models.put(spec)
    trained, frame = world._trained({})
    views = world.ledger.state().select(FeatureViewRow)
    facts = train.version_facts(world, spec, trained, frame, sha256(trained.artifact_digest.encode()), views)
    if forgotten:
        del facts["features"]["selected"]
    number = world.register(on_behalf_of="p-2")
    row = world.ledger.state().get(VersionRow, MODEL, number)
    assert row is not None
    names = ("model", "artifact", "training_set", "trainer", "registrar", "on_behalf_of", "source", "links")
    payload = {**{name: getattr(row, name) for name in names}, "number": number, "facts": row.facts}
    payload["facts"] = {**row.facts, "features": facts["features"]}
    world.write(EventType.VERSION_REGISTERED, payload, "s-1", f"model/{MODEL}")
    if stage is not Stage.CANDIDATE:
        climb(world, world.acting("p-2"), MODEL, number, stage)
    if stage is Stage.PROD:
        resolve(world, world.acting("p-3"), MODEL, number, Action.APPROVE, WHY)
    row = world.ledger.state().get(VersionRow, MODEL, number)
    assert row is not None
    assert row.stage == stage
    return number


def plan(world: FakePlatform) -> dict[str, held.Edit]:
    return {each.name: each for each in held.plan(world, world.ledger.state()).edits}


def refusals(world: FakePlatform) -> list[Event]:
    return [event for event in world.ledger.events() if event.type is EventType.ACTION_REFUSED]


def defined(world: FakePlatform, view: str = "stops") -> str:
    row = world.ledger.state().get(FeatureViewRow, view)
    assert row is not None
    return row.definition


def edit(
    world: FakePlatform, services: Mapping[str, tuple[str, ...]] | None = None, **views: FakeView
) -> None:
    store(world).edit({**HERE, **views}, services)


# ── the plan ──────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_of_no_edit_says_that_nothing_changes_and_writes_nothing(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    before = world.ledger.head().sequence
    found = held.plan(world, world.ledger.state())
    assert (found.edits, found.does) == ((), "nothing")
    assert world.ledger.head().sequence == before


def test_a_plan_names_who_consumes_what_changes_where_they_stand(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    version(world, Stage.CANARY)
    version(world, Stage.STAGING)
    version(world, Stage.CANDIDATE)
    edit(world, stops=V2, weather=replace(WEATHER, ttl=DAY))
    found = plan(world)
    assert [(each.number, each.stage) for each in found["stops"].consumers] == [
        (1, "prod"),
        (2, "canary"),
        (3, "staging"),
    ]
    assert [each.number for each in found["stops"].held_by] == [1, 2]
    assert found["weather"].consumers == ()
    assert found["stops"].change is found["weather"].change is Change.MEANING
    assert held.plan(world, world.ledger.state()).does == "refuse"


def test_a_plan_writes_nothing_also_where_it_would_be_refused(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    edit(world, stops=V2)
    before = world.ledger.head().sequence
    told = held.plan(world, world.ledger.state()).as_dict()
    assert told["does"] == "refuse"
    assert told["changes"][0]["applies"] is False
    assert told["changes"][0]["consumers"][0] == {
        "model": MODEL, "version": 1, "stage": "prod", "service": "tram_delay", "holds": True,
    }  # fmt: skip
    assert told["reasons"][0]["rule"] == "F1"
    assert world.ledger.head().sequence == before


# ── applying ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", [Stage.PROD, Stage.CANARY])
def test_a_change_of_meaning_that_prod_or_canary_consumes_is_refused_and_nothing_of_it_is_built(
    world: FakePlatform, stage: Stage
) -> None:
    number = version(world, stage)
    before, head = defined(world), world.ledger.head().sequence
    edit(world, stops=V2)
    with pytest.raises(Refused) as caught:
        materialize(world)
    assert (caught.value.code, caught.value.data["rule"]) == ("features-held", "F1")
    assert caught.value.sentence == (
        "F1: got another meaning of the view stops (ttl was 7 days, 0:00:00, is 1 day, 0:00:00), expected the one "
        f"that {MODEL} version {number} in {stage} learned from, until they have left"
    )
    assert caught.value.hint == (
        "restore stops and define stops_v2 beside it, with a service of its own; "
        "a version trained on that may take their place"
    )
    (refusal,) = refusals(world)
    assert refusal.sequence == head + 1 == world.ledger.head().sequence
    assert (refusal.stream, refusal.actor) == ("features", "s-5")
    assert refusal.payload["action"] == "apply_features"
    assert [reason["rule"] for reason in refusal.payload["reasons"]] == ["F1"]
    (named,) = refusal.payload["subject"]["held"]
    assert (named["kind"], named["name"], named["versions"]) == ("view", "stops", [f"{MODEL}/{number}"])
    assert defined(world) == before


@pytest.mark.parametrize("stage", [Stage.CANARY, Stage.PROD])
def test_a_promotion_while_the_views_are_built_holds_what_it_consumes(
    world: FakePlatform, stage: Stage
) -> None:
    number, first = version(world, Stage.STAGING), defined(world)
    promoted: list[Stage] = []

    def meanwhile(*_: object) -> list[dict[str, Any]]:
        if not promoted:
            promoted.append(stage)
            climb(world, world.acting("p-2"), MODEL, number, stage)
            if stage is Stage.PROD:
                resolve(world, world.acting("p-3"), MODEL, number, Action.APPROVE, WHY)
        return [{**row, "late": 9} for row in rows()]

    edit(world, stops=replace(V2, rows=meanwhile))
    assert held.plan(world, world.ledger.state()).does == "apply"
    with pytest.raises(Refused, match=f"version {number} in {stage} learned from") as caught:
        materialize(world)
    assert caught.value.data["rule"] == "F1"
    assert [event.payload["action"] for event in refusals(world)] == ["apply_features"]
    assert defined(world) == first
    there = world.ledger.state().get(FeatureViewRow, "stops")
    assert there is not None
    world.features.verify({"stops": there.source})  # what was built is in nobody's place
    assert store(world).registered({}).views["stops"].digest == first


def test_a_hold_that_ends_while_it_is_being_refused_refuses_nothing(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    edit(world, stops=V2)
    lowered = []

    def lower_first(*given: Any) -> held.Plan:
        if len(lowered) == 1:  # the hold came after the first look and ends before the second refusal
            lower(world, world.acting("p-5"), MODEL, Action.STOP, WHY)
        lowered.append(given)
        return held.refuse_held(*given) if len(lowered) > 1 else held.Plan((), store(world).defined())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "refuse_held", lower_first)
        materialize(world)
    assert len(lowered) == 2
    assert refusals(world) == []
    assert not held.plan(world, world.ledger.state()).edits


@pytest.mark.parametrize("stage", [Stage.CANDIDATE, Stage.STAGING])
def test_what_stands_below_canary_holds_nothing(world: FakePlatform, stage: Stage) -> None:
    version(world, stage)
    before = defined(world)
    edit(world, stops=V2)
    materialize(world)
    assert defined(world) != before
    assert refusals(world) == []


def test_words_alone_are_applied_and_a_later_change_of_meaning_is_still_held(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    before = defined(world)
    edit(world, stops=replace(STOPS, description="how late"))
    assert plan(world)["stops"].change is Change.DESCRIPTION
    materialize(world)
    assert defined(world) != before
    edit(world, stops=replace(V2, description="how late"))
    with pytest.raises(Refused):
        materialize(world)


def test_sql_that_differs_in_a_comment_is_words_alone_and_in_what_it_computes_is_not(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD)
    edit(world, stops=replace(STOPS, sql="-- why"))
    materialize(world)
    edit(world, stops=replace(STOPS, sql="SELECT 2"))
    with pytest.raises(Refused, match="sql is written otherwise, in what it computes"):
        materialize(world)


def test_a_view_that_nobody_above_staging_consumes_may_change(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    before = defined(world, "weather")
    edit(world, weather=replace(WEATHER, ttl=DAY))
    materialize(world)
    assert defined(world, "weather") != before


def test_a_version_of_which_it_is_not_on_record_what_its_service_selected_holds_every_view(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD, forgotten=True)
    edit(world, weather=replace(WEATHER, ttl=DAY))
    with pytest.raises(Refused, match="the view weather"):
        materialize(world)


def test_a_field_that_no_consumer_selects_may_go_and_one_that_is_selected_may_not(
    world: FakePlatform,
) -> None:
    number = version(world, Stage.PROD)
    row = world.ledger.state().get(VersionRow, MODEL, number)
    assert row is not None
    edit(world, stops=replace(STOPS, features=("late",)))
    with pytest.raises(Refused, match="field load is gone"):
        materialize(world)
    (held_by,) = plan(world)["stops"].held_by
    less = replace(held_by, selected={"stops": ["late"]})
    found = plan(world)["stops"].differences
    assert held._about(found, held_by, "stops") == found
    assert held._about(found, less, "stops") == ()


def test_a_view_that_is_consumed_may_not_go(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    store(world).edit({"weather": WEATHER}, {"other": ("weather",)})
    with pytest.raises(Refused) as caught:
        materialize(world)
    assert "the view stops (the view is gone)" in caught.value.sentence
    assert "the service tram_delay (the service is gone)" in caught.value.sentence


def test_a_service_that_selects_otherwise_is_held_and_one_that_selects_more_is_not(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD)
    edit(world, {**SERVICES, "tram_delay": ("stops", "weather")})
    materialize(world)
    edit(world, {**SERVICES, "tram_delay": ("weather",)})
    with pytest.raises(Refused) as caught:
        materialize(world)
    assert "the service tram_delay (stops:late is gone, was selected" in caught.value.sentence
    assert caught.value.hint.startswith("restore tram_delay and define tram_delay_v2 beside it")


# ── the ways on ───────────────────────────────────────────────────────────────────────────────────

BESIDE = {**SERVICES, "tram_delay_v2": ("stops_v2",)}


def test_a_version_beside_the_old_view_is_applied_and_leaves_the_old_one_as_it_is(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD)
    before = defined(world)
    edit(world, BESIDE, stops_v2=V2)
    assert {name: each.change for name, each in plan(world).items()} == {
        "stops_v2": Change.ADDITIVE,
        "tram_delay_v2": Change.ADDITIVE,
    }
    materialize(world)
    assert defined(world) == before
    assert defined(world, "stops_v2")


def test_the_hold_ends_when_a_version_on_the_new_view_has_taken_the_place_of_the_old_one(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD)
    edit(world, BESIDE, stops_v2=V2)
    materialize(world)
    second = version(world, Stage.CANARY, "tram_delay_v2")
    edit(world, BESIDE, stops=V2, stops_v2=V2)
    with pytest.raises(Refused, match=f"{MODEL} version 1 in prod learned from"):
        materialize(world)
    climb(world, world.acting("p-2"), MODEL, second, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, second, Action.APPROVE, WHY)
    found = plan(world)["stops"]
    assert [(each.number, each.stage) for each in found.consumers] == [(1, "way back")]
    assert found.held_by == ()
    materialize(world)
    edit(world, BESIDE, stops=V2, stops_v2=STOPS)
    with pytest.raises(Refused, match=f"the view stops_v2 .* {MODEL} version 2 in prod"):
        materialize(world)


def test_a_stop_ends_a_hold_without_asking_anybody(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    edit(world, stops=V2)
    with pytest.raises(Refused):
        materialize(world)
    lower(world, world.acting("p-5"), MODEL, Action.STOP, WHY)
    materialize(world)
    assert len(refusals(world)) == 1


def test_going_back_to_what_a_version_learned_from_is_no_change_for_it(world: FakePlatform) -> None:
    number = version(world, Stage.STAGING)
    learned = defined(world)
    edit(world, stops=V2)
    materialize(world)
    climb(world, world.acting("p-2"), MODEL, number, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, number, Action.APPROVE, WHY)
    edit(world, stops=replace(STOPS, ttl=3 * DAY))
    with pytest.raises(Refused):
        materialize(world)
    edit(world, stops=STOPS)
    found = plan(world)["stops"]
    assert (found.change, found.held_by) == (Change.MEANING, ())
    materialize(world)
    assert defined(world) == learned


def test_who_may_not_apply_is_refused_for_that_before_anything_is_compared(world: FakePlatform) -> None:
    version(world, Stage.PROD)
    edit(world, stops=V2)
    with pytest.raises(Refused) as caught:
        features.materialize(world, world.acting("p-2"))
    assert caught.value.data["rule"] == "A1"


def test_a_packet_names_the_views_that_were_redefined_of_those_its_service_selects(
    world: FakePlatform,
) -> None:
    from tidegate.application.packet import feature_facts

    number = version(world, Stage.STAGING)
    edit(world, weather=replace(WEATHER, ttl=DAY))
    materialize(world)
    state = world.ledger.state()
    row = state.get(VersionRow, MODEL, number)
    assert row is not None
    assert feature_facts(state, row)["redefined"] == []
    edit(world, stops=V2)
    materialize(world)
    assert feature_facts(world.ledger.state(), row)["redefined"] == ["stops"]


# ── where it all comes from ───────────────────────────────────────────────────────────────────────


def test_a_feature_is_followed_to_its_view_its_source_and_its_batches(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    version(world, Stage.PROD)
    batch = world.accept("2024-02")
    monkeypatch.setattr(features, "accepted", lambda *_: ({}, [batch]))
    edit(world, stops=replace(STOPS, rows=lambda *_: [*rows(), {**rows()[0], "stop": "other"}]))
    materialize(world)
    (found,) = of_feature(world, world.ledger.state(), "load")
    assert (found["view"], found["rows"], found["definition"]) == ("stops", 2, defined(world))
    dataset = world.models.spec(MODEL).datasets[0]
    assert found["built_from"] == [{"dataset": dataset, "period": "2024-02", "batch": batch}]
    assert [(each["model"], each["version"], each["stage"]) for each in found["consumers"]] == [
        (MODEL, 1, "prod")
    ]
    assert found["consumers"][0]["definition"] == found["definition"]
    both = of_feature(world, world.ledger.state(), "late")
    assert [(each["view"], len(each["consumers"])) for each in both] == [("stops", 1), ("weather", 0)]


def test_a_feature_that_nobody_knows_is_bad_input_that_names_those_there_are(world: FakePlatform) -> None:
    with pytest.raises(BadInput) as caught:
        of_feature(world, world.ledger.state(), "lode")
    assert caught.value.code == "unknown-feature"
    assert (
        caught.value.sentence
        == "got 'lode', expected a view or one of its fields: stops, weather, late, load"
    )


def test_a_version_is_followed_to_its_views_as_they_were_whatever_was_built_since(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.accept("2024-02")
    monkeypatch.setattr(features, "accepted", lambda *_: ({}, [first]))
    edit(world, stops=replace(STOPS, rows=lambda *_: rows() * 2))
    materialize(world)
    number = version(world, Stage.STAGING)
    second = world.accept("2024-03")
    monkeypatch.setattr(features, "accepted", lambda *_: ({}, [first, second]))
    edit(world, stops=replace(STOPS, rows=lambda *_: rows() * 3))
    materialize(world)
    state = world.ledger.state()
    row = state.get(VersionRow, MODEL, number)
    assert row is not None
    found = of_version(world, state, row)
    (view,) = found["features"]
    assert view == "stops"
    assert found["features"]["stops"]["selected"] == ["late", "load"]
    assert [each["batch"] for each in found["features"]["stops"]["built_from"]] == [first]
    assert found["training_set"]["digest"] == row.training_set
    assert (found["training_set"]["service"], bool(found["training_set"]["entities"])) == ("tram_delay", True)


def test_a_lineage_with_a_hole_is_refused_and_not_shown(world: FakePlatform) -> None:
    number = version(world, Stage.STAGING)
    state = world.ledger.state()
    row = state.get(VersionRow, MODEL, number)
    assert row is not None
    with pytest.raises(Refused) as caught:
        of_version(world, state, replace(row, training_set="tg1:gone"))
    assert caught.value.code == "lineage-not-whole"


def test_what_decides_the_rest_beside_a_live_version_that_may_decide_a_share_holds_too(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD)
    edit(world, BESIDE, stops_v2=V2)
    materialize(world)
    second = version(world, Stage.CANARY, "tram_delay_v2")
    climb(world, world.acting("p-2"), MODEL, second, Stage.PROD)
    say = Say(conditions={"max_share": 0.5})
    resolve(world, world.acting("p-3"), MODEL, second, Action.APPROVE, WHY, say)
    edit(world, BESIDE, stops=V2, stops_v2=V2)
    with pytest.raises(
        Refused, match=f"expected the one that {MODEL} version 1, which stands in, learned from"
    ):
        materialize(world)


def test_a_service_of_which_nothing_says_how_it_was_registered_is_held_by_what_the_version_selected(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD)
    store(world)._registered = None  # what a home has that was restored without its notes
    assert plan(world)["other"].change is Change.ADDITIVE
    assert "tram_delay" not in plan(world)
    edit(world, {**SERVICES, "tram_delay": ("weather",)})
    with pytest.raises(Refused, match="the service tram_delay"):
        materialize(world)


def test_an_edit_that_comes_while_another_plan_is_carried_out_is_not_applied(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    version(world, Stage.PROD)
    before, build = defined(world), store(world).build
    edit(world, weather=replace(WEATHER, description="Of the hour before."))

    def meanwhile(*given: Any) -> Any:
        edit(world, stops=V2)
        return build(*given)

    monkeypatch.setattr(store(world), "build", meanwhile)
    with pytest.raises(BadInput) as refused:
        materialize(world)
    assert refused.value.code == "definitions-edited"
    assert defined(world) == before
    with pytest.raises(Refused, match="another meaning of the view stops"):
        materialize(world)


def test_a_view_that_a_version_holds_is_not_new_where_nothing_says_that_it_was_registered(
    world: FakePlatform,
) -> None:
    version(world, Stage.PROD)
    registered = store(world)._registered
    assert registered is not None
    store(world)._registered = replace(registered, views={"weather": registered.views["weather"]})
    assert plan(world) == {}
    edit(world, stops=V2)
    with pytest.raises(Refused, match="another meaning of the view stops"):
        materialize(world)


def test_a_view_that_is_gone_is_waited_for_by_nobody(world: FakePlatform) -> None:
    store(world).edit({"stops": STOPS}, {"tram_delay": ("stops",)})
    brought: Any = materialize(world)
    assert [row.view for row in brought.views] == ["stops"]
    count = len(list(world.ledger.events()))
    assert features.materialize(world, world.acting("s-5")).written == ()
    assert len(list(world.ledger.events())) == count, "nothing differs, and nothing is written"
    assert {view: each.verdict for view, each in parity(world, world.acting("s-5")).items()} == {
        "stops": Verdict.PASSED
    }


def test_an_edit_is_applied_though_the_clock_stands_still(world: FakePlatform) -> None:
    before = defined(world, "weather")
    edit(world, weather=replace(WEATHER, ttl=DAY))
    features.materialize(world, world.acting("s-5"))
    assert defined(world, "weather") != before
    assert plan(world) == {}
