"""What many tests need from the outside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import uuid
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
from filelock import FileLock
from hypothesis import settings

from tidegate.testing.databases import emptied, new_database
from tidegate.testing.disks import namespaced
from tidegate.testing.isolation import isolated, why_not
from tidegate.testing.shell import BIN, Shell

#: Files that take minutes, in the order in which workers get them: the first plays the year, the next two do not
#: need it, and the rest finds it played. Nobody waits, and the long ones do not come last.
LONG = (
    "test_demo.py",
    "test_new_team.py",
    "test_full_disk_loop.py",
    "test_kill_demo.py",
    "test_docs.py",
    "test_bad_input.py",
    "test_worker.py",
    "test_production.py",
)
settings.register_profile("steady", deadline=None)  # a slow machine is no fault
settings.load_profile("steady")

SERVER = "postgresql+psycopg://127.0.0.1:5432/postgres"
REDIS = "redis://127.0.0.1:6379/9"


def pytest_collection_modifyitems(items):
    assert [name for name in LONG if not list(Path(__file__).parent.rglob(name))] == [], (
        "LONG names a file no more"
    )
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="module")
def postgres_url():
    """The address of a PostgreSQL database for this module, on the server TIDEGATE_TEST_POSTGRES names."""
    server = os.environ.get("TIDEGATE_TEST_POSTGRES", SERVER)
    database = new_database(server)
    try:
        url = database.__enter__()
    except sa.exc.OperationalError as error:
        reason = (
            f"PostgreSQL cannot be reached; set TIDEGATE_TEST_POSTGRES ({str(error.orig).splitlines()[0]})"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(reason)  # there both databases are promised: a skip would hide that one was not tried
        pytest.skip(reason)
    yield url
    database.__exit__(None, None, None)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of a database with nothing in it yet, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.db"
    return emptied(request.getfixturevalue("postgres_url"))


@pytest.fixture
def redis_address():
    """The address of a Redis, with a prefix of this test alone; its keys are gone afterwards."""
    url, prefix = os.environ.get("TIDEGATE_TEST_REDIS", REDIS), f"tidegate-test-{uuid.uuid4().hex}"
    client = redis.Redis.from_url(url)
    try:
        client.ping()
    except redis.ConnectionError as error:
        reason = f"Redis cannot be reached; set TIDEGATE_TEST_REDIS ({error})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)  # there both online stores are promised: a skip would hide one
        pytest.skip(reason)
    yield f"{url}?prefix={prefix}"
    for key in client.scan_iter(f"{prefix}:*"):
        client.delete(key)
    client.close()


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """A home in which the demo was played to its end, and what its steps said. Shared: do not write to it.

    Where the machine can, it is played with loopback only and under a trace: test_no_egress reads that.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "played"
    shared.mkdir(exist_ok=True)
    shell, said = Shell(shared / "home", ROOT), shared / "said.json"
    with FileLock(shared / "lock"):  # two workers play it once
        if not said.exists():
            words = [str(BIN / "tidegate"), "demo", "--json"]
            if not why_not():
                words = isolated(words, shared / "network.trace")
            said.write_text(json.dumps(shell.json_of(words, timeout=1800)))
    return shell, json.loads(said.read_text())


@pytest.fixture(scope="session")
def copy_of_played(played):
    """Return a function that copies the played home, to act on."""

    def copy(home):
        # Readers beside us open and close the databases: those come over by SQLite's own backup, each as of a moment.
        ignored = shutil.ignore_patterns("landing", "feeds", "*.db", "*.db-*")
        shutil.copytree(played[0].home, home, ignore=ignored)
        for database in played[0].home.rglob("*.db"):
            _back_up(database, home / database.relative_to(played[0].home))
        _move_registry(home / "mlflow" / "mlflow.db", str(played[0].home), str(home))
        _move_features(home / "feast" / "registry.db", str(played[0].home), str(home))
        return Shell(home, ROOT)

    return copy


@pytest.fixture
def shell(copy_of_played, tmp_path):
    """A copy of the played home, of this test alone."""
    return copy_of_played(tmp_path / "home")


def _back_up(database, copy):
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    shutil.copymode(database, copy)


def _move_registry(database, old, new):
    """MLflow keeps absolute paths; a copied home must not reach into the one it was copied from."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in connection.execute(f"PRAGMA table_info('{table}')")]:
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)',
                    (old, new, old),
                )


@pytest.fixture(scope="session")
def in_namespace():
    """Return a function that runs a script where it may mount disks of its own, and returns the JSON it prints."""

    def run(script, given):
        done = namespaced(script, given)
        if done.returncode and "unshare:" in done.stderr:
            if os.environ.get("CI") == "true":
                pytest.fail(done.stderr)  # promised there: a skip would hide that it was not tried
            pytest.skip(f"no namespace of one's own here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def empty(tmp_path):
    """A home in which nothing happened yet."""
    return Shell(tmp_path / "empty", ROOT)


def _move_features(database, old, new):
    """Feast keeps absolute paths too; elsewhere `tidegate run materialize` registers views where they lie now."""
    from tidegate.adapters.feast_store import repository

    repository.import_feast()
    from feast.protos.feast.core.DataSource_pb2 import DataSource
    from feast.protos.feast.core.FeatureService_pb2 import FeatureService
    from feast.protos.feast.core.FeatureView_pb2 import FeatureView

    kinds = {
        ("data_sources", "data_source"): DataSource,
        ("feature_views", "feature_view"): FeatureView,
        ("feature_services", "feature_service"): FeatureService,
    }
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for (table, of), kind in kinds.items():
            rows = connection.execute(f"SELECT {of}_name, {of}_proto FROM {table}").fetchall()
            for name, body in rows:
                message = kind.FromString(body)
                _move_files(message, old, new)
                connection.execute(
                    f"UPDATE {table} SET {of}_proto = ? WHERE {of}_name = ?",
                    (message.SerializeToString(), name),
                )


def _move_files(message, old, new):
    """Replace the place of every file that a message names, however deep."""
    if message.DESCRIPTOR.name == "FileOptions":
        message.uri = message.uri.replace(old, new)
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in value if field.is_repeated else (value,):
                _move_files(part, old, new)
