"""Reads a Feast repository: imports Feast, loads definitions, writes the overlay, digests what is registered.

A feature repository stays native. It is loaded as ``feast apply`` loads it (every ``.py`` file under the
folder), but by path: Feast's own loader changes the working directory of the whole process and keeps
modules under bare names, so a second home in one process would get the first one's definitions.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.shared.disk import disk_full
from tidegate.adapters.shared.files import write_whole
from tidegate.application.ports import Marks
from tidegate.domain.canonical import digest
from tidegate.domain.errors import BadInput, DependencyFailed, TidegateError

if TYPE_CHECKING:
    from feast.repo_contents import RepoContents

#: What definitions read to find their sources.
HOME_VARIABLE = "TIDEGATE_HOME"
REDIS_STORE = "tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore"
#: What an online store of ours may be told, as `newest` has it: that room needs Feast, this one does not.
CHOICES = {"expiry": ("clock", "materialized"), "writes": ("feast", "tidegate")}
POSTGRES_STORE = "tidegate.adapters.feast_store.offline_postgres.PointInTimePostgresOfflineStore"
#: Where a profile may say that offline features lie, and the store that joins them there.
OFFLINE = {
    "duckdb": "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore",
    "postgresql": POSTGRES_STORE,
    "spark": "tidegate.adapters.feast_store.offline_spark.PointInTimeSparkOfflineStore",
}
#: The longest tag that Feast writes to MLflow.
_TAG_MOST = 4990
#: Feast's own stores that read Parquet files.
_READ_FILES = frozenset({"file", "dask", "duckdb"})


def import_feast() -> Any:
    """Import Feast once, in a quarter of the time and without its side effects on warnings.

    Feast decorates its classes with typeguard's ``typechecked``, which parses each of them again at import
    (3.9 s of 4.9 s). The decorator is out of the way during this one import and back afterwards. Feast
    also resets the process's warning filters; they are put back too.
    """
    import typeguard

    kept = typeguard.typechecked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        typeguard.typechecked = _as_it_is
        try:
            import feast
            import feast.infra.offline_stores.duckdb
            import feast.repo_operations
        finally:
            typeguard.typechecked = kept
    return feast


@contextlib.contextmanager
def tool_errors(doing: str) -> Iterator[None]:
    """Turn whatever Feast, its registry or its stores raise into one sentence.

    Raises:
        DependencyFailed: the feature store could not do its part.
    """
    try:
        yield
    except TidegateError:
        raise
    except Exception as error:  # whatever Feast or its stores raise becomes one sentence
        if full := disk_full(error, "the feature store"):
            raise full from error
        text = (str(error).strip().splitlines() or [""])[0]
        raise DependencyFailed(
            "feature-store-failed",
            f"got {type(error).__name__} from Feast while {doing} ({text}), expected it to do its part",
            "run `tidegate doctor`; the stores lie in the home's feast folder and can be built again",
        ) from error


def load_definitions(repo: Path, home: Path, project: str) -> RepoContents:
    """Load every definition of the repository, with its sources under ``home``.

    Raises:
        BadInput: a file does not run, or two objects of one kind share a name.
    """
    import_feast()
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView
    from feast.data_source import DataSource
    from feast.feature_view import DUMMY_ENTITY
    from feast.permissions.permission import Permission
    from feast.project import Project
    from feast.repo_contents import RepoContents
    from feast.repo_operations import get_repo_files

    kinds = (Project, Entity, OnDemandFeatureView, FeatureView, FeatureService, DataSource, Permission)
    found: dict[type, dict[str, Any]] = {kind: {} for kind in kinds}
    for file in get_repo_files(repo):
        for thing in _objects(file, home):
            kind = next((kind for kind in found if isinstance(thing, kind)), None)
            if kind is None:
                continue
            known = found[kind].setdefault(thing.name, thing)
            if known is not thing:
                raise BadInput(
                    "duplicate-definition",
                    f"got two objects of kind {kind.__name__} called {thing.name}, expected each name once",
                    f"see {file.name}",
                )
    sources = found[DataSource]
    for view in found[FeatureView].values():
        for source in (view.batch_source, view.stream_source):
            if source is not None:
                sources.setdefault(source.name, source)
    lists = {kind: [things[name] for name in sorted(things)] for kind, things in found.items()}
    return RepoContents(
        projects=lists[Project] or [Project(name=project)],
        data_sources=lists[DataSource],
        feature_views=lists[FeatureView],
        on_demand_feature_views=lists[OnDemandFeatureView],
        stream_feature_views=[],
        label_views=[],
        entities=[*lists[Entity], DUMMY_ENTITY],
        feature_services=lists[FeatureService],
        permissions=lists[Permission],
    )


def write_overlay(repo: Path, home: Path, redis: str = "", offline: str = "") -> Path:
    """Write ``home/feast/feature_store.yaml``: the repository's own, with local paths made absolute.

    A SQLite registry and online store lie in ``home/feast`` under their own file names, so that
    ``feast -f HOME/feast/feature_store.yaml`` works from any folder. ``redis`` is the address of one that takes the
    place of the online store, with the names of variables: Feast expands them. ``offline`` takes the place of the
    offline store, as `offline_store` says. Everything else is copied.

    Raises:
        BadInput: the repository has no ``feature_store.yaml``, it is not YAML, its offline store is unknown, or its
            online store is told what it does not know.
    """
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    config = _configuration(repo)
    folder = home / "feast"
    registry = config.get("registry")
    scheme = "sqlite:///"
    if isinstance(registry, dict) and str(registry.get("path", "")).startswith(scheme):
        registry["path"] = scheme + str(folder / Path(str(registry["path"]).removeprefix(scheme)).name)
    online = config.get("online_store")
    kept = _chosen(online if isinstance(online, dict) else {})
    if redis:
        config["online_store"] = {"type": REDIS_STORE, "url": redis, **kept}
    elif isinstance(online, dict) and str(online.get("type")).lower().endswith(
        ("sqlite", "sqliteonlinestore")
    ):
        online["path"] = str(folder / Path(str(online.get("path", "online.db"))).name)
    if known := offline_store(repo, offline):
        config["offline_store"] = dict(known)
    body = io.BytesIO(b"# Written by Tidegate from the repository's feature_store.yaml; edit that one.\n")
    body.seek(0, io.SEEK_END)
    yaml.dump(config, body)
    overlay = folder / "feature_store.yaml"
    return write_whole(overlay, body.getvalue())


def _chosen(online: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an online store is told of `CHOICES`."""
    said = {name: online[name] for name in CHOICES if name in online}
    for name, value in said.items():
        if value not in CHOICES[name]:
            raise BadInput(
                "online-store-option",
                f"got {value!r} as {name} of online_store, expected one of: {', '.join(CHOICES[name])}",
                "mend online_store in features/feature_store.yaml; docs/online.md tells what each does",
            )
    return said


