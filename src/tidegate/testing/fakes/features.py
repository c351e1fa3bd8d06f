"""A feature store in plain Python: every join is a loop over all rows. Slow, and easy to believe.

Where its rows come from is in `views`, what it serves in `online_features`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of
from tidegate.adapters.shared.frames import found_digest
from tidegate.adapters.shared.sql import write_frame
from tidegate.application.ports import Frame, Marks
from tidegate.domain.access import FeaturePermission
from tidegate.domain.canonical import digest
from tidegate.domain.errors import BadInput
from tidegate.domain.feature_change import Definitions, ServiceDefinition, ViewDefinition
from tidegate.testing.fakes.online_features import FakeOnline
from tidegate.testing.fakes.views import FakeView, Rows, open_to_all

_MICROSECOND = timedelta(microseconds=1)


class FakeFeatures(FakeOnline):
    """Views and services by name; a service lists its views, and selects all of each. Without permissions all is open.

    `edit` is what an editor does to the files.
    """

    def __init__(
        self,
        home: Path,
        views: Mapping[str, FakeView],
        services: Mapping[str, tuple[str, ...]],
        permissions: tuple[FeaturePermission, ...] | None = None,
    ) -> None:
        super().__init__(home, views, services)
        self._permissions = permissions
        self._kept: dict[str, ViewDefinition] = {}
        self._registered: Definitions | None = None

    def edit(
        self,
        views: Mapping[str, FakeView] | None = None,
        services: Mapping[str, tuple[str, ...]] | None = None,
        permissions: tuple[FeaturePermission, ...] | None = None,
    ) -> None:
        """Define other views, services or permissions from now on."""
        self._permissions = self._permissions if permissions is None else permissions
        self._views = self._views if views is None else views
        self._services = self._services if services is None else services

    @property
    def tool(self) -> str:
        """Return the name of this fake."""
        return "fake features"

    def apply(self, expected: Definitions | None = None) -> Mapping[str, str]:
        """Return a digest per view and service."""
        if expected not in (None, found := self.defined()):
            raise BadInput("definitions-edited", "got other definitions than were expected", "run it again")
        self._registered = found
        views = {name: view.digest for name, view in found.views.items()}
        self._kept |= {view.digest: view for view in found.views.values()}
        return views | {name: digest([views[view] for view in of]) for name, of in self._services.items()}

    def defined(self) -> Definitions:
        """Return what is defined; the types are not told."""
        views = {}
        for name, view in self._views.items():
            said = [view.keys, view.features, str(view.ttl), view.description, view.sql, dict(view.objective)]
            views[name] = ViewDefinition(
                name,
                digest(said),
                dict.fromkeys(view.features, "any"),
                dict.fromkeys(view.keys, "any"),
                str(view.ttl or ""),
                view.sql,
                words={"description": view.description} if view.description else {},
                objective=view.objective,
            )
        services = {
            name: ServiceDefinition(name, {view: self._views[view].features for view in of if view in views})
            for name, of in self._services.items()
        }
        declared = self._permissions
        return Definitions(views, services, (open_to_all(views),) if declared is None else declared)

    def registered(self, recorded: Mapping[str, str]) -> Definitions:
        """Return what was registered last."""
        if self._registered is None:
            return Definitions(self.kept(recorded))
        names = {name: recorded.get(name, view.digest) for name, view in self._registered.views.items()}
        return Definitions(self.kept(names), self._registered.services)

    def kept(self, views: Mapping[str, str]) -> Mapping[str, ViewDefinition]:
        """Return what had these digests."""
        return {
            name: self._kept.get(each, ViewDefinition(name, each, kept=False)) for name, each in views.items()
        }

    def training_frame(self, entities: Frame, service: str, keep: Sequence[str]) -> Frame:
        """Join by looking at every row for every entity."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.ParquetFile(entities.path).read()
        views = self._service(service)
        keys = sorted({key for name in views for key in self._views[name].keys})
        kept = [name for name in dict.fromkeys(keep) if name not in ("event_timestamp", *keys)]
        missing = [name for name in ("event_timestamp", *keys, *kept) if name not in table.column_names]
        if missing:
            raise BadInput("missing-column", f"got no {', '.join(missing)}, expected them", "")
        columns: dict[str, Any] = {name: table.column(name) for name in ("event_timestamp", *keys, *kept)}
        for name in views:
            found = [
                self._latest(self._built(name), name, row, row["event_timestamp"])
                for row in table.to_pylist()
            ]
            for feature in self._views[name].features:
                columns[feature] = pa.array([row and row[feature] for row in found])
        return write_frame(pa.table(columns), self._home / "frames")

    def ages(self, entities: Frame, service: str, views: Collection[str]) -> Frame:
        """Look for every entity at every row, and at the clock."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        asked = pq.ParquetFile(entities.path).read().to_pylist()
        columns, selected = {}, self._service(service)
        if others := sorted(set(views) - set(selected)):
            expected = f"expected views that {service} selects: {', '.join(sorted(selected))}"
            raise BadInput("not-selected", f"got {', '.join(others)}, {expected}", "")
        for name in selected:
            if name in views:
                found = [
                    (row, self._latest(self._built(name), name, row, row["event_timestamp"])) for row in asked
                ]
                ages = [
                    (row["event_timestamp"] - of["event_timestamp"]) // _MICROSECOND if of else None
                    for row, of in found
                ]
                columns[name] = pa.array(ages, pa.int64())
        return write_frame(pa.table(columns), self._home / "frames" / "ages")

    def marks(self, service: str, rows: int) -> Marks:
        """Name the service and its rows."""
        self._service(service)
        return Marks({"features.service": service, "features.rows": str(rows)})

    def reread(self, digest: str) -> str:
        """Read a kept frame again."""
        path = self._home / "frames" / f"{hex_of(digest, PREFIX)}.parquet"
        return found_digest(path, f"the training set {digest}")

    def statistics(self, view: str, window: tuple[datetime, datetime]) -> Mapping[str, Mapping[str, Any]]:
        """Count the rows of the window, and those without a value; add up what there is."""
        rows, told = self._happened(view, window), {}
        for feature in self._views[view].features:
            values = [row[feature] for row in rows if row[feature] is not None]
            mean = sum(values) / len(values) if values else None
            counted = {"row_count": len(rows), "null_count": len(rows) - len(values), "mean": mean}
            told[feature] = {"kind": "numeric", **counted}
        return told

    def counts(
        self, view: str, window: tuple[datetime, datetime], cuts: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Sequence[int]]:
        """Count value by value."""
        rows = self._happened(view, window)
        if unknown := sorted({*cuts} - {*self._views[view].features}):
            raise BadInput("no-such-feature", f"got {', '.join(unknown)}, expected features of {view}", "")
        told = {name: [0] * (len(between) + 1) for name, between in cuts.items()}
        for row in rows:
            for name, between in cuts.items():
                if row[name] is not None:
                    told[name][bisect_right(between, row[name])] += 1
        return told

    def _happened(self, view: str, window: tuple[datetime, datetime]) -> Rows:
        if view not in self._views:
            raise BadInput("no-such-view", f"got the view {view}, expected one that is defined", "")
        return [row for row in self._built(view) if window[0] <= row["event_timestamp"] < window[1]]
