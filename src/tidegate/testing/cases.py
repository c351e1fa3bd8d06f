"""A promotion that nothing speaks against, to be spoilt in one point: what tests of the heart start from.

Version 2 of one model is under test; version 1 is in prod, or was replaced where version 2 stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Act, Action, Decision, Dossier, Lifecycle, WayBack
from tidegate.domain.policy import BreakGlass, Demand, Finding, Gate, Need, Policy, ReviewRule, Stage, Tier
from tidegate.domain.promotion import decide
from tidegate.domain.rollout import CanaryRule
from tidegate.domain.state import (
    ActorRow,
    ApprovalRow,
    DelegationRow,
    ModelRow,
    PromotionRow,
    ReviewRow,
    VersionRow,
)

MODEL = "tram_delay"
NOW = datetime(2020, 1, 1, tzinfo=UTC)
LADDER = (Stage.CANDIDATE, Stage.STAGING, Stage.CANARY, Stage.PROD)

#: (id, roles). `p-2` trains and requests, `p-3` and `p-4` approve, `p-5` operates, `s-1` trains for others.
ACTORS = (
    ("p-1", ("administrator",)),
    ("p-2", ("data_scientist",)),
    ("p-3", ("approver",)),
    ("p-4", ("approver",)),
    ("p-5", ("operator",)),
    ("p-6", ("reviewer",)),
    ("s-1", ("training_service",)),
    ("s-2", ("monitor_service",)),
    ("s-3", ("ingest_service",)),
    ("s-4", ("rollout_service",)),
    ("s-5", ("feature_service",)),
    ("s-6", ("scoring_service",)),
)

#: Who usually does what.
USUAL: Mapping[Action, str] = {
    Action.PROMOTE: "p-2",
    Action.APPROVE: "p-3",
    Action.REJECT: "p-3",
    Action.REVOKE: "p-3",
    Action.BREAK_GLASS: "p-5",
    Action.ROLL_BACK: "p-5",
    Action.STOP: "p-5",
    Action.DEMOTE: "p-5",
    Action.RETIRE: "p-5",
}

DEMANDS: Mapping[Stage, Demand] = {
    Stage.STAGING: Demand("safe", "scores as its estimator does", 'packet.parity.verdict == "passed"'),
    Stage.CANARY: Demand(
        "calibrated",
        "its calibration gap is at most 0.1",
        "packet.metrics.calibration_gap.value <= 0.1",
        "packet.metrics.calibration_gap.low <= 0.1",
    ),
    Stage.PROD: Demand(
        "not_worse",
        "it loses at most 0.005 of Brier score against the champion",
        "packet.champion.version == 0 || packet.champion.gain.low >= -0.005",
        "packet.champion.version != 0 && packet.champion.gain.high >= -0.005",
    ),
}

#: What a gate into prod demands beside where a canary must have held.
CANARY_HELD = Demand(
    "canary_held",
    "its canary held beside the live version",
    'packet.canary.verdict == "passed"',
    'packet.canary.verdict == "inconclusive" && packet.canary.standing == "unclear"',
)
#: Four rows in five labelled, over five days; two per cent of the live version's loss may be lost.
ROLLOUT = CanaryRule(labelled_share=0.8, days=5, may_lose=0.02)


def a_policy(
    version: str = "1", *, low: int = 0, standard: int = 1, high: int = 2, canary: bool = False
) -> Policy:
    """Return a policy with one demand a gate, and into prod as many approvals as each tier is given.

    With ``canary`` the gate into prod also demands that the canary held. Every tier has the rollout rule.
    """
    said = {"version": version, "low": low, "standard": standard, "high": high, "canary": canary}
    body = canonical(said).decode()
    people = {Tier.LOW: low, Tier.STANDARD: standard, Tier.HIGH: high}
    gates = {
        tier: {stage: _gate(stage, count, canary) for stage in DEMANDS} for tier, count in people.items()
    }
    review = ReviewRule((Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ERROR), 7, "reviewer")
    return Policy(
        name="trams",
        version=version,
        digest=sha256(body.encode()),
        body=body,
        gates=gates,
        review=review,
        rollout=dict.fromkeys(Tier, ROLLOUT),
        break_glass=BreakGlass((DEMANDS[Stage.STAGING],), (Need("approver", 1),), 3, "reviewer"),
    )


def _gate(stage: Stage, count: int, canary: bool) -> Gate:
    if stage is not Stage.PROD:
        return Gate(stage, (DEMANDS[stage],))
    demands = (DEMANDS[stage], CANARY_HELD) if canary else (DEMANDS[stage],)
    return Gate(stage, demands, (Need("approver", count),) if count else ())


def with_gate(policy: Policy, gate: Gate, tier: Tier = Tier.STANDARD) -> Policy:
    """Return the policy with one gate replaced."""
    return replace(policy, gates={**policy.gates, tier: {**policy.gates[tier], gate.to: gate}})


def an_actor(name: str, *roles: str, subject: str = "") -> ActorRow:
    """Return an account; its kind is the first letter of its id."""
    return ActorRow(name, "person" if name.startswith("p") else "service", subject or name, roles, 1)


def a_version(number: int, stage: Stage, **more: Any) -> VersionRow:
    """Return a version that `p-2` had `s-1` train and register."""
    row = VersionRow(
        model=MODEL,
        number=number,
        stage=str(stage),
        artifact=sha256(f"artifact {number}".encode()),
        training_set=sha256(b"rows"),
        trainer="s-1",
        registrar="s-1",
        on_behalf_of="",
        source=sha256(b"source"),
        facts={},
        packet="",
        prod_sequence=10 * number if stage in {Stage.PROD, Stage.RETIRED} else 0,
        conditions={},
        certified_until="",
        certified_sequence=10 * number if stage in {Stage.PROD, Stage.RETIRED} else 0,
        links={},
        sequence=number,
    )
    return replace(row, **more)


@dataclass(frozen=True)
class Case:
    """Everything `decide` is told. Change one thing with `but`, then ask."""

    model: ModelRow
    versions: Mapping[int, VersionRow]
    promotion: PromotionRow | None
    approvals: tuple[ApprovalRow, ...]
    evidence: Dossier
    policy: Policy = field(default_factory=a_policy)
    people: Mapping[str, ActorRow] = field(
        default_factory=lambda: {name: an_actor(name, *roles) for name, roles in ACTORS}
    )
    taken_out: frozenset[int] = frozenset()
    delegations: tuple[DelegationRow, ...] = ()
    mandatory: tuple[ReviewRow, ...] = ()
    requesters: frozenset[str] = frozenset()

    @property
    def state(self) -> Lifecycle:
        """Return the model as the ledger has it."""
        return Lifecycle(
            self.model,
            self.versions,
            self.promotion,
            self.people,
            self.taken_out,
            self.delegations,
            self.mandatory,
            self.requesters,
        )

    def but(self, **changes: Any) -> Case:
        """Return the case with fields replaced."""
        return replace(self, **changes)

    def but_version(self, number: int = 2, **changes: Any) -> Case:
        """Return the case with one version changed."""
        return self.but(versions={**self.versions, number: replace(self.versions[number], **changes)})

    def but_found(self, verdict: Verdict, sentence: str = "got 0.2") -> Case:
        """Return the case with that verdict on each demand."""
        found = tuple(replace(each, verdict=verdict, sentence=sentence) for each in self.evidence.findings)
        return self.but(evidence=replace(self.evidence, findings=found))

    def delegated(self, to: str = "p-6", **more: Any) -> Case:
        """Return the case in which the approver `p-3` lets somebody decide for a week."""
        row = DelegationRow(
            "D-1", "p-3", to, "approver", "", "2020-01-08T00:00:00Z", ended=False, sequence=97
        )
        return self.but(delegations=(*self.delegations, replace(row, **more)))

    def with_person(self, person: ActorRow) -> Case:
        """Return the case with one account more, or another one of that id."""
        return self.but(people={**self.people, person.id: person})

    def approval(self, actor: str = "p-3", **more: Any) -> ApprovalRow:
        """Return an approval of the open promotion, as it stands."""
        assert self.promotion is not None
        asked = self.promotion
        row = ApprovalRow(
            promotion=asked.id,
            actor=actor,
            role="approver",
            outcome="approve",
            model=asked.model,
            version=asked.version,
            artifact=asked.artifact,
            packet=asked.packet,
            policy=asked.policy,
            for_whom="",
            conditions={},
            revoked=False,
            occurred_at="2020-01-01T00:00:00Z",
            sequence=99,
        )
        return replace(row, **more)

    def decide(
        self,
        action: Action,
        actor: str | None = None,
        to: Stage | None = None,
        version: int = 2,
        *,
        role: str = "",
        for_whom: str = "",
    ) -> Decision:
        """Decide an act of one actor, by default of who usually does it."""
        person = self.people[actor or USUAL[action]]
        act = Act(action, version, to, role, for_whom)
        return decide(self.state, act, person, self.evidence, self.approvals, self.policy, NOW)


def a_case(stage: Stage = Stage.CANARY, action: Action = Action.PROMOTE, tier: Tier = Tier.STANDARD) -> Case:
    """Return a case in which ``action`` on version 2 in ``stage`` is allowed if it is legal at all."""
    policy = a_policy()
    other = a_version(1, Stage.RETIRED if stage is Stage.PROD else Stage.PROD)
    version = a_version(2, stage)
    packet = sha256(b"packet")
    target = LADDER[LADDER.index(stage) + 1] if stage in LADDER[:-1] else None
    findings = (Finding(DEMANDS[target].id, Verdict.PASSED, "as demanded"),) if target else ()
    asked = PromotionRow(
        id=f"{MODEL}-P1",
        model=MODEL,
        version=2,
        source=str(stage),
        target=str(target or ""),
        requester="p-2",
        on_behalf_of="",
        artifact=version.artifact,
        packet=packet,
        policy=policy.digest,
        kind="regular",
        due_at="",
        chased="",
        escalated_to="",
        status="open",
        sequence=98,
    )
    case = Case(
        model=ModelRow(MODEL, "operations", "say what is late", str(tier), "abstain: nobody is told", 1, 1),
        versions={1: other, 2: version},
        promotion=asked if target else None,
        approvals=(),
        evidence=Dossier(packet, findings, WayBack("version", "version 1", verified=True)),
        policy=policy,
    )
    if action is Action.BREAK_GLASS:
        floor = (Finding(DEMANDS[Stage.STAGING].id, Verdict.PASSED, "as demanded"),)
        case = case.but(
            promotion=replace(asked, kind="break_glass", requester="p-5"),
            evidence=replace(case.evidence, findings=floor),
        )
    if action is Action.REVOKE:
        case = case.but(promotion=replace(asked, status="applied" if stage is Stage.PROD else "open"))
        return case.but(approvals=(case.approval("p-3"),))
    if action in {Action.PROMOTE, Action.BREAK_GLASS} and target:
        return case.but(approvals=(case.approval("p-3"), case.approval("p-4")))
    return case
