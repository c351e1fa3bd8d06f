"""Score a period with the version in prod."""

from __future__ import annotations

from tidegate.application.features import accepted, declared, trusted
from tidegate.application.ingest import period_window
from tidegate.application.platform import Acting, Platform
from tidegate.application.promote import lifecycle
from tidegate.application.recording import draft, permit
from tidegate.domain.actors import Permission
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.state import ScoringRow


def score(platform: Platform, acting: Acting, model: str, period: str) -> ScoringRow:
    """Score every row of a period with the prod version, on features as they were known at each row's time.

    The artifact is loaded by its verified digest. A period this version has scored is not scored again.

    Raises:
        Refused: rule A1, or nothing is in prod. BadInput: no such model, or a malformed period.
        DependencyFailed: the registry's artifact no longer has its digest.
    """
    spec = platform.models.spec(model)  # first: what is no model's name never enters the record
    permit(platform, acting, Permission.SCORE, f"model/{model}")
    state = platform.ledger.state()
    current = lifecycle(state, model).in_prod()
    if current is None:
        raise Refused(
            "nothing-in-prod",
            f"got no version of `{model}` in prod, expected one to score with",
            f"promote one: tidegate promote {model} VERSION",
        )
    known = state.get(ScoringRow, model, period, current.number)
    if known is not None:
        return known
    files, _ = accepted(platform, state, platform.clock.now())
    entities = platform.entities.frame(spec, files, declared(platform), period_window(period))
    if entities.rows == 0:
        raise Refused(
            "nothing-to-score", f"got no row of `{model}` in {period}, expected some", "ingest its drop"
        )
    trusted(platform, state)
    frame = platform.features.training_frame(entities, spec.service, keep=entities.columns)
    artifact = platform.registry.fetch(model, current.number, current.artifact)
    segment = platform.scorer.score(artifact, current.artifact, spec, frame, platform.frames / "scores")
    payload = {
        "model": model,
        "period": period,
        "version": current.number,
        "artifact": current.artifact,
        "entities": frame.digest,
        "rows": segment.records,
        "root": segment.root,
        "file": segment.path.name,
    }
    with platform.ledger.transaction() as tx:
        if tx.get(ScoringRow, model, period, current.number) is None:
            tx.append(draft(acting, EventType.DECISIONS_SCORED, f"model/{model}", payload))
        row = tx.get(ScoringRow, model, period, current.number)
    assert row is not None  # the fold of the event just appended
    return row
