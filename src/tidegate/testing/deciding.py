"""People who ask, decide, lend their word and break the glass, in a world of fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tidegate.application.delegate import delegate
from tidegate.application.identity import revoke as revoke_tokens
from tidegate.application.platform import Acting
from tidegate.application.promote import climb, request
from tidegate.application.resolve import Say, resolve
from tidegate.application.weighing import Outcome
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Policy, Stage, Tier
from tidegate.domain.state import DelegationRow
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import stage

WELL = "Evidence looks sound to me."
DAY = timedelta(days=1)
#: What makes a world under a policy.
World = Callable[..., FakePlatform]


def ruled(**more: object) -> Policy:
    """Return a policy that says more than the usual one; its body names it."""
    policy = a_policy("trust")
    body = f"{policy.body} {sorted(more)}"
    return replace(policy, body=body, digest=f"sha256:{len(body)}-{sorted(more)}", **more)  # type: ignore[arg-type]


def gate_into_prod(**more: object) -> Policy:
    """Return such a policy, of which the gate into prod of the standard tier says more."""
    policy = ruled()
    gate = replace(policy.gates[Tier.STANDARD][Stage.PROD], **more)  # type: ignore[arg-type]
    return with_gate(policy, gate)


def ask(
    world: FakePlatform, version: int = 1, who: str = "p-2", key: str | None = None, to: Stage = Stage.PROD
) -> Outcome:
    """Have somebody ask for a version to go up as far as it may."""
    return climb(world, world.acting(who, key), MODEL, version, to)


def approve(
    world: FakePlatform, version: int = 1, who: str = "p-3", say: Say | None = None, key: str | None = None
) -> Outcome:
    """Have somebody approve what waits."""
    return resolve(world, world.acting(who, key), MODEL, version, Action.APPROVE, WELL, say)


def lend(
    world: FakePlatform, to: str = "p-6", who: str = "p-3", role: str = "approver", days: float = 7
) -> DelegationRow:
    """Have somebody let another decide in their place for some days."""
    until = world.clock.now() + days * DAY
    return delegate(world, world.acting(who), to, role, until, "I am away.", MODEL)


def barred(world: FakePlatform, who: str) -> FakePlatform:
    """Take every token from an account."""
    world.with_tokens()
    revoke_tokens(world, world.acting("p-1"), who)
    return world


def smash(
    world: FakePlatform, number: int, who: str = "p-5", reason: str = "Prod answers nothing."
) -> Outcome:
    """Have somebody break the glass for a version."""
    acting: Acting = world.acting(who)
    return request(world, acting, MODEL, number, action=Action.BREAK_GLASS, reason=reason)


def swapped(live: FakePlatform) -> FakePlatform:
    """Put version 2 in prod in the place of version 1."""
    ask(live, 2)
    approve(live, 2)
    assert (stage(live, 1), stage(live, 2)) == ("retired", "prod")
    return live
