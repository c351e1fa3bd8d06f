"""What a packet holds, what makes another one of it, and what people are told has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tidegate.adapters.shared.sql import write_frame
from tidegate.application.packet import SECTIONS, Gathered, differences, gather, packet_digest
from tidegate.application.predating import measured_at
from tidegate.application.promote import climb, preview, request, void_approvals
from tidegate.application.resolve import resolve
from tidegate.application.risks import open_risks
from tidegate.application.standing import lifecycle
from tidegate.domain.canonical import canonical
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action, Waiting
from tidegate.domain.lifecycle import Refused as Denied
from tidegate.domain.policy import Gate, Need, Stage
from tidegate.domain.state import BatchRow, VersionRow
from tidegate.testing.cases import DEMANDS, MODEL, a_policy, with_gate
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.material import altered

WELL = "Evidence looks sound to me."
WHOLE = replace(
    DEMANDS[Stage.STAGING],
    id="data_whole",
    sentence="the training set is the one it was registered with",
    passes="packet.data.training_set == packet.data.registered",
)


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world with version 1, which learned from two batches."""
    world = FakePlatform(tmp_path, a_policy(standard=2))
    batches = sorted(world.accept(period) for period in ("2024-01", "2024-02"))
    rows = {"digest": world.learned().digest, "model": MODEL, "service": MODEL, "entities": "tg1:e"}
    built = {**rows, "rows": 1000, "batches": batches, "windows": {}}
    world.write(EventType.TRAINING_SET_BUILT, built, "s-1", f"model/{MODEL}")
    world.register(on_behalf_of="p-2")
    return world


@pytest.fixture
def live(world: FakePlatform) -> FakePlatform:
    """Return the world with version 1 in prod and version 2 registered."""
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    for who in ("p-3", "p-4"):
        approve(world, 1, who)
    world.register(on_behalf_of="p-2")
    return world


def approve(world: FakePlatform, version: int, who: str) -> str:
    return resolve(world, world.acting(who), MODEL, version, Action.APPROVE, WELL).stage


def gathered(world: FakePlatform, version: int = 1) -> Gathered:
    state = world.ledger.state()
    life = lifecycle(state, MODEL, version)
    return gather(world, state, life, life.versions[version])


def packet(world: FakePlatform, version: int = 1) -> dict[str, Any]:
    return gathered(world, version).facts


def training_set(world: FakePlatform) -> Path:
    return world.learned().path


def redefine(world: FakePlatform, view: str, definition: str) -> None:
    built = {view: {"definition": definition, "source": "tg1:s", "rows": 1, "objective": {}}}
    world.write(EventType.FEATURES_BUILT, {"views": built, "batches": []}, "s-5", "features")


def with_facts(world: FakePlatform, **changes: Any) -> int:
    """Register one more version, with other facts."""
    version = world.register()
    row = world.ledger.state().get(VersionRow, MODEL, version)
    assert row is not None
    names = ("model", "artifact", "training_set", "trainer", "registrar", "on_behalf_of", "source", "links")
    payload = {**{name: getattr(row, name) for name in names}, "number": version + 1}
    payload["facts"] = {**row.facts, **changes}
    world.write(EventType.VERSION_REGISTERED, payload, "s-1", f"model/{MODEL}")
    return version + 1


# ── what it holds ─────────────────────────────────────────────────────────────────────────────────


def test_its_sections_are_those_that_a_policy_may_require(world: FakePlatform) -> None:
    assert set(packet(world)) == set(SECTIONS)
    assert len(set(SECTIONS)) == len(SECTIONS)


def test_gathering_twice_yields_the_same_packet_and_nothing_of_this_installation(live: FakePlatform) -> None:
    first, second = packet(live, 2), packet(live, 2)
    assert packet_digest(first) == packet_digest(second)
    row = live.ledger.state().get(VersionRow, MODEL, 2)
    assert row is not None
    for link in row.links.values():  # MLflow's run id is another one after a restore, and in a repeated run
        assert link.encode() not in canonical(first)


def test_it_names_the_policy_that_is_in_force(world: FakePlatform) -> None:
    policy = a_policy(standard=2)
    assert packet(world)["policy"] == {"name": "trams", "version": "1", "digest": policy.digest}


