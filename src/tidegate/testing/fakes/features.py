"""A feature store in plain Python: every join is a loop over all rows. Slow, and easy to believe."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of
from tidegate.adapters.shared.frames import found_digest, read_frame
from tidegate.adapters.shared.sql import Declared, write_frame
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
from tidegate.domain.access import Access, FeaturePermission
from tidegate.domain.canonical import digest
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.feature_change import Definitions, ServiceDefinition, ViewDefinition
from tidegate.domain.parity import Pair

Rows = Sequence[Mapping[str, Any]]
_KINDS = {int: "integer", float: "double"}
_MICROSECOND = timedelta(microseconds=1)


def open_to_all(views: Iterable[str]) -> FeaturePermission:
    """Return a permission that opens these views to every role that works with features, for everything."""
    roles = ("data_scientist", "feature_service", "ingest_service", "scoring_service", "training_service")
    return FeaturePermission("works", tuple(views), roles, tuple(Access))


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
    objective: Mapping[str, int] = field(default_factory=dict)
    stream: bool = False


class FakeFeatures:
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
        self._home = home
        self._views = views
        self._services = services
        self._permissions = permissions
        self._rows: dict[str, Rows] = {}
        self._frames: dict[str, Frame] = {}
        self._windows: dict[str, OnlineWindow] = {}
        self._online: dict[str, Rows] = {}
        self._pushed: dict[str, Rows] = {}
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

    def reads(self) -> Mapping[str, frozenset[str]]:
        """Return what each view says it reads from."""
        return {name: view.datasets for name, view in self._views.items()}

    def build(
        self,
        batches: Mapping[str, Sequence[Path]],
        declared: Declared,
        ready: Callable[[], object] = at_once,
    ) -> Mapping[str, Frame]:
        """Rebuild every view's rows."""
        import pyarrow as pa

        frames, built = {}, {}
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
            built[name] = rows
        ready()
        self._rows |= built
        self._frames |= frames
        return frames

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

    def streams(self) -> Mapping[str, frozenset[str]]:
        """Return the views that take pushes."""
        return {name: view.datasets for name, view in self._views.items() if view.stream}

    def derived(self, push: Pushed, beside: Pushes, before: Sequence[Path]) -> Mapping[str, int]:
        """Look at every row of a push alone, then beside what came before."""
        counts = {}
        for name, reads in self.streams().items():
            if push.dataset not in reads:
                continue
            view = self._views[name]
            alone = view.rows({**beside.batches, push.dataset: push.files}, beside.declared)
            if before:
                files = {**beside.batches, push.dataset: (*before, *push.files)}
                both = view.rows(files, beside.declared)
                if other := [row for row in alone if row not in both]:
                    raise BadInput(
                        "push-needs-history", f"got {len(other)} rows of {name} otherwise, expected none", ""
                    )
            counts[name] = len(alone)
        return counts

    def push(self, pushes: Pushes) -> Mapping[str, int]:
        """Put the rows of each push beside the window, once."""
        written = {}
        for name in self.streams():
            window = self._windows.get(name)
            due = [push for push in self._fed(name, pushes) if window and push.sequence > window.pushed]
            if window and due:
                rows = [row for push in due for row in self._rows_of(name, push, pushes, push.at)]
                self._pushed[name] = [*self._pushed.get(name, ()), *rows]
                self._windows[name] = replace(window, pushed=due[-1].sequence)
                written[name] = len(rows)
        return written

    def materialize(self, until: datetime, pushes: Callable[[], Pushes] = Pushes) -> Materialized:
        """Move each view to ``until``, never back; count its keys with a value."""
        beside = pushes()
        if until.tzinfo is None:
            raise BadInput("naive-time", f"got {until} without a zone, expected UTC", "")
        counts, written, newest = {}, [], dict[str, datetime | None]()
        for name, view in self._views.items():
            there, rows = self._windows.get(name), self._built(name)
            moment = max(until, there.until) if there else until
            times = [(row["event_timestamp"], row["created_timestamp"]) for row in rows]
            newest[name] = max((of for of, known in times if max(of, known) <= moment), default=None)
            if there and there.until > until:
                counts[name] = 0
                continue
            fed = self._fed(name, beside) if view.stream else []
            since = [row for push in fed for row in self._rows_of(name, push, beside, max(push.at, until))]
            keys = {tuple(row[key] for key in view.keys) for row in (*rows, *since)}
            named = [dict(zip(view.keys, key, strict=True)) for key in keys]
            known = (self._latest(rows, name, key, until) or self._last(since, name, key) for key in named)
            counts[name] = sum(row is not None for row in known)
            window = OnlineWindow(
                until, self._frames[name].digest, counts[name], fed[-1].sequence if fed else 0
            )
            if (
                there
                and (there.until, there.source) == (until, window.source)
                and there.pushed >= window.pushed
            ):
                continue
            if there != window:
                self._windows[name], self._online[name], self._pushed[name] = window, rows, since
                written.append(name)
        return Materialized(counts, tuple(written), newest)

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

    def paired(self, view: str, count: int, pushes: Pushes | None = None) -> Sequence[Pair]:
        """Look the first keys up in what is online and in what is built, and was pushed."""
        if view not in self._windows:
            raise DependencyFailed("online-empty", f"got nothing of {view} online, expected it", "")
        shape, until, rows = self._views[view], self._windows[view].until, self._built(view)
        pushes, window = pushes or Pushes(), self._windows[view]
        fed = [push for push in self._fed(view, pushes) if push.sequence <= window.pushed]
        since = [row for push in fed for row in self._rows_of(view, push, pushes, max(push.at, until))]
        keys = sorted({tuple(row[part] for part in shape.keys) for row in (*rows, *since)}, key=str)[:count]
        pairs = []
        for key in keys:
            named = dict(zip(shape.keys, key, strict=True))
            served = self._served(view, named, until)
            known = self._later(self._latest(rows, view, named, until), self._last(since, view, named))
            for feature in shape.features:
                values = (served and served[feature], known and known[feature])
                kind = next(
                    (_KINDS.get(type(value), "other") for value in values if value is not None), "other"
                )
                pairs.append(Pair(", ".join(map(str, key)), feature, kind, *values))
        return pairs

    def statistics(self, view: str, window: tuple[datetime, datetime]) -> Mapping[str, Mapping[str, Any]]:
        """Count the rows of the window, and those without a value; add up what there is."""
        if view not in self._views:
            raise BadInput("no-such-view", f"got the view {view}, expected one that is defined", "")
        rows = [row for row in self._built(view) if window[0] <= row["event_timestamp"] < window[1]]
        told = {}
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
        if view not in self._views:
            raise BadInput("no-such-view", f"got the view {view}, expected one that is defined", "")
        if unknown := sorted({*cuts} - {*self._views[view].features}):
            raise BadInput("no-such-feature", f"got {', '.join(unknown)}, expected features of {view}", "")
        rows = [row for row in self._built(view) if window[0] <= row["event_timestamp"] < window[1]]
        told = {name: [0] * (len(between) + 1) for name, between in cuts.items()}
        for row in rows:
            for name, between in cuts.items():
                if row[name] is not None:
                    told[name][bisect_right(between, row[name])] += 1
        return told

    def online(
        self, service: str, keys: Sequence[Mapping[str, object]], at: datetime
    ) -> Sequence[Mapping[str, object]]:
        """Look each key up as of the last materialization."""
        return [answer.values for answer in self.answers(service, keys, at)]

    def answers(self, service: str, keys: Sequence[Mapping[str, object]], at: datetime) -> Sequence[Answer]:
        """Look each key up as of the last materialization, and at the clock."""
        views = self._service(service)
        answers = []
        for key in keys:
            answer: dict[str, object] = {}
            ages: dict[str, timedelta | None] = {}
            for name in views:
                view = self._views[name]
                missing = [part for part in view.keys if key.get(part) is None]
                if missing:
                    raise BadInput("missing-key", f"got no {', '.join(missing)}, expected them", "")
                if name not in self._windows:
                    raise DependencyFailed("online-empty", f"got nothing of {name} online, expected it", "")
                until = self._windows[name].until
                row = self._served(name, key, until)
                if row and view.ttl and row["event_timestamp"] + view.ttl < at:
                    row = None
                answer |= {feature: row and row[feature] for feature in view.features}
                ages[name] = max(at, until) - row["event_timestamp"] if row else None
            answers.append(Answer(answer, ages))
        return answers

    def forget(self, whose: Whose | None, keys: Table) -> int:
        """Look at every part of every key and every feature that is online."""
        gone = [dict(row) for row in cast(Any, keys).to_pylist()]
        count = 0
        for held in (self._online, self._pushed):
            for name, rows in held.items():
                told = {*self._views[name].keys, *self._views[name].features}
                held[name] = [
                    row
                    for row in rows
                    if not any(_says(part, row[part], whose) for part in told)
                    and {part: str(row[part]) for part in keys.column_names if part in told} not in gone
                ]
                count += len(rows) - len(held[name])
        return count

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

    def _served(self, name: str, key: Mapping[str, Any], until: datetime) -> Mapping[str, Any] | None:
        pushed = self._last(self._pushed.get(name, ()), name, key)
        return self._later(self._latest(self._online[name], name, key, until), pushed)

    def _last(self, rows: Rows, name: str, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        found = None
        for row in rows:
            if all(row[part] == key[part] for part in self._views[name].keys):
                found = self._later(found, row)
        return found

    @staticmethod
    def _later(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        ages = [(row["event_timestamp"], row["created_timestamp"]) if row else None for row in (one, other)]
        return one if ages[1] is None or (ages[0] is not None and ages[0] > ages[1]) else other

    def _fed(self, name: str, pushes: Pushes) -> list[Pushed]:
        return [push for push in pushes.rows if push.dataset in self._views[name].datasets]

    def _rows_of(self, name: str, push: Pushed, beside: Pushes, moment: datetime) -> Rows:
        rows = self._views[name].rows({**beside.batches, push.dataset: push.files}, beside.declared)
        known = [{**row, "created_timestamp": max(row["created_timestamp"], push.at)} for row in rows]
        return [row for row in known if max(row["created_timestamp"], row["event_timestamp"]) <= moment]

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
