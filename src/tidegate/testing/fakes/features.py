"""A feature store in plain Python: every join is a loop over all rows. Slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of
from tidegate.adapters.shared.frames import found_digest, read_frame
from tidegate.adapters.shared.sql import Declared, write_frame
from tidegate.application.ports import Frame, Materialized, OnlineWindow, Table, Whose
from tidegate.domain.canonical import digest
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.feature_change import Definitions, ServiceDefinition, ViewDefinition
from tidegate.domain.parity import Pair

Rows = Sequence[Mapping[str, Any]]
_KINDS = {int: "integer", float: "double"}


@dataclass(frozen=True)
class FakeView:
    """A view: its join keys, its features, its ttl, and how its rows come from batches and declared rows.

    Rows have the keys, ``event_timestamp``, ``created_timestamp`` and the features.
    """

    keys: tuple[str, ...]
    features: tuple[str, ...]
    ttl: timedelta | None
    rows: Callable[[Mapping[str, Sequence[Path]], Declared], Rows]
    description: str = ""
    sql: str = ""
    datasets: frozenset[str] = frozenset()


class FakeFeatures:
    """Views and services by name; a service lists its views, and selects all of each.

    `edit` is what an editor does to the files.
    """

    def __init__(
        self, home: Path, views: Mapping[str, FakeView], services: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._home = home
        self._views = views
        self._services = services
        self._rows: dict[str, Rows] = {}
        self._frames: dict[str, Frame] = {}
        self._windows: dict[str, OnlineWindow] = {}
        self._online: dict[str, Rows] = {}
        self._kept: dict[str, ViewDefinition] = {}
        self._registered: Definitions | None = None

    def edit(
        self,
        views: Mapping[str, FakeView] | None = None,
        services: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Define other views, or other services, from now on."""
        self._views = self._views if views is None else views
        self._services = self._services if services is None else services

    @property
    def tool(self) -> str:
        """Return the name of this fake."""
        return "fake features"

    def reads(self) -> Mapping[str, frozenset[str]]:
        """Return what each view says it reads from."""
        return {name: view.datasets for name, view in self._views.items()}

    def build(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> Mapping[str, Frame]:
        """Rebuild every view's rows."""
        import pyarrow as pa

        frames = {}
        for name, view in self._views.items():
            rows = view.rows(batches, declared)
            times = pa.timestamp("us", "UTC")
            columns: dict[str, Any] = {key: pa.array([row[key] for row in rows]) for key in view.keys}
            for time in ("event_timestamp", "created_timestamp"):
                columns[time] = pa.array([row[time] for row in rows], times)
            columns |= {feature: pa.array([row[feature] for row in rows]) for feature in view.features}
            frames[name] = write_frame(
                pa.table(columns), self._home / "features" / name, ("event_timestamp",)
            )
            self._rows[name] = rows
            self._frames[name] = frames[name]
        return frames

    def apply(self) -> Mapping[str, str]:
        """Return a digest per view and service."""
        self._registered = found = self.defined()
        views = {name: view.digest for name, view in found.views.items()}
        self._kept |= {view.digest: view for view in found.views.values()}
        return views | {name: digest([views[view] for view in of]) for name, of in self._services.items()}

    def defined(self) -> Definitions:
        """Return what is defined; the types are not told."""
        views = {}
        for name, view in self._views.items():
            said = [view.keys, view.features, str(view.ttl), view.description, view.sql]
            views[name] = ViewDefinition(
                name,
                digest(said),
                dict.fromkeys(view.features, "any"),
                dict.fromkeys(view.keys, "any"),
                str(view.ttl or ""),
                view.sql,
                words={"description": view.description} if view.description else {},
            )
        services = {
            name: ServiceDefinition(name, {view: self._views[view].features for view in of if view in views})
            for name, of in self._services.items()
        }
        return Definitions(views, services)

    def check(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> None:
        """Ask every view for its rows, and look whether they have its columns."""
        for name, view in self._views.items():
            for row in view.rows(batches, declared):
                if missing := sorted({*view.keys, *view.features} - set(row)):
                    raise BadInput(
                        "source-columns", f"got rows for {name} without {', '.join(missing)}, expected it", ""
                    )

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

    def verify(self, sources: Mapping[str, str]) -> None:
        """Read each view's file and compare."""
        for view, expected in sorted(sources.items()):
            self._built(view)
            read_frame(replace(self._frames[view], digest=expected), f"the source of {view}")

    def materialize(self, until: datetime) -> Materialized:
        """Move each view to ``until``, never back; count its keys with a value."""
        if until.tzinfo is None:
            raise BadInput("naive-time", f"got {until} without a zone, expected UTC", "")
        counts, written = {}, []
        for name, view in self._views.items():
            there, rows = self._windows.get(name), self._built(name)
            if there and there.until > until:
                counts[name] = 0
                continue
            keys = {tuple(row[key] for key in view.keys) for row in rows}
            known = (self._latest(rows, name, dict(zip(view.keys, key, strict=True)), until) for key in keys)
            counts[name] = sum(row is not None for row in known)
            window = OnlineWindow(until, self._frames[name].digest, counts[name])
            if there != window:
                self._windows[name], self._online[name] = window, rows
                written.append(name)
        return Materialized(counts, tuple(written))

    def windows(self) -> Mapping[str, OnlineWindow]:
        """Return what each view was brought to."""
        return dict(self._windows)

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

    def reread(self, digest: str) -> str:
        """Read a kept frame again."""
        path = self._home / "frames" / f"{hex_of(digest, PREFIX)}.parquet"
        return found_digest(path, f"the training set {digest}")

    def paired(self, view: str, count: int) -> Sequence[Pair]:
        """Look the first keys up in what is online and in what is built."""
        if view not in self._windows:
            raise DependencyFailed("online-empty", f"got nothing of {view} online, expected it", "")
        shape, until, rows = self._views[view], self._windows[view].until, self._built(view)
        keys = sorted({tuple(row[part] for part in shape.keys) for row in rows}, key=str)[:count]
        pairs = []
        for key in keys:
            named = dict(zip(shape.keys, key, strict=True))
            served = self._latest(self._online[view], view, named, until)
            known = self._latest(rows, view, named, until)
            for feature in shape.features:
                values = (served and served[feature], known and known[feature])
                kind = next(
                    (_KINDS.get(type(value), "other") for value in values if value is not None), "other"
                )
                pairs.append(Pair(", ".join(map(str, key)), feature, kind, *values))
        return pairs

    def online(
        self, service: str, keys: Sequence[Mapping[str, object]], at: datetime
    ) -> Sequence[Mapping[str, object]]:
        """Look each key up as of the last materialization."""
        views = self._service(service)
        answers = []
        for key in keys:
            answer: dict[str, object] = {}
            for name in views:
                view = self._views[name]
                missing = [part for part in view.keys if key.get(part) is None]
                if missing:
                    raise BadInput("missing-key", f"got no {', '.join(missing)}, expected them", "")
                if name not in self._windows:
                    raise DependencyFailed("online-empty", f"got nothing of {name} online, expected it", "")
                until = self._windows[name].until
                row = self._latest(self._online[name], name, key, until)
                if row and view.ttl and row["event_timestamp"] + view.ttl < at:
                    row = None
                answer |= {feature: row and row[feature] for feature in view.features}
            answers.append(answer)
        return answers

    def forget(self, whose: Whose | None, keys: Table) -> int:
        """Look at every part of every key and every feature that is online."""
        gone = [dict(row) for row in cast(Any, keys).to_pylist()]
        before = sum(map(len, self._online.values()))
        for name, rows in self._online.items():
            told = {*self._views[name].keys, *self._views[name].features}
            self._online[name] = [
                row
                for row in rows
                if not any(_says(part, row[part], whose) for part in told)
                and {part: str(row[part]) for part in keys.column_names if part in told} not in gone
            ]
        return before - sum(map(len, self._online.values()))

    def wipe(self) -> None:
        """Do nothing: what is forgotten here is gone."""

    def replaced(self, sources: Mapping[str, tuple[str, str]]) -> None:
        """Read what was left of a source, and have it online."""
        for view, (before, after) in sources.items():
            if view in self._frames and self._frames[view].digest in {before, after}:
                path = self._home / "features" / view / f"{hex_of(after, PREFIX)}.parquet"
                table = read_frame(Frame(after, path, 0), f"what was left of {view}")
                self._rows[view], self._frames[view] = table.to_pylist(), Frame(after, path, table.num_rows)
                if view in self._windows:
                    self.materialize(self._windows[view].until)

    def _latest(
        self, rows: Rows, name: str, key: Mapping[str, Any], moment: datetime
    ) -> Mapping[str, Any] | None:
        view, best = self._views[name], None
        for row in rows:
            if any(row[part] != key[part] for part in view.keys):
                continue
            if row["event_timestamp"] > moment or row["created_timestamp"] > moment:
                continue
            if view.ttl and row["event_timestamp"] + view.ttl < moment:
                continue
            age = (row["event_timestamp"], row["created_timestamp"])
            if best is None or age > (best["event_timestamp"], best["created_timestamp"]):
                best = row
        return best

    def _built(self, name: str) -> Rows:
        if name not in self._rows:
            raise DependencyFailed("features-not-built", f"got no source for {name}, expected one", "build")
        return self._rows[name]

    def _service(self, service: str) -> tuple[str, ...]:
        if service not in self._services:
            raise BadInput("no-such-service", f"got the feature service {service}, expected a known one", "")
        return self._services[service]


def _says(name: str, value: object, whose: Whose | None) -> bool:
    said = whose is not None and str(value) in whose.texts
    return (
        whose is not None and said and (name == whose.column or (whose.anywhere and isinstance(value, str)))
    )
