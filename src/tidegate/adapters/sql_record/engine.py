"""Connections: one engine per database, its settings, and its schema brought up to date once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tidegate.domain.errors import BadInput, DependencyFailed

#: The migration this code is written for. A database at any other one is migrated, or refused as newer.
REVISION = "0004"
KNOWN = ("0001", "0002", "0003", "0004")
#: How SQLite says that the disk is full (the second: no room for the index beside the log), and PostgreSQL.
_FULL = {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100"}
#: How long a writer waits for the one write lock before it gives up.
BUSY_SECONDS = 30.0

#: Alembic keeps the migration that runs in module globals: one at a time in a process.
_MIGRATING = threading.Lock()


def connect(url: str, busy_seconds: float = BUSY_SECONDS) -> sa.Engine:
    """Return an engine for a ``sqlite:///`` or ``postgresql+psycopg://`` address.

    Raises:
        BadInput: an address of another kind; the sentence leaves it out, as it may hold a password.
    """
    try:
        backend = sa.make_url(url).get_backend_name()
    except sa.exc.ArgumentError:
        backend = "no"
    if backend == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": busy_seconds})
        sa.event.listen(engine, "connect", lambda raw, _: _sqlite_settings(raw, busy_seconds))
        sa.event.listen(engine, "begin", _sqlite_begin)
        return engine
    if backend == "postgresql":
        return sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"),
            # A writer that waited for the head row must then see it as the other writer left it.
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_timeout=busy_seconds,
            connect_args={"options": f"-c lock_timeout={int(busy_seconds * 1000)}"},
        )
    raise BadInput(
        "bad-address",
        f"got an address of {backend} database, expected sqlite:… or postgresql:…",
        "mend `ledger` in the profile",
    )


def _sqlite_settings(connection: Any, busy_seconds: float) -> None:
    # The driver's own transactions begin too late (at the first write) for one writer at a time.
    connection.isolation_level = None
    _write_ahead(connection, time.monotonic() + busy_seconds)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, not only forgotten


def _write_ahead(connection: Any, until: float) -> None:
    """Switch to WAL. On a new file that needs the file alone, and SQLite answers busy at once."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def forget_log(connection: sa.Connection) -> None:
    """Empty SQLite's write-ahead log after a commit: its old pages still hold what was deleted.

    Raises:
        DependencyFailed: somebody goes on reading for longer than a writer waits, or the disk is full.
    """
    raw = connection.connection.dbapi_connection
    if connection.dialect.name != "sqlite" or raw is None:
        return
    cursor = raw.cursor()
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, *_ = cursor.fetchone() or (1,)
        why = "somebody is reading" if busy else ""
    except sqlite3.Error as error:
        why = str(error)
    if why:
        raise DependencyFailed(
            "log-not-emptied",
            f"it is done and recorded, but SQLite's log still holds what was erased: it could not be emptied ({why})",
            "run the same again when nobody reads; the log goes by itself when the last process closes the ledger",
        )


def _sqlite_begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("tidegate_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn a database's faults into one sentence.

    Raises:
        DependencyFailed: locked, unreachable, damaged, out of disk, or refused by a constraint.
    """
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        cause = getattr(error, "orig", None) or error  # a pool that ran out of connections has no cause
        # Only the first line: the ones after it may quote values.
        text = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        if "locked" in text or "lock timeout" in text or isinstance(error, sa.exc.TimeoutError):
            raise DependencyFailed(
                "ledger-locked",
                f"could not {what}: another process holds the ledger's write lock ({text})",
                "wait for it to finish, or find it with `tidegate doctor`",
            ) from error
        if _FULL & {getattr(cause, name, None) for name in ("sqlite_errorname", "sqlstate")}:
            raise DependencyFailed(
                "disk-full",
                f"could not {what}: got no space left on the disk of the ledger's database ({text})",
                "free some space and run the same again; nothing of it was recorded, and what was recorded stays",
            ) from error
        raise DependencyFailed(
            "ledger-unusable",
            f"could not {what}: the ledger's database answered: {text}",
            "run `tidegate doctor`; restore the latest backup if the file is damaged",
        ) from error


def revision(engine: sa.Engine) -> str | None:
    """Return the schema's revision, or None where there is no schema yet."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to `REVISION`; several processes may try at once.

    Raises:
        DependencyFailed: the schema is newer than this code.
    """
    with explained("open the ledger"):
        found = revision(engine)
        if found == REVISION:
            return
        if found is not None and found not in KNOWN:
            raise DependencyFailed(
                "ledger-newer",
                f"got a ledger at schema {found}, expected at most {REVISION}",
                "it was written by a newer Tidegate: upgrade this one",
            )
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("path_separator", "os")
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with (
            _MIGRATING,
            engine.connect().execution_options(tidegate_write=True) as connection,
            connection.begin(),
        ):
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7021967)"))
            config.attributes["connection"] = connection
            command.upgrade(config, REVISION)
        if found is not None:
            with engine.connect() as connection:
                forget_log(connection)
