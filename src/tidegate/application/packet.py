"""Seal the packet: everything known about a version, under one digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tidegate.application.platform import Platform
from tidegate.application.ports import StateReader
from tidegate.application.preconditions import taken_out_at
from tidegate.application.revisions import in_force
from tidegate.application.standing import canary_facts
from tidegate.domain.canonical import digest, utc_text
from tidegate.domain.errors import TidegateError
from tidegate.domain.evidence import LOSSES
from tidegate.domain.lifecycle import Lifecycle, WayBack
from tidegate.domain.state import BatchRow, TrainingSetRow, VersionRow

SCHEMA = "tg.packet/2"


@dataclass(frozen=True)
class Gathered:
    """What was fetched and measured about one version, and the lifecycle it was measured against."""

    life: Lifecycle
    facts: dict[str, Any]
    way_back: WayBack
    datasets: tuple[str, ...]
    taken_out: tuple[datetime, ...]

    def fits(self, state: StateReader, life: Lifecycle, version: VersionRow) -> bool:
        """Say whether the facts still rest on what is there: tier, fallback, champion, way back, data, canary."""
        return (
            _basis(self.life) == _basis(life)
            and self.facts["data"] == data_facts(state, version)
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
    way_back = tried(platform, life, version)
    return Gathered(life, facts, way_back, datasets, taken_out_at(platform.ledger, version.model))


def _basis(life: Lifecycle) -> tuple[str, str, VersionRow | None, VersionRow | None]:
    return life.model.tier, life.model.fallback, life.in_prod(), life.previous()


def packet_facts(
    platform: Platform, state: StateReader, life: Lifecycle, version: VersionRow
) -> dict[str, Any]:
    """Return the packet of a version as things stand: evidence, lineage, champion, way back.

    Raises:
        DependencyFailed: the champion's artifact or the version's reference rows cannot be had, or no longer
            have their digest.
    """
    facts = version.facts
    way_back = way_back_of(life, version)
    return {
        "schema": SCHEMA,
        "model": version.model,
        "version": version.number,
        "tier": life.model.tier,
        "prediction": facts["prediction"],
        "artifact": {"digest": version.artifact, "format": "onnx"},
        "data": data_facts(state, version),
        "features": facts["features"],
        "metrics": facts["metrics"],
        "slices": facts["slices"],
        "coverage": facts["coverage"],
        "parity": _parity(facts["parity"]),
        "champion": champion_facts(platform, life, version),
        "canary": canary_facts(state, version),
        "way_back": {"kind": way_back.kind, "declared": way_back.name},
        "code": facts["code"],
        "environment": facts["environment"],
    }


def data_facts(state: StateReader, version: VersionRow) -> dict[str, Any]:
    """Return what the packet says of the data a version learned from, as they stand now."""
    training_set = state.get(TrainingSetRow, version.training_set)
    batches = training_set.batches if training_set else ()
    # By batch, not by drop: a second drop with the same rows is the same batch and changes no packet.
    gates = {row.batch: row.verdict for row in state.select(BatchRow) if row.batch in batches}
    verdicts = list(gates.values())
    restated = set(gates) - {row.batch for row in in_force(state)}
    return {
        "training_set": version.training_set,
        "rows": version.facts["rows"],
        "batches": list(batches),
        "windows": training_set.windows if training_set else {},
        "gates": {verdict: verdicts.count(verdict) for verdict in ("passed", "failed", "error")},
        "restated": len(restated),
    }


#: What people call the sections of a packet, where an approval is void because one of them changed.
_CALLED = {
    "artifact": "the artifact",
    "data": "the data",
    "features": "the feature definitions",
    "metrics": "the metrics",
    "slices": "the metrics by slice",
    "champion": "the comparison with the champion",
    "canary": "the canary",
    "way_back": "the way back",
    "tier": "the tier",
}


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the sections in which two packets differ; a packet of another format differs as a whole."""
    if then.get("schema") != now.get("schema"):
        return ("the packet's format",)
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return tuple(_CALLED.get(name, f"the {name.replace('_', ' ')}") for name in names)


def packet_digest(facts: dict[str, Any]) -> str:
    """Return a packet's identity."""
    return digest(facts)


def way_back_of(life: Lifecycle, version: VersionRow) -> WayBack:
    """Return what prod returns to if this version must go: an earlier version, else the declared fallback."""
    earlier = _earlier(life, version)
    if earlier is not None:
        return WayBack("version", f"version {earlier.number}", verified=False)
    return WayBack("fallback", life.model.fallback, verified=False)


def tried(platform: Platform, life: Lifecycle, version: VersionRow) -> WayBack:
    """Try the way back: an earlier version must load by its digest, a fallback must be declared.

    What goes wrong is an answer, not an error: an untried way back blocks prod (rule P8).
    """
    way_back, earlier = way_back_of(life, version), _earlier(life, version)
    way_back = replace(way_back, at=utc_text(platform.clock.now()))
    if earlier is None:
        declared = bool(way_back.name.strip())
        step = f"the fallback is declared: {way_back.name}" if declared else "no fallback is declared"
        return replace(way_back, verified=declared, steps=(step,))
    try:
        platform.registry.fetch(earlier.model, earlier.number, earlier.artifact)
    except TidegateError as error:
        return replace(way_back, steps=(error.sentence,))
    return replace(way_back, verified=True, steps=(f"{way_back.name} loads by its digest",))


def _earlier(life: Lifecycle, version: VersionRow) -> VersionRow | None:
    """Return the version that takes over if this one must go."""
    current = life.in_prod()
    return current if current is not None and current.number != version.number else life.previous()


def champion_facts(platform: Platform, life: Lifecycle, version: VersionRow) -> dict[str, Any]:
    """Compare a version with the one in prod on its own validation rows; version 0 means there is none."""
    champion = life.in_prod()
    if champion is None or champion.number == version.number:
        return {"version": 0}
    spec = platform.models.spec(version.model)
    artifact = platform.registry.fetch(champion.model, champion.number, champion.artifact)
    reference = platform.trainer.reference(version.artifact, version.facts["reference"])
    gain = platform.trainer.compare(spec, reference, artifact, champion.artifact)
    loss = LOSSES[spec.prediction]
    own = version.facts["metrics"][loss]["value"]
    # Both are measured on the same rows, so the champion's loss is the version's own plus what it gained.
    return {
        "version": champion.number,
        "loss": loss,
        "gain": gain.as_dict(),
        "champion_loss": None if own is None else own + gain.value,
    }


def _parity(evidence: dict[str, Any]) -> dict[str, Any]:
    measured = evidence["values"].get("max_abs_difference", {})
    return {
        "verdict": evidence["verdict"],
        "max_abs_difference": measured.get("value"),
        "n": measured.get("n", 0),
    }
