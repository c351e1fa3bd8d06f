"""Views of a fake feature store: how their rows come about, and which of them was known when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.adapters.shared.frames import read_frame
from tidegate.adapters.shared.sql import Declared, write_frame
from tidegate.application.ports import Frame
from tidegate.application.ports.features import at_once
from tidegate.domain.access import Access, FeaturePermission
from tidegate.domain.errors import BadInput, DependencyFailed

Row = Mapping[str, Any]
Rows = Sequence[Row]


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


def moments(row: Row) -> tuple[datetime, datetime]:
    """Return when a row happened and when it was known: the later of two is the one that counts."""
    return row["event_timestamp"], row["created_timestamp"]


class FakeViews:
    """Views and services by name; a service lists its views, and selects all of each."""

    def __init__(
        self, home: Path, views: Mapping[str, FakeView], services: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._home = home
        self._views = views
        self._services = services
        self._rows: dict[str, Rows] = {}
        self._frames: dict[str, Frame] = {}

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

    def check(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> None:
        """Ask every view for its rows, and look whether they have its columns."""
        for name, view in self._views.items():
            for row in view.rows(batches, declared):
                if missing := sorted({*view.keys, *view.features} - set(row)):
                    raise BadInput(
                        "source-columns", f"got rows for {name} without {', '.join(missing)}, expected it", ""
                    )

    def verify(self, sources: Mapping[str, str]) -> None:
        """Read each view's file and compare."""
        for view, expected in sorted(sources.items()):
            self._built(view)
            read_frame(replace(self._frames[view], digest=expected), f"the source of {view}")

    def _latest(self, rows: Rows, name: str, key: Row, moment: datetime) -> Row | None:
        """Return the newest row of a key that was known at a moment, and had not expired by then."""
        view = self._views[name]
        known = [
            row
            for row in rows
            if all(row[part] == key[part] for part in view.keys)
            and max(moments(row)) <= moment
            and not (view.ttl and row["event_timestamp"] + view.ttl < moment)
        ]
        return max(known, key=moments, default=None)

    def _built(self, name: str) -> Rows:
        if name not in self._rows:
            raise DependencyFailed("features-not-built", f"got no source for {name}, expected one", "build")
        return self._rows[name]

    def _service(self, service: str) -> tuple[str, ...]:
        if service not in self._services:
            raise BadInput("no-such-service", f"got the feature service {service}, expected a known one", "")
        return self._services[service]
