"""Features in Feast: sources built by DuckDB, point-in-time joins, the online store.

Three things that Feast leaves to its caller are done here.

* A row counts from its ``created_timestamp``, offline and online. Feast's own materialization goes by
  event time alone, so the latest row known at a moment is chosen here and handed to Feast.
* An older moment never overwrites a newer one online, a value past its view's ttl is not served, and what is online
  says itself which window it is: `newest`, which the online stores of SQLite and Redis share.
* A source is joined with the content it was built with, and is not swapped meanwhile.

This is the door. Behind it `opened` holds the repository and whose turn it is; `registry` has the definitions,
`built` the sources, `history` what is read of the past, `online` what is served, `streams` what is pushed there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tidegate.adapters.feast_store.built import Built
from tidegate.adapters.feast_store.history import History
from tidegate.adapters.feast_store.online import Online
from tidegate.adapters.feast_store.opened import Opened
from tidegate.adapters.feast_store.registry import Registry
from tidegate.adapters.feast_store.streams import Streams
from tidegate.adapters.shared.sql import Declared
from tidegate.application.ports import (
    Answer,
    Frame,
    Marks,
    Materialized,
    OnlineWindow,
    Pushed,
    Pushes,
    Table,
    Whose,
)
from tidegate.application.ports.features import at_once
from tidegate.domain.feature_change import Definitions, ViewDefinition
from tidegate.domain.parity import Pair


class FeastStore:
    """A Feast repository under ``repo``, with its data under ``home``.

    ``home/features`` holds what was built of each view by content, and under the path its definition names: its source,
    unless the offline store keeps sources itself;
    ``home/feast`` the registry, the online store and the overlay configuration; ``home/frames`` what
    was joined for training. ``online`` is the address of a Redis that takes the place of what the repository
    says of its online store; ``offline`` one of `repository.OFFLINE`, which takes that of what it says of its offline
    store.
    """

    def __init__(self, repo: Path, home: Path, online: str = "", offline: str = "") -> None:
        opened = Opened(repo, home, online, offline)
        #: Feast's own store and its online store, for whoever looks behind the door.
        self._store, self._serving = opened.store, opened.serving
        self._built = Built(opened)
        self._history = History(opened, self._built)
        self._online = Online(opened, self._built)
        self._streams = Streams(opened)
        self._registry = Registry(opened, self._online.forget_plans)

    @property
    def tool(self) -> str:
        """Return ``feast`` and its version."""
        return f"feast {version('feast')}"

    # ── definitions ───────────────────────────────────────────────────────────────────────────────

    def apply(self, expected: Definitions | None = None) -> Mapping[str, str]:
        return self._registry.apply(expected)

    def defined(self) -> Definitions:
        return self._registry.defined()

    def check(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> None:
        self._registry.check(batches, declared)

    def registered(self, recorded: Mapping[str, str]) -> Definitions:
        return self._registry.registered(recorded)

    def kept(self, views: Mapping[str, str]) -> Mapping[str, ViewDefinition]:
        return self._registry.kept(views)

    def marks(self, service: str, rows: int) -> Marks:
        return self._registry.marks(service, rows)

    # ── sources ───────────────────────────────────────────────────────────────────────────────────

    def build(
        self,
        batches: Mapping[str, Sequence[Path]],
        declared: Declared,
        ready: Callable[[], object] = at_once,
    ) -> Mapping[str, Frame]:
        return self._built.build(batches, declared, ready)

    def reads(self) -> Mapping[str, frozenset[str]]:
        return self._built.reads()

    def verify(self, sources: Mapping[str, str]) -> None:
        self._built.verify(sources)

    # ── the past ──────────────────────────────────────────────────────────────────────────────────

    def training_frame(self, entities: Frame, service: str, keep: Sequence[str]) -> Frame:
        return self._history.training_frame(entities, service, keep)

    def ages(self, entities: Frame, service: str, views: Collection[str]) -> Frame:
        return self._history.ages(entities, service, views)

    def reread(self, digest: str) -> str:
        return self._history.reread(digest)

    def statistics(self, view: str, window: tuple[datetime, datetime]) -> Mapping[str, Mapping[str, Any]]:
        return self._history.statistics(view, window)

    def counts(
        self, view: str, window: tuple[datetime, datetime], cuts: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Sequence[int]]:
        return self._history.counts(view, window, cuts)

    # ── what is online ────────────────────────────────────────────────────────────────────────────

    def materialize(self, until: datetime, pushes: Callable[[], Pushes] = Pushes) -> Materialized:
        return self._online.materialize(until, pushes)

    def replaced(self, sources: Mapping[str, tuple[str, str]]) -> None:
        self._online.replaced(sources)

    def windows(self) -> Mapping[str, OnlineWindow]:
        return self._online.windows()

    def online(
        self, service: str, keys: Sequence[Mapping[str, object]], at: datetime
    ) -> Sequence[Mapping[str, object]]:
        return [answer.values for answer in self.answers(service, keys, at)]

    def answers(self, service: str, keys: Sequence[Mapping[str, object]], at: datetime) -> Sequence[Answer]:
        return self._online.answers(service, keys, at)

    def paired(self, view: str, count: int, pushes: Pushes | None = None) -> Sequence[Pair]:
        return self._online.paired(view, count, pushes)

    def forget(self, whose: Whose | None, keys: Table) -> int:
        return self._online.forget(whose, keys)

    def wipe(self) -> None:
        self._online.wipe()

    # ── what is pushed there ──────────────────────────────────────────────────────────────────────

    def streams(self) -> Mapping[str, frozenset[str]]:
        return self._streams.streams()

    def derived(self, push: Pushed, beside: Pushes, before: Sequence[Path]) -> Mapping[str, int]:
        return self._streams.derived(push, beside, before)

    def push(self, pushes: Pushes) -> Mapping[str, int]:
        return self._streams.push(pushes)
