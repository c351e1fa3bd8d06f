"""Everybody tries everything, in any order, on fakes: see `tidegate.testing.machine`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tidegate.testing.judge import SEEN
from tidegate.testing.machine import Lifecycles


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
        "into prod by 2", "into prod by break-glass", "spoken for", "unapproved and gone", "approval.revoked",
        "approval.delegated", "model.rolled_back", "model.stopped", "promotion.approved", "promotion.rejected",
        "action.refused", "version.demoted", "version.retired", "approve-refused", "promote-refused",
        "roll_back-refused", "registry-failed",
    }  # fmt: skip
    assert {name for name in reached if not SEEN[name]} == set()
