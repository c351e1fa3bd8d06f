"""Opens MLflow's client on a store: created once, probed first, quiet, its errors in one sentence."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.mlflow_registry.moved import settle
from tidegate.adapters.shared.disk import disk_full
from tidegate.adapters.shared.files import partial
from tidegate.domain.errors import DependencyFailed, TidegateError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
#: How long another process may hold the store before we say so.
WAIT_SECONDS = 20.0
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
}


class MlflowStore:
    """One tracking and registry store, and the lock that its writers share."""

    def __init__(self, uri: str, artifact_root: str, wait: float = WAIT_SECONDS) -> None:
        self.uri, self.artifact_root, self._wait = uri, artifact_root, wait
        self.database = Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None

    @contextmanager
    def client(self, create: bool = False) -> Iterator[MlflowClient]:
        """Yield a client; ``create`` makes a SQLite store that is not there yet.

        Raises:
            DependencyFailed: the store is missing, damaged, locked, of another version, or refuses.
        """
        with _quiet():
            try:
                if self.database is not None:
                    if create and not self.database.exists():
                        self._create(self.database)
                    _probe(self.database, self.artifact_root, self._wait)
                from mlflow import MlflowClient

                yield MlflowClient(self.uri, self.uri)
            except TidegateError:
                raise
            except Exception as error:  # what is MLflow's becomes a sentence, the rest is raised
                if _ours(error):
                    raise _failed(error) from error
                raise

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store against other writers of this machine (a server's database looks after itself)."""
        with self._file_lock() if self.database is not None else nullcontext():
            yield

    def _file_lock(self) -> AbstractContextManager[object]:
        from filelock import FileLock, Timeout

        assert self.database is not None
        self.database.parent.mkdir(parents=True, exist_ok=True)
        # One lock per path in a process: creating a store while registering does not wait for itself.
        lock = FileLock(f"{self.database}.lock", timeout=self._wait, is_singleton=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise DependencyFailed(
                "registry-locked",
                f"got the MLflow store locked for {self._wait:.0f} seconds, expected it free",
                "wait for the other command to end, then run this one again",
            ) from error
        lock.release()
        return lock

    def _create(self, database: Path) -> None:
        """Create the database beside its place and move it there whole.

        MLflow migrates a new database step by step, and two processes that do it at once break it; one
        that is killed leaves a half-migrated one.
        """
        with self.lock():
            if database.exists():
                return
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            opened: Any = SqlAlchemyStore  # without types
            with partial(database) as part:
                store = opened(f"{_SQLITE}{part}", self.artifact_root)
                store._dispose_engine()  # noqa: SLF001 - MLflow closes its store in no other way
                part.replace(database)


def _probe(database: Path, root: str, wait: float) -> None:
    """Ask SQLite directly: MLflow retries a broken store for minutes and then prints a page."""
    if not database.exists():
        raise DependencyFailed(
            "registry-missing",
            f"got no MLflow store at {database.name}, expected the one that earlier versions are in",
            "restore it from a backup; registering a version creates a new one",
        )
    address = f"{database.resolve().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=wait)) as connection:
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            settle(connection, root)
    except sqlite3.DatabaseError as error:
        locked = "locked" in str(error)
        raise DependencyFailed(
            "registry-locked" if locked else "registry-broken",
            f"got an MLflow store that cannot be used ({error}), expected a sound and free database",
            "wait for the other command to end" if locked else "restore it from a backup",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # MLflow's own, on import: a loader of SQLAlchemy that is going away, and its chat agents' types.
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        import mlflow  # noqa: F401 - its import sets its loggers to INFO

        levels = {name: logging.getLogger(name).level for name in ("mlflow", "alembic")}
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _ours(error: Exception) -> bool:
    """Say whether this is MLflow's or its store's failure, not a mistake of this code."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, (MlflowException, SQLAlchemyError, OSError))


def _failed(error: Exception) -> DependencyFailed:
    if full := disk_full(error, "MLflow's store"):
        return full
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    text = re.sub(r"//[^/@\s]+@", "//…@", text)  # a store's address may carry a password
    return DependencyFailed(
        "registry-failed",
        f"got an error from MLflow ({text}), expected it to answer",
        "tidegate doctor checks the registry",
    )
