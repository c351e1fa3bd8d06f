"""The online store in one SQLite file.

    online_store:
      type: tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore
      path: data/online.db

A view is two tables, a row a key: its window, and what Feast wrote beside it. The file keeps a write-ahead log: who
reads sees what was there when it began, whatever is written meanwhile, and what a killed writer had begun never was.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import filelock
from feast.repo_config import FeastConfigBaseModel

from tidegate.adapters.feast_store.newest import (
    Expiry,
    Found,
    NewestOnlineStore,
    Row,
    Writes,
    moment_of,
    ticks,
)
from tidegate.application.ports import OnlineWindow
from tidegate.domain.errors import DependencyFailed

T = TypeVar("T")
#: How long a writer waits for the one before it. Readers never wait.
_PATIENCE_SECONDS = 60
_WINDOWS = "tidegate_windows"
#: How many keys one query asks for; SQLite takes 32,766.
_KEYS_PER_QUERY = 30_000


class NewestSqliteOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc] # Feast has no types
    """``path`` is that of the file; a relative one is below the repository."""

    type: str = "tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore"
    path: str = "data/online.db"
    expiry: Expiry = "clock"
    writes: Writes = "feast"


class NewestSqliteOnlineStore(NewestOnlineStore):
    """Each thread has a connection of its own: readers never wait for each other."""

    def __init__(self) -> None:
        self._own = threading.local()

    def put(self, config: Any, name: str, rows: Sequence[Row]) -> None:
        """Keep each row, unless the one that is there is later."""
        with self._writing(config) as database:
            _make(database, name)
            _keep(database, _beside(name), rows)

    def replace(self, config: Any, name: str, rows: Sequence[Row], window: OnlineWindow) -> bool:
        """Put a window in the place of the one before, in one transaction."""
        with self._writing(config) as database:
            _make(database, name)
            there = _window(database, name)
            if there and (there == window or there.until > window.until):
                return False
            database.execute(f"DELETE FROM {_quoted(name)}")
            _keep(database, _quoted(name), rows)
            database.execute(
                f"INSERT OR REPLACE INTO {_WINDOWS} (view, until, source, rows, pushed) VALUES (?, ?, ?, ?, ?)",
                (name, ticks(window.until), window.source, window.rows, window.pushed),
            )
        return True

    def enter(self, config: Any, name: str, rows: Sequence[Row], pushed: int) -> bool:
        """Keep pushed rows in the window, in one transaction."""
        with self._writing(config) as database:
            there = _window(database, name)
            if there is None or there.pushed >= pushed:
                return False
            _make(database, name)
            _keep(database, _quoted(name), rows)
            database.execute(f"UPDATE {_WINDOWS} SET pushed = ? WHERE view = ?", (pushed, name))
        return True

    def find(self, config: Any, asked: Sequence[tuple[str, Sequence[bytes]]]) -> Sequence[Found]:
        """Return what is online, in one snapshot."""
        database = self._connection(config)
        database.execute("BEGIN")
        try:
            windows = _windows(database)
            return [Found(windows.get(name), _found(database, name, keys)) for name, keys in asked]
        finally:
            database.execute("COMMIT")

    def drop(self, config: Any, names: Sequence[str]) -> None:
        """Remove these views' tables and windows."""
        if not names:
            return
        with self._writing(config) as database:
            _make_windows(database)
            for name in names:
                for table in (_quoted(name), _beside(name)):
                    database.execute(f"DROP TABLE IF EXISTS {table}")
                database.execute(f"DELETE FROM {_WINDOWS} WHERE view = ?", (name,))

    def rows(self, config: Any, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key of a view with its body, of both tables."""
        for table in (_quoted(name), _beside(name)):
            try:
                yield from (
                    self._connection(config).execute(f"SELECT entity_key, body FROM {table}").fetchall()
                )
            except sqlite3.OperationalError as error:
                _nothing(error, None)

    def remove(self, config: Any, name: str, keys: Sequence[bytes]) -> None:
        """Remove these keys from both tables in one transaction, and write zeros where they were."""
        self._connection(config).execute("PRAGMA secure_delete = ON")
        with self._writing(config) as database:
            _make(database, name)
            gone = 0
            for key in keys:
                gone += database.execute(f"DELETE FROM {_quoted(name)} WHERE entity_key = ?", (key,)).rowcount
                database.execute(f"DELETE FROM {_beside(name)} WHERE entity_key = ?", (key,))
            database.execute(f"UPDATE {_WINDOWS} SET rows = rows - ? WHERE view = ?", (gone, name))

    def wipe(self, config: Any) -> None:
        """Write the file anew, and empty its log.

        Raises:
            DependencyFailed: there was always somebody who still read from the log.
        """
        database, until = self._connection(config), time.monotonic() + _PATIENCE_SECONDS
        database.execute("VACUUM")
        while database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                raise DependencyFailed(
                    "online-not-wiped",
                    f"got readers of the online store for {_PATIENCE_SECONDS} s without a pause, expected one to write "
                    "its file anew",
                    "what was erased is not served any more; run the same again when fewer read",
                )
            time.sleep(0.1)

    def _connection(self, config: Any) -> sqlite3.Connection:
        place = (config.repo_path or ".", config.online_store.path)
        mine = (os.getpid(), *place)  # a connection must not go with a process that was forked
        if getattr(self._own, "mine", None) != mine:
            path = Path(*place)
            path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)
            _log_ahead(database, path)
            _count_pushes(database)
            self._own.database, self._own.mine = database, mine
        connection: sqlite3.Connection = self._own.database
        return connection

    @contextmanager
    def _writing(self, config: Any) -> Iterator[sqlite3.Connection]:
        database = self._connection(config)
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _log_ahead(database: sqlite3.Connection, path: Path) -> None:
    """Have the file keep a write-ahead log. Two who change that at once do not wait for each other: a lock does."""
    if database.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        with filelock.FileLock(f"{path}.lock", timeout=_PATIENCE_SECONDS):
            database.execute("PRAGMA journal_mode = WAL")


def _make(database: sqlite3.Connection, name: str) -> None:
    for table in (_quoted(name), _beside(name)):
        database.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (entity_key BLOB PRIMARY KEY, event INTEGER NOT NULL, "
            "created INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID"
        )
    _part(database, name)
    _make_windows(database)


def _part(database: sqlite3.Connection, name: str) -> None:
    """Take what Feast wrote out of the window, in a file that was made when both were one table."""
    table = _quoted(name)
    if "brought" in {row[1] for row in database.execute(f"PRAGMA table_info({table})")}:
        beside = f"SELECT entity_key, event, created, body FROM {table} WHERE NOT brought"
        database.execute(f"INSERT OR REPLACE INTO {_beside(name)} {beside}")
        database.execute(f"DELETE FROM {table} WHERE NOT brought")
        database.execute(f"ALTER TABLE {table} DROP COLUMN brought")


def _make_windows(database: sqlite3.Connection) -> None:
    database.execute(
        f"CREATE TABLE IF NOT EXISTS {_WINDOWS} "
        "(view TEXT PRIMARY KEY, until INTEGER NOT NULL, source TEXT NOT NULL, rows INTEGER NOT NULL, "
        "pushed INTEGER NOT NULL DEFAULT 0)"
    )


def _count_pushes(database: sqlite3.Connection) -> None:
    """Add to a file that was made before there were pushes what it lacks."""
    if (
        "pushed" in (names := {row[1] for row in database.execute(f"PRAGMA table_info({_WINDOWS})")})
        or not names
    ):
        return
    try:
        database.execute(f"ALTER TABLE {_WINDOWS} ADD COLUMN pushed INTEGER NOT NULL DEFAULT 0")
    except sqlite3.OperationalError as error:
        if "duplicate column" not in str(error):  # two who found it missing at once
            raise


def _keep(database: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    database.executemany(
        f"INSERT INTO {table} VALUES (?, ?, ?, ?) ON CONFLICT (entity_key) DO UPDATE SET event = excluded.event, "
        "created = excluded.created, body = excluded.body "
        f"WHERE (excluded.event, excluded.created) >= ({table}.event, {table}.created)",
        ((row.key, row.event, row.created, row.body) for row in rows),
    )


def _window(database: sqlite3.Connection, name: str) -> OnlineWindow | None:
    return _windows(database).get(name)


def _windows(database: sqlite3.Connection) -> dict[str, OnlineWindow]:
    try:
        kept = database.execute(f"SELECT view, until, source, rows, pushed FROM {_WINDOWS}").fetchall()
    except sqlite3.OperationalError as error:
        return _nothing(error, {})
    return {view: OnlineWindow(moment_of(until), *rest) for view, until, *rest in kept}


def _found(
    database: sqlite3.Connection, name: str, keys: Sequence[bytes]
) -> Sequence[tuple[int, bytes] | None]:
    """Return of each key the later of both tables' rows; of one moment, what Feast wrote."""
    rows = {key: row for key, *row in _rows(database, _quoted(name), keys)}
    if _any(database, _beside(name)):  # beside most windows lies nothing
        for key, *row in _rows(database, _beside(name), keys):
            if key not in rows or row[:2] >= rows[key][:2]:
                rows[key] = row
    return [(found[0], found[2]) if (found := rows.get(key)) else None for key in keys]


def _rows(database: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    try:
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT entity_key, event, created, body FROM {table} WHERE entity_key IN ({marks})"
            found += database.execute(query, some).fetchall()
    except sqlite3.OperationalError as error:
        return _nothing(error, found)
    return found


def _any(database: sqlite3.Connection, table: str) -> bool:
    try:
        return database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError as error:
        return _nothing(error, False)


def _nothing(error: sqlite3.OperationalError, answer: T) -> T:
    if "no such table" not in str(error):
        raise error
    return answer


def _quoted(name: str) -> str:
    return '"newest_' + name.replace('"', '""') + '"'


def _beside(name: str) -> str:
    return '"beside_' + name.replace('"', '""') + '"'
