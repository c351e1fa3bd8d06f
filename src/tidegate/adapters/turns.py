"""Turns: by locked files where one machine shares a ledger, by PostgreSQL's advisory locks elsewhere.

Both are held by something that ends with its process, kill -9 included: an open file, a connection.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tidegate.domain.errors import DependencyFailed

#: How often whoever waits for a turn asks again.
_POLL_SECONDS = 0.05


class FileTurns:
    """One locked file per turn, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def take(self, name: str, wait: float = 0.0) -> Iterator[bool]:
        """Hold the turn, or yield False after at most ``wait`` seconds.

        Raises:
            DependencyFailed: the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        # A lock that only is by being there would outlive a killed holder: no fallback to one.
        file = self._folder / f"{quote(name, safe='')}.lock"
        lock = FileLock(file, timeout=wait, fallback_to_soft=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError as error:
            raise DependencyFailed(
                "no-turn",
                f"got no lock file for `{name}` ({error.strerror}), expected one in the state's folder",
                "make TIDEGATE_HOME writable",
            ) from error
        try:
            yield True
        finally:
            lock.release()


class PostgresTurns:
    """Advisory locks on a connection of their own, in the ledger's database at ``url``.

    If the server ends the connection, the turn ends with it: what happens twice then still counts once (S1).
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def take(self, name: str, wait: float = 0.0) -> Iterator[bool]:
        """Hold the turn, or yield False after at most ``wait`` seconds.

        Raises:
            DependencyFailed: the database cannot be reached.
        """
        import sqlalchemy as sa

        key = int.from_bytes(hashlib.sha256(f"tidegate/turn/{name}".encode()).digest()[:8], signed=True)
        engine = sa.create_engine(
            sa.make_url(self._url).set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
            # A machine that vanished must not hold its turn for hours.
            connect_args={"options": "-c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10"},
        )
        try:
            connection: Any = engine.connect()
            until, ask = time.monotonic() + wait, sa.select(sa.func.pg_try_advisory_lock(key))
            while not (taken := connection.execute(ask).scalar()) and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
        except sa.exc.DBAPIError as error:
            engine.dispose()
            cause = (str(error.orig).strip() or "no answer").splitlines()[0]
            raise DependencyFailed(
                "no-turn",
                f"could not ask whose turn `{name}` is: the ledger's database answered: {cause}",
                "run `tidegate doctor`",
            ) from error
        try:
            yield bool(taken)
        finally:
            if taken:
                # Given back by word: the server notices that a connection was closed a little after it was.
                with suppress(sa.exc.DBAPIError):  # it ended the connection, and the turn with it
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
            connection.close()
            engine.dispose()
