"""What our online stores share: rows that know when they are from, and windows that know what they brought.

Feast's stores keep what was written last. SQLite's so lets an old window overwrite a newer value, Redis's keeps a
value that was corrected since, and both serve a value however old it is. Here it goes by time:

* A row carries two times: when it happened and when it was known. A write never replaces a row that is later by them.
* A window is what was known of a view at one moment, whole. It takes the place of the one before it in one step, or
  not at all; one of an earlier moment never does; the same one again is recognised, and writes nothing.
* A value is served until its view's ttl is over, and not longer.

* What passed the gate as a push goes into the window, row by row, and the window says which push it holds last. The
  next window takes its place as it does the rest.

Rows that Feast itself writes (``feast materialize``, its own push) come one by one, beside the window; the later one is
served. ``writes: tidegate`` refuses them. ``bring`` is how Tidegate materializes, ``add`` how it pushes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from feast import utils
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Map

from tidegate.adapters.feast_store.tables import oldest
from tidegate.application.ports import OnlineWindow
from tidegate.domain.errors import BadInput

#: Times are counted from here, in microseconds: never negative, and of one length as text.
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: When a value is past its ttl: by the clock, or by the last moment that was brought online.
Expiry = Literal["clock", "materialized"]
#: Whose writes are taken: anybody's through Feast's interface, or only those that Tidegate brings.
Writes = Literal["feast", "tidegate"]


@dataclass(frozen=True)
class Row:
    """A key's values as they are kept; ``event`` and ``created`` are counted by `ticks`."""

    key: bytes
    event: int
    created: int
    body: bytes


@dataclass(frozen=True)
class Found:
    """What is online of one view: the window that was brought last, and for each key when it happened, and its body."""

    window: OnlineWindow | None
    rows: Sequence[tuple[int, bytes] | None]


def ticks(moment: datetime) -> int:
    """Return a moment as a count of microseconds; without a zone it counts as UTC, as Feast has it."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _FIRST) // _MICROSECOND


def moment_of(count: int) -> datetime:
    """Return the moment of a count."""
    return _FIRST + count * _MICROSECOND


class NewestOnlineStore(OnlineStore):  # type: ignore[misc] # Feast has no types
    """Feast's ``OnlineStore`` over a place that keeps rows and windows."""

    # ── what a place does ─────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def put(self, config: Any, name: str, rows: Sequence[Row]) -> None:
        """Keep each row, unless the one that is there is later."""

    @abstractmethod
    def replace(self, config: Any, name: str, rows: Sequence[Row], window: OnlineWindow) -> bool:
        """Put a window in the place of the one before, in one step; say whether it was not there already.

        A window of an earlier moment than the one that is there leaves everything as it is.
        """

    @abstractmethod
    def enter(self, config: Any, name: str, rows: Sequence[Row], pushed: int) -> bool:
        """Keep each row in the window, unless the one that is there is later; say whether anything was to do.

        Nothing is where there is no window, or it holds that push, or a later one, already.
        """

    @abstractmethod
    def find(self, config: Any, asked: Sequence[tuple[str, Sequence[bytes]]]) -> Sequence[Found]:
        """Return what is online for the keys of each view, all as of one moment."""

    @abstractmethod
    def rows(self, config: Any, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key of a view with its body, also where Feast wrote it beside the window."""

    @abstractmethod
    def remove(self, config: Any, name: str, keys: Sequence[bytes]) -> None:
        """Remove these keys, by whomever they were written; the window says how many rows it still has."""

    @abstractmethod
    def wipe(self, config: Any) -> None:
        """Leave nothing of what was removed in the store's own files, as far as they are ours to write.

        Raises:
            DependencyFailed: somebody reads them all the time.
        """

    @abstractmethod
    def drop(self, config: Any, names: Sequence[str]) -> None:
        """Remove everything of these views."""

    # ── Feast's interface ─────────────────────────────────────────────────────────────────────────

    def online_write_batch(
        self,
        config: Any,
        table: Any,
        data: Sequence[tuple[Any, Mapping[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Keep each row, unless the one that is there is later.

        Raises:
            BadInput: the store takes what Tidegate brings alone (``writes: tidegate``).
        """
        if config.online_store.writes == "tidegate":
            raise BadInput(
                "writes-of-feast",
                f"got {len(data)} rows of {table.name} that Feast itself writes, expected none: its online store says "
                "`writes: tidegate`",
                "have them pass the gate: `tidegate push` for rows, `tidegate run materialize` for what was accepted",
            )
        self.put(config, self.name_of(config, table), rows_of(config, data))
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: Any,
        table: Any,
        entity_keys: Sequence[Any],
        requested_features: Sequence[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Any] | None]]:
        """Return each key's values that are within the view's ttl, as Feast's protobuf messages."""
        keys = [key_bytes(config, key) for key in entity_keys]
        (found,) = self.find(config, [(self.name_of(config, table), keys)])
        return _served(config, table, found, requested_features)

    def _read_features_per_fv(
        self,
        config: Any,
        grouped_refs: Sequence[tuple[Any, list[str]]],
        join_key_values: Any,
        entity_name_to_join_key_map: Any,
        online_features_response: Any,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """Read all views at once, as of one moment, where Feast would ask for one after the other."""
        asked, places = [], []
        for table, _ in grouped_refs:
            entities, place, length = utils._get_unique_entities(  # noqa: SLF001 - Feast leaves this to its stores
                table, join_key_values, entity_name_to_join_key_map
            )
            keys = [key_bytes(config, key) for key in utils._get_entity_key_protos(entities)]  # noqa: SLF001
            asked.append((self.name_of(config, table), keys))
            places.append((place, length))
        found = self.find(config, asked)
        for (table, features), (place, length), there in zip(grouped_refs, places, found, strict=True):
            utils._populate_response_from_feature_data(  # noqa: SLF001
                features,
                _served(config, table, there, features),
                place,
                online_features_response,
                full_feature_names,
                table,
                length,
                include_feature_view_version_metadata,
            )

    def update(
        self,
        config: Any,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],  # noqa: ARG002 - made when they are written
        entities_to_delete: Sequence[Any],  # noqa: ARG002 - Feast's
        entities_to_keep: Sequence[Any],  # noqa: ARG002 - Feast's
        partial: bool,  # noqa: ARG002 - Feast's
    ) -> None:
        """Remove views that are no longer defined."""
        self.drop(config, [self.name_of(config, table) for table in tables_to_delete])

    def teardown(self, config: Any, tables: Sequence[Any], entities: Sequence[Any]) -> None:  # noqa: ARG002 - Feast's
        """Remove every view."""
        self.drop(config, [self.name_of(config, table) for table in tables])

    # ── Tidegate's ────────────────────────────────────────────────────────────────────────────────

    def bring(self, config: Any, table: Any, data: Sequence[Any], window: OnlineWindow) -> bool:
        """Bring a view to a window, whole; say whether it was not there already. Rows as in `online_write_batch`."""
        return self.replace(config, self.name_of(config, table), rows_of(config, data), window)

    def add(self, config: Any, table: Any, data: Sequence[Any], pushed: int) -> bool:
        """Bring pushed rows into a view's window; say whether it did not hold that push already."""
        return self.enter(config, self.name_of(config, table), rows_of(config, data), pushed)

    @staticmethod
    def name_of(config: Any, table: Any) -> str:
        """Return what a view is called here; Feast's versions of it have names of their own."""
        return str(
            compute_table_id(config.project, table, config.registry.enable_online_feature_view_versioning)
        )

    def _is_versioned_read_supported(self) -> bool:
        return True


