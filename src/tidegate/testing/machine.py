"""Everybody tries everything, in any order. What reaches prod is judged from the raw events alone (`judge`).

`Lifecycles` is a hypothesis state machine; subclass it with another ledger to try an adapter. It needs hypothesis
installed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from tidegate.application.delegate import delegate, end_delegation
from tidegate.application.lower import lower
from tidegate.application.promote import climb, request
from tidegate.application.resolve import Say, resolve, revoke
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.fold import replay
from tidegate.domain.lifecycle import Act, Action, Allowed, Dossier
from tidegate.domain.policy import Stage, Tier
from tidegate.domain.promotion import decide
from tidegate.domain.state import ROWS, VersionRow
from tidegate.testing.cases import ACTORS, MODEL, NOW, a_policy
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.judge import SEEN, Judge

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


class Lifecycles(RuleBasedStateMachine):
    """One model, up to four versions, eleven accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="lifecycles-"))
        self.world = self.opened()
        self.world.add_actor("p-7", "data_scientist", "approver")
        self.world.add_actor("p-8", "approver", subject="p-7")
        self.policies = {a_policy().digest: a_policy()}
        self.judge = Judge(self.policies)
        self.before: list[Event] = []
        for _ in range(2):
            self.world.register(on_behalf_of="p-2")

    def opened(self) -> FakePlatform:
        """Open the world on an empty ledger."""
        return FakePlatform(self.home)

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
            self.approve(actor, version, None)

    @rule(
        actor=st.sampled_from(["p-3", "p-3", "p-7", "p-2"]), to=st.sampled_from(["p-6", "p-2", "p-4", "s-1"])
    )
    def lends(self, actor: str, to: str) -> None:
        until = self.world.clock.now() + timedelta(days=2)
        self.attempt(lambda: delegate(self.world, self.world.acting(actor), to, "approver", until, "away"))

    @rule(actor=st.sampled_from(["p-3", "p-6"]))
    def ends(self, actor: str) -> None:
        self.attempt(lambda: end_delegation(self.world, self.world.acting(actor), "D-1"))

    @rule(
        actor=st.sampled_from(["p-6", "p-6", "p-2", "p-4"]),
        principal=st.sampled_from(["p-3", "p-7"]),
        version=versions,
    )
    def speaks_for(self, actor: str, principal: str, version: int) -> None:
        acting, say = self.world.acting(actor), Say("approver", principal)
        self.attempt(lambda: resolve(self.world, acting, MODEL, version, Action.APPROVE, "fine", say))

    @rule(principal=st.sampled_from(["p-3", "p-3", "p-7"]), version=versions)
    def goes_up_spoken_for(self, principal: str, version: int) -> None:
        self.attempt(lambda: climb(self.world, self.world.acting("s-1"), MODEL, version, Stage.PROD))
        self.lends(principal, "p-6")
        self.speaks_for("p-6", principal, version)

    @rule(version=versions)
    def goes_up_and_is_unapproved(self, version: int) -> None:
        self.goes_up_as_it_should(version)
        for actor in ("p-7", "p-8", "p-3", "p-4"):
            self.takes_back(actor, version)

    @rule(version=versions)
    def goes_up_by_break_glass(self, version: int) -> None:
        self.attempt(lambda: climb(self.world, self.world.acting("s-1"), MODEL, version, Stage.CANARY))
        self.breaks_the_glass("p-5", version)
        self.everybody_approves(version)

    @rule(actor=approvers, version=versions)
    def takes_back(self, actor: str, version: int) -> None:
        self.attempt(lambda: revoke(self.world, self.world.acting(actor), MODEL, version, "misread"))

    @rule(actor=st.sampled_from(["p-5", "p-5", "p-2"]), version=versions)
    def breaks_the_glass(self, actor: str, version: int) -> None:
        acting = self.world.acting(actor)
        glass = Action.BREAK_GLASS
        self.attempt(lambda: request(self.world, acting, MODEL, version, action=glass, reason="prod is down"))

    @rule()
    def a_day_passes(self) -> None:
        clock = self.world.clock
        assert isinstance(clock, FixedClock)
        clock.moment += timedelta(days=1)

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

    @rule(version=versions, to=st.sampled_from([None, Stage.CANDIDATE, Stage.STAGING]))
    def lower_as_one_may(self, version: int, to: Stage | None) -> None:
        acting, action = self.world.acting("p-5"), Action.DEMOTE if to else Action.RETIRE
        self.attempt(lambda: lower(self.world, acting, MODEL, action, "nobody needs it", version, to))

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
        folded = replay(self.before)
        for kind in ROWS:
            rows = sorted(folded.tables[kind.TABLE].values(), key=lambda row: row.key)
            assert tuple(rows) == self.state.select(kind)
        assert {row.number: row.stage for row in self.state.select(VersionRow)} == self.judge.stages

    def prod_is_empty_only_before_the_first_or_after_a_stop(self) -> None:
        last, restored = None, None
        for event in self.before:
            for move in event.payload.get("moves", []):
                if "prod" in (move["from"], move["to"]):
                    last = event.type
                    restored = move["version"] if move["to"] == "prod" else None
        empty = not self.state.select(VersionRow, stage="prod")
        emptied = last is EventType.APPROVAL_REVOKED and restored is None
        assert empty == (last in {None, EventType.MODEL_STOPPED} or emptied)

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
