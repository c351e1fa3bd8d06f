"""Compare a period's decisions with what came of them, and ask a person where the verdict says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tidegate.application.features import accepted, declared
from tidegate.application.ingest import period_window
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import MonitorResult, Segment
from tidegate.application.recording import draft, permit
from tidegate.application.standing import lifecycle, policy_in_force
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import Stage
from tidegate.domain.state import MonitorRow, ReviewRow, ScoringRow


def monitor(platform: Platform, acting: Acting, model: str, period: str) -> MonitorRow:
    """Run the model's monitor on a scored period; open a review where the policy's rule asks for one.

    A period that was monitored on these very outcomes is not monitored again: labels that come late, or are
    restated, are looked at once more. The live version's decisions are looked at, never a canary's.

    Raises:
        Refused: rule A1, or the period was not scored. BadInput: no such model, a malformed monitor file.
        DependencyFailed: decisions or reference rows are gone, or are no longer what the ledger names.
    """
    spec = platform.models.spec(model)  # first: what is no model's name never enters the record
    permit(platform, acting, Permission.MONITOR, f"model/{model}")
    state = platform.ledger.state()
    life = lifecycle(state, model)
    scorings = state.select(ScoringRow, model=model, period=period, stage=str(Stage.PROD))
    if not scorings:
        raise Refused(
            "not-scored",
            f"got no decisions of `{model}` in {period}, expected some",
            "score the period first",
        )
    scoring = max(scorings, key=lambda row: row.sequence)
    version = life.versions[scoring.version]
    files, _ = accepted(platform, state, None)
    outcomes = platform.entities.frame(spec, files, declared(platform), period_window(period))
    known = state.get(MonitorRow, model, period, scoring.version)
    if known is not None and known.outcomes == outcomes.digest:
        return known
    result = platform.monitors.run(
        spec,
        Segment(scoring.root, platform.frames / "scores" / scoring.file, scoring.rows),
        platform.trainer.reference(version.artifact, version.facts["reference"]),
        outcomes,
        platform.clock.now(),
        f"{model}-{period}-v{scoring.version}",
    )
    payload = {
        "model": model,
        "period": period,
        "version": scoring.version,
        "verdict": str(result.verdict),
        "evidence": evidence_facts(result, platform.monitors.tool),
        "report": result.report_digest,
        "outcomes": outcomes.digest,
    }
    with platform.ledger.transaction() as tx:
        now_known = tx.get(MonitorRow, model, period, scoring.version)
        if now_known is None or now_known.outcomes != outcomes.digest:
            rule = policy_in_force(platform, tx).review
            asked = tx.select(ReviewRow, model=model, period=period, version=scoring.version, status="open")
            wanted = (
                result.verdict in rule.on and not asked
            )  # what a person is to look at already is asked once
            review = f"R-{len(tx.select(ReviewRow)) + 1}" if wanted else ""
            ran = tx.append(
                draft(acting, EventType.MONITOR_RAN, f"model/{model}", {**payload, "review": review})
            )
            if review:
                opened = {
                    "id": review,
                    "model": model,
                    "period": period,
                    "version": scoring.version,
                    "kind": "finding",
                    "cause": cause(result),
                    "role": rule.role,
                    "due_at": utc_text(platform.clock.now() + timedelta(days=rule.due_days)),
                }
                tx.append(
                    draft(acting, EventType.REVIEW_OPENED, f"model/{model}", opened, causation=ran.sequence)
                )
        row = tx.get(MonitorRow, model, period, scoring.version)
    assert row is not None  # the fold of the event just appended
    return row


def cause(result: MonitorResult) -> str:
    """Return what a review is about: every binding piece of evidence that did not pass, in one line."""
    open_points = [each for each in result.evidence if each.verdict is not Verdict.PASSED]
    return "; ".join(f"{each.kind} {each.verdict}: {each.sentence}" for each in open_points)


def evidence_facts(result: MonitorResult, tool: str) -> dict[str, Any]:
    """Return what the ledger keeps of a monitor run."""
    return {
        "tool": tool,
        "binding": [each.as_dict() for each in result.evidence],
        "information": [each.as_dict() for each in result.information],
    }
