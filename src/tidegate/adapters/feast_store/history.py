"""What is read offline: features joined as they were known, how old they were, and their figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tidegate.adapters.feast_store import definitions, tables
from tidegate.adapters.feast_store.built import Built
from tidegate.adapters.feast_store.opened import Opened
from tidegate.adapters.feast_store.repository import tool_errors
from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of
from tidegate.adapters.shared.frames import found_digest
from tidegate.adapters.shared.sql import write_frame
from tidegate.application.ports import Frame
from tidegate.domain.errors import DependencyFailed


class History:
    """The past of an opened repository, for whoever trains on it."""

    def __init__(self, opened: Opened, built: Built) -> None:
        self._opened, self._built = opened, built
        self._frames = opened.home / "frames"

    def training_frame(self, entities: Frame, service: str, keep: Sequence[str]) -> Frame:
        """Join a service's features onto ``entities`` as they were known; rows and order stay as they are.

        Columns: event_timestamp, the join keys, ``keep``, the features. A feature is null where nothing
        was known within its view's ttl.

        Raises:
            BadInput: no such service, or a column is missing or would be there twice.
            DependencyFailed: the entity frame or a source no longer has its digest, or what Feast has registered
                is not what was applied here.
        """
        import pyarrow as pa

        with self._opened.alone(), tool_errors("joining features"):
            store = self._opened.store(fresh=True)
            selected, views = self._opened.service(store, service)
            self._require_applied(store, selected)
            keys = sorted({key for view in views for key in view.keys})
            kept = [name for name in dict.fromkeys(keep) if name not in ("event_timestamp", *keys)]
            rows = tables.entity_rows(
                entities, keys, kept, [name for view in views for name in view.features]
            )
            columns = {name: rows.column(name) for name in ("event_timestamp", *keys, *kept)}
            for view in views:
                self._built.require_whole(view.name)
            asked = rows.select(["event_timestamp", *keys])
            columns |= tables.joined(store, selected, views, asked)
            return write_frame(pa.table(columns), self._frames)

    def ages(self, entities: Frame, service: str, views: Collection[str]) -> Frame:
        """Return how old the value of each view is at each row's time, in microseconds; rows and order stay.

        Raises:
            BadInput: no such service, it does not select one of the views, or a column is missing.
            DependencyFailed: the entity frame or a source no longer has its digest, or what Feast has registered
                is not what was applied here.
        """
        with self._opened.alone(), tool_errors("telling how old features are"):
            from tidegate.adapters.feast_store.ageing import ages

            store = self._opened.store(fresh=True)
            selected, parts = self._opened.service(store, service)
            self._require_applied(store, selected)
            tables.require_selected(views, service, [view.name for view in parts])
            parts = [view for view in parts if view.name in views]
            keys = sorted({key for view in parts for key in view.keys})
            rows = tables.entity_rows(entities, keys, (), ()).select(["event_timestamp", *keys])
            # As they were built: the offline store may keep its sources elsewhere.
            parts = [replace(view, source=self._built.file(view.name)) for view in parts]
            return write_frame(ages(store.config, rows, parts), self._frames / "ages")

    def reread(self, digest: str) -> str:
        """Read a training frame once more, in full; return the digest of what it holds now.

        Raises:
            DependencyFailed: it is gone or cannot be read. BadInput: that is no digest of a frame.
        """
        path = self._frames / f"{hex_of(digest, PREFIX)}.parquet"
        return found_digest(path, f"the training set {digest}", "restore it from a backup")

    def statistics(self, view: str, window: tuple[datetime, datetime]) -> Mapping[str, Mapping[str, Any]]:
        """Return the figures of each feature over the rows of a window, by Feast's calculator.

        Raises:
            BadInput: no such view. DependencyFailed: its source is gone or was altered.
        """
        with self._opened.alone(), tool_errors("computing statistics"):
            from tidegate.adapters.feast_store.statistics import statistics

            self._opened.store()
            part = self._opened.view(view)
            return statistics(self._built.rows(view), part, window)

    def counts(
        self, view: str, window: tuple[datetime, datetime], cuts: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Sequence[int]]:
        """Count the values of the window's rows in the bins between ``cuts``.

        Raises:
            BadInput: no such view, or no numeric feature of it. DependencyFailed: its source is gone or was altered.
        """
        with self._opened.alone(), tool_errors("counting values"):
            from tidegate.adapters.feast_store.statistics import counts

            self._opened.store()
            part = self._opened.view(view)
            return counts(self._built.rows(view), part, window, cuts)

    def _require_applied(self, store: Any, service: Any) -> None:
        """Refuse what another hand registered: a change that is held would come in by that door."""
        views = [
            store.registry.get_feature_view(projection.name, store.project, allow_cache=True)
            for projection in service.feature_view_projections
        ]
        if other := definitions.applied_otherwise(self._opened.home, service, views):
            raise DependencyFailed(
                "registry-foreign",
                f"got another definition of {other} in Feast's registry, expected the one that was applied here",
                "somebody ran `feast apply`: see `tidegate features plan`, then run `tidegate run materialize`",
            )