def rows_of(
    config: Any, data: Sequence[tuple[Any, Mapping[str, Any], datetime, datetime | None]]
) -> list[Row]:
    """Return Feast's rows as they are kept. What has no created timestamp was known when it happened."""
    return [
        Row(
            key_bytes(config, key),
            ticks(event),
            ticks(created or event),
            Map(val=values).SerializeToString(deterministic=True),
        )
        for key, values, event, created in data
    ]


def key_bytes(config: Any, key: Any) -> bytes:
    """Return an entity key as bytes, in Feast's encoding."""
    return bytes(serialize_entity_key(key, config.entity_key_serialization_version))


def _served(
    config: Any, table: Any, found: Found, features: Sequence[str] | None
) -> list[tuple[datetime | None, dict[str, Any] | None]]:
    """Return each row that is within the view's ttl as Feast has it: when it happened, and its messages by feature."""
    ttl = getattr(table, "ttl", None)
    since = ticks(oldest(_now(config, table, found.window), ttl)) if ttl else 0
    answers: list[tuple[datetime | None, dict[str, Any] | None]] = []
    for row in found.rows:
        if row is None or row[0] < since:
            answers.append((None, None))
            continue
        values = dict(Map.FromString(row[1]).val)
        wanted = values if features is None else [name for name in features if name in values]
        answers.append((moment_of(row[0]), {name: values[name] for name in wanted}))
    return answers


def _now(config: Any, table: Any, window: OnlineWindow | None) -> datetime:
    """Return the moment by which values expire."""
    if config.online_store.expiry == "clock":
        return datetime.now(UTC)
    native = getattr(table, "most_recent_end_time", None)  # what `feast materialize` noted in the registry
    moments = [native if native.tzinfo else native.replace(tzinfo=UTC)] if native else []
    moments += [window.until] if window else []
    return max(moments, default=_FIRST)
