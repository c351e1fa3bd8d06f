"""Definitions: what the files say, whether it holds together, and bringing it into Feast's registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.adapters.feast_store import definitions, repository, tables
from tidegate.adapters.feast_store.opened import PROCESS, Opened
from tidegate.adapters.feast_store.repository import tool_errors
from tidegate.adapters.shared.sql import Declared, run_sql
from tidegate.application.ports import Marks
from tidegate.domain.canonical import digest as digest_of
from tidegate.domain.errors import BadInput
from tidegate.domain.feature_change import Definitions, ViewDefinition


class Registry:
    """The registry of an opened repository; ``changing`` is told before what is registered changes."""

    def __init__(self, opened: Opened, changing: Callable[[], None]) -> None:
        self._opened, self._changing = opened, changing

    def apply(self, expected: Definitions | None = None) -> Mapping[str, str]:
        """Register the definitions and drop what they no longer name; return digests by view and service.

        Raises:
            BadInput: the definitions do not load, or are no longer ``expected``.
            DependencyFailed: the registry or a store cannot be written.
        """
        with self._opened.alone(), tool_errors("registering definitions"):
            from feast.repo_operations import extract_objects_for_apply_delete

            repo, store = self._opened.repo, self._opened.store(replace=True)
            contents = self._opened.contents()
            if expected is not None and definitions.defined(repo, contents) != expected:
                raise definitions.edited()
            self._changing()
            objects, gone, _, _ = extract_objects_for_apply_delete(store.project, store.registry, contents)
            store.apply(objects, objects_to_delete=gone, partial=False)
            documents: dict[str, dict[str, Any]] = {}
            for view in (*contents.feature_views, *contents.on_demand_feature_views):
                known = store.registry.get_any_feature_view(view.name, store.project)
                filled = view in contents.feature_views
                text, steps = repository.source_sql(repo, view.name) if filled else ("", {})
                documents[view.name] = repository.view_document(repository.view_spec(known), text, steps)
            services = {
                service.name: store.registry.get_feature_service(service.name, store.project)
                for service in contents.feature_services
            }
            digests = {name: digest_of(document) for name, document in documents.items()}
            selected = {name: repository.service_digest(each, digests) for name, each in services.items()}
            filled_ones = {view.name: documents[view.name] for view in contents.feature_views}
            definitions.keep(self._opened.home, filled_ones, services)
            return digests | selected

    def defined(self) -> Definitions:
        """Return what the repository's files define; nothing is registered, and nothing written.

        Raises:
            BadInput: a file does not run, a view has no SQL, entity or source of its own, or a service selects
                from a view that is not defined.
        """
        with PROCESS, tool_errors("reading definitions"):
            contents = self._opened.loaded()
            self._opened.views_in(contents)
            return definitions.defined(self._opened.repo, contents)

    def check(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> None:
        """Ask DuckDB for the columns of every view's SQL over these batches, without a row.

        Raises:
            BadInput: a view has no SQL, the SQL does not run, or lacks a column that its view defines.
        """
        with PROCESS, tool_errors("checking sources"):
            for view in self._opened.views_in(self._opened.loaded()):
                text, steps = repository.source_sql(self._opened.repo, view.name)
                try:
                    tables.as_defined(view, run_sql(text, batches, declared, steps=steps, most=0))
                except BadInput as error:
                    hint = f"mend sources/{view.name}.sql" + (f": {error.hint}" if error.hint else "")
                    raise BadInput(error.code, error.sentence, hint) from error

    def registered(self, recorded: Mapping[str, str]) -> Definitions:
        """Return what was registered last, its views by the digests that are on record."""
        return definitions.registered(self._opened.home, recorded)

    def kept(self, views: Mapping[str, str]) -> Mapping[str, ViewDefinition]:
        """Return the definitions that have these digests; of one that was not kept, the digest alone."""
        return definitions.kept(self._opened.home, views)

    def marks(self, service: str, rows: int) -> Marks:
        """Return what Feast's MLflow integration looks for at the run of a model, and at its version.

        Raises:
            BadInput: no such service.
        """
        with tool_errors("reading a service"):
            store = self._opened.store()
            return repository.marks(store.project, self._opened.service(store, service)[0], rows)
