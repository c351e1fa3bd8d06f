"""Brings views online and reads them, through an online store of ours and past Feast's own detours.

What Feast does for a read beside reading (registry, protobuf responses, a round for each view) takes ten times as
long as the read. The rows are the same as those that `get_online_features` finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Map, Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.value_type import ValueType

from tidegate.adapters.feast_store.forgetting import theirs
from tidegate.adapters.feast_store.newest import Found, NewestOnlineStore, key_bytes, ticks
from tidegate.adapters.feast_store.tables import View, empty, known_at, oldest
from tidegate.application.ports import Answer, OnlineWindow, Whose
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

#: Values that a message carries as they are in Python.
_PLAIN = {
    ValueType.BOOL: "bool_val",
    ValueType.BYTES: "bytes_val",
    ValueType.DOUBLE: "double_val",
    ValueType.FLOAT: "float_val",
    ValueType.INT32: "int32_val",
    ValueType.INT64: "int64_val",
    ValueType.STRING: "string_val",
}
_PLAIN_FIELDS = frozenset(_PLAIN.values())


@dataclass(frozen=True)
class Served:
    """A view as it is read: its part of a service, its name in the store, and its keys' kinds."""

    view: View
    name: str
    kinds: Mapping[str, ValueType]


class Serving:
    """One Feast store's online store."""

    def __init__(self, store: Any) -> None:
        self._config = store.config
        self._online = store.provider.online_store
        if not isinstance(self._online, NewestOnlineStore):
            raise BadInput(
                "online-store-kind",
                f"got {type(self._online).__name__} as the online store, expected one that keeps the newest: "
                "tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore or "
                "tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore",
                "mend online_store in features/feature_store.yaml; docs/online.md tells why",
            )

    def served(self, view: Any, part: View) -> Served:
        """Return how a Feast view is read."""
        kinds = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
        return Served(part, self._online.name_of(self._config, view), kinds)

    def bring(self, view: Any, part: View, rows: pa.Table, window: OnlineWindow) -> bool:
        """Bring a view to a window, whole; say whether it was not there already."""
        return bool(self._online.bring(self._config, view, _for_feast(view, part, rows), window))

    def add(self, view: Any, part: View, rows: pa.Table, pushed: int) -> bool:
        """Bring pushed rows into the window that is there; say whether it did not hold that push already."""
        return bool(self._online.add(self._config, view, _for_feast(view, part, rows), pushed))

    def forget(self, served: Sequence[Served], whose: Whose | None, gone: pa.Table) -> int:
        """Remove from these views what is a subject's, or has the key of a row that went; count it."""
        version, count = self._config.entity_key_serialization_version, 0
        for each in served:
            rows = self._online.rows(self._config, each.name)
            if keys := sorted(set(theirs(rows, whose, gone, version))):
                self._online.remove(self._config, each.name, keys)
            count += len(keys)
        return count

    def wipe(self) -> None:
        """Leave nothing of what was removed in the store's own files."""
        self._online.wipe(self._config)

    def replaced(
        self, views: Sequence[tuple[Any, View]], sources: Mapping[str, tuple[str, pa.Table]]
    ) -> None:
        """Bring views online again as of the moment that they are there for, from other sources: digest and rows."""
        there = self.windows([self.served(view, part) for view, part in views])
        for view, part in views:
            before, (digest, rows) = there.get(part.name), sources[part.name]
            if before is not None and before.source != digest:
                found = known_at(rows, part, before.until)
                self.bring(view, part, found, OnlineWindow(before.until, digest, found.num_rows))
        self.wipe()

    def windows(self, served: Sequence[Served]) -> Mapping[str, OnlineWindow]:
        """Return what is online of each view that ever was."""
        found = self._online.find(self._config, [(each.name, ()) for each in served])
        return {
            each.view.name: there.window
            for each, there in zip(served, found, strict=True)
            if there.window is not None
        }

    def answers(
        self, served: Sequence[Served], keys: Sequence[Mapping[str, object]], at: datetime
    ) -> list[Answer]:
        """Return each key's features and how old they are; what is unknown, or past its ttl at ``at``, is None.

        Raises:
            DependencyFailed: a view was never brought online.
        """
        encoded: dict[tuple[object, ...], list[bytes]] = {}  # views of the same entities share their keys
        for each in served:
            kinds = tuple(each.kinds.items())
            encoded[kinds] = encoded.get(kinds) or self._keys(each, keys)
        asked = [(each.name, encoded[tuple(each.kinds.items())]) for each in served]
        values: list[dict[str, object]] = [{} for _ in keys]
        ages: list[dict[str, timedelta | None]] = [{} for _ in keys]
        for each, found in zip(served, self._online.find(self._config, asked), strict=True):
            if found.window is None:
                raise empty(each.view.name)
            told = _values(each.view, found, found.window, at)
            for known, old, (said, age) in zip(values, ages, told, strict=True):
                known.update(said)
                old[each.view.name] = age
        return [Answer(*each) for each in zip(values, ages, strict=True)]

    def _keys(self, served: Served, keys: Sequence[Mapping[str, object]]) -> list[bytes]:
        """Return keys as they are kept.

        Raises:
            BadInput: one is of another type. It is not repeated: it may be a person's.
        """
        columns = {part: [key[part] for key in keys] for part in served.kinds}
        with suppress(TypeError, ValueError):
            return [key_bytes(self._config, key) for key in _entity_keys(served.kinds, columns)]
        part, kind = next(
            (part, kind) for part, kind in served.kinds.items() if not _are(columns[part], kind)
        )
        raise BadInput(
            "bad-key",
            f"got a key whose {part} is no {kind.name.lower()}, expected one",
            "ask with values of the type that the entity has in features/",
        )


