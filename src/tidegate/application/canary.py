"""A canary's analysis: the new version beside the live one on the same rows, once outcomes are known.

What it concludes is carried out at once: what fails is taken back and a person is asked to look (P5), what
holds, or may hold, is asked into prod, where the gate decides whether a person is needed. What waits for
labels waits: no label is never a success (`domain.rollout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.features import accepted, declared
from tidegate.application.ingest import period_window
from tidegate.application.lower import lower
from tidegate.application.moments import heard_by
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Comparison, Frame, Segment, StateReader, Transaction
from tidegate.application.promote import request
from tidegate.application.recording import draft, permit
from tidegate.application.standing import lifecycle, policy_in_force, scored_in_canary
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import LOSSES, Measure, Verdict
from tidegate.domain.lifecycle import Action, Lifecycle, Reason
from tidegate.domain.policy import Policy, Stage, Tier
from tidegate.domain.rollout import CanaryRule, CanaryVerdict, Standing, judge_canary
from tidegate.domain.state import ActorRow, CanaryRow, PromotionRow, ReviewRow, ScoringRow, VersionRow


@dataclass(frozen=True)
class Step:
    """What one analysis concluded, and what was done about it."""

    row: CanaryRow
    stage: str
    promotion: str = ""
    reasons: tuple[Reason, ...] = ()


def analyse(platform: Platform, acting: Acting, model: str) -> tuple[Step, ...]:
    """Analyse every version of a model that stands in canary, on every period it scored there.

    A period whose analysis has concluded is not analysed again; one that waits for labels, or could not be
    measured, is. Once a version has left canary its later periods are nobody's question any more.

    Raises:
        Refused: rule A1, or the policy says nothing about canaries of this tier. BadInput: no such model.
        DependencyFailed: decisions or outcomes are gone, or are no longer what the ledger names.
    """
    permit(platform, acting, Permission.ANALYSE, f"model/{model}")
    state = platform.ledger.state()
    life = lifecycle(state, model)
    standing = [row for row in life.versions.values() if row.stage == Stage.CANARY]
    if not standing:
        return ()
    rule = _rule(policy_in_force(platform, state), life)
    return tuple(step for version in standing for step in _steps(platform, acting, version, rule))


def _steps(platform: Platform, acting: Acting, version: VersionRow, rule: CanaryRule) -> Iterator[Step]:
    for scoring in scored_in_canary(platform.ledger.state(), version):
        life = lifecycle(platform.ledger.state(), version.model)
        if life.versions[version.number].stage != Stage.CANARY:
            return
        yield _carried_out(platform, acting, _analysed(platform, acting, life, rule, scoring))


def _rule(policy: Policy, life: Lifecycle) -> CanaryRule:
    rule = policy.rollout.get(Tier(life.model.tier))
    if rule is None:
        raise Refused(
            "no-rollout-rule",
            f"got no rollout rule for tier {life.model.tier} in policy {policy.name} {policy.version}, expected one",
            "write rollout into the policy: what nothing judges never rises",
        )
    return rule


def _analysed(
    platform: Platform, acting: Acting, life: Lifecycle, rule: CanaryRule, scoring: ScoringRow
) -> CanaryRow:
    state = platform.ledger.state()
    spec = platform.models.spec(scoring.model)
    files, _ = accepted(platform, state, None)
    known = state.get(CanaryRow, scoring.model, scoring.version, scoring.period)
    known_by = heard_by(platform.clock.now(), known.occurred_at if known else None)
    window = period_window(scoring.period)
    outcomes = platform.entities.outcomes(spec, files, declared(platform), window, known_by)
    concluded = known is not None and known.standing != Standing.WAITS and known.sequence > scoring.sequence
    if known is not None and concluded and known.analysis["outcomes"] == outcomes.digest:
        return known  # on other outcomes, late or restated ones, it is judged once more
    while True:
        payload = _measured(platform, life, rule, scoring, outcomes, known_by)
        with platform.ledger.transaction() as tx:
            now = lifecycle(tx, scoring.model)
            if now.in_prod() == life.in_prod():
                return _recorded(platform, acting, tx, payload)
        life = now  # another version went live while it was compared with the one before


def _measured(
    platform: Platform,
    life: Lifecycle,
    rule: CanaryRule,
    scoring: ScoringRow,
    outcomes: Frame,
    known_by: datetime,
) -> dict[str, Any]:
    state, live = platform.ledger.state(), life.in_prod()
    spec = platform.models.spec(scoring.model)
    baseline = _baseline(platform, state, life, scoring)
    if baseline is None:
        found = Comparison(scoring.rows, 0, 0, LOSSES[spec.prediction], None, None, None, None)
        verdict = _nothing_beside(scoring, live)
    else:
        beside = _beside(state, scoring, live)
        found = platform.monitors.compare(
            spec,
            _segment(platform, scoring),
            baseline,
            outcomes,
            known_by,
            within=beside is not None and beside.rows < beside.of,
        )
        verdict = judge_canary(rule, found.rows, found.labelled, found.days, found.gain, found.baseline_loss)
    return {
        "model": scoring.model,
        "version": scoring.version,
        "period": scoring.period,
        "baseline": live.number if live else 0,
        "verdict": str(verdict.verdict),
        "standing": str(verdict.standing),
        "sentence": verdict.sentence,
        "analysis": {
            **analysis_facts(rule, found, verdict, scoring.root, outcomes.digest),
            "tool": platform.monitors.tool,
        },
    }


def _recorded(platform: Platform, acting: Acting, tx: Transaction, payload: dict[str, Any]) -> CanaryRow:
    """Write an analysis that says something new, and ask a person to look where it says nothing good."""
    about = {name: payload[name] for name in ("model", "version", "period")}
    place = (payload["model"], payload["version"], payload["period"])
    before = tx.get(CanaryRow, *place)
    if before is not None and all(getattr(before, name) == value for name, value in payload.items()):
        return before
    failed = payload["verdict"] in {Verdict.FAILED, Verdict.ERROR}
    asked = tx.select(ReviewRow, **about, status="open")  # what cannot be measured is looked at once
    fresh = f"R-{len(tx.select(ReviewRow)) + 1}" if failed and not asked else ""
    review = fresh or (asked[0].id if failed else "")
    stream = f"model/{payload['model']}"
    event = tx.append(draft(acting, EventType.CANARY_ANALYSED, stream, {**payload, "review": review}))
    if fresh:
        rule = policy_in_force(platform, tx).review
        opened = {
            "id": fresh,
            **about,
            "kind": "finding",
            "cause": f"canary {payload['verdict']}: {payload['sentence']}",
            "role": rule.role,
            "due_at": utc_text(platform.clock.now() + timedelta(days=rule.due_days)),
        }
        tx.append(draft(acting, EventType.REVIEW_OPENED, stream, opened, causation=event.sequence))
    row = tx.get(CanaryRow, *place)
    assert row is not None  # the fold of the event just appended
    return row


def analysis_facts(
    rule: CanaryRule, found: Comparison, verdict: CanaryVerdict, root: str, outcomes: str
) -> dict[str, Any]:
    """Return what the ledger keeps of one analysis."""

    def shown(measure: Measure | None) -> Mapping[str, object] | None:
        return measure.as_dict() if measure else None

    return {
        "rows": found.rows,
        "labelled": found.labelled,
        "labelled_share": round(found.labelled / found.rows, 6) if found.rows else 0.0,
        "days": found.days,
        "loss": found.loss,
        "gain": shown(found.gain),
        "candidate_loss": shown(found.candidate_loss),
        "baseline_loss": shown(found.baseline_loss),
        "calibration_gap": shown(found.calibration_gap),
        "rule": verdict.rule,
        "asked": {"labelled_share": rule.labelled_share, "days": rule.days, "may_lose": rule.may_lose},
        "decisions": root,
        "outcomes": outcomes,
    }


def _baseline(
    platform: Platform, state: StateReader, life: Lifecycle, scoring: ScoringRow
) -> Segment | float | None:
    """Return what the candidate is compared with: the live version's decisions, else the declared fallback.

    It is the version that is live now, wherever it stood when it scored: to hold beside one that was
    replaced, or rolled back, since says nothing. None: it did not score these very rows.
    """
    live = life.in_prod()
    if live is None:
        return float(life.versions[scoring.version].facts["base_rate"])
    row = _beside(state, scoring, live)
    return _segment(platform, row) if row is not None and row.entities == scoring.entities else None


def _beside(state: StateReader, scoring: ScoringRow, live: VersionRow | None) -> ScoringRow | None:
    """Return what the live version decided of the same period."""
    return state.get(ScoringRow, scoring.model, scoring.period, live.number) if live else None


def _nothing_beside(scoring: ScoringRow, live: VersionRow | None) -> CanaryVerdict:
    """One period without anything to compare with stands in no other period's way."""
    number = live.number if live else 0
    sentence = (
        f"got no decisions of version {number}, which is live, on the {scoring.rows} rows that were scored, "
        "expected both to score the same rows: it waits for a period that both score"
    )
    return CanaryVerdict(Verdict.INCONCLUSIVE, Standing.WAITS, "V1", sentence)


