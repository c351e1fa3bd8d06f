"""Seal the packet: everything known about a version, under one digest.

An approval is bound to it, so it holds what people approve and nothing that changes by the hour: that is asked
again at the moment itself (`preconditions`). A section that nobody supplied is empty, and a policy that requires
it (``requires``) blocks.

    schema model version tier prediction
    policy                   the one in force: by what the evidence was read
    artifact parity code environment
    data                     the training set as it is found now, its rows, batches and gate runs
    features                 service, definitions it learned from, and which were defined otherwise since
    metrics slices coverage  measured on its validation rows; untested_slices: too few rows to say
    champion                 the paired gain over what is live; slices_against_champion: by slice
    canary                   how it went beside the live version
    way_back rollback_plan   what prod returns to, and how
    lineage                  drops, batches, views, training set, run: digests
    open_risks               what the facts show, and what the owner declares
    evidence                 what checks concluded: subject, verdict, values, tool, report, time
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.application.lineage import brought, lineage
from tidegate.application.measured import against_champion, as_kept, evidence
from tidegate.application.platform import Platform
from tidegate.application.ports import StateReader
from tidegate.application.preconditions import taken_out_at
from tidegate.application.rehearse import CONSTANT, rehearse, takes_over, way_back_of
from tidegate.application.revisions import in_force
from tidegate.application.risks import open_risks
from tidegate.application.standing import canary_facts
from tidegate.domain.canonical import digest
from tidegate.domain.lifecycle import Lifecycle, WayBack
from tidegate.domain.state import BatchRow, FeatureViewRow, PolicyRow, TrainingSetRow, VersionRow

SCHEMA = "tg.packet/3"
#: Every section of a packet: what a policy may require.
SECTIONS = (
    *("schema", "model", "version", "tier", "prediction", "policy", "artifact", "data", "features"),
    *("metrics", "slices", "untested_slices", "coverage", "parity", "champion", "slices_against_champion"),
    *("canary", "way_back", "rollback_plan", "lineage", "code", "environment", "open_risks", "evidence"),
)


@dataclass(frozen=True)
class Gathered:
    """What was fetched and measured about one version, and the lifecycle it was measured against."""

    life: Lifecycle
    facts: dict[str, Any]
    way_back: WayBack
    datasets: tuple[str, ...]
    taken_out: tuple[datetime, ...]

    def fits(self, state: StateReader, life: Lifecycle, version: VersionRow) -> bool:
        """Say whether the facts still rest on what the ledger says: model, champion, policy, data, features, canary."""
        data = data_facts(state, version)
        return (
            _basis(self.life) == _basis(life)
            and {name: self.facts["data"].get(name) for name in data} == data
            and self.facts["policy"] == policy_facts(state)
            and self.facts["features"] == feature_facts(state, version)
            and self.facts["canary"] == canary_facts(state, version)
        )


def gather(platform: Platform, state: StateReader, life: Lifecycle, version: VersionRow) -> Gathered:
    """Measure what a promotion rests on. It reads other tools, so it is done before the transaction.

    Raises:
        DependencyFailed: the champion's artifact or the version's reference rows cannot be had, or no longer
            have their digest.
    """
    facts = packet_facts(platform, state, life, version)
    datasets = platform.models.spec(version.model).datasets
    way_back = rehearse(platform, state, life, version)
    return Gathered(life, facts, way_back, datasets, taken_out_at(platform.ledger, version.model))


def _basis(life: Lifecycle) -> tuple[str, str, VersionRow | None, VersionRow | None]:
    return life.model.tier, life.model.fallback, life.in_prod(), life.previous()


def packet_facts(
    platform: Platform, state: StateReader, life: Lifecycle, version: VersionRow
) -> dict[str, Any]:
    """Return the packet of a version as things stand.

    Raises:
        DependencyFailed: the champion's artifact or the version's reference rows cannot be had, or no longer
            have their digest.
    """
    facts = version.facts
    way_back = way_back_of(life, version)
    champion, slices = against_champion(platform, life, version)
    batches = brought(state, state.get(TrainingSetRow, version.training_set)).values()
    packet = {
        "schema": SCHEMA,
        "model": version.model,
        "version": version.number,
        "tier": life.model.tier,
        "prediction": facts["prediction"],
        "policy": policy_facts(state),
        "artifact": {"digest": version.artifact, "format": "onnx"},
        "data": data_facts(state, version) | as_kept(platform, version),
        "features": feature_facts(state, version),
        "metrics": facts["metrics"],
        "slices": facts["slices"],
        "untested_slices": facts.get("untested", {}),
        "coverage": facts["coverage"],
        "parity": _parity(facts["parity"]),
        "champion": champion,
        "slices_against_champion": slices,
        "canary": canary_facts(state, version),
        "way_back": {"kind": way_back.kind, "declared": way_back.name},
        "rollback_plan": rollback_plan(life, version),
        "lineage": lineage(state, version),
        "code": facts["code"],
        "environment": facts["environment"],
    }
    return packet | {
        "open_risks": open_risks(packet, facts.get("risks", []), batches),
        "evidence": evidence(state, version, packet["data"], batches),
    }


def policy_facts(state: StateReader) -> dict[str, str]:
    """Return which policy is in force.

    An approval names its digest as well (P3). Here it says by what the packet was read to whoever holds nothing
    but the packet.
    """
    rows = state.select(PolicyRow, in_force=True)
    return {"name": rows[0].name, "version": rows[0].version, "digest": rows[0].digest} if rows else {}


def data_facts(state: StateReader, version: VersionRow) -> dict[str, Any]:
    """Return what the ledger says of the data a version learned from, as they stand now."""
    training_set = state.get(TrainingSetRow, version.training_set)
    batches = training_set.batches if training_set else ()
    # By batch, not by drop: a second drop with the same rows is the same batch and changes no packet.
    gates = {row.batch: row.verdict for row in state.select(BatchRow) if row.batch in batches}
    verdicts = list(gates.values())
    restated = set(gates) - {row.batch for row in in_force(state)}
    return {
        "registered": version.training_set,
        "rows": version.facts["rows"],
        "batches": list(batches),
        "windows": training_set.windows if training_set else {},
        "gates": {verdict: verdicts.count(verdict) for verdict in ("passed", "failed", "error")},
        "restated": len(restated),
    }


def feature_facts(state: StateReader, version: VersionRow) -> dict[str, Any]:
    """Return the definitions a version learned from, and the views that were defined otherwise since."""
    learned = version.facts["features"]
    rows = {view: state.get(FeatureViewRow, view) for view in learned["definitions"]}
    consumed = learned.get("selected", rows)  # beside them there may be views of other models
    others = [
        view
        for view, row in rows.items()
        if row and view in consumed and row.definition != learned["definitions"][view]
    ]
    return {
        "service": learned["service"],
        "definitions": learned["definitions"],
        "redefined": sorted(others),
    }


def rollback_plan(life: Lifecycle, version: VersionRow) -> dict[str, Any]:
    """Return what prod returns to if this version must go, and by which command; nothing if there is nothing."""
    earlier, declared = takes_over(life, version), life.model.fallback
    if earlier is None and not declared.strip():
        return {}
    stop = "" if earlier else " --stop"
    return {
        "to": f"version {earlier.number}" if earlier else "fallback",
        "artifact": earlier.artifact if earlier else "",
        "command": f"tidegate rollback {version.model}{stop} --as … --reason …",
        "fallback": declared,
        "says": version.facts.get("base_rate") if declared.startswith(CONSTANT) else None,
    }


#: What people call the sections of a packet, where an approval is void because one of them changed.
_CALLED = {
    "artifact": "the artifact",
    "data": "the data",
    "features": "the feature definitions",
    "metrics": "the metrics",
    "slices": "the metrics by slice",
    "champion": "the comparison with the champion",
    "slices_against_champion": "the comparison with the champion",
    "canary": "the canary",
    "way_back": "the way back",
    "rollback_plan": "the way back",
    "tier": "the tier",
    "policy": "the policy",
}
#: The members of ``data`` that say what was read in the training set's file.
_KEPT = {"training_set", "unread", "registered", "erased"}
#: Sections that other sections make: named only where nothing else differs.
_DERIVED = {"open_risks", "evidence"}


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the sections in which two packets differ; a packet of another format differs as a whole."""
    if then.get("schema") != now.get("schema"):
        return ("the packet's format",)
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    names = [name for name in names if name not in _DERIVED] or names
    called = [each for name in names for each in _called(name, then.get(name), now.get(name))]
    return tuple(dict.fromkeys(called))


def _called(name: str, then: object, now: object) -> list[str]:
    if name == "data" and isinstance(then, Mapping) and isinstance(now, Mapping):
        others = {each for each in {**then, **now} if then.get(each) != now.get(each)}
        kept = ["the training set"] if others & _KEPT else []
        return kept + (["the data"] if others - _KEPT else [])
    return [_CALLED.get(name, f"the {name.replace('_', ' ')}")]


def packet_digest(facts: dict[str, Any]) -> str:
    """Return a packet's identity."""
    return digest(facts)


def _parity(evidence: dict[str, Any]) -> dict[str, Any]:
    measured = evidence["values"].get("max_abs_difference", {})
    return {
        "verdict": evidence["verdict"],
        "max_abs_difference": measured.get("value"),
        "n": measured.get("n", 0),
    }
