"""Code that lies in Feast's registry: found in the raw rows, before Feast would run it.

Feast keeps a transformation as its text and as a pickle, and runs one of them as soon as it lists the view.
Whoever can write to the registry could so run code as whoever reads features. The repository's own code is
reviewed; a row's code is run only where it is that.

Only an SQL registry is looked into: the one that the repository is meant to be used with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tidegate.domain.errors import DependencyFailed

#: Protobuf messages that carry code, by the words in their names.
_CODE = ("UserDefinedFunction", "Transformation", "Profiler")
#: Where they lie: table, column of the name, column of the message, its kind (empty: the row says it).
_TABLES = (
    ("feature_views", "feature_view_name", "feature_view_proto", "feature_view"),
    ("stream_feature_views", "feature_view_name", "feature_view_proto", "stream_feature_view"),
    ("on_demand_feature_views", "feature_view_name", "feature_view_proto", "on_demand_feature_view"),
    ("label_views", "feature_view_name", "feature_view_proto", "label_view"),
    ("feature_view_version_history", "feature_view_name", "feature_view_proto", ""),
    (
        "validation_references",
        "validation_reference_name",
        "validation_reference_proto",
        "validation_reference",
    ),
)


def registry_address(overlay: Path) -> str:
    """Return where an SQL registry lies; empty for a registry of another kind."""
    from ruamel.yaml import YAML

    registry = YAML(typ="safe").load(overlay).get("registry")
    sql = isinstance(registry, dict) and registry.get("registry_type") == "sql"
    return str(registry["path"]) if sql else ""


def refuse_foreign_code(address: str, definitions: Callable[[], Any], replace: bool = False) -> None:
    """Look at every row of the registry that carries code; nothing of it is run.

    ``definitions`` loads the repository's; it is called only where there is such a row. With ``replace``,
    rows with a name the repository defines are dropped, because they are about to be registered again.

    Raises:
        DependencyFailed: a row carries code that the repository does not define.
    """
    from sqlalchemy import NullPool, column, create_engine, delete, inspect, literal, select, table

    sqlite = "sqlite:///"
    if not address or (address.startswith(sqlite) and not Path(address.removeprefix(sqlite)).exists()):
        return
    messages = _messages()
    with create_engine(address, poolclass=NullPool).begin() as connection:
        present = set(inspect(connection).get_table_names())
        for where, name, body, kind in _TABLES:
            if where not in present:
                continue
            kinds = column("feature_view_type") if not kind else literal(kind)
            asked: Any = select(column(name), column(body), kinds).select_from(table(where))
            for called, stored, of in connection.execute(asked).all():
                message = messages.get(of)
                code = sorted(_code(message.FromString(bytes(stored)))) if message else [b""]
                if not code:
                    continue
                own = _own(definitions(), called)
                if own is None or (code != own and not replace):
                    raise _foreign(where, called, own is not None)
                if code != own:
                    connection.execute(delete(table(where)).where(column(name) == called))


def _messages() -> Mapping[str, Any]:
    from feast.protos.feast.core.FeatureView_pb2 import FeatureView
    from feast.protos.feast.core.LabelView_pb2 import LabelView
    from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView
    from feast.protos.feast.core.StreamFeatureView_pb2 import StreamFeatureView
    from feast.protos.feast.core.ValidationProfile_pb2 import ValidationReference

    return {
        "feature_view": FeatureView,
        "stream_feature_view": StreamFeatureView,
        "on_demand_feature_view": OnDemandFeatureView,
        "label_view": LabelView,
        "validation_reference": ValidationReference,
    }


def _code(message: Any) -> Iterator[bytes]:
    """Yield each part of a message that carries code, however deep it lies."""
    if any(word in message.DESCRIPTOR.name for word in _CODE):
        yield message.SerializeToString(deterministic=True)
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.is_repeated else (value,):
            yield from _code(part)


def _own(contents: Any, name: str) -> list[bytes] | None:
    for view in (*contents.feature_views, *contents.on_demand_feature_views):
        if view.name == name:
            return sorted(_code(view.to_proto()))
    return None


def _foreign(table: str, name: str, altered: bool) -> DependencyFailed:
    other = "other code than the repository defines" if altered else "which the repository does not define"
    return DependencyFailed(
        "registry-foreign",
        f"got {name!r} among the {table.replace('_', ' ')} in Feast's registry, {other}, "
        "expected only its own",
        "nothing of it was run: find out who wrote it, remove the registry, and build the features again",
    )
