"""What is measured of a version when its packet is gathered, and the evidence that its checks have yielded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tidegate.application.erased import left_of
from tidegate.application.platform import Platform
from tidegate.application.ports import Frame, StateReader
from tidegate.application.standing import canary_row
from tidegate.domain.errors import TidegateError
from tidegate.domain.evidence import LOSSES, Evidence, Measure, Verdict, worst
from tidegate.domain.lifecycle import Lifecycle
from tidegate.domain.state import BatchRow, VersionRow


def against_champion(
    platform: Platform, life: Lifecycle, version: VersionRow
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compare a version with the one in prod on its own validation rows, overall and by slice.

    Version 0 means there is none. Of slices nothing is said where the model declares none.

    Raises:
        DependencyFailed: the champion's artifact or the version's reference rows cannot be had, or no longer
            have their digest.
    """
    champion = life.in_prod()
    if champion is None or champion.number == version.number:
        return {"version": 0}, {"champion": 0, "gains": {}}
    spec = platform.models.spec(version.model)
    artifact = platform.registry.fetch(champion.model, champion.number, champion.artifact)
    reference = judged_on(platform, version)
    gains = platform.trainer.compare(spec, reference, artifact, champion.artifact)
    loss = LOSSES[spec.prediction]
    own = version.facts["metrics"][loss]["value"]
    overall = {
        "version": champion.number,
        "loss": loss,
        "gain": gains.overall.as_dict(),
        # Both are measured on the same rows, so the champion's loss is the version's own plus what it gained.
        "champion_loss": None if own is None else own + gains.overall.value,
    }
    slices = {name: gain.as_dict() for name, gain in sorted(gains.slices.items())}
    return overall, {"champion": champion.number, "gains": slices} if slices else {}


def judged_on(platform: Platform, version: VersionRow) -> Frame:
    """Find the rows that a version was judged on, or what is left of them.

    Raises:
        DependencyFailed: they are gone or damaged.
    """
    artifact, state = version.artifact, platform.ledger.state()
    digest, _ = left_of(state, "reference", version.facts["reference"], artifact.rpartition(":")[2])
    return platform.trainer.reference(artifact, digest)


def as_kept(platform: Platform, version: VersionRow) -> dict[str, Any]:
    """Read what a version learned from once more, in full, and return the digest that it has now.

    Where rows were erased from it, and exactly those, it counts as what it was. Where it cannot be read there is no
    digest: nothing was measured, and the sentence says why.
    """
    left, gone = left_of(platform.ledger.state(), "frame", version.training_set)
    try:
        found = platform.features.reread(left)
    except TidegateError as error:
        return {"training_set": None, "unread": error.sentence}
    whole = version.training_set if found == left else found
    return {"training_set": whole, **({"erased": {"rows": gone, "left": left}} if gone else {})}


def evidence(
    state: StateReader, version: VersionRow, data: Mapping[str, Any], batches: Iterable[BatchRow]
) -> list[dict[str, object]]:
    """Return what checks concluded about a version, each with its subject, tool, values and time.

    What is only measured (metrics, slices, gains) is no verdict: a policy makes one of it.
    """
    parity = {"report": "", "at": "", **version.facts["parity"]}  # the first versions told neither
    found = [*_training_set(data), *_gates(data, list(batches)), *_canary(state, version)]
    return [parity, *(each.as_dict() for each in found)]


def _training_set(data: Mapping[str, Any]) -> Iterator[Evidence]:
    """Absence is not a verdict: a training set that is gone yields no evidence."""
    found, registered = data["training_set"], data["registered"]
    if found is None:
        return
    same, erased = found == registered, data.get("erased", {"rows": 0})
    sentence = "it holds the rows that it was registered with" if same else f"it holds other rows: {found}"
    if same and erased["rows"]:
        sentence += f", but for {erased['rows']} that were erased since"
    verdict = Verdict.PASSED if same else Verdict.FAILED
    rows = {"rows": Measure(float(data["rows"]), data["rows"])}
    yield Evidence("training_set", f"training set {registered}", verdict, sentence, "tg1", rows)


def _gates(data: Mapping[str, Any], batches: list[BatchRow]) -> Iterator[Evidence]:
    if not batches:
        return
    read = sum(row.read for row in batches)
    kept = Measure(float(sum(row.quarantined for row in batches)), read)
    passed = sum(1 for row in batches if row.verdict == Verdict.PASSED)
    yield Evidence(
        "data_gates",
        f"training set {data['registered']}",
        worst(Verdict(row.verdict) for row in batches),
        f"{passed} of {len(batches)} batches passed their gate",
        ", ".join(sorted({row.report["tool"] for row in batches if row.report.get("tool")})),
        {"quarantined": kept},
        at=max(row.occurred_at for row in batches),
    )


def _canary(state: StateReader, version: VersionRow) -> Iterator[Evidence]:
    row = canary_row(state, version)
    if row is None:
        return
    gain = row.analysis["gain"]
    names = ("value", "n", "low", "high", "method")
    told = gain is not None and gain["value"] is not None
    values = {"gain": Measure(**{name: gain[name] for name in names})} if told else {}
    subject, tool = f"decisions {row.analysis['decisions']}", row.analysis.get("tool", "")
    verdict, report = Verdict(row.verdict), row.analysis["outcomes"]
    yield Evidence("canary", subject, verdict, row.sentence, tool, values, report, row.occurred_at)