def test_the_training_set_is_the_digest_that_is_found_in_full(world: FakePlatform) -> None:
    data = packet(world)["data"]
    assert data["training_set"] == data["registered"] == world.learned().digest
    assert "unread" not in data


def test_a_lineage_goes_from_the_drops_to_the_version(world: FakePlatform) -> None:
    found = packet(world)["lineage"]
    state = world.ledger.state()
    drops = {(row.period, row.batch, row.drop) for row in state.select(BatchRow)}
    assert {(each["period"], each["batch"], each["drop"]) for each in found["batches"]} == drops
    assert [each["period"] for each in found["batches"]] == ["2024-01", "2024-02"]
    row = state.get(VersionRow, MODEL, 1)
    assert row is not None
    assert found["training_set"]["digest"] == row.training_set
    assert found["run"]["key"] == row.facts["training_key"]
    assert found["version"] == {"model": MODEL, "number": 1, "artifact": row.artifact}


def test_a_lineage_names_the_drop_that_came_first(world: FakePlatform) -> None:
    before = packet(world)["lineage"]
    batch = before["batches"][0]["batch"]
    world.accept("2024-03", batch=batch, drop="sha256:later")
    assert packet(world)["lineage"] == before


@pytest.mark.parametrize(
    "hole", [{"definitions": {"stops": "d"}}, {"definitions": {"stops": "d"}, "sources": {"lines": "tg1:s"}}]
)
def test_a_lineage_with_a_hole_is_none(world: FakePlatform, hole: Mapping[str, Any]) -> None:
    version = with_facts(world, features={"service": MODEL, **hole})
    assert packet(world, version)["lineage"] == {}


