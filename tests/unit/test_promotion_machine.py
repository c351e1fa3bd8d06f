"""Everybody tries everything, in any order. What reaches prod is judged from the raw events alone.

The judge below shares no code with the heart or the fold: it reads the chain as an auditor would.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tidegate.application.lower import lower
from tidegate.application.promote import climb, request
from tidegate.application.resolve import resolve
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.fold import replay
from tidegate.domain.lifecycle import Act, Action, Allowed, Dossier
from tidegate.domain.policy import Policy, Stage, Tier
from tidegate.domain.promotion import decide
from tidegate.domain.state import VersionRow
from tidegate.testing.cases import ACTORS, MODEL, NOW, a_policy
from tidegate.testing.fakes.platform import FakePlatform

#: `p-7` trains, requests and approves; `p-8` is the same person's other account.
EVERYBODY = (*(name for name, _ in ACTORS), "p-7", "p-8")
GAPS = {
    "good": Measure(0.01, 1000, -0.02, 0.04, "stated"),
    "unclear": Measure(0.12, 1000, 0.05, 0.2, "stated"),
    "bad": Measure(0.3, 1000, 0.2, 0.4, "stated"),
}
GAINS = {
    "better": Measure(0.01, 1000, 0.005, 0.015, "stated"),
    "unclear": Measure(0.0, 1000, -0.01, 0.01, "stated"),
    "worse": Measure(-0.05, 1000, -0.06, -0.04, "stated"),
    "no number": Measure(float("nan"), 0),
}
who = st.sampled_from(EVERYBODY)
approvers = st.sampled_from(["p-3", "p-4", "p-7", "p-8", "p-2", "s-1"])
versions = st.sampled_from([1, 2, 1, 2, 3, 4])
keys = st.sampled_from([None, None, "a", "b"])
principals = st.sampled_from([None, None, "p-2", "p-3", "p-7", "nobody"])

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
    tier: str = ""
    in_force: str = ""
    faults: list[str] = field(default_factory=list)

    def see(self, event: Event) -> None:  # noqa: C901  # one line per type of event
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
                self.claim("model:promotion:request", event)
            case EventType.PROMOTION_APPROVED:
                self.approvals.setdefault(told["promotion"], []).append(event)
                self.claim("model:promotion:approve", event)
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
            "model:promotion:request": {"data_scientist", "training_service", "rollout_service"},
            "model:promotion:approve": {"approver"},
            "model.rolled_back": {"operator", "rollout_service"},
            "model.stopped": {"operator"},
        }[needs]
        if not holders & set(self.roles[event.actor]):
            self.fault(event, f"was done by {event.actor}, who may not")
        if self.kinds[event.actor] == "person" and event.on_behalf_of:
            self.fault(event, "was done by a person in somebody else's name")

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
        gate = policy.gate(Tier(self.tier), Stage(asked["target"]))
        assert gate is not None
        if {finding["demand"] for finding in told["findings"]} != {demand.id for demand in gate.demands}:
            self.fault(event, "went up on other evidence than the gate demands")
        if told["policy"] != self.in_force:
            self.fault(event, "went up under a policy that was not in force")
        into_prod = asked["target"] == "prod"
        doubt = any(finding["verdict"] == "inconclusive" for finding in told["findings"])
        again = into_prod and asked["version"] in self.taken_out
        needed = sum(need.count for need in gate.approvals) or int(doubt or again)
        people = set()
        for approval in self.approvals.get(told["promotion"], []):
            bound = [approval.payload[name] for name in ("version", "artifact", "packet", "policy")]
            if bound != [asked["version"], row["artifact"], told["packet"], told["policy"]]:
                continue
            part = {
                asked["requester"],
                asked["on_behalf_of"],
                row["trainer"],
                row["registrar"],
                row["on_behalf_of"],
            }
            entitled = (
                "approver" in self.roles[approval.actor]
                and self.kinds[approval.actor] == "person"
                and self.subjects[approval.actor] not in {self.subjects[each] for each in part if each}
                and asked["sequence"] < approval.sequence < event.sequence
            )
            if entitled:
                people.add(self.subjects[approval.actor])
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

    def fault(self, event: Event, why: str) -> None:
        self.faults.append(f"event {event.sequence} ({event.type}) {why}")


class Lifecycles(RuleBasedStateMachine):
    """One model, up to four versions, eleven accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="lifecycles-"))
        self.world = FakePlatform(self.home)
        self.world.add_actor("p-7", "data_scientist", "approver")
        self.world.add_actor("p-8", "approver", subject="p-7")
        self.policies = {a_policy().digest: a_policy()}
        self.judge = Judge(self.policies)
        self.before: list[Event] = []
        for _ in range(2):
            self.world.register(on_behalf_of="p-2")

    def teardown(self) -> None:
        assert self.world.ledger.verify() == ()
        shutil.rmtree(self.home)

    def attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (Refused, BadInput, DependencyFailed) as error:
            SEEN[error.code] += 1

    @property
    def state(self) -> Any:
        return self.world.ledger.state()

    # ── acts ──────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.state.select(VersionRow)) < 4 and not self.world.registry.down)
    @rule(
        trainer=st.sampled_from(["s-1", "p-2", "p-7"]),
        gap=st.sampled_from(list(GAPS)),
        tier=st.sampled_from(Tier),
    )
    def train(self, trainer: str, gap: str, tier: Tier) -> None:
        principal = "p-7" if trainer == "s-1" and gap == "good" else ""
        self.world.models.put(replace(self.world.models.spec(MODEL), tier=str(tier)))
        self.world.register(trainer, principal, calibration_gap=GAPS[gap])

    @rule(actor=who, principal=principals, version=versions, key=keys)
    def request(self, actor: str, principal: str | None, version: int, key: str | None) -> None:
        acting = self.world.acting(actor, key, principal if actor.startswith("s") else None)
        self.attempt(lambda: request(self.world, acting, MODEL, version))

    @rule(actor=st.sampled_from(["s-1", "p-2", "p-7"]), version=versions, key=keys)
    def climb(self, actor: str, version: int, key: str | None) -> None:
        self.attempt(lambda: climb(self.world, self.world.acting(actor, key), MODEL, version, Stage.PROD))

    @rule(actor=approvers, version=versions, key=keys)
    def approve(self, actor: str, version: int, key: str | None) -> None:
        acting = self.world.acting(actor, key)
        self.attempt(lambda: resolve(self.world, acting, MODEL, version, Action.APPROVE, "fine"))

    @rule(version=versions)
    def goes_up_as_it_should(self, version: int) -> None:
        self.attempt(lambda: climb(self.world, self.world.acting("s-1"), MODEL, version, Stage.PROD))
        self.everybody_approves(version)

    @rule(first=versions, second=versions)
    def one_replaces_the_other(self, first: int, second: int) -> None:
        for version in (first, second):
            self.goes_up_as_it_should(version)

    @rule(version=versions)
    def everybody_approves(self, version: int) -> None:
        for actor in ("s-1", "p-7", "p-8", "p-3", "p-4"):
            acting = self.world.acting(actor)
            self.attempt(
                lambda acting=acting: resolve(self.world, acting, MODEL, version, Action.APPROVE, "fine")
            )  # type: ignore[misc]

    @rule(actor=who, version=versions)
    def is_requested_and_rejected(self, actor: str, version: int) -> None:
        self.attempt(lambda: climb(self.world, self.world.acting("s-1"), MODEL, version, Stage.PROD))
        self.attempt(
            lambda: resolve(self.world, self.world.acting(actor), MODEL, version, Action.REJECT, "no")
        )

    @rule(actor=st.sampled_from(["p-5", "p-5", "p-2", "s-1"]), key=keys)
    def roll_back(self, actor: str, key: str | None) -> None:
        acting = self.world.acting(actor, key)
        self.attempt(lambda: lower(self.world, acting, MODEL, Action.ROLL_BACK, "odd scores"))

    @rule(actor=st.sampled_from(["p-5", "p-3"]))
    def stop(self, actor: str) -> None:
        self.attempt(lambda: lower(self.world, self.world.acting(actor), MODEL, Action.STOP, "odd scores"))

    @rule(
        actor=st.sampled_from(["p-5", "p-5", "p-1"]),
        action=st.sampled_from([Action.DEMOTE, Action.RETIRE]),
        version=versions,
        to=st.sampled_from([None, *Stage]),
    )
    def lower(self, actor: str, action: Action, version: int, to: Stage | None) -> None:
        acting = self.world.acting(actor)
        self.attempt(lambda: lower(self.world, acting, MODEL, action, "tidying up", version, to))

    # ── what changes around them ──────────────────────────────────────────────────────────────────

    @rule(version=st.sampled_from(["1", "2"]), low=st.integers(0, 1), standard=st.integers(0, 2))
    def change_policy(self, version: str, low: int, standard: int) -> None:
        policy = a_policy(version, low=low, standard=standard)
        self.policies[policy.digest] = policy
        self.world.adopt(policy)

    @rule(gain=st.sampled_from(list(GAINS)))
    def measure_again(self, gain: str) -> None:
        self.world.trainer.gain = GAINS[gain]

    @rule(actor=st.sampled_from(["p-3", "p-4", "p-2"]), keeps=st.booleans())
    def change_roles(self, actor: str, keeps: bool) -> None:
        usual = {"p-2": "data_scientist"}.get(actor, "approver")
        self.world.change_roles(actor, usual if keeps else "reviewer")

    @rule(down=st.booleans())
    def registry(self, down: bool) -> None:
        self.world.registry.down = down and not self.world.registry.down

    # ── what holds, always ────────────────────────────────────────────────────────────────────────

    @invariant()
    def what_holds_holds(self) -> None:
        now = list(self.world.ledger.events())
        self.the_ledger_only_grows(now)
        if len(now) == len(self.before):
            return
        for event in now[len(self.before) :]:
            SEEN[str(event.type)] += 1
            self.judge.see(event)
        self.before = now
        assert self.judge.faults == []
        self.replaying_the_ledger_yields_the_state()
        self.prod_is_empty_only_before_the_first_or_after_a_stop()
        self.a_rollback_is_possible_whenever_something_was_replaced()

    def the_ledger_only_grows(self, now: list[Event]) -> None:
        assert [event.hash for event in now[: len(self.before)]] == [event.hash for event in self.before]

    def replaying_the_ledger_yields_the_state(self) -> None:
        assert replay(self.before).tables == self.world.ledger.store.contents.state.tables
        assert {row.number: row.stage for row in self.state.select(VersionRow)} == self.judge.stages

    def prod_is_empty_only_before_the_first_or_after_a_stop(self) -> None:
        last = None
        for event in self.before:
            for move in event.payload.get("moves", []):
                if "prod" in (move["from"], move["to"]):
                    last = event.type
        empty = not self.state.select(VersionRow, stage="prod")
        assert empty == (last in {None, EventType.MODEL_STOPPED})

    def a_rollback_is_possible_whenever_something_was_replaced(self) -> None:
        life = lifecycle(self.state, MODEL)
        current, previous = life.in_prod(), life.previous()
        if current is None or previous is None:
            return
        act, operator = Act(Action.ROLL_BACK, current.number), life.people["p-5"]
        decision = decide(life, act, operator, Dossier("", (), None), (), a_policy(), NOW)
        assert isinstance(decision, Allowed)
        assert [move.version for move in decision.moves] == [current.number, previous.number]
        assert previous.number in self.judge.approved_into_prod


def test_whatever_anybody_does_prod_holds_only_what_was_approved() -> None:
    SEEN.clear()
    run_state_machine_as_test(
        Lifecycles,
        settings=settings(
            max_examples=200,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    # A machine that never got anywhere would have proved nothing.
    reached = {
        "into prod", "into prod again", "into prod in doubt", "into prod by 0", "into prod by 1",
        "into prod by 2", "model.rolled_back", "model.stopped", "promotion.approved", "promotion.rejected",
        "action.refused", "version.demoted", "version.retired", "approve-refused", "promote-refused",
        "roll_back-refused", "registry-failed",
    }  # fmt: skip
    assert {name for name in reached if not SEEN[name]} == set()