def offline_store(repo: Path, offline: str = "") -> Mapping[str, Any]:
    """Return what is configured of the offline store: by ``offline``, one of `OFFLINE`; else by the repository.

    What the repository says of that very store is kept. Addresses hold the names of variables, not their values.

    Raises:
        BadInput: there is no ``feature_store.yaml``, or the store is one that reads no built sources.
    """
    said = _configuration(repo).get("offline_store") or {}
    said = said if isinstance(said, dict) else {"type": str(said)}
    if offline and offline not in OFFLINE:
        raise BadInput(
            "unknown-offline-store",
            f"got offline features in {offline!r}, expected one of: {', '.join(OFFLINE)}",
            "mend `offline` in the profile",
        )
    kind = OFFLINE[offline] if offline else str(said.get("type", "file"))
    if kind not in _READ_FILES and not kind.endswith("OfflineStore"):  # a class path, as Feast has it
        raise BadInput(
            "unknown-offline-store",
            f"got the offline store {kind!r}, expected one of: {', '.join(OFFLINE.values())}",
            "mend offline_store in features/feature_store.yaml; see docs/training-sets.md",
        )
    kept = {**said} if said.get("type") == kind else {"type": kind} if offline else {**said}
    if kind == POSTGRES_STORE:
        kept.setdefault("url", "${TIDEGATE_OFFLINE_URL}")
    return kept


