"""Score a period: with the live version, and with whatever stands in canary beside it."""

from __future__ import annotations

from tidegate.application.features import accepted, declared, trusted
from tidegate.application.ingest import period_window
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Frame, ModelSpec
from tidegate.application.recording import draft, permit
from tidegate.application.standing import lifecycle
from tidegate.domain.actors import Permission
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.policy import Stage
from tidegate.domain.state import ScoringRow, VersionRow

#: Who scores: the live version's answer is the one that counts, a canary's is kept to be compared.
SCORING = (Stage.PROD, Stage.CANARY)


def score(platform: Platform, acting: Acting, model: str, period: str) -> tuple[ScoringRow, ...]:
    """Score every row of a period, on features as they were known at each row's time; live version first.

    All versions score the same frame. Each artifact is loaded by its verified digest. What a version has
    scored it does not score again; one that moved meanwhile is asked about once more, where it stands then.

    Raises:
        Refused: rule A1, or nothing stands in prod or canary. BadInput: no such model, or a malformed period.
        DependencyFailed: the registry's artifact no longer has its digest.
    """
    spec = platform.models.spec(model)  # first: what is no model's name never enters the record
    permit(platform, acting, Permission.SCORE, f"model/{model}")
    frame: Frame | None = None
    while True:
        versions = _standing(platform, model)
        state = platform.ledger.state()
        known = {version.number: state.get(ScoringRow, model, period, version.number) for version in versions}
        missing = [version for version in versions if known[version.number] is None]
        if not missing:
            return tuple(row for row in known.values() if row is not None)
        frame = frame or _frame(platform, spec, period)
        for version in missing:
            _score(platform, acting, spec, version, frame, period)


def _standing(platform: Platform, model: str) -> list[VersionRow]:
    life = lifecycle(platform.ledger.state(), model)
    versions = [row for stage in SCORING for row in life.versions.values() if row.stage == stage]
    if not versions:
        raise Refused(
            "nothing-to-score-with",
            f"got no version of `{model}` in prod or canary, expected one to score with",
            f"promote one: tidegate promote {model} VERSION",
        )
    return versions


def _frame(platform: Platform, spec: ModelSpec, period: str) -> Frame:
    state = platform.ledger.state()
    files, _ = accepted(platform, state, None)
    entities = platform.entities.frame(spec, files, declared(platform), period_window(period))
    if entities.rows == 0:
        raise Refused(
            "nothing-to-score", f"got no row of `{spec.name}` in {period}, expected some", "ingest its drop"
        )
    trusted(platform, state)
    return platform.features.training_frame(entities, spec.service, keep=entities.columns)


def _score(
    platform: Platform, acting: Acting, spec: ModelSpec, version: VersionRow, frame: Frame, period: str
) -> None:
    """Score with one version, and record it unless it has left the stage that it scored for."""
    artifact = platform.registry.fetch(spec.name, version.number, version.artifact)
    segment = platform.scorer.score(artifact, version.artifact, spec, frame, platform.frames / "scores")
    payload = {
        "model": spec.name,
        "period": period,
        "version": version.number,
        "artifact": version.artifact,
        "entities": frame.digest,
        "rows": segment.records,
        "root": segment.root,
        "file": segment.path.name,
        "stage": version.stage,
    }
    with platform.ledger.transaction() as tx:
        still = tx.get(VersionRow, spec.name, version.number)
        stands = still is not None and still.stage == version.stage
        if stands and tx.get(ScoringRow, spec.name, period, version.number) is None:
            tx.append(draft(acting, EventType.DECISIONS_SCORED, f"model/{spec.name}", payload))