def _are(values: Sequence[Any], kind: ValueType) -> bool:
    try:
        messages(values, kind)
    except (TypeError, ValueError):
        return False
    return True


def _for_feast(view: Any, part: View, rows: pa.Table) -> list[Any]:
    """Return a view's rows as Feast gives them to an online store."""
    kinds = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    keys = _entity_keys(kinds, {key: rows.column(key).to_pylist() for key in part.keys})
    types = {field.name: field.dtype.to_value_type() for field in view.features}
    columns = [messages(rows.column(name).to_pylist(), types[name]) for name in part.features]
    times = (rows.column(name).to_pylist() for name in (part.event, part.created))
    # A message without a value is null: it is kept, so that the feature is known to be unknown.
    values = [dict(zip(part.features, row, strict=True)) for row in zip(*columns, strict=True)]
    return list(zip(keys, values, *times, strict=True))


def messages(values: Sequence[Any], kind: ValueType) -> list[Any]:
    """Return values as Feast's messages; one that is unknown has no value."""
    field = _PLAIN.get(kind)
    if field is None:
        return list(python_values_to_proto_values(list(values), kind))
    return [Value() if value is None else Value(**{field: value}) for value in values]


def _entity_keys(kinds: Mapping[str, ValueType], columns: Mapping[str, Sequence[Any]]) -> list[Any]:
    parts = [messages(columns[name], kind) for name, kind in kinds.items()]
    return [EntityKey(join_keys=list(kinds), entity_values=row) for row in zip(*parts, strict=True)]


def _values(
    view: View, found: Found, window: OnlineWindow, at: datetime
) -> Iterator[tuple[Mapping[str, object], timedelta | None]]:
    """Yield each row's features and age. The bound of a ttl is inclusive, as in the offline join."""
    moment = max(at, window.until)
    now, since = ticks(moment), ticks(oldest(moment, view.ttl)) if view.ttl else 0
    unknown = dict.fromkeys(view.features), None
    for row in found.rows:
        if row is None or row[0] < since:
            yield unknown
            continue
        kept = Map.FromString(row[1]).val  # asked for one that is not there, it would make one
        values = {name: _plain(kept[name]) if name in kept else None for name in view.features}
        yield values, timedelta(microseconds=now - row[0])


def _plain(message: Any) -> object:
    field = message.WhichOneof("val")
    if field is None:
        return None
    value: object = (
        getattr(message, field) if field in _PLAIN_FIELDS else feast_value_type_to_python_type(message)
    )
    return None if value != value else value  # noqa: PLR0124 - how another writer may spell an unknown number
