"""A judge of chains: was everything that happened to a model allowed?

It shares no code with the heart or the fold: it reads the raw events as an auditor would.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tidegate.domain.events import Event, EventType
from tidegate.domain.policy import BreakGlass, Gate, Policy, Stage, Tier

#: What came to pass, and how often: a judge who never saw anything has proved nothing.
SEEN: Counter[str] = Counter()


@dataclass
class Judge:
    """What an auditor knows after each event. ``faults`` is what should never have been written."""

    policies: dict[str, Policy]
    subjects: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[int, dict[str, Any]] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    approvals: dict[str, list[Event]] = field(default_factory=dict)
    stages: dict[int, str] = field(default_factory=dict)
    approved_into_prod: dict[int, int] = field(default_factory=dict)
    taken_out: set[int] = field(default_factory=set)
    lent: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    tier: str = ""
    in_force: str = ""
    faults: list[str] = field(default_factory=list)

    def see(self, event: Event) -> None:  # noqa: C901, PLR0912  # one line per type of event
        told = event.payload
        match event.type:
            case EventType.ACTOR_ADDED:
                self.subjects[told["id"]], self.kinds[told["id"]] = told["subject"], told["kind"]
                self.roles[told["id"]] = told["roles"]
            case EventType.ROLES_CHANGED:
                self.roles[told["id"]] = told["roles"]
            case EventType.POLICY_ADOPTED:
                self.in_force = told["digest"]
            case EventType.MODEL_REGISTERED:
                self.tier = told["tier"]
            case EventType.VERSION_REGISTERED:
                self.versions[told["number"]], self.stages[told["number"]] = dict(told), "candidate"
            case EventType.PROMOTION_REQUESTED:
                self.requests[told["id"]] = {**told, "sequence": event.sequence}
                self.claim(told["kind"], event)
            case EventType.PROMOTION_APPROVED:
                self.approvals.setdefault(told["promotion"], []).append(event)
                self.spoke(event)
            case EventType.APPROVAL_DELEGATED:
                self.lent[told["id"]] = dict(told)
                if told["principal"] != event.actor or told["role"] not in self.roles[event.actor]:
                    self.fault(event, "delegates what is not theirs")
            case EventType.DELEGATION_ENDED:
                self.lent[told["id"]]["until"] = ""
            case EventType.APPROVAL_REVOKED:
                self.taken_back(event)
            case EventType.PROMOTION_APPLIED:
                self.applied(event)
            case EventType.MODEL_ROLLED_BACK | EventType.MODEL_STOPPED:
                self.claim(str(event.type), event)
                self.left(event)
        for move in told.get("moves", []):
            if self.stages[move["version"]] != move["from"]:
                self.fault(event, f"moves version {move['version']} from where it does not stand")
            self.stages[move["version"]] = move["to"]
            if list(self.stages.values()).count("prod") > 1:
                self.fault(event, "puts two versions in prod")

    def claim(self, needs: str, event: Event) -> None:
        holders = {
            "regular": {"data_scientist", "training_service", "rollout_service"},
            "break_glass": {"operator"},
            "model.rolled_back": {"operator", "rollout_service"},
            "model.stopped": {"operator"},
        }[needs]
        if not holders & set(self.roles[event.actor]):
            self.fault(event, f"was done by {event.actor}, who may not")
        if self.kinds[event.actor] == "person" and event.on_behalf_of:
            self.fault(event, "was done by a person in somebody else's name")

    def spoke(self, event: Event) -> None:
        principal = event.payload["for_whom"]
        if "approver" not in self.roles[principal or event.actor]:
            self.fault(event, "was said for somebody who may not")
        if principal and not any(
            (each["principal"], each["delegate"]) == (principal, event.actor)
            and event.occurred_at < each["until"]
            for each in self.lent.values()
        ):
            self.fault(event, f"was said for {principal}, who had not asked for it")

    def taken_back(self, event: Event) -> None:
        told = event.payload
        given = [each for each in self.approvals[told["promotion"]] if each.actor == told["approver"]]
        if not given or event.actor not in {given[-1].actor, given[-1].payload["for_whom"]}:
            self.fault(event, "takes back what another gave")
        self.gone |= {each.sequence for each in given}
        if told["moves"]:
            SEEN["unapproved and gone"] += 1
            self.left(event)

    def left(self, event: Event) -> None:
        out, *restored = event.payload["moves"]
        self.taken_out.add(out["version"])
        self.approved_into_prod.pop(out["version"], None)
        for move in restored:
            best = max(
                (n for n in self.approved_into_prod if self.stages[n] == "retired"),
                key=lambda n: self.approved_into_prod[n],
                default=None,
            )
            if move["to"] != "prod" or move["version"] != best:
                self.fault(event, f"restores version {move['version']}, expected {best}")

    def applied(self, event: Event) -> None:
        told = event.payload
        asked = self.requests[told["promotion"]]
        row = self.versions[asked["version"]]
        if any(finding["verdict"] in {"failed", "error"} for finding in told["findings"]):
            self.fault(event, "went up on bad evidence")
        policy = self.policies[self.in_force]
        gate: Gate | BreakGlass | None = policy.gate(Tier(self.tier), Stage(asked["target"]))
        if asked["kind"] == "break_glass":
            gate = policy.break_glass
            SEEN["into prod by break-glass"] += 1
        assert gate is not None
        if {finding["demand"] for finding in told["findings"]} != {demand.id for demand in gate.demands}:
            self.fault(event, "went up on other evidence than the gate demands")
        if told["policy"] != self.in_force:
            self.fault(event, "went up under a policy that was not in force")
        into_prod = asked["target"] == "prod"
        doubt = any(finding["verdict"] == "inconclusive" for finding in told["findings"])
        again = into_prod and asked["version"] in self.taken_out
        needed = sum(need.count for need in gate.approvals) or int(doubt or again)
        people = self.entitled(event, asked, row)
        if len(people) < needed:
            self.fault(event, f"went up with {len(people)} entitled people, needed {needed}")
        if into_prod:
            way_back = told["preconditions"]["way_back"]
            if not way_back or not way_back["verified"]:
                self.fault(event, "reached prod without a tried way back")
            self.approved_into_prod[asked["version"]] = event.sequence
            SEEN["into prod"] += 1
            SEEN["into prod in doubt"] += doubt
            SEEN["into prod again"] += again
            SEEN[f"into prod by {len(people)}"] += 1

    def entitled(self, event: Event, asked: dict[str, Any], row: dict[str, Any]) -> set[str]:
        """Return the distinct people whose approval of exactly this counts."""
        told = event.payload
        people: set[str] = set()
        for approval in self.approvals.get(told["promotion"], []):
            bound = [approval.payload[name] for name in ("version", "artifact", "packet", "policy")]
            if bound != [asked["version"], row["artifact"], told["packet"], told["policy"]]:
                continue
            if approval.sequence in self.gone:
                continue
            speaker = approval.payload["for_whom"] or approval.actor
            behind = {self.subjects[approval.actor], self.subjects[speaker]}
            part = {
                asked["requester"],
                asked["on_behalf_of"],
                row["trainer"],
                row["registrar"],
                row["on_behalf_of"],
            }
            entitled = (
                "approver" in self.roles[speaker]
                and {self.kinds[approval.actor], self.kinds[speaker]} == {"person"}
                and not behind & {self.subjects[each] for each in part if each}
                and not behind & people
                and asked["sequence"] < approval.sequence < event.sequence
            )
            if entitled:
                people.add(self.subjects[speaker])
                SEEN["spoken for"] += speaker != approval.actor
        return people

    def fault(self, event: Event, why: str) -> None:
        self.faults.append(f"event {event.sequence} ({event.type}) {why}")
