"""The online half of a fake feature store: windows as they were materialized, and what was pushed beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of
from tidegate.adapters.shared.frames import read_frame
from tidegate.application.ports import Answer, Frame, Materialized, OnlineWindow, Pushed, Pushes, Table, Whose
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.parity import Pair
from tidegate.testing.fakes.views import FakeView, FakeViews, Row, Rows, moments

_KINDS = {int: "integer", float: "double"}


class FakeOnline(FakeViews):
    """What of each view is online: the window that it was brought to, its rows, and those that were pushed since."""

    def __init__(
        self, home: Path, views: Mapping[str, FakeView], services: Mapping[str, tuple[str, ...]]
    ) -> None:
        super().__init__(home, views, services)
        self._windows: dict[str, OnlineWindow] = {}
        self._online: dict[str, Rows] = {}
        self._pushed: dict[str, Rows] = {}

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
            known = (row for row in rows if max(moments(row)) <= moment)
            newest[name] = max((row["event_timestamp"] for row in known), default=None)
            if there and there.until > until:
                counts[name] = 0
                continue
            fed = self._fed(name, beside) if view.stream else []
            since = self._told(name, fed, beside, until)
            keys = {tuple(row[key] for key in view.keys) for row in (*rows, *since)}
            named = [dict(zip(view.keys, key, strict=True)) for key in keys]
            found = (self._latest(rows, name, key, until) or self._last(since, name, key) for key in named)
            counts[name] = sum(row is not None for row in found)
            window = OnlineWindow(
                until, self._frames[name].digest, counts[name], fed[-1].sequence if fed else 0
            )
            same = there and (there.until, there.source) == (until, window.source)
            if not there or not same or there.pushed < window.pushed:
                self._windows[name], self._online[name], self._pushed[name] = window, rows, since
                written.append(name)
        return Materialized(counts, tuple(written), newest)

    def windows(self) -> Mapping[str, OnlineWindow]:
        """Return what each view was brought to."""
        return dict(self._windows)

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
                until = self._window(name).until
                row = self._served(name, key, until)
                if row and view.ttl and row["event_timestamp"] + view.ttl < at:
                    row = None
                answer |= {feature: row and row[feature] for feature in view.features}
                ages[name] = max(at, until) - row["event_timestamp"] if row else None
            answers.append(Answer(answer, ages))
        return answers

    def paired(self, view: str, count: int, pushes: Pushes | None = None) -> Sequence[Pair]:
        """Look the first keys up in what is online and in what is built, and was pushed."""
        window, pushes = self._window(view), pushes or Pushes()
        shape, until, rows = self._views[view], window.until, self._built(view)
        fed = [push for push in self._fed(view, pushes) if push.sequence <= window.pushed]
        since = self._told(view, fed, pushes, until)
        keys = sorted({tuple(row[part] for part in shape.keys) for row in (*rows, *since)}, key=str)[:count]
        pairs = []
        for key in keys:
            named = dict(zip(shape.keys, key, strict=True))
            served = self._served(view, named, until)
            known = _later(self._latest(rows, view, named, until), self._last(since, view, named))
            for feature in shape.features:
                values = (served and served[feature], known and known[feature])
                kind = next(
                    (_KINDS.get(type(value), "other") for value in values if value is not None), "other"
                )
                pairs.append(Pair(", ".join(map(str, key)), feature, kind, *values))
        return pairs

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

    def _window(self, name: str) -> OnlineWindow:
        if name not in self._windows:
            raise DependencyFailed("online-empty", f"got nothing of {name} online, expected it", "")
        return self._windows[name]

    def _served(self, name: str, key: Row, until: datetime) -> Row | None:
        pushed = self._last(self._pushed.get(name, ()), name, key)
        return _later(self._latest(self._online[name], name, key, until), pushed)

    def _last(self, rows: Rows, name: str, key: Row) -> Row | None:
        found = None
        for row in rows:
            if all(row[part] == key[part] for part in self._views[name].keys):
                found = _later(found, row)
        return found

    def _fed(self, name: str, pushes: Pushes) -> list[Pushed]:
        return [push for push in pushes.rows if push.dataset in self._views[name].datasets]

    def _told(self, name: str, fed: Sequence[Pushed], beside: Pushes, until: datetime) -> list[Row]:
        return [row for push in fed for row in self._rows_of(name, push, beside, max(push.at, until))]

    def _rows_of(self, name: str, push: Pushed, beside: Pushes, moment: datetime) -> Rows:
        rows = self._views[name].rows({**beside.batches, push.dataset: push.files}, beside.declared)
        known = [{**row, "created_timestamp": max(row["created_timestamp"], push.at)} for row in rows]
        return [row for row in known if max(row["created_timestamp"], row["event_timestamp"]) <= moment]


def _later(one: Row | None, other: Row | None) -> Row | None:
    """Return the later of two rows; of one age the other."""
    if one is None or other is None:
        return other or one
    return one if moments(one) > moments(other) else other


def _says(name: str, value: object, whose: Whose | None) -> bool:
    said = whose is not None and str(value) in whose.texts
    return (
        whose is not None and said and (name == whose.column or (whose.anywhere and isinstance(value, str)))
    )
