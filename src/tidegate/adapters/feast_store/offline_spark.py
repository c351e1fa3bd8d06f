"""The offline store whose joins Spark runs, over the Parquet files that DuckDB's reads.

    offline_store:
      type: tidegate.adapters.feast_store.offline_spark.PointInTimeSparkOfflineStore
      master: local[2]            # or spark://host:7077, where every worker sees the files under the same paths
      driver_memory: 1g
      temp_directory: /shared     # where entity rows and answers pass between Spark and us (default: the system's)
      conf: {spark.sql.shuffle.partitions: "200"}

It needs pyspark and a Java of 17 or later; neither comes with Tidegate: ``pip install 'tidegate[spark]'``. A query as
``entity_df`` is Spark's own. A session that the process has already is used as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from tidegate.adapters.feast_store.engine import Engine, EngineOfflineStore
from tidegate.adapters.feast_store.offline import (
    PointInTimeOfflineStore,
    PointInTimeOfflineStoreConfig,
    path_of,
)
from tidegate.adapters.feast_store.timeline import ASKED, Timeline
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.domain.errors import BadInput, DependencyFailed

_MICROSECOND = timedelta(microseconds=1)
#: Sessions are started one at a time.
_STARTING = threading.Lock()
_LOG = Path(__file__).with_name("offline_spark.log4j2.properties")
#: A Spark within this process talks to nobody else, and does not cut a few rows into two hundred parts.
_LOOPBACK = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
}
#: What the join rests on, whatever the process's Spark was started with.
_OF_A_CALL = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


class PointInTimeSparkOfflineStoreConfig(PointInTimeOfflineStoreConfig):
    """``conf`` are Spark's own settings, for a Spark that is started here."""

    type: str = "tidegate.adapters.feast_store.offline_spark.PointInTimeSparkOfflineStore"
    master: str = "local[2]"
    driver_memory: str = "1g"
    conf: dict[str, str] | None = None


class Spark:
    """How Spark spells it."""

    time = "TIMESTAMP"

    def quoted(self, name: str) -> str:
        """Return a name as an identifier."""
        return "`" + name.replace("`", "``") + "`"

    def interval(self, duration: timedelta) -> str:
        """Return a duration."""
        seconds, rest = divmod(duration // _MICROSECOND, 1_000_000)
        return f"INTERVAL '{seconds}.{rest:06d}' SECOND"


class SparkEngine(Engine):
    """One session of its own in the process's Spark; what passes between goes through a folder."""

    timeline: ClassVar[Timeline] = Timeline(Spark())

    def __init__(self, config: Any, session: Any, folder: Path) -> None:
        self._config, self._session, self._folder = config, session, folder
        self._answers = 0

    def place_of(self, source: Any) -> str:
        """Return a source's file.

        Raises:
            BadInput: the source is no Parquet file.
        """
        return f"parquet.{Spark().quoted(_address(path_of(self._config, source)))}"

    def hold(self, places: Sequence[str]) -> None:
        """Leave files alone: they are swapped whole, and one that was opened stays."""

    def schema(self, relation: str) -> pa.Schema:
        """Return a relation's columns."""
        from pyspark.sql.pandas.types import to_arrow_schema

        return to_arrow_schema(self._session.sql(f"SELECT * FROM {relation}").schema, timezone="UTC")

    def ask(self, rows: pa.Table) -> None:
        """Lay the rows where Spark reads them."""
        path = write_parquet(rows, self._folder / "asked.parquet")
        self._session.read.parquet(_address(path)).createOrReplaceTempView(ASKED)

    def rows(self, query: str) -> pa.Table:
        """Have Spark write a query's rows as files, and read them."""
        self._answers += 1
        answer = self._folder / f"answer-{self._answers}"
        self._session.sql(query).write.parquet(_address(answer))
        return pq.read_table(answer, partitioning=None)

    def keep(self, source: Any, rows: pa.Table, overwrite: bool) -> bool:
        """Write rows to a file."""
        path = path_of(self._config, source)
        if path.exists() and not overwrite:
            return False
        write_parquet(rows, path)
        return True


class PointInTimeSparkOfflineStore(EngineOfflineStore, PointInTimeOfflineStore):
    """Feast's ``OfflineStore``; each call with a session of its own in one Spark."""

    @classmethod
    @contextmanager
    def turn(cls, config: Any) -> Iterator[Engine]:
        """Open a session.

        Raises:
            DependencyFailed: there is no pyspark or no Java, or Spark fails. BadInput: the query does not run.
        """
        settings = config.offline_store
        spark = _imported()
        with tempfile.TemporaryDirectory(prefix="tidegate-spark-", dir=settings.temp_directory) as folder:
            try:
                yield SparkEngine(config, _session(spark, settings), Path(folder))
            except spark.errors.AnalysisException as error:
                raise BadInput(
                    "sql-failed",
                    f"got a query that does not run in Spark ({_first_line(error)}), expected one that does",
                    "build the features first, if it is their files that are not there",
                ) from error
            except (spark.errors.PySparkException, _py4j_error()) as error:
                raise DependencyFailed(
                    "offline-store-failed",
                    f"got {type(error).__name__} from Spark ({_first_line(error)}), expected it to do its part",
                    "see whether its master answers and its memory is enough: nothing was changed",
                ) from error


def _imported() -> Any:
    """Return pyspark.

    Raises:
        DependencyFailed: it is not installed, or there is no Java.
    """
    try:
        import pyspark.errors
        import pyspark.sql
    except ImportError as error:
        raise DependencyFailed(
            "no-spark",
            f"got no pyspark ({_first_line(error)}), expected it: Spark is to join offline features",
            "pip install 'tidegate[spark]', or have duckdb or postgresql join them",
        ) from error
    java = Path(os.environ.get("JAVA_HOME", ""), "bin", "java")
    if not (java.is_file() if "JAVA_HOME" in os.environ else shutil.which("java")):
        raise DependencyFailed(
            "no-java",
            f"got no java {'in JAVA_HOME' if 'JAVA_HOME' in os.environ else 'on the path'}, "
            "expected one of version 17 or later: Spark runs on it",
            "install one, or set JAVA_HOME; or have duckdb or postgresql join features",
        )
    return pyspark


def _session(spark: Any, settings: Any) -> Any:
    """Return a session of one's own: views and settings of one call are no other's."""
    local = settings.master.startswith("local")
    started = {
        "spark.driver.memory": settings.driver_memory,
        # Spark's log is silent: what fails is raised, and told in a sentence.
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file://{_LOG}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **(_LOOPBACK if local else {}),
        **(settings.conf or {}),
    }
    builder = spark.sql.SparkSession.builder.appName("tidegate").master(settings.master)
    with _STARTING:
        for name, value in started.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate().newSession()
    for name, value in _OF_A_CALL.items():
        session.conf.set(name, value)
    return session


def _py4j_error() -> type[Exception]:
    from py4j.protocol import Py4JError

    error: type[Exception] = Py4JError
    return error


def _address(path: Path) -> str:
    return f"file://{path.absolute()}"  # as it is: what looks like an escape is one to nobody here


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
