"""A Feast repository, opened: whose turn it is, Feast's own store, and what is defined and registered in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.feast_store import definitions, repository
from tidegate.adapters.feast_store.guard import refuse_foreign_code, registry_address
from tidegate.adapters.feast_store.tables import View
from tidegate.domain.errors import BadInput, DependencyFailed

if TYPE_CHECKING:
    from tidegate.adapters.feast_store.serving import Serving

#: Sources are swapped whole, and loading definitions sets a variable of the process.
PROCESS = threading.RLock()
_PATIENCE_SECONDS = 600


class Opened:
    """The repository under ``repo`` and its data under ``home``; Feast is opened when it is first asked for.

    ``online`` and ``offline`` say what takes the place of the repository's own stores.
    """

    def __init__(self, repo: Path, home: Path, online: str, offline: str) -> None:
        self.repo, self.home = repo.resolve(), home.resolve()
        self.offline = offline
        self._online = online
        self._feast: Any = None
        self._address = ""
        self._lock: Any = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store for this thread and this process: stores are created once, sources swapped whole."""
        import filelock

        folder = self.home / "feast"
        folder.mkdir(parents=True, exist_ok=True)
        with PROCESS:
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

    def store(self, fresh: bool = False, replace: bool = False) -> Any:
        """Return Feast's store; its registry was looked into each time, for Feast reads it when it likes."""
        if self._feast is None:
            with self.alone():
                if self._feast is None:
                    overlay = repository.write_overlay(self.repo, self.home, self._online, self.offline)
                    feast = repository.import_feast()
                    self._address = registry_address(overlay)
                    refuse_foreign_code(self._address, self.loaded, replace)
                    opened = feast.FeatureStore(repo_path=str(self.repo), fs_yaml_file=overlay)
                    _ = opened.registry  # creates its tables, under the lock
                    self._feast = opened
        refuse_foreign_code(self._address, self.loaded, replace)
        if fresh:
            self._feast.refresh_registry()
        return self._feast

    def serving(self, store: Any) -> Serving:
        """Return a store's online store, as we read and write it."""
        from tidegate.adapters.feast_store.serving import Serving

        return Serving(store)

    # ── defined: what the files say ───────────────────────────────────────────────────────────────

    def loaded(self, project: str = "") -> Any:
        """Return what the repository's files define, as Feast's objects; the store need not be open."""
        return repository.load_definitions(self.repo, self.home, project)

    def contents(self) -> Any:
        """Return what the files define for the project that is open."""
        return self.loaded(self.store().project)

    def views(self) -> list[View]:
        """Return the views that are defined."""
        return self.views_in(self.contents())

    def view(self, name: str) -> View:
        """Return the view of that name.

        Raises:
            BadInput: none is defined.
        """
        found = {each.name: each for each in self.views()}
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise BadInput("no-such-view", f"got the view {name}, expected one that is defined: {known}", "")
        return found[name]

    def views_in(self, contents: Any) -> list[View]:
        """Return the views of what was loaded.

        Raises:
            BadInput: a source lies where no view's does, or an objective cannot be held.
        """
        join_keys = {entity.name: entity.join_key for entity in contents.entities}
        views = [View.of(view, join_keys) for view in contents.feature_views]
        definitions.require_objectives(self.repo, contents.feature_views)
        for view in views:
            if view.source.resolve() != self.source(view.name):
                raise BadInput(
                    "source-path",
                    f"got a source called {view.source.name} for {view.name}, "
                    f"expected features/{view.name}.parquet under ${repository.HOME_VARIABLE}",
                    "see features/definitions.py",
                )
        return views

    def source(self, view: str) -> Path:
        """Return the path that a view's definition must name."""
        return self.home / "features" / f"{view}.parquet"

    # ── registered: what was applied ──────────────────────────────────────────────────────────────

    def registered(self, store: Any) -> list[tuple[Any, View]]:
        """Return the views that were registered last, whatever the files say now."""
        join_keys = {entity.name: entity.join_key for entity in store.list_entities()}
        return [(view, View.of(view, join_keys)) for view in store.list_feature_views()]

    def service(self, store: Any, name: str) -> tuple[Any, list[View]]:
        """Return a service that is registered, with its part of each view.

        Raises:
            BadInput: none is registered under that name.
            DependencyFailed: a view of it reads from elsewhere than it may.
        """
        from feast.errors import FeatureServiceNotFoundException

        try:
            selected = store.registry.get_feature_service(name, store.project, allow_cache=True)
        except FeatureServiceNotFoundException as error:
            store.refresh_registry()  # another process may just have registered it: the next call sees it
            known = ", ".join(sorted(known.name for known in store.list_feature_services())) or "none"
            raise BadInput(
                "no-such-service",
                f"got the feature service {name}, expected one that is registered: {known}",
                "`tidegate run materialize` registers what features/ defines; write it there first if it is new",
            ) from error
        entities = store.registry.list_entities(store.project, allow_cache=True)
        join_keys, views = {entity.name: entity.join_key for entity in entities}, []
        for projection in selected.feature_view_projections:
            view = store.registry.get_feature_view(projection.name, store.project, allow_cache=True)
            views.append(View.of(view, join_keys, [field.name for field in projection.features]))
            if views[-1].source.resolve() != self.source(view.name):
                raise DependencyFailed(
                    "registry-foreign",
                    f"got another source for {view.name} in Feast's registry, expected features/{view.name}.parquet",
                    "if this home was moved or copied, `tidegate run materialize` registers where its views lie now; "
                    "else find out who wrote it, and build the features again",
                )
        return selected, views
