"""What a packet holds of the evidence, and the way back that is tried before prod."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application.lower import lower
from tidegate.application.packet import gather, packet_digest
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Gate, Stage, Tier
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.deciding import WELL, ask, swapped
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, events, stage, tried


def test_the_same_evidence_is_sealed_once(world: FakePlatform) -> None:
    ask(world)
    assert len(events(world, EventType.PACKET_SEALED)) == 1


def test_a_second_drop_with_the_same_rows_changes_no_packet(world: FakePlatform) -> None:
    digest = lifecycle(world.ledger.state(), MODEL).versions[1].training_set
    rows = {"digest": digest, "model": MODEL, "service": MODEL, "entities": "", "rows": 1000, "windows": {}}
    world.write(EventType.TRAINING_SET_BUILT, {**rows, "batches": ["tg1:b"]})

    def delivered(drop: str) -> str:
        gated = {"dataset": "trips", "drop": drop, "period": "2024-01", "batch": "tg1:b", "verdict": "passed"}
        counts = {
            "read": 1,
            "accepted": 1,
            "quarantined": 0,
            "quarantine_root": "",
            "contract": "",
            "report": {},
            "revision": 0,
            "supersedes": "",
            "touches": {"training_sets": [], "versions": []},
        }
        world.write(EventType.BATCH_ACCEPTED, {**gated, **counts})
        life = lifecycle(world.ledger.state(), MODEL)
        facts = gather(world, world.ledger.state(), life, life.versions[1]).facts
        assert facts["data"]["gates"] == {"passed": 1, "failed": 0, "error": 0}
        return packet_digest(facts)

    assert delivered("sha256:zip") == delivered("sha256:csv")


def test_a_restated_batch_is_counted_in_the_packet_of_what_had_learned_from_it(world: FakePlatform) -> None:
    digest = lifecycle(world.ledger.state(), MODEL).versions[1].training_set
    first, other = world.accept("2024-01"), world.accept("2024-02")
    rows = {"digest": digest, "model": MODEL, "service": MODEL, "entities": "", "rows": 1000, "windows": {}}
    world.write(EventType.TRAINING_SET_BUILT, {**rows, "batches": [first, other]})

    def restated() -> int:
        life = lifecycle(world.ledger.state(), MODEL)
        count: int = gather(world, world.ledger.state(), life, life.versions[1]).facts["data"]["restated"]
        return count

    assert restated() == 0
    world.accept("2024-02", revision=1, supersedes=other)
    assert restated() == 1


def test_the_packet_shows_the_champion_s_own_loss_on_the_version_s_rows(live: FakePlatform) -> None:
    life = lifecycle(live.ledger.state(), MODEL)
    champion = gather(live, live.ledger.state(), life, life.versions[2]).facts["champion"]
    assert (champion["version"], champion["loss"], champion["gain"]["value"]) == (1, "brier", 0.01)
    assert champion["champion_loss"] == pytest.approx(0.15 + 0.01)  # its own loss, and what it gained on top
    first = gather(live, live.ledger.state(), life, life.versions[1]).facts["champion"]
    assert first == {"version": 0}


def test_a_loss_that_could_not_be_measured_is_none_for_the_champion_too(live: FakePlatform) -> None:
    third = live.register(on_behalf_of="p-2", brier=Measure(float("nan"), 0))
    life = lifecycle(live.ledger.state(), MODEL)
    facts = gather(live, live.ledger.state(), life, life.versions[third]).facts
    assert facts["champion"]["champion_loss"] is None


def test_a_champion_that_cannot_be_fetched_stops_the_request_with_nothing_written(live: FakePlatform) -> None:
    live.registry.down = True
    assert tried(live, lambda: ask(live, 2)) == []
    with pytest.raises(DependencyFailed):
        ask(live, 2)


def test_the_way_back_that_is_tried_is_the_one_that_is_named(live: FakePlatform) -> None:
    life = lifecycle(live.ledger.state(), MODEL)
    gathered = gather(live, live.ledger.state(), life, life.versions[2])
    assert (gathered.way_back.name, gathered.way_back.verified) == ("version 1", True)
    swapped(live)
    life = lifecycle(live.ledger.state(), MODEL)
    gathered = gather(live, live.ledger.state(), life, life.versions[2])
    assert gathered.way_back.name == "version 1"  # in prod itself, it would go back to the replaced one


def test_an_altered_way_back_blocks_prod(live: FakePlatform) -> None:
    swapped(live)
    lower(live, live.acting("p-5"), MODEL, Action.STOP, WELL)
    third = live.register(on_behalf_of="p-2")
    artifact = live.registry.fetch(MODEL, 1, lifecycle(live.ledger.state(), MODEL).versions[1].artifact)
    artifact.write_bytes(b"something else")
    with pytest.raises(Refused) as error:
        ask(live, third)
    assert error.value.sentence.startswith(
        "P8: prod needs a tried way back, got version 1 untried (got an artifact with the digest sha256:"
    )
    assert error.value.hint == f"tidegate rehearse {MODEL}"
    assert stage(live, third) == "canary"


@pytest.mark.parametrize("fallback", ["", "   "])
def test_an_undeclared_fallback_blocks_the_first_version(tmp_path: Path, fallback: str) -> None:
    world = FakePlatform(tmp_path)
    world.models.put(replace(world.models.spec(MODEL), fallback=fallback))
    world.register(on_behalf_of="p-2")
    with pytest.raises(Refused) as error:
        ask(world)
    assert codes(error) == ["no-way-back"]


def test_without_a_policy_in_force_nothing_goes_up(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.register(on_behalf_of="p-2")
    bare = replace(a_policy("2"), gates={})
    world.adopt(bare)
    with pytest.raises(Refused) as error:
        ask(world)
    assert codes(error) == ["no-gate"]


def test_changing_a_threshold_changes_the_outcome(world: FakePlatform) -> None:
    demand = replace(
        a_policy().gates[Tier.STANDARD][Stage.STAGING].demands[0], passes="packet.data.rows >= 5000"
    )
    strict = with_gate(
        replace(a_policy(), body="strict", digest="sha256:strict"), Gate(Stage.STAGING, (demand,))
    )
    world.adopt(strict)
    with pytest.raises(Refused) as error:
        ask(world)
    assert "got packet.data.rows = 1000" in error.value.sentence
    assert stage(world) == "candidate"