def test_a_version_of_a_training_set_whose_batch_is_not_on_record_has_no_lineage(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    rows = {"digest": world.learned().digest, "model": MODEL, "service": MODEL, "entities": "tg1:e"}
    built = {**rows, "rows": 1000, "batches": ["tg1:lost"], "windows": {}}
    world.write(EventType.TRAINING_SET_BUILT, built, "s-1", f"model/{MODEL}")
    world.register()
    assert packet(world)["lineage"] == {}


def test_a_gate_that_requires_what_nobody_supplied_names_the_gap(world: FakePlatform) -> None:
    gate = Gate(Stage.STAGING, (DEMANDS[Stage.STAGING],), requires=("lineage", "untested_slices"))
    world.adopt(replace(with_gate(a_policy(), gate), body="strict", digest="sha256:strict"))
    with pytest.raises(Refused) as error:
        request(world, world.acting("p-2"), MODEL, 1)
    assert error.value.sentence == (
        "P2: the packet has no untested slices, which the gate into staging requires"
    )


def test_against_a_champion_it_is_compared_slice_by_slice(live: FakePlatform) -> None:
    assert packet(live, 2)["slices_against_champion"] == {}  # the model declares none
    live.trainer.slices = {"line=B": Measure(0.02, 400, 0.01, 0.03), "line=A": Measure(-0.02, 600)}
    found = packet(live, 2)["slices_against_champion"]
    assert found["champion"] == 1
    assert list(found["gains"]) == ["line=A", "line=B"]
    assert found["gains"]["line=B"] == Measure(0.02, 400, 0.01, 0.03).as_dict()


def test_without_a_champion_there_is_nothing_to_compare_with_and_that_is_said(world: FakePlatform) -> None:
    assert packet(world)["slices_against_champion"] == {"champion": 0, "gains": {}}


def test_the_first_version_s_plan_is_its_fallback_and_a_later_one_s_the_version_before(
    live: FakePlatform,
) -> None:
    first, second = (packet(live, version)["rollback_plan"] for version in (1, 2))
    assert first == {
        "to": "fallback",
        "artifact": "",
        "command": f"tidegate rollback {MODEL} --stop --as … --reason …",
        "fallback": "abstain: Nobody is told anything.",
        "says": None,
    }
    row = live.ledger.state().get(VersionRow, MODEL, 1)
    assert row is not None
    assert (second["to"], second["artifact"]) == ("version 1", row.artifact)
    assert second["command"] == f"tidegate rollback {MODEL} --as … --reason …"


def test_a_base_rate_says_what_it_says(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.models.put(replace(world.models.spec(MODEL), fallback="base_rate: The share of late trams."))
    world.register()
    assert packet(world)["rollback_plan"]["says"] == 0.2


def test_nothing_to_return_to_is_no_plan(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.models.put(replace(world.models.spec(MODEL), fallback=" "))
    world.register()
    assert packet(world)["rollback_plan"] == {}


def test_evidence_is_what_checks_concluded_with_subject_tool_and_time(world: FakePlatform) -> None:
    found = {each["kind"]: each for each in packet(world)["evidence"]}
    assert set(found) == {"onnx_parity", "training_set", "data_gates"}
    assert {each["verdict"] for each in found.values()} == {"passed"}
    assert found["training_set"]["subject"] == f"training set {world.learned().digest}"
    assert found["onnx_parity"]["at"] == found["data_gates"]["at"] == "2020-01-01T00:00:00Z"
    assert found["onnx_parity"]["values"]["max_abs_difference"]["n"] == 1000
    assert found["data_gates"]["values"]["quarantined"] == Measure(0.0, 2).as_dict()


# ── the training set's file ───────────────────────────────────────────────────────────────────────


def erased_from(world: FakePlatform, rows: int) -> Path:
    """Erase rows of the training set, as the record and the file say; return what is left."""
    before = training_set(world)
    left = write_frame(pq.read_table(before, partitioning=None).slice(rows), before.parent)
    before.unlink()
    file = {
        "kind": "frame",
        "place": "",
        "digest": world_digest(world),
        "successor": left.digest,
        "rows": rows,
    }
    about = {
        "cause": "subject",
        "subject": "hash:1",
        "dataset": "trips",
        "periods": [],
        "keeps": {},
        "rows": 0,
    }
    told = {"files": [file], "touches": {"training_sets": [], "versions": []}}
    world.write(EventType.ROWS_ERASED, {**about, **told}, "p-1", "dataset/trips")
    return left.path


def test_a_training_set_that_rows_were_erased_from_is_whole_and_says_how_many(world: FakePlatform) -> None:
    before = packet(world)
    erased_from(world, 3)
    facts = packet(world)
    assert facts["data"]["training_set"] == facts["data"]["registered"] == before["data"]["registered"]
    assert facts["data"]["erased"]["rows"] == 3
    (seen,) = [each for each in facts["evidence"] if each["kind"] == "training_set"]
    assert (seen["verdict"], seen["sentence"]) == (
        "passed",
        "it holds the rows that it was registered with, but for 3 that were erased since",
    )
    (risk,) = [each for each in facts["open_risks"]["found"] if each["kind"] == "erased"]
    assert risk["sentence"] == "3 of the rows it learned from were erased since; it was not trained again"
    assert differences(before, facts) == ("the training set",)


def test_what_is_left_of_a_training_set_and_was_altered_is_evidence_against_it(world: FakePlatform) -> None:
    found = altered(erased_from(world, 3), "trip", 9)
    facts = packet(world)
    assert facts["data"]["training_set"] == found
    (seen,) = [each for each in facts["evidence"] if each["kind"] == "training_set"]
    assert seen["verdict"] == "failed"


def test_an_altered_training_set_voids_an_approval_by_name(world: FakePlatform) -> None:
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    approve(world, 1, "p-3")
    found = altered(training_set(world), "trip", 999)
    data = packet(world)["data"]
    assert (data["training_set"], data["registered"]) == (found, world_digest(world))
    decision, _, _ = preview(world, MODEL, 1)
    assert isinstance(decision, Waiting)
    assert (decision.reasons[0].rule, decision.reasons[0].code) == ("P3", "approval-void")
    assert "the training set changed since" in decision.reasons[0].sentence
    with pytest.raises(Refused) as error:
        approve(world, 1, "p-4")
    assert error.value.sentence.startswith("P3: ")
    assert ": the training set changed since" in error.value.sentence


def test_an_altered_training_set_is_evidence_against_and_an_open_risk(world: FakePlatform) -> None:
    found = altered(training_set(world), "trip", 999)
    facts = packet(world)
    (seen,) = [each for each in facts["evidence"] if each["kind"] == "training_set"]
    assert (seen["verdict"], seen["sentence"]) == ("failed", f"it holds other rows: {found}")
    (risk,) = [each for each in facts["open_risks"]["found"] if each["kind"] == "training_set"]
    assert f"got {found}, expected {world_digest(world)}" in risk["sentence"]


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_training_set_that_cannot_be_read_has_no_digest_and_no_verdict(
    world: FakePlatform, how: str
) -> None:
    before, path = packet(world), training_set(world)
    path.unlink() if how == "gone" else path.write_bytes(b"no Parquet")
    after = packet(world)
    assert after["data"]["training_set"] is None
    assert "training_set" not in {each["kind"] for each in after["evidence"]}
    (risk,) = [each for each in after["open_risks"]["found"] if each["kind"] == "training_set"]
    assert risk["sentence"].startswith(
        "what it learned from cannot be read any more: got no readable Parquet"
    )
    assert differences(before, after) == ("the training set",)


def test_a_demand_for_the_training_set_blocks_with_a_sentence_whether_it_is_altered_or_gone(
    world: FakePlatform,
) -> None:
    strict = with_gate(a_policy(), Gate(Stage.STAGING, (WHOLE,)))
    world.adopt(replace(strict, body="strict", digest="sha256:strict"))
    digest = world_digest(world)
    found = altered(training_set(world), "trip", 999)
    with pytest.raises(Refused) as error:
        request(world, world.acting("p-2"), MODEL, 1)
    assert error.value.sentence == (
        f"P2: data_whole failed: got packet.data.training_set = {found}, packet.data.registered = {digest}; "
        "demanded: the training set is the one it was registered with"
    )
    (world.frames / "frames" / f"{digest[4:]}.parquet").unlink()
    with pytest.raises(Refused) as error:
        request(world, world.acting("p-2"), MODEL, 1)
    assert error.value.sentence == (
        "P2: data_whole could not be measured: could not be evaluated: got nothing under 'training_set', "
        "expected a value; demanded: the training set is the one it was registered with"
    )


def world_digest(world: FakePlatform) -> str:
    row = world.ledger.state().get(VersionRow, MODEL, 1)
    assert row is not None
    return row.training_set


def test_what_voided_an_approval_is_told_where_something_else_blocks_as_well(world: FakePlatform) -> None:
    gate = Gate(Stage.PROD, (WHOLE,), (Need("approver", 2),))
    world.adopt(replace(with_gate(a_policy(standard=2), gate), body="strict", digest="sha256:strict"))
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    approve(world, 1, "p-3")
    altered(training_set(world), "trip", 999)
    decision, dossier, policy = preview(world, MODEL, 1)
    assert isinstance(decision, Denied)
    assert [each.code for each in decision.reasons] == ["evidence-failed"]
    (void,) = void_approvals(world, MODEL, 1, dossier, policy)
    assert void.sentence == "the approval by p-3 is void: the training set changed since"


@pytest.mark.parametrize(
    "section",
    ["metrics", "slices", "untested_slices", "slices_against_champion", "open_risks", "evidence", "coverage"],
)
def test_a_demand_on_what_was_evaluated_is_dated_by_the_version(world: FakePlatform, section: str) -> None:
    row = world.ledger.state().get(VersionRow, MODEL, 1)
    assert row is not None
    demand = replace(WHOLE, passes=f"size(packet.{section}) > 0")
    assert measured_at(world.ledger.state(), row, demand) == row.sequence
    assert measured_at(world.ledger.state(), row, WHOLE) == 0  # what it learned from is no evaluation


@pytest.mark.parametrize(
    "passes",
    [
        'packet["metrics"].auc.low > 0.5',
        'packet.champion["gain"].low > 0.0',
        "packet . metrics.auc.low > 0.5",
        "[packet].all(p, p.metrics.auc.low > 0.5)",
        'packet["met" + "rics"].auc.low > 0.5',
        "packet.`metrics`.auc.low > 0.5",
        'size(packet) > 3 && packet.artifact.format == "onnx"',
        "packet.metrics_of_mine.low > 0.5",
    ],
)
def test_a_demand_that_reads_the_packet_in_another_way_is_taken_to_read_what_was_evaluated(
    world: FakePlatform, passes: str
) -> None:
    row = world.ledger.state().get(VersionRow, MODEL, 1)
    assert row is not None
    assert measured_at(world.ledger.state(), row, replace(WHOLE, passes=passes)) == row.sequence
    assert measured_at(world.ledger.state(), row, replace(WHOLE, unclear=passes)) == row.sequence


@pytest.mark.parametrize(
    "passes", ["packet.champion.version == 0", 'packet.artifact.format == "onnx"', "true"]
)
def test_a_demand_on_what_a_version_is_reads_no_evaluation(world: FakePlatform, passes: str) -> None:
    row = world.ledger.state().get(VersionRow, MODEL, 1)
    assert row is not None
    assert measured_at(world.ledger.state(), row, replace(WHOLE, passes=passes)) == 0


# ── what people are told ──────────────────────────────────────────────────────────────────────────


def test_a_view_that_is_defined_otherwise_voids_by_name(world: FakePlatform) -> None:
    redefine(world, "stops", "d")
    features = {"service": MODEL, "definitions": {"stops": "d"}, "sources": {"stops": "tg1:s"}}
    version = with_facts(world, features=features)
    before = packet(world, version)
    assert before["features"]["redefined"] == []
    redefine(world, "stops", "other")
    after = packet(world, version)
    assert after["features"]["redefined"] == ["stops"]
    assert differences(before, after) == ("the feature definitions",)
    assert {"redefined"} <= {each["kind"] for each in after["open_risks"]["found"]}


def test_what_was_gathered_before_a_view_or_the_policy_changed_no_longer_fits(world: FakePlatform) -> None:
    redefine(world, "stops", "d")
    features = {"service": MODEL, "definitions": {"stops": "d"}, "sources": {"stops": "tg1:s"}}
    version = with_facts(world, features=features)
    held = gathered(world, version)

    def fits() -> bool:
        state = world.ledger.state()
        life = lifecycle(state, MODEL, version)
        return held.fits(state, life, life.versions[version])

    assert fits()
    redefine(world, "stops", "other")
    assert not fits()
    redefine(world, "stops", "d")
    assert fits()
    world.adopt(a_policy("2"))
    assert not fits()


def test_another_policy_is_named_once(world: FakePlatform) -> None:
    before = packet(world)
    world.adopt(a_policy("2"))
    assert differences(before, packet(world)) == ("the policy",)


def test_another_champion_is_named_once_however_many_sections_it_changes(live: FakePlatform) -> None:
    live.trainer.slices = {"line=A": Measure(0.02, 400, 0.01, 0.03)}
    before = packet(live, 2)
    live.trainer.gain = Measure(-0.02, 1000, -0.03, -0.01, "stated")
    live.trainer.slices = {"line=A": Measure(-0.02, 400, -0.03, -0.01)}
    assert differences(before, packet(live, 2)) == ("the comparison with the champion",)


SOME = {
    "schema": "s",
    "data": {"training_set": "a", "registered": "a", "restated": 0},
    "code": {"commit": "c"},
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, ()),
        ({"schema": "other", "code": {}}, ("the packet's format",)),
        ({"data": {**SOME["data"], "training_set": "b"}}, ("the training set",)),
        ({"data": {"registered": "a", "restated": 0, "unread": "gone"}}, ("the training set",)),
        ({"data": {**SOME["data"], "restated": 1}}, ("the data",)),
        (
            {"data": {"training_set": "b", "registered": "a", "restated": 1}},
            ("the training set", "the data"),
        ),
        ({"data": None}, ("the data",)),
        ({"code": {}, "open_risks": {"found": [1]}}, ("the code",)),
        ({"open_risks": {"found": [1]}}, ("the open risks",)),
        ({"evidence": [1], "open_risks": {}}, ("the evidence", "the open risks")),
        ({"rollback_plan": {}, "way_back": {}}, ("the way back",)),
        ({"environment": {}, "lineage": {}}, ("the environment", "the lineage")),
    ],
)
def test_differences_are_named_in_people_s_words(change: Mapping[str, Any], named: tuple[str, ...]) -> None:
    assert differences(SOME, {**SOME, **change}) == named


# ── open risks ────────────────────────────────────────────────────────────────────────────────────

PLAIN: Mapping[str, Any] = {
    "data": {"training_set": "a", "registered": "a", "restated": 0},
    "features": {"redefined": []},
    "coverage": {"scheduled": 1000, "measured": 1000},
    "untested_slices": {},
    "champion": {"version": 1, "gain": Measure(0.02, 900, 0.01, 0.03).as_dict()},
    "slices_against_champion": {"champion": 1, "gains": {}},
    "canary": {"verdict": "none"},
    "code": {"changed": "false"},
}
FEW = "fewer than 30 labelled rows, or rows of one day alone"
COUNTED = {"by": "line", "least_rows": 30, "count": 7, "slices": {f"line={each}": 2 for each in "ABCDEFG"}}


def sentences(*batches: BatchRow, **changes: Any) -> list[tuple[str, str]]:
    found = open_risks({**PLAIN, **changes}, (), batches)["found"]
    return [(each["kind"], each["sentence"]) for each in found]


def test_nothing_open_is_said_to_be_nothing() -> None:
    assert open_risks(PLAIN, ("One winter only.",), ()) == {"declared": ["One winter only."], "found": []}


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        (
            {"data": {**PLAIN["data"], "restated": 2}},
            "restated",
            "2 of the batches it learned from were restated since",
        ),
        (
            {"coverage": {"scheduled": 1000, "measured": 969}},
            "unlabelled",
            "31 of the 1,000 rows it was judged on (3.1%) had no known outcome",
        ),
        (
            {"untested_slices": COUNTED},
            "untested_slices",
            f"7 slices have {FEW}: line=A (2), line=B (2), line=C (2), line=D (2), line=E (2) and 2 more",
        ),
        (
            {"champion": {"version": 4, "gain": Measure(0.001, 900, -0.002, 0.004).as_dict()}},
            "champion",
            "it cannot be told from version 4: gain 0.001 [-0.002, 0.004]",
        ),
        (
            {"champion": {"version": 4, "gain": Measure(-0.03, 900, -0.05, -0.01).as_dict()}},
            "champion",
            "it is surely worse than version 4: gain -0.03 [-0.05, -0.01]",
        ),
        (
            {"champion": {"version": 4, "gain": Measure(float("nan"), 0).as_dict()}},
            "champion",
            "it cannot be told from version 4: gain not finite",
        ),
        (
            {
                "slices_against_champion": {
                    "champion": 1,
                    "gains": {
                        "line=A": Measure(-0.03, 90, -0.05, -0.01).as_dict(),
                        "line=B": Measure(-0.03, 90, -0.05, 0.01).as_dict(),
                        "line=C": Measure(-0.03, 90).as_dict(),
                    },
                }
            },
            "worse_slices",
            "it is surely worse than version 1 on line=A -0.03 [-0.05, -0.01]",
        ),
        (
            {"canary": {"verdict": "inconclusive", "standing": "unclear", "period": "2024-02"}},
            "canary",
            "its canary on 2024-02 is inconclusive and unclear",
        ),
        (
            {"code": {"changed": "true"}},
            "code",
            "it was trained from files that are not the commit that it names",
        ),
    ],
)
def test_each_risk_that_the_facts_show_is_a_sentence_with_its_numbers(
    changes: Mapping[str, Any], kind: str, sentence: str
) -> None:
    assert sentences(**changes) == [(kind, sentence)]


def test_findings_on_rows_that_were_kept_are_added_up_over_batches(world: FakePlatform) -> None:
    def report(failing: int, **more: Any) -> dict[str, Any]:
        told = f"The tram, where named, is in the register: {failing} of 100 rows fail"
        named = {"id": "T7", "on_row": "keep", "verdict": "failed", "sentence": told}
        held = {**named, "id": "T1", "on_row": "quarantine", "failing": 3, "evaluated": 100}
        passed = {**named, "id": "T2", "verdict": "passed", "failing": 0, "evaluated": 100}
        short = {**named, "id": "T9", "failing": 0, "evaluated": 100, "sentence": "At least 28 days: got 26"}
        return {"checks": [{**named, "failing": failing, "evaluated": 100}, held, passed, short], **more}

    world.accept("2024-03", report=report(4))
    world.accept("2024-04", report=report(5))
    rows = [row for row in world.ledger.state().select(BatchRow) if row.report["checks"]]
    assert sentences(*rows) == [
        (
            "findings",
            "trips T7, The tram, where named, is in the register: not so of 9 of 200 rows, which were kept",
        ),
        ("findings", "trips T9, At least 28 days: not so of 2 batches, which were kept"),
    ]
