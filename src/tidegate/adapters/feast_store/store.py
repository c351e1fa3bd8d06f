"""Features in Feast: sources built by DuckDB, point-in-time joins, the online store.

Three things that Feast leaves to its caller are done here.

* A row counts from its ``created_timestamp``, offline and online. Feast's own materialization goes by
  event time alone, so the latest row known at a moment is chosen here and handed to Feast.
* An older moment never overwrites a newer one online, a value past its view's ttl is not served, and what is online
  says itself which window it is: `newest`, which the online stores of SQLite and Redis share.
* A source is joined with the content it was built with, and is not swapped meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tidegate.adapters.feast_store import definitions, pushing, repository, tables
from tidegate.adapters.feast_store.guard import refuse_foreign_code, registry_address
from tidegate.adapters.feast_store.repository import tool_errors
from tidegate.adapters.feast_store.sources import Files, InPostgres, Sources
from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of, write_whole
from tidegate.adapters.shared.frames import found_digest, read_frame
from tidegate.adapters.shared.sql import Declared, run_sql, write_frame
from tidegate.application.ports import (
    Answer,
    Frame,
    Marks,
    Materialized,
    OnlineWindow,
    Pushed,
    Pushes,
    Table,
    Whose,
)
from tidegate.domain.canonical import digest as digest_of
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.feature_change import Definitions, ViewDefinition
from tidegate.domain.parity import Pair

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.adapters.feast_store.serving import Served, Serving

#: Sources are swapped whole, and loading definitions sets a variable of the process.
_PROCESS = threading.RLock()
_PATIENCE_SECONDS = 600


class FeastStore:
    """A Feast repository under ``repo``, with its data under ``home``.

    ``home/features`` holds what was built of each view by content, and under the path its definition names: its source,
    unless the offline store keeps sources itself;
    ``home/feast`` the registry, the online store and the overlay configuration; ``home/frames`` what
    was joined for training. ``online`` is the address of a Redis that takes the place of what the repository
    says of its online store; ``offline`` one of `repository.OFFLINE`, which takes that of what it says of its offline
    store.
    """

    def __init__(self, repo: Path, home: Path, online: str = "", offline: str = "") -> None:
        self._repo = repo.resolve()
        self._online, self._offline = online, offline
        self._home = home.resolve()
        self._opened: Any = None
        self._address = ""
        self._lock: Any = None
        #: What the bytes of sources were found to hold.
        self._held: dict[str, str] = {}
        self._plans: dict[str, tuple[float, Serving, Sequence[Served]]] = {}

    @property
    def tool(self) -> str:
        """Return ``feast`` and its version."""
        from importlib.metadata import version

        return f"feast {version('feast')}"

    # ── sources ───────────────────────────────────────────────────────────────────────────────────

    def build(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> Mapping[str, Frame]:
        """Run ``sources/<view>.sql`` for every view; keep the rows by content and swap the view's source.

        What several sources share is a query ``sources/shared/<step>.sql``, a view to those that name it.

        Raises:
            BadInput: a view has no SQL, the SQL does not run, or its rows break the view's definition.
        """
        with self._alone(), tool_errors("building sources"):
            views, frames = self._defined_views(), {}
            for view in views:
                text, steps = repository.source_sql(self._repo, view.name)
                rows = tables.as_defined(view, run_sql(text, batches, declared, steps=steps))
                frames[view.name] = write_frame(rows, self._home / "features" / view.name, (view.event,))
            # Noted before it is done: a source that was not swapped is then noticed, and built again.
            self._note("built", {name: frame.digest for name, frame in frames.items()})
            self._sources().swap(frames)
            return frames

    def reads(self) -> Mapping[str, frozenset[str]]:
        """Return by view the names that its source's query reads from, shared steps followed.

        Raises:
            BadInput: the definitions do not load, or a view has no query that can be read.
        """
        with self._alone(), tool_errors("reading definitions"):
            return {view.name: repository.read_from(self._repo, view.name) for view in self._defined_views()}

    # ── registry ──────────────────────────────────────────────────────────────────────────────────

    def apply(self, expected: Definitions | None = None) -> Mapping[str, str]:
        """Register the definitions and drop what they no longer name; return digests by view and service.

        Raises:
            BadInput: the definitions do not load, or are no longer ``expected``.
            DependencyFailed: the registry or a store cannot be written.
        """
        with self._alone(), tool_errors("registering definitions"):
            from feast.repo_operations import extract_objects_for_apply_delete

            store, contents = self._store(replace=True), self._definitions()
            if expected is not None and definitions.defined(self._repo, contents) != expected:
                raise definitions.edited()
            self._plans.clear()
            objects, gone, _, _ = extract_objects_for_apply_delete(store.project, store.registry, contents)
            store.apply(objects, objects_to_delete=gone, partial=False)
            documents: dict[str, dict[str, Any]] = {}
            for view in (*contents.feature_views, *contents.on_demand_feature_views):
                known = store.registry.get_any_feature_view(view.name, store.project)
                filled = view in contents.feature_views
                text, steps = repository.source_sql(self._repo, view.name) if filled else ("", {})
                documents[view.name] = repository.view_document(repository.view_spec(known), text, steps)
            services = {
                service.name: store.registry.get_feature_service(service.name, store.project)
                for service in contents.feature_services
            }
            digests = {name: digest_of(document) for name, document in documents.items()}
            selected = {name: repository.service_digest(each, digests) for name, each in services.items()}
            filled_ones = {view.name: documents[view.name] for view in contents.feature_views}
            definitions.keep(self._home, filled_ones, services)
            return digests | selected

    def defined(self) -> Definitions:
        """Return what the repository's files define; nothing is registered, and nothing written.

        Raises:
            BadInput: a file does not run, a view has no SQL, entity or source of its own, or a service selects
                from a view that is not defined.
        """
        with _PROCESS, tool_errors("reading definitions"):
            contents = self._loaded()
            self._views_in(contents)
            return definitions.defined(self._repo, contents)

    def check(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> None:
        """Ask DuckDB for the columns of every view's SQL over these batches, without a row.

        Raises:
            BadInput: a view has no SQL, the SQL does not run, or lacks a column that its view defines.
        """
        with _PROCESS, tool_errors("checking sources"):
            for view in self._views_in(self._loaded()):
                text, steps = repository.source_sql(self._repo, view.name)
                try:
                    tables.as_defined(view, run_sql(text, batches, declared, steps=steps, most=0))
                except BadInput as error:
                    hint = f"mend sources/{view.name}.sql" + (f": {error.hint}" if error.hint else "")
                    raise BadInput(error.code, error.sentence, hint) from error

    def registered(self, recorded: Mapping[str, str]) -> Definitions:
        """Return what was registered last, its views by the digests that are on record."""
        return definitions.registered(self._home, recorded)

    def kept(self, views: Mapping[str, str]) -> Mapping[str, ViewDefinition]:
        """Return the definitions that have these digests; of one that was not kept, the digest alone."""
        return definitions.kept(self._home, views)

    # ── reading and writing ───────────────────────────────────────────────────────────────────────

    def verify(self, sources: Mapping[str, str]) -> None:
        """Read each view's source where Feast reads it, and compare it with the digest it must have.

        Raises:
            DependencyFailed: a view's source has another digest, or is gone.
        """
        with tool_errors("verifying sources"):
            for view, digest in sorted(sources.items()):
                self._sources().verify(view, digest)

    def training_frame(self, entities: Frame, service: str, keep: Sequence[str]) -> Frame:
        """Join a service's features onto ``entities`` as they were known; rows and order stay as they are.

        Columns: event_timestamp, the join keys, ``keep``, the features. A feature is null where nothing
        was known within its view's ttl.

        Raises:
            BadInput: no such service, or a column is missing or would be there twice.
            DependencyFailed: the entity frame or a source no longer has its digest, or what Feast has registered
                is not what was applied here.
        """
        import pyarrow as pa

        with self._alone(), tool_errors("joining features"):
            store = self._store(fresh=True)
            selected, views = self._service(store, service)
            self._as_applied(store, selected)
            keys = sorted({key for view in views for key in view.keys})
            kept = [name for name in dict.fromkeys(keep) if name not in ("event_timestamp", *keys)]
            rows = tables.entity_rows(
                entities, keys, kept, [name for view in views for name in view.features]
            )
            columns = {name: rows.column(name) for name in ("event_timestamp", *keys, *kept)}
            for view in views:
                self._sources().verify(view.name, self._built(view))
            asked = rows.select(["event_timestamp", *keys])
            columns |= tables.joined(store, selected, views, asked)
            return write_frame(pa.table(columns), self._home / "frames")

    def ages(self, entities: Frame, service: str, views: Collection[str]) -> Frame:
        """Return how old the value of each view is at each row's time, in microseconds; rows and order stay.

        Raises:
            BadInput: no such service, it does not select one of the views, or a column is missing.
            DependencyFailed: the entity frame or a source no longer has its digest, or what Feast has registered
                is not what was applied here.
        """
        with self._alone(), tool_errors("telling how old features are"):
            from tidegate.adapters.feast_store.ageing import ages

            store = self._store(fresh=True)
            selected, parts = self._service(store, service)
            self._as_applied(store, selected)
            tables.require_selected(views, service, [view.name for view in parts])
            parts = [view for view in parts if view.name in views]
            keys = sorted({key for view in parts for key in view.keys})
            rows = tables.entity_rows(entities, keys, (), ()).select(["event_timestamp", *keys])
            for view in parts:
                self._source(view)
            return write_frame(ages(store.config, rows, parts), self._home / "frames" / "ages")

    def marks(self, service: str, rows: int) -> Marks:
        """Return what Feast's MLflow integration looks for at the run of a model, and at its version.

        Raises:
            BadInput: no such service.
        """
        with tool_errors("reading a service"):
            store = self._store()
            return repository.marks(store.project, self._service(store, service)[0], rows)

    def reread(self, digest: str) -> str:
        """Read a training frame once more, in full; return the digest of what it holds now.

        Raises:
            DependencyFailed: it is gone or cannot be read. BadInput: that is no digest of a frame.
        """
        path = self._home / "frames" / f"{hex_of(digest, PREFIX)}.parquet"
        return found_digest(path, f"the training set {digest}", "restore it from a backup")

    def streams(self) -> Mapping[str, frozenset[str]]:
        """Return the views that have a push source, with what their queries read from, shared steps followed.

        Raises:
            BadInput: the definitions do not load, or a view has no query that can be read.
        """
        with _PROCESS, tool_errors("reading definitions"):
            views = [view.name for view in self._loaded().feature_views if pushing.takes_pushes(view)]
            return {name: repository.read_from(self._repo, name) for name in views}

    def derived(self, push: Pushed, beside: Pushes, before: Sequence[Path]) -> Mapping[str, int]:
        """Run the queries of the views that a push feeds over its rows alone, and beside batches of its dataset.

        Raises:
            BadInput: a query does not run, or gives other rows of the push where it sees what came before.
        """
        with tool_errors("reading what was pushed"):
            fed = {name for name, reads in self.streams().items() if push.dataset in reads}
            views = [view for view in self._views_in(self._loaded()) if view.name in fed]
            return {view.name: pushing.alone(self._repo, view, push, beside, before) for view in views}

    def push(self, pushes: Pushes) -> Mapping[str, int]:
        """Bring what was pushed into the windows that are online; each row unless a later one is there.

        Killed at any point and run again, it comes to the same: a window says which push it holds last.

        Raises:
            DependencyFailed: the online store cannot be written, or a view's files were edited and not applied.
        """
        with self._alone(), tool_errors("pushing"):
            store, written = self._store(fresh=True), {}
            entities = store.registry.list_entities(store.project)
            serving, join_keys = self._serving(store), {entity.name: entity.join_key for entity in entities}
            known = {view.name: view for view in store.list_feature_views()}
            for name, rows in pushing.fed(self._repo, known.values(), pushes).items():
                part = tables.View.of(known[name], join_keys)
                window = serving.windows([serving.served(known[name], part)]).get(name)
                due = [push for push in rows if window and push.sequence > window.pushed]
                if not due:
                    continue
                definitions.refuse_edited(self._home, known[name], *repository.source_sql(self._repo, name))
                found = tables.together(part, [pushing.known(self._repo, part, push, pushes) for push in due])
                if serving.add(known[name], part, found, due[-1].sequence):
                    written[name] = found.num_rows
            return written

    def materialize(self, until: datetime, pushes: Callable[[], Pushes] = Pushes) -> Materialized:
        """Bring every view to what was known at ``until``, each in one step; what is there already stays.

        ``pushes`` says which still stand: what was pushed is part of it.

        Killed at any point and run again, it comes to the same: a view's window lies beside its rows, and changes
        with them.

        Raises:
            BadInput: ``until`` has no zone, or the online store is of a kind that keeps older values.
            DependencyFailed: a source is missing or was altered, or the online store cannot be written.
        """
        with self._alone(), tool_errors("materializing"):
            moment = utc_time(utc_text(until))
            store, views = self._store(fresh=True), self._defined_views()
            serving, rows, written = self._serving(store), {}, []
            newest: dict[str, datetime | None] = {}
            known = {view.name: store.get_feature_view(view.name) for view in views}
            there = serving.windows([serving.served(known[view.name], view) for view in views])
            beside = pushes()  # asked here: whoever pushes meanwhile waits for a turn
            fed = pushing.fed(self._repo, known.values(), beside)
            for view in views:
                before, standing = there.get(view.name), fed.get(view.name, ())
                now, rows_built = max(moment, before.until) if before else moment, self._source(view)
                since = [pushing.known(self._repo, view, push, beside, moment) for push in standing]
                newest[view.name] = tables.newest(tables.together(view, [rows_built, *since]), view, now)
                if before and before.until > moment:
                    rows[view.name] = 0
                    continue
                pushed = standing[-1].sequence if standing else 0
                found = tables.known_at(rows_built, view, moment)
                found = tables.latest(tables.together(view, [*since[::-1], found]), view) if since else found
                window = OnlineWindow(moment, self._noted("built")[view.name], found.num_rows, pushed)
                rows[view.name] = found.num_rows
                if before == window:  # with another ttl there are more rows, or fewer, of the same source
                    continue
                if serving.bring(known[view.name], view, found, window):
                    written.append(view.name)
            return Materialized(rows, tuple(written), newest)

    def windows(self) -> Mapping[str, OnlineWindow]:
        """Return what is online of each view.

        Raises:
            DependencyFailed: the online store does not answer.
        """
        with tool_errors("reading what is online"):
            store = self._store(fresh=True)
            serving = self._serving(store)
            known = {view.name: view for view in store.list_feature_views()}
            views = [view for view in self._defined_views() if view.name in known]
            return serving.windows([serving.served(known[view.name], view) for view in views])

    def online(
        self, service: str, keys: Sequence[Mapping[str, object]], at: datetime
    ) -> Sequence[Mapping[str, object]]:
        """Return each key's features by name, as of the last materialization; what has expired at ``at`` is None.

        Raises:
            BadInput: no such service, or a key lacks a part.
            DependencyFailed: the online store does not answer, or a view was never brought online.
        """
        return [answer.values for answer in self.answers(service, keys, at)]

    def answers(self, service: str, keys: Sequence[Mapping[str, object]], at: datetime) -> Sequence[Answer]:
        """Return each key's features as `online` does, and by view how old they are at ``at``.

        Raises:
            BadInput: no such service, or a key lacks a part.
            DependencyFailed: the online store does not answer, or a view was never brought online.
        """
        with tool_errors("reading online features"):
            serving, views = self._plan(service)
            rows = tables.key_rows(keys, sorted({key for each in views for key in each.view.keys}))
            return serving.answers(views, rows, at)

    def paired(self, view: str, count: int, pushes: Pushes | None = None) -> Sequence[Pair]:
        """Return every feature of ``count`` keys of a view, as it is served and as it was known at its moment.

        Of ``pushes``, those that still stand, what the window holds was known too.

        Raises:
            BadInput: no such view.
            DependencyFailed: nothing of it is online, its source is gone or was altered, or a store fails.
        """
        with self._alone(), tool_errors("comparing features"):
            from tidegate.adapters.feast_store.pairing import paired

            store = self._store(fresh=True)
            part, serving, registered = (
                self._defined_view(view),
                self._serving(store),
                store.get_feature_view(view),
            )
            window = serving.windows([serving.served(registered, part)]).get(view)
            if window is None:
                raise tables.empty(view)
            pushes, source = pushes or Pushes(), self._source(part)
            fed = pushing.fed(self._repo, [registered], pushes).get(view, ())
            held = [push for push in fed if push.sequence <= window.pushed]
            known = [pushing.known(self._repo, part, push, pushes, window.until) for push in held]
            pushed = tables.latest(tables.together(part, [*known[::-1], source.slice(0, 0)]), part)
            return paired(store, serving, part, source, pushed, window, count)

    # ── letting rows go ───────────────────────────────────────────────────────────────────────────

    def forget(self, whose: Whose | None, keys: Table) -> int:
        """Remove a subject's rows from what is online, whoever wrote them, and those of the keys that went.

        Raises:
            DependencyFailed: the online store does not answer, or its file cannot be written anew.
        """
        if not (self._repo / "feature_store.yaml").exists():
            return 0  # a project without features
        with self._alone(), tool_errors("erasing what is online"):
            store = self._store(fresh=True)
            if not (views := self._registered(store)):
                return 0
            serving = self._serving(store)
            served = [serving.served(view, part) for view, part in views]
            count = serving.forget(served, whose, cast("pa.Table", keys))
            serving.wipe()  # also of what a window that was replaced had left
            return count

    def wipe(self) -> None:
        """Write the online store's file anew, where it is one of ours."""
        with self._alone(), tool_errors("wiping what is online no more"):
            self._serving(self._store()).wipe()

    def replaced(self, sources: Mapping[str, tuple[str, str]]) -> None:
        """Put what was left of views' sources in their place, and bring it online for the moment that was there.

        Killed at any point and done again, it comes to the same.

        Raises:
            DependencyFailed: what was left is gone or was altered, or the online store cannot be written.
        """
        with self._alone(), tool_errors("replacing sources"):
            built = self._noted("built")
            ours = {view: each for view, each in sources.items() if built.get(view) in each}
            if not ours:
                return
            left = {view: self._left(view, to) for view, (_, to) in ours.items()}
            rows = {view: read_frame(frame, f"what is left of {view}") for view, frame in left.items()}
            self._note("built", {**built, **{view: frame.digest for view, frame in left.items()}})
            self._sources().swap(left)
            store = self._store(fresh=True)
            views = [each for each in self._registered(store) if each[1].name in left]
            self._serving(store).replaced(views, {view: (left[view].digest, rows[view]) for view in left})

    def _left(self, view: str, digest: str) -> Frame:
        return Frame(digest, self._home / "features" / view / f"{hex_of(digest, PREFIX)}.parquet", 0)

    def _registered(self, store: Any) -> list[tuple[Any, tables.View]]:
        """Return the views that were registered last, whatever the files say now."""
        join_keys = {entity.name: entity.join_key for entity in store.list_entities()}
        return [(view, tables.View.of(view, join_keys)) for view in store.list_feature_views()]

    def statistics(self, view: str, window: tuple[datetime, datetime]) -> Mapping[str, Mapping[str, Any]]:
        """Return the figures of each feature over the rows of a window, by Feast's calculator.

        Raises:
            BadInput: no such view. DependencyFailed: its source is gone or was altered.
        """
        with self._alone(), tool_errors("computing statistics"):
            from tidegate.adapters.feast_store.statistics import statistics

            self._store()
            part = self._defined_view(view)
            return statistics(self._source(part), part, window)

    def counts(
        self, view: str, window: tuple[datetime, datetime], cuts: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Sequence[int]]:
        """Count the values of the window's rows in the bins between ``cuts``.

        Raises:
            BadInput: no such view, or no numeric feature of it. DependencyFailed: its source is gone or was altered.
        """
        with self._alone(), tool_errors("counting values"):
            from tidegate.adapters.feast_store.statistics import counts

            self._store()
            part = self._defined_view(view)
            return counts(self._source(part), part, window, cuts)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the store for this thread and this process: stores are created once, sources swapped whole."""
        import filelock

        folder = self._home / "feast"
        folder.mkdir(parents=True, exist_ok=True)
        with _PROCESS:
            # One lock object: it may be taken again by the thread that holds it, a second one would wait.
            self._lock = self._lock or filelock.FileLock(folder / ".lock", timeout=_PATIENCE_SECONDS)
            try:
                with self._lock:
                    yield
            except filelock.Timeout as error:
                raise DependencyFailed(
                    "features-busy",
                    f"got no turn at the feature store in {_PATIENCE_SECONDS} s, expected another to finish",
                    "see which process holds the home's feast/.lock",
                ) from error

    def _store(self, fresh: bool = False, replace: bool = False) -> Any:
        """Return Feast's store; its registry was looked into each time, for Feast reads it when it likes."""
        if self._opened is None:
            with self._alone():
                if self._opened is None:
                    overlay = repository.write_overlay(self._repo, self._home, self._online, self._offline)
                    feast = repository.import_feast()
                    self._address = registry_address(overlay)
                    refuse_foreign_code(self._address, self._loaded, replace)
                    opened = feast.FeatureStore(repo_path=str(self._repo), fs_yaml_file=overlay)
                    _ = opened.registry  # creates its tables, under the lock
                    self._opened = opened
        refuse_foreign_code(self._address, self._loaded, replace)
        if fresh:
            self._opened.refresh_registry()
        return self._opened

    def _definitions(self) -> Any:
        return self._loaded(self._store().project)

    def _loaded(self, project: str = "") -> Any:
        return repository.load_definitions(self._repo, self._home, project)

    def _defined_views(self) -> list[tables.View]:
        return self._views_in(self._definitions())

    def _defined_view(self, name: str) -> tables.View:
        found = {each.name: each for each in self._defined_views()}
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise BadInput("no-such-view", f"got the view {name}, expected one that is defined: {known}", "")
        return found[name]

    def _views_in(self, contents: Any) -> list[tables.View]:
        join_keys = {entity.name: entity.join_key for entity in contents.entities}
        views = [tables.View.of(view, join_keys) for view in contents.feature_views]
        definitions.require_objectives(self._repo, contents.feature_views)
        for view in views:
            expected = self._home / "features" / f"{view.name}.parquet"
            if view.source.resolve() != expected:
                raise BadInput(
                    "source-path",
                    f"got a source called {view.source.name} for {view.name}, "
                    f"expected features/{view.name}.parquet under ${repository.HOME_VARIABLE}",
                    "see features/definitions.py",
                )
        return views

    def _service(self, store: Any, service: str) -> tuple[Any, list[tables.View]]:
        from feast.errors import FeatureServiceNotFoundException

        try:
            selected = store.registry.get_feature_service(service, store.project, allow_cache=True)
        except FeatureServiceNotFoundException as error:
            store.refresh_registry()  # another process may just have registered it: the next call sees it
            known = ", ".join(sorted(known.name for known in store.list_feature_services())) or "none"
            raise BadInput(
                "no-such-service",
                f"got the feature service {service}, expected one that is registered: {known}",
                "define it in features/ and apply",
            ) from error
        entities = store.registry.list_entities(store.project, allow_cache=True)
        join_keys, views = {entity.name: entity.join_key for entity in entities}, []
        for projection in selected.feature_view_projections:
            view = store.registry.get_feature_view(projection.name, store.project, allow_cache=True)
            views.append(tables.View.of(view, join_keys, [field.name for field in projection.features]))
            if views[-1].source.resolve() != self._home / "features" / f"{view.name}.parquet":
                raise DependencyFailed(
                    "registry-foreign",
                    f"got another source for {view.name} in Feast's registry, expected features/{view.name}.parquet",
                    "find out who wrote it, and build the features again",
                )
        return selected, views

    def _as_applied(self, store: Any, service: Any) -> None:
        """Refuse what another hand registered: a change that is held would come in by that door."""
        views = [
            store.registry.get_feature_view(projection.name, store.project, allow_cache=True)
            for projection in service.feature_view_projections
        ]
        if other := definitions.applied_otherwise(self._home, service, views):
            raise DependencyFailed(
                "registry-foreign",
                f"got another definition of {other} in Feast's registry, expected the one that was applied here",
                "somebody ran `feast apply`: see `tidegate features plan`, then run `tidegate run materialize`",
            )

    def _serving(self, store: Any) -> Serving:
        from tidegate.adapters.feast_store.serving import Serving

        return Serving(store)

    def _plan(self, service: str) -> tuple[Serving, Sequence[Served]]:
        """Return how a service is read. It is looked up in the registry as often as Feast itself looks there."""
        kept = self._plans.get(service)
        if kept is None or kept[0] < time.monotonic():
            store = self._store()
            serving = self._serving(store)
            _, views = self._service(store, service)
            served = [
                serving.served(
                    store.registry.get_feature_view(view.name, store.project, allow_cache=True), view
                )
                for view in views
            ]
            kept = (time.monotonic() + store.config.registry.cache_ttl_seconds, serving, served)
            self._plans[service] = kept
        return kept[1], kept[2]

    def _sources(self) -> Sources:
        offline = repository.offline_store(self._repo, self._offline)
        if offline.get("type") == repository.POSTGRES_STORE:
            return InPostgres(self._home, os.path.expandvars(str(offline.get("url", ""))))
        return Files(self._home, self._held)

    def _source(self, view: tables.View) -> pa.Table:
        """Read a view's source, verified: what was written behind our back is not joined."""
        return self._sources().read(view.name, self._built(view))

    def _built(self, view: tables.View) -> str:
        """Return the digest of what a view was built with."""
        digest = self._noted("built").get(view.name)
        if digest is None:
            raise DependencyFailed(
                "features-not-built",
                f"got no source for {view.name}, expected it to be built",
                "build features first",
            )
        return digest

    def _note(self, name: str, values: Mapping[str, str]) -> None:
        text = json.dumps(dict(values), indent=1, sort_keys=True) + "\n"
        write_whole(self._home / "feast" / f"{name}.json", text.encode())

    def _noted(self, name: str) -> dict[str, str]:
        file = self._home / "feast" / f"{name}.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}
