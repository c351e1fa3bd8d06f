"""A world with a version to promote, and one with a version in prod."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.testing.deciding import approve, ask
from tidegate.testing.fakes.platform import FakePlatform


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world with version 1 of tier standard, which `s-1` trained for `p-2`."""
    platform = FakePlatform(tmp_path)
    platform.register(on_behalf_of="p-2")
    return platform


@pytest.fixture
def live(world: FakePlatform) -> FakePlatform:
    """Return the world with version 1 in prod and version 2 registered."""
    ask(world)
    approve(world)
    world.register(on_behalf_of="p-2")
    return world
