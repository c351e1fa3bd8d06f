"""PostgreSQL databases that live as long as a test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

_COUNT = itertools.count(1)


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """Make a database on ``server`` (the address of one to connect to), yield its address, drop it.

    Raises:
        sqlalchemy.exc.OperationalError: the server cannot be reached.
    """
    name = f"tidegate_test_{os.getpid()}_{next(_COUNT)}"
    _on(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _on(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def emptied(url: str) -> str:
    """Remove everything from a database; return its address. A tenth of the time of a new one."""
    _on(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return url


def _on(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
