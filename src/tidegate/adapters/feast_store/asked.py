"""What Feast asks an offline store of ours for, by the names that its sources have after Feast's field mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feast.feature_view import DUMMY_ENTITY_ID

from tidegate.adapters.feast_store.as_of import History
from tidegate.domain.errors import BadInput

#: Says how a store reads a source: columns there by what they are called here, and which of these are moments.
Relation = Callable[[Any, Mapping[str, str], Sequence[str]], str]


def require_rows(entity_df: Any) -> None:
    """Refuse to join onto nothing.

    Raises:
        BadInput: there are no entity rows.
    """
    if entity_df is None:
        raise BadInput(
            "no-entity-rows",
            "got no entity_df, expected rows to join features onto",
            "pass a DataFrame, an Arrow table or a query",
        )


def asked_of(view: Any, feature_refs: Sequence[str], full_names: bool, relation: Relation) -> History:
    """Return what is asked of a view."""
    source, prefix = view.batch_source, f"{view.projection.name_to_use()}:"
    features = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
    before = f"{view.projection.name_alias or view.name}__" if full_names else ""
    named = view.projection.join_key_map or {}
    keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    times = (source.timestamp_field, source.created_timestamp_column or None)
    return History(
        relation=_read(source, (*keys, *features), times, relation),
        keys={key: named.get(key, key) for key in keys},
        features={name: before + name for name in features},
        event=times[0],
        created=times[1],
        ttl=view.ttl or None,
    )


def pulled(
    source: Any,
    keys: Sequence[str],
    features: Sequence[str],
    times: tuple[str, str | None],
    relation: Relation,
) -> History:
    """Return a source's history without a ttl, for those of its columns that are pulled."""
    keys, created = [key for key in keys if key != DUMMY_ENTITY_ID], times[1] or None
    return History(
        relation=_read(source, (*keys, *features), times, relation),
        keys={key: key for key in keys},
        features={name: name for name in features},
        event=times[0],
        created=created,
        ttl=None,
    )


def _read(source: Any, names: Sequence[str], times: Sequence[str | None], relation: Relation) -> str:
    moments = [name for name in times if name]
    there = {called: name for name, called in source.field_mapping.items()}
    return relation(source, {there.get(name, name): name for name in (*names, *moments)}, moments)