def _segment(platform: Platform, row: ScoringRow) -> Segment:
    return Segment(row.root, platform.frames / "scores" / row.file, row.rows)


def _carried_out(platform: Platform, acting: Acting, row: CanaryRow) -> Step:
    """Do what the analysis concluded, unless it was done: a version that has moved is left alone."""
    life = lifecycle(platform.ledger.state(), row.model, row.version)
    stage = life.versions[row.version].stage
    if stage != Stage.CANARY or row.standing == Standing.WAITS:
        return Step(row, stage)
    # One analysis is carried out once, a refusal included, however often a killed run starts again.
    once = replace(acting, key=f"canary/{row.sequence}")
    if row.verdict == Verdict.FAILED:
        outcome = lower(
            platform,
            once,
            row.model,
            Action.DEMOTE,
            f"Canary: {row.sentence}.",
            row.version,
            Stage.CANDIDATE,
        )
        return Step(row, outcome.stage)
    asking = replace(once, on_behalf_of=_asked_for(platform.ledger.state(), row) or None)
    try:
        asked = request(platform, asking, row.model, row.version, Stage.PROD)
    except Refused as refusal:
        reasons = tuple(Reason(**reason) for reason in _told(refusal))
        return Step(row, stage, "", reasons)
    return Step(row, asked.stage, asked.promotion, asked.waits)


def _told(refusal: Refused) -> list[dict[str, str]]:
    found: Any = refusal.data.get("reasons", [])
    return list(found)


def _asked_for(state: StateReader, row: CanaryRow) -> str:
    """Return the person who asked the version into canary, themselves or through a service (P4)."""
    asked = state.select(
        PromotionRow, model=row.model, version=row.version, target=str(Stage.CANARY), status="applied"
    )
    if not asked:
        return ""
    last = max(asked, key=lambda each: each.sequence)
    requester = state.get(ActorRow, last.requester)
    return last.requester if requester is not None and requester.kind == "person" else last.on_behalf_of
