"""What comes between two materializations: rows pushed into the windows that are online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tidegate.adapters.feast_store import definitions, pushing, repository, tables
from tidegate.adapters.feast_store.opened import PROCESS, Opened
from tidegate.adapters.feast_store.repository import tool_errors
from tidegate.application.ports import Pushed, Pushes


class Streams:
    """The views of an opened repository that take pushes."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def streams(self) -> Mapping[str, frozenset[str]]:
        """Return the views that have a push source, with what their queries read from, shared steps followed.

        Raises:
            BadInput: the definitions do not load, or a view has no query that can be read.
        """
        with PROCESS, tool_errors("reading definitions"):
            views = self._opened.loaded().feature_views
            names = [view.name for view in views if pushing.takes_pushes(view)]
            return {name: repository.read_from(self._opened.repo, name) for name in names}

    def derived(self, push: Pushed, beside: Pushes, before: Sequence[Path]) -> Mapping[str, int]:
        """Run the queries of the views that a push feeds over its rows alone, and beside batches of its dataset.

        Raises:
            BadInput: a query does not run, or gives other rows of the push where it sees what came before.
        """
        with tool_errors("reading what was pushed"):
            fed = {name for name, reads in self.streams().items() if push.dataset in reads}
            views = [view for view in self._opened.views_in(self._opened.loaded()) if view.name in fed]
            return {view.name: pushing.alone(self._opened.repo, view, push, beside, before) for view in views}

    def push(self, pushes: Pushes) -> Mapping[str, int]:
        """Bring what was pushed into the windows that are online; each row unless a later one is there.

        Killed at any point and run again, it comes to the same: a window says which push it holds last.

        Raises:
            DependencyFailed: the online store cannot be written, or a view's files were edited and not applied.
        """
        with self._opened.alone(), tool_errors("pushing"):
            repo, store = self._opened.repo, self._opened.store(fresh=True)
            join_keys = {each.name: each.join_key for each in store.registry.list_entities(store.project)}
            serving, written = self._opened.serving(store), {}
            known = {view.name: view for view in store.list_feature_views()}
            for name, rows in pushing.fed(repo, known.values(), pushes).items():
                part = tables.View.of(known[name], join_keys)
                window = serving.windows([serving.served(known[name], part)]).get(name)
                due = [push for push in rows if window and push.sequence > window.pushed]
                if not due:
                    continue
                definitions.refuse_edited(self._opened.home, known[name], *repository.source_sql(repo, name))
                found = tables.together(part, [pushing.known(repo, part, push, pushes) for push in due])
                if serving.add(known[name], part, found, due[-1].sequence):
                    written[name] = found.num_rows
            return written
