"""The same machine on the real record, on both databases, killed between any two steps.

A killed process leaves nothing of the act it was in, or all of it: what was open is rolled back, and whoever
comes next opens the database anew. Invariants, of `tidegate.testing.machine`: nothing reaches prod without bound
approvals; replay(ledger) == state; the ledger only grows; a rollback is always possible; no event twice, none lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tidegate.adapters.sql_record import SqlLedger
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Draft, Event
from tidegate.testing.databases import emptied
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import CountingEntropy, FixedClock
from tidegate.testing.judge import SEEN
from tidegate.testing.machine import Lifecycles


class Killed(BaseException):
    """The process is gone; no handler of errors sees it."""


class MortalTransaction:
    """A transaction of a process that may die before and after each append."""

    def __init__(self, inner: Any, step: Callable[[], None]) -> None:
        self._inner, self._step = inner, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, draft: Draft) -> Event:
        self._step()
        event = self._inner.append(draft)
        self._step()
        return event


class MortalLedger:
    """A real ledger in a process that dies after ``left`` more steps of acts (None: it lives)."""

    def __init__(self, reopen: Callable[[], SqlLedger]) -> None:
        self._reopen, self._inner = reopen, reopen()
        self.left: int | None = None
        self.acting = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def transaction(self) -> Iterator[MortalTransaction]:
        with self._inner.transaction() as inner:
            yield MortalTransaction(inner, self._step)
            self._step()
        self._step()  # committed, and nobody was told

    def _step(self) -> None:
        if self.left is not None and self.acting:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def revive(self) -> None:
        """Start another process on the same database."""
        self.left = None
        self._inner.engine.dispose()
        self._inner = self._reopen()


class MortalLifecycles(Lifecycles):
    """The machine on a database at ``url``, emptied for each run; acts are killed at a step drawn before."""

    url = ""

    def opened(self) -> FakePlatform:
        url = emptied(self.url) if self.url.startswith("postgresql") else f"sqlite:///{self.home}/record.db"
        clock, entropy = FixedClock(), CountingEntropy()
        world = FakePlatform(self.home, ledger=MortalLedger(lambda: SqlLedger(url, clock, entropy)))
        world.clock = clock
        return world

    def teardown(self) -> None:
        super().teardown()
        self.world.ledger.engine.dispose()

    @rule(steps=st.integers(0, 9))
    def dies_soon(self, steps: int) -> None:
        self.world.ledger.left = steps

    def attempt(self, act: Callable[[], object]) -> None:
        self.world.ledger.acting = True
        try:
            act()
        except (Refused, BadInput, DependencyFailed) as error:
            SEEN[error.code] += 1
        except Killed:
            SEEN["killed"] += 1
            self.world.ledger.revive()
            assert self.world.ledger.verify() == ()
        finally:
            self.world.ledger.acting = False


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_whatever_anybody_does_and_wherever_it_is_killed_prod_holds_only_what_was_approved(database, request):
    SEEN.clear()
    url = request.getfixturevalue("postgres_url") if database == "postgresql" else ""
    machine = type("Machine", (MortalLifecycles,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=24,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    assert SEEN["killed"] >= 20
    assert {"into prod", "promotion.approved", "model.rolled_back", "action.refused"} <= set(SEEN)
