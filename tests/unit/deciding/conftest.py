"""Worlds in which something waits for a person, under the usual policy or one that says more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.domain.policy import Certification, Deadline, Policy, Tier
from tidegate.testing.deciding import (
    World,
    approve,
    ask,
    gate_into_prod,
    ruled,
)
from tidegate.testing.fakes.platform import FakePlatform


@pytest.fixture
def under(tmp_path: Path) -> World:
    """Return what makes a world under a policy: version 1 was trained by `s-1` for `p-2`; `p-9` is a risk officer."""

    def made(policy: Policy | None = None) -> FakePlatform:
        platform = FakePlatform(tmp_path, policy)
        platform.add_actor("p-9", "risk_officer")
        platform.register(on_behalf_of="p-2")
        return platform

    return made


@pytest.fixture
def world(under: World) -> FakePlatform:
    """Return the world under the usual policy."""
    return under()


@pytest.fixture
def asked(world: FakePlatform) -> FakePlatform:
    """Return the world in which version 1 waits before prod."""
    ask(world)
    return world


@pytest.fixture
def live(asked: FakePlatform) -> FakePlatform:
    """Return the world with version 1 in prod and version 2 waiting before it."""
    approve(asked)
    asked.register(on_behalf_of="p-2")
    ask(asked, 2)
    return asked


@pytest.fixture
def dated(under: World) -> FakePlatform:
    """Return a world whose prod gate reminds after 3 days, escalates after 7 and lets a request lapse after 30."""
    world = under(gate_into_prod(deadline=Deadline(7, 3, "risk_officer", 30)))
    ask(world)
    return world


@pytest.fixture
def termed(under: World) -> FakePlatform:
    """Return a world in which an approval holds 90 days, or until drift, and version 1 is live."""
    rule = Certification(90, 14, "approver", on_drift=True)
    world = under(ruled(certification={Tier.STANDARD: rule}))
    ask(world)
    approve(world)
    return world
