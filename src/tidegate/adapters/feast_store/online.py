"""What is online: views brought there up to a moment and read by key, compared, and rows of it let go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, cast

from tidegate.adapters.feast_store import pushing, tables
from tidegate.adapters.feast_store.built import Built
from tidegate.adapters.feast_store.opened import Opened
from tidegate.adapters.feast_store.repository import tool_errors
from tidegate.adapters.shared.frames import read_frame
from tidegate.application.ports import Answer, Materialized, OnlineWindow, Pushes, Table, Whose
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.parity import Pair

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.adapters.feast_store.serving import Served, Serving


class Online:
    """The online store of an opened repository."""

    def __init__(self, opened: Opened, built: Built) -> None:
        self._opened, self._built = opened, built
        self._plans: dict[str, tuple[float, Serving, Sequence[Served]]] = {}

    # ── bringing there ────────────────────────────────────────────────────────────────────────────

    def materialize(self, until: datetime, pushes: Callable[[], Pushes] = Pushes) -> Materialized:
        """Bring every view to what was known at ``until``, each in one step; what is there already stays.

        ``pushes`` says which still stand: what was pushed is part of it.

        Killed at any point and run again, it comes to the same: a view's window lies beside its rows, and changes
        with them.

        Raises:
            BadInput: ``until`` has no zone, or the online store is of a kind that keeps older values.
            DependencyFailed: a source is missing or was altered, or the online store cannot be written.
        """
        with self._opened.alone(), tool_errors("materializing"):
            moment, repo = utc_time(utc_text(until)), self._opened.repo
            store, views = self._opened.store(fresh=True), self._opened.views()
            serving, rows, written = self._opened.serving(store), {}, []
            newest: dict[str, datetime | None] = {}
            known = {view.name: store.get_feature_view(view.name) for view in views}
            there = serving.windows([serving.served(known[view.name], view) for view in views])
            beside = pushes()  # asked here: whoever pushes meanwhile waits for a turn
            fed = pushing.fed(repo, known.values(), beside)
            for view in views:
                before, standing = there.get(view.name), fed.get(view.name, ())
                now = max(moment, before.until) if before else moment
                rows_built = self._built.rows(view.name)
                since = [pushing.known(repo, view, push, beside, moment) for push in standing]
                newest[view.name] = tables.newest(tables.together(view, [rows_built, *since]), view, now)
                if before and before.until > moment:
                    rows[view.name] = 0
                    continue
                pushed = standing[-1].sequence if standing else 0
                found = tables.known_at(rows_built, view, moment)
                found = tables.latest(tables.together(view, [*since[::-1], found]), view) if since else found
                window = OnlineWindow(moment, self._built.digest(view.name), found.num_rows, pushed)
                rows[view.name] = found.num_rows
                if before == window:  # with another ttl there are more rows, or fewer, of the same source
                    continue
                if serving.bring(known[view.name], view, found, window):
                    written.append(view.name)
            return Materialized(rows, tuple(written), newest)

    def replaced(self, sources: Mapping[str, tuple[str, str]]) -> None:
        """Put what was left of views' sources in their place, and bring it online for the moment that was there.

        Killed at any point and done again, it comes to the same.

        Raises:
            DependencyFailed: what was left is gone or was altered, or the online store cannot be written.
        """
        with self._opened.alone(), tool_errors("replacing sources"):
            built = self._built.digests()
            ours = {view: each for view, each in sources.items() if built.get(view) in each}
            if not ours:
                return
            left = {view: self._built.kept(view, to) for view, (_, to) in ours.items()}
            rows = {view: read_frame(frame, f"what is left of {view}") for view, frame in left.items()}
            self._built.put(left, beside=built)
            store = self._opened.store(fresh=True)
            views = [each for each in self._opened.registered(store) if each[1].name in left]
            self._opened.serving(store).replaced(
                views, {view: (left[view].digest, rows[view]) for view in left}
            )

    # ── reading it ────────────────────────────────────────────────────────────────────────────────

    def windows(self) -> Mapping[str, OnlineWindow]:
        """Return what is online of each view.

        Raises:
            DependencyFailed: the online store does not answer.
        """
        with tool_errors("reading what is online"):
            store = self._opened.store(fresh=True)
            serving = self._opened.serving(store)
            known = {view.name: view for view in store.list_feature_views()}
            views = [view for view in self._opened.views() if view.name in known]
            return serving.windows([serving.served(known[view.name], view) for view in views])

    def answers(self, service: str, keys: Sequence[Mapping[str, object]], at: datetime) -> Sequence[Answer]:
        """Return each key's features, as of the last materialization, and by view how old they are at ``at``.

        What has expired then is None.

        Raises:
            BadInput: no such service, or a key lacks a part.
            DependencyFailed: the online store does not answer, or a view was never brought online.
        """
        with tool_errors("reading online features"):
            serving, views = self._plan(service)
            rows = tables.key_rows(keys, sorted({key for each in views for key in each.view.keys}))
            return serving.answers(views, rows, at)

    def forget_plans(self) -> None:
        """Look up again how services are read, for what is registered changes."""
        self._plans.clear()

    def _plan(self, service: str) -> tuple[Serving, Sequence[Served]]:
        """Return how a service is read. It is looked up in the registry as often as Feast itself looks there."""
        kept = self._plans.get(service)
        if kept is None or kept[0] < time.monotonic():
            store = self._opened.store()
            serving = self._opened.serving(store)
            _, views = self._opened.service(store, service)
            served = [
                serving.served(
                    store.registry.get_feature_view(view.name, store.project, allow_cache=True), view
                )
                for view in views
            ]
            kept = (time.monotonic() + store.config.registry.cache_ttl_seconds, serving, served)
            self._plans[service] = kept
        return kept[1], kept[2]

    def paired(self, view: str, count: int, pushes: Pushes | None = None) -> Sequence[Pair]:
        """Return every feature of ``count`` keys of a view, as it is served and as it was known at its moment.

        Of ``pushes``, those that still stand, what the window holds was known too.

        Raises:
            BadInput: no such view.
            DependencyFailed: nothing of it is online, its source is gone or was altered, or a store fails.
        """
        with self._opened.alone(), tool_errors("comparing features"):
            from tidegate.adapters.feast_store.pairing import paired

            store, repo = self._opened.store(fresh=True), self._opened.repo
            part, serving = self._opened.view(view), self._opened.serving(store)
            registered = store.get_feature_view(view)
            window = serving.windows([serving.served(registered, part)]).get(view)
            if window is None:
                raise tables.empty(view)
            pushes, source = pushes or Pushes(), self._built.rows(view)
            fed = pushing.fed(repo, [registered], pushes).get(view, ())
            held = [push for push in fed if push.sequence <= window.pushed]
            known = [pushing.known(repo, part, push, pushes, window.until) for push in held]
            pushed = tables.latest(tables.together(part, [*known[::-1], source.slice(0, 0)]), part)
            return paired(store, serving, part, source, pushed, window, count)

    # ── letting rows go ───────────────────────────────────────────────────────────────────────────

    def forget(self, whose: Whose | None, keys: Table) -> int:
        """Remove a subject's rows from what is online, whoever wrote them, and those of the keys that went.

        Raises:
            DependencyFailed: the online store does not answer, or its file cannot be written anew.
        """
        if not (self._opened.repo / "feature_store.yaml").exists():
            return 0  # a project without features
        with self._opened.alone(), tool_errors("erasing what is online"):
            store = self._opened.store(fresh=True)
            if not (views := self._opened.registered(store)):
                return 0
            serving = self._opened.serving(store)
            served = [serving.served(view, part) for view, part in views]
            count = serving.forget(served, whose, cast("pa.Table", keys))
            serving.wipe()  # also of what a window that was replaced had left
            return count

    def wipe(self) -> None:
        """Write the online store's file anew, where it is one of ours."""
        with self._opened.alone(), tool_errors("wiping what is online no more"):
            self._opened.serving(self._opened.store()).wipe()
