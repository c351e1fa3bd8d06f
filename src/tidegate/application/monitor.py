"""Compare a period's decisions with what came of them, and ask a person where the verdict says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.application.features import accepted, declared
from tidegate.application.ingest import period_window
from tidegate.application.measured import judged_on
from tidegate.application.moments import heard_by
from tidegate.application.periods import watched
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Frame, ModelSpec, MonitorResult, Segment
from tidegate.application.recording import draft, permit
from tidegate.application.standing import lifecycle, policy_in_force
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.schedule import period_before
from tidegate.domain.state import MonitorRow, ReviewRow


def monitor(platform: Platform, acting: Acting, model: str, period: str) -> MonitorRow:
    """Run the model's monitor on a scored period; open a review where the policy's rule asks for one.

    A period that was monitored on these very outcomes is not monitored again: labels that come late, become
    known or are restated are looked at once more. The live version's decisions are looked at, never a canary's.

    Raises:
        Refused: rule A1; the period was not scored, or what was monitored before cannot be read any more by
            the present declaration. BadInput: no such model, a malformed monitor file.
        DependencyFailed: decisions or reference rows are gone, or are no longer what the ledger names.
    """
    spec = platform.models.spec(model)  # first: what is no model's name never enters the record
    permit(platform, acting, Permission.MONITOR, f"model/{model}")
    state = platform.ledger.state()
    life = lifecycle(state, model)
    scoring = next((row for row in watched(state, model) if row.period == period), None)
    if scoring is None:
        raise _not_scored(model, period)
    version = life.versions[scoring.version]
    files, _ = accepted(platform, state, None)
    known = state.get(MonitorRow, model, period, scoring.version)
    known_by = heard_by(platform.clock.now(), known.occurred_at if known else None)
    outcomes = _outcomes(platform, spec, files, period, known_by)
    if known is not None and known.outcomes == outcomes.digest:
        return known
    try:
        result = platform.monitors.run(
            spec,
            Segment(scoring.root, platform.frames / "scores" / scoring.file, scoring.rows),
            judged_on(platform, version),
            outcomes,
            known_by,
            f"{model}-{period}-v{scoring.version}",
        )
    except BadInput as fault:
        if known is None:
            raise
        # Nobody can mend decisions that a later declaration does not fit: what was found of them stays.
        raise Refused(
            "no-longer-monitored",
            f"{period} of `{model}` was monitored before its outcomes changed and is not again: {fault.sentence}",
            fault.hint,
        ) from fault
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


def to_monitor(platform: Platform, model: str, by: datetime) -> tuple[str, ...]:
    """Return the periods over at ``by`` that were never monitored, or whose outcomes changed since, in their order.

    Raises:
        Refused: there is none, and the month before was not scored. BadInput: no such model.
        DependencyFailed: a batch is gone or was altered.
    """
    spec, state = platform.models.spec(model), platform.ledger.state()
    scorings = [row for row in watched(state, model) if period_window(row.period)[1] <= by]
    files = accepted(platform, state, None)[0] if scorings else {}
    found = []
    for row in scorings:
        known = state.get(MonitorRow, model, row.period, row.version)
        if known is not None:
            known_by = heard_by(platform.clock.now(), known.occurred_at)
            if known.outcomes == _outcomes(platform, spec, files, row.period, known_by).digest:
                continue
        found.append(row.period)
    if not found and (month := period_before(by)) not in {row.period for row in scorings}:
        raise _not_scored(model, month)
    return tuple(found)


def _outcomes(
    platform: Platform, spec: ModelSpec, files: Mapping[str, list[Path]], period: str, known_by: datetime
) -> Frame:
    return platform.entities.outcomes(spec, files, declared(platform), period_window(period), known_by)


def _not_scored(model: str, period: str) -> Refused:
    return Refused(
        "not-scored", f"got no decisions of `{model}` in {period}, expected some", "score the period first"
    )


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
