"""Which rows that are online are a subject's: by a part of their key or a feature, or by the key of a row that went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.protos.feast.types.Value_pb2 import Map

from tidegate.application.ports import Whose
from tidegate.domain.masking import plain

if TYPE_CHECKING:
    import pyarrow as pa


def theirs(
    rows: Iterable[tuple[bytes, bytes]], whose: Whose | None, gone: pa.Table, version: int
) -> Iterator[bytes]:
    """Yield the keys of rows that go; ``rows`` are keys and bodies, ``version`` is that of Feast's encoding of keys."""
    names = gone.column_names
    keys = set(zip(*(gone.column(name).to_pylist() for name in names), strict=True))
    for key, body in rows:
        entity = deserialize_entity_key(key, version)
        parts = dict(zip(entity.join_keys, map(_value, entity.entity_values), strict=True))
        named = keys and set(names) <= set(parts) and tuple(_text(parts[name]) for name in names) in keys
        if named or (whose is not None and _says({**_values(body), **parts}, whose)):
            yield key


def _says(values: Mapping[str, Any], whose: Whose) -> bool:
    return any(
        _text(value) in whose.texts
        for name, value in values.items()
        if name == whose.column or (whose.anywhere and isinstance(value, str))
    )


def _values(body: bytes) -> dict[str, Any]:
    return {name: _value(message) for name, message in Map.FromString(body).val.items()}


def _value(message: Any) -> Any:
    field = message.WhichOneof("val")
    return getattr(message, field) if field else None


def _text(value: Any) -> str:
    return "" if value is None else plain(value)