def _configuration(repo: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    file = repo / "feature_store.yaml"
    try:
        config: Any = YAML(typ="safe").load(file)
    except (OSError, UnicodeError, YAMLError) as error:
        raise BadInput(
            "no-feature-store",
            f"got {file} that cannot be read ({type(error).__name__}), expected a Feast configuration",
            "point [tool.tidegate] features at a Feast repository",
        ) from error
    if not isinstance(config, dict):
        raise BadInput(
            "no-feature-store",
            f"got {file} without settings, expected a Feast configuration",
            "see Feast's documentation of feature_store.yaml",
        )
    return config


def source_sql(repo: Path, view: str) -> tuple[str, Mapping[str, str]]:
    """Return the SQL that fills a view's source, and by name the shared queries that it names.

    Raises:
        BadInput: there is no such file, or one is not text.
    """
    file = repo / "sources" / f"{view}.sql"
    try:
        text = file.read_text("utf-8")
        shared = {step.stem: step for step in sorted((repo / "sources" / "shared").glob("*.sql"))}
        named = [name for name in shared if re.search(rf"\b{re.escape(name)}\b", text)]
        return text, {name: shared[name].read_text("utf-8") for name in named}
    except (OSError, UnicodeError) as error:
        raise BadInput(
            "no-source-sql",
            f"got no readable sources/{view}.sql ({type(error).__name__}), expected one for each view",
            f"write {file.name}",
        ) from error


def read_from(repo: Path, view: str) -> frozenset[str]:
    """Return the names that a view's source reads from, those of its shared queries included.

    Raises:
        BadInput: there is no such file, or it is no query.
    """
    import duckdb

    text, steps = source_sql(repo, view)
    try:
        with duckdb.connect() as database:
            names = {name for sql in (text, *steps.values()) for name in database.get_table_names(sql)}
    except duckdb.Error as error:
        raise BadInput(
            "bad-sql",
            f"got sources/{view}.sql, which is no query ({str(error).splitlines()[0]}), expected one",
            f"mend features/sources/{view}.sql, or the step of features/sources/shared/ that it names",
        ) from error
    return frozenset(names - set(steps))


def view_spec(view: Any) -> dict[str, Any]:
    """Return what Feast keeps of a view, columns by name.

    Times and paths are left out: the same definition in another home, or on another day, is the same.
    """
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

    spec: dict[str, Any] = _definition(MessageToDict(view.to_proto().spec))
    for columns in ("features", "entityColumns"):
        spec[columns] = sorted(spec.get(columns, []), key=lambda column: str(column["name"]))
    return spec


def view_document(spec: Mapping[str, Any], sql: str, steps: Mapping[str, str]) -> dict[str, Any]:
    """Return what a view's digest is taken over: its spec and the SQL that fills it, shared steps included."""
    return {"spec": dict(spec), "sql": sql, **({"steps": dict(steps)} if steps else {})}


def service_digest(service: Any, views: Mapping[str, str]) -> str:
    """Return the digest of a registered service: what it selects, and the views it selects from."""
    selected = [
        {
            "view": projection.name,
            "alias": projection.name_alias or "",
            "features": [feature.name for feature in projection.features],
            "digest": views.get(projection.name, ""),
        }
        for projection in service.feature_view_projections
    ]
    return digest({"service": service.name, "selected": selected})


def marks(project: str, service: Any, rows: int) -> Marks:
    """Return what Feast's own integration writes to MLflow of a training on so many rows of a service.

    It would write it from a run that is active in the process; what it reads is found by these names alone.
    """
    views = [projection.name_to_use() for projection in service.feature_view_projections]
    references = [
        f"{view}:{feature.name}"
        for view, projection in zip(views, service.feature_view_projections, strict=True)
        for feature in projection.features
    ]
    tags = {
        "feast.project": project,
        "feast.retrieval_type": "historical",
        "feast.feature_service": service.name,
        "feast.feature_views": ",".join(sorted(views)),
        "feast.feature_refs": ",".join(references),
        "feast.feature_count": str(len(references)),
        "feast.entity_count": str(rows),
    }
    cut = {
        name: text if len(text) <= _TAG_MOST else f"{text[: _TAG_MOST - 3]}..." for name, text in tags.items()
    }
    return Marks(cut, {"feast_features.json": json.dumps(references)})


def _objects(file: Path, home: Path) -> list[Any]:
    """Run one definitions file; return what it defines, in the order of the names."""
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(home)
    try:
        names = runpy.run_path(str(file), run_name=file.stem)
    except Exception as error:  # the team's own code may raise anything
        text = (str(error).strip().splitlines() or [""])[0]
        raise BadInput(
            "definitions-broken",
            f"got {file.name} that does not run ({type(error).__name__}: {text}), expected Feast definitions",
            f"run `python {file.name}` in its folder",
        ) from error
    finally:
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before
    return [names[name] for name in sorted(names) if not isinstance(names[name], type)]


def _definition(value: Any) -> Any:
    """Return a protobuf's JSON without what an installation adds; of a transformation, keep the text."""
    volatile = {"meta", "project", "state", "uri", "body", "createdTimestamp", "lastUpdatedTimestamp"}
    if isinstance(value, dict):
        return {
            # The names in a mapping are the source's own columns, which may be called as volatile parts are.
            key: item if key == "fieldMapping" else _definition(item)
            for key, item in value.items()
            if key not in volatile
        }
    return [_definition(item) for item in value] if isinstance(value, list) else value


def _as_it_is(target: Any = None, **_: Any) -> Any:
    return target if target is not None else (lambda decorated: decorated)
