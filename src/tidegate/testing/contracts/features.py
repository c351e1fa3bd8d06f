"""What every feature store must do, on a small one: shops, and what was known of their sales when.

`write_repository` lays the store out as a Feast repository; `VIEWS` and `SERVICES` say the same to the
fake. The rows in `SALES` are chosen for their times: late-known ones, corrected ones, old ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.ports import Features, Frame, Materialized, Pushed, Pushes
from tidegate.domain.access import Access, FeaturePermission, opened
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.feature_change import differences
from tidegate.testing.material import altered

CONFIGURATION = """\
project: shops
provider: local
registry:
  registry_type: sql
  path: "sqlite:///../.tidegate/feast/registry.db"
  serve_features_while_materializing: true
offline_store: OFFLINE
online_store: ONLINE
entity_key_serialization_version: 3
"""
DUCKDB = "{type: tidegate.adapters.feast_store.offline.PointInTimeOfflineStore}"
SQLITE = (
    "{type: tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore, "
    "path: ../.tidegate/feast/online.db}"
)


def redis(url: str) -> str:
    """Return the configuration of an online store in Redis."""
    return f"{{type: tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore, url: {url!r}}}"


def postgres(url: str) -> str:
    """Return the configuration of an offline store in PostgreSQL."""
    return f"{{type: tidegate.adapters.feast_store.offline_postgres.PointInTimePostgresOfflineStore, url: {url!r}}}"


DEFINITIONS = """\
import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64

HOME = Path(__file__).resolve().parent.parent / os.environ.get("TIDEGATE_HOME", ".tidegate")
TAGS = {"shop_sales": {"freshness": "24h", "lag": "3d", "team": "sales"}}


def view(name, keys, ttl, **features):
    source = FileSource(
        name=f"{name}_source",
        path=str(HOME / "features" / f"{name}.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    if name == "shop_sales":
        source = PushSource(name="shop_sales_push", batch_source=source)
    schema = [Field(name=feature, dtype=dtype) for feature, dtype in features.items()]
    return FeatureView(
        name=name, entities=keys, ttl=ttl, schema=schema, source=source, tags=TAGS.get(name, {})
    )


shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item"], value_type=ValueType.INT64)
shop_sales = view("shop_sales", [shop], timedelta(days=2), sold=Int64, rate=Float64)
item_price = view("item_price", [shop, item], None, price=Float64)
demand = FeatureService(name="demand", features=[shop_sales, item_price])
"""

#: Beside the definitions, as a team would have it.
PERMISSIONS = """\
from feast import FeatureView
from feast.permissions.action import READ, WRITE
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy

builds = Permission(
    name="builds", types=[FeatureView], policy=RoleBasedPolicy(roles=["feature_service"]), actions=[*WRITE, *READ]
)
counts = Permission(
    name="counts",
    types=[FeatureView],
    name_patterns=["shop_.*"],
    policy=RoleBasedPolicy(roles=["training_service", "scoring_service"]),
    actions=READ,
)
"""
#: The same, for the fake.
DECLARES = (
    FeaturePermission(
        "builds",
        ("item_price", "shop_sales"),
        ("feature_service",),
        (Access.WRITE_OFFLINE, Access.WRITE_ONLINE, Access.READ_OFFLINE, Access.READ_ONLINE),
    ),
    FeaturePermission(
        "counts",
        ("shop_sales",),
        ("training_service", "scoring_service"),
        (Access.READ_OFFLINE, Access.READ_ONLINE),
    ),
)

SOURCES = {
    "shop_sales": """\
SELECT shop, happened AS event_timestamp, known AS created_timestamp, sold::INTEGER AS sold, rate FROM sales
""",
    "item_price": """\
SELECT shop, item, price,
    TIMESTAMPTZ '2024-01-01 00:00:00Z' AS event_timestamp, event_timestamp AS created_timestamp
FROM sales_prices
""",
}

START = datetime(2024, 1, 1, tzinfo=UTC)
PRICES = [{"shop": "north", "item": 1, "price": 2.5}, {"shop": "south", "item": 1, "price": 3.0}]
DECLARED = {"sales": {"prices": PRICES}}


def at(hours: float) -> datetime:
    """Return a moment so many hours after the start."""
    return START + timedelta(hours=hours)


#: shop, event, known, sold, rate
Sale = tuple[str, float, float, int | None, float | None]
SALES: tuple[Sale, ...] = (
    ("north", 0, 6, 10, 0.1),
    ("north", 24, 30, 20, None),
    ("north", 24, 48, 21, 0.21),  # the same hour, corrected later
    ("north", 36, 90, 99, 0.99),  # happened early, known late
    ("south", 24, 24, None, 0.5),
)


def write_repository(
    folder: Path, definitions: str = DEFINITIONS, online: str = SQLITE, offline: str = DUCKDB
) -> Path:
    """Write the shops' Feast repository into ``folder``."""
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "feature_store.yaml").write_text(
        CONFIGURATION.replace("ONLINE", online).replace("OFFLINE", offline)
    )
    (folder / "definitions.py").write_text(definitions)
    (folder / "permissions.py").write_text(PERMISSIONS)
    for name, sql in SOURCES.items():
        (folder / "sources" / f"{name}.sql").write_text(sql)
    return folder


def write_batch(path: Path, sales: Sequence[Sale]) -> Path:
    """Write sales as one accepted batch."""
    import pyarrow as pa

    from tidegate.adapters.shared.arrow import write_parquet

    times = pa.timestamp("us", "UTC")
    shops, events, knowns, solds, rates = zip(*sales, strict=True)
    columns = {
        "shop": pa.array(shops),
        "happened": pa.array([at(hours) for hours in events], times),
        "known": pa.array([at(hours) for hours in knowns], times),
        "sold": pa.array(solds, pa.int64()),
        "rate": pa.array(rates, pa.float64()),
    }
    return write_parquet(pa.table(columns), path)


def pushes(folder: Path, *told: tuple[int, float, Sequence[Sale]]) -> Pushes:
    """Return pushes, each told by its event, its hour and its sales."""
    rows = tuple(
        Pushed(event, "sales", (write_batch(folder / "pushed" / f"{event}.parquet", sales),), at(hour))
        for event, hour, sales in told
    )
    return Pushes(rows, {}, DECLARED)


def write_entities(folder: Path, rows: Sequence[tuple[str | None, float]]) -> Frame:
    """Write an entity frame of (shop, hour); all ask for item 1, ``note`` numbers them."""
    import pyarrow as pa

    from tidegate.adapters.shared.sql import write_frame

    columns = {
        "event_timestamp": pa.array([at(hour) for _, hour in rows], pa.timestamp("us", "UTC")),
        "shop": pa.array([shop for shop, _ in rows], pa.string()),
        "item": pa.array([1] * len(rows), pa.int64()),
        "note": pa.array(range(len(rows)), pa.int64()),
    }
    return write_frame(pa.table(columns), folder)


def brought(found: Materialized) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Return how many rows are online of each view, and which views were written."""
    return found.rows, found.written


def read(frame: Frame) -> list[dict[str, Any]]:
    """Return a frame's rows."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.ParquetFile(frame.path).read().to_pylist()
    return rows


def sales_rows(batches: Mapping[str, Sequence[Path]], _: object) -> list[dict[str, Any]]:
    """Return the rows of ``shop_sales`` for the fake."""
    import pyarrow.parquet as pq

    rows = [row for path in sorted(batches["sales"]) for row in pq.ParquetFile(path).read().to_pylist()]
    return [{**row, "event_timestamp": row["happened"], "created_timestamp": row["known"]} for row in rows]


def price_rows(_: object, declared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of ``item_price`` for the fake."""
    rows = declared["sales"]["prices"]
    return [{**row, "event_timestamp": START, "created_timestamp": START} for row in rows]


class FeaturesContract:
    """Override ``subject`` with an empty store over the shops' definitions."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Features:
        raise NotImplementedError

    @pytest.fixture
    def built(self, subject: Features, tmp_path: Path) -> Features:
        batch = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        subject.build({"sales": [batch]}, DECLARED)
        subject.apply()
        return subject

    @staticmethod
    def sold(store: Features, folder: Path, *asked: tuple[str | None, float]) -> list[int | None]:
        frame = store.training_frame(write_entities(folder / "entities", asked), "demand", ["note"])
        return [row["sold"] for row in read(frame)]

    # ── building ──────────────────────────────────────────────────────────────────────────────────

    def test_each_view_says_what_it_reads_from(self, subject: Features) -> None:
        assert subject.reads() == {
            "shop_sales": frozenset({"sales"}),
            "item_price": frozenset({"sales_prices"}),
        }

    def test_a_build_is_named_by_its_content(self, subject: Features, tmp_path: Path) -> None:
        batch = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        frames = subject.build({"sales": [batch]}, DECLARED)
        assert {name: frame.rows for name, frame in frames.items()} == {"shop_sales": 5, "item_price": 2}
        again = subject.build({"sales": [batch]}, DECLARED)
        assert {name: frame.digest for name, frame in again.items()} == {
            name: frame.digest for name, frame in frames.items()
        }

    def test_nothing_is_swapped_before_somebody_is_ready(self, subject: Features, tmp_path: Path) -> None:
        first = subject.build({"sales": [write_batch(tmp_path / "batches" / "a.parquet", SALES)]}, DECLARED)
        fewer = {"sales": [write_batch(tmp_path / "batches" / "b.parquet", SALES[:3])]}
        subject.apply()

        def looks() -> None:
            subject.verify({name: frame.digest for name, frame in first.items()})
            raise LookupError

        with pytest.raises(LookupError):
            subject.build(fewer, DECLARED, looks)
        subject.verify({name: frame.digest for name, frame in first.items()})
        ready: list[str] = []
        second = subject.build(fewer, DECLARED, lambda: ready.append("once"))
        subject.verify({name: frame.digest for name, frame in second.items()})
        assert ready == ["once"]
        assert second["shop_sales"].digest != first["shop_sales"].digest

    def test_the_same_rows_in_other_batches_give_the_same_build(
        self, subject: Features, tmp_path: Path
    ) -> None:
        whole = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        one = write_batch(tmp_path / "batches" / "b.parquet", SALES[3:])
        two = write_batch(tmp_path / "batches" / "c.parquet", SALES[:3])
        first = subject.build({"sales": [whole]}, DECLARED)
        second = subject.build({"sales": [two, one]}, DECLARED)
        assert first["shop_sales"].digest == second["shop_sales"].digest

    def test_a_source_with_its_digest_is_verified(self, subject: Features, tmp_path: Path) -> None:
        batch = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        frames = subject.build({"sales": [batch]}, DECLARED)
        subject.verify({name: frame.digest for name, frame in frames.items()})
        subject.verify({})

    def test_a_source_with_another_digest_is_refused(self, built: Features) -> None:
        with pytest.raises(DependencyFailed) as failed:
            built.verify({"shop_sales": "tg1:" + "0" * 64})
        assert failed.value.code == "frame-altered"
        assert failed.value.sentence.startswith("got the source of shop_sales with the content tg1:")

    def test_a_source_that_is_not_there_is_refused(self, subject: Features) -> None:
        with pytest.raises(DependencyFailed):
            subject.verify({"shop_sales": "tg1:" + "0" * 64})

    def test_registering_twice_gives_the_same_digests(self, built: Features) -> None:
        digests = built.apply()
        assert set(digests) == {"shop_sales", "item_price", "demand"}
        assert len(set(digests.values())) == 3
        assert built.apply() == digests

    # ── definitions ───────────────────────────────────────────────────────────────────────────────

    def test_what_is_defined_is_what_will_be_registered(self, subject: Features) -> None:
        assert subject.registered({}).views == {}
        defined = subject.defined()
        assert subject.registered({}).views == {}
        assert set(defined.views) == {"shop_sales", "item_price"}
        assert dict(defined.services["demand"].selects) == {
            "shop_sales": ("sold", "rate"),
            "item_price": ("price",),
        }
        digests = subject.apply()
        assert {name: view.digest for name, view in defined.views.items()} == {
            name: digests[name] for name in defined.views
        }
        assert differences(subject.registered(digests), subject.defined()) == ()
        assert set(subject.registered(digests).views["item_price"].keys) == {"item", "shop"}

    def test_a_permission_opens_the_views_that_it_names_and_no_other(self, subject: Features) -> None:
        declared = {each.name: each.as_dict() for each in subject.defined().permissions}
        assert declared == {each.name: each.as_dict() for each in DECLARES}
        roles = opened(declared)
        assert roles["shop_sales", "read_online"] == (
            "feature_service",
            "scoring_service",
            "training_service",
        )
        assert roles["item_price", "read_online"] == ("feature_service",)
        assert subject.registered({}).permissions == (), "the record says what is in force"

    def test_queries_that_fit_their_views_are_tried_without_building_anything(
        self, subject: Features, tmp_path: Path
    ) -> None:
        subject.check({"sales": [write_batch(tmp_path / "a.parquet", SALES)]}, DECLARED)
        with pytest.raises(DependencyFailed):
            subject.verify({"shop_sales": "tg1:" + "0" * 64})

    def test_a_definition_is_found_again_by_its_digest_and_no_other_is(self, built: Features) -> None:
        now = built.apply()["shop_sales"]
        other = "sha256:" + "0" * 64
        (found,) = built.kept({"shop_sales": now}).values()
        (gone,) = built.kept({"shop_sales": other}).values()
        assert (found.digest, found.kept, set(found.fields)) == (now, True, {"sold", "rate"})
        assert (gone.digest, gone.kept, set(gone.fields)) == (other, False, set())
        assert built.registered({"shop_sales": other}).views["shop_sales"] == gone

    def test_a_view_says_how_fresh_it_must_be_and_another_need_not(self, built: Features) -> None:
        digests = built.apply()
        for found in (built.defined(), built.registered(digests)):
            assert {name: dict(view.objective) for name, view in found.views.items()} == {
                "shop_sales": {"freshness": 24 * 3600, "lag": 3 * 24 * 3600},
                "item_price": {},
            }

    # ── how old ──────────────────────────────────────────────────────────────────────────────────

    def test_a_value_is_as_old_as_the_row_that_is_joined(self, built: Features, tmp_path: Path) -> None:
        """A correction is no younger than what it corrects; one past its ttl, and no value at all, has no age."""
        asked = [("north", 5.9), ("north", 6), ("north", 48), ("north", 72), ("north", 72.01), ("west", 48)]
        frame = built.ages(write_entities(tmp_path / "e", asked), "demand", ["shop_sales", "item_price"])
        hour = 3600 * 1_000_000
        rows = read(frame)
        assert [row["shop_sales"] for row in rows] == [None, 6 * hour, 24 * hour, 48 * hour, None, None]
        assert [row["item_price"] and row["item_price"] / hour for row in rows] == [
            *(pytest.approx(hours) for hours in (5.9, 6, 48, 72, 72.01)),
            None,
        ]
        assert built.ages(write_entities(tmp_path / "e", asked), "demand", ["shop_sales"]).columns == (
            "shop_sales",
        )

    def test_ages_are_of_the_rows_that_are_joined(self, subject: Features, tmp_path: Path) -> None:
        """Each joined row carries when it happened as its value: what was added up must come out."""
        sales = random_sales(7, 60)
        marked = [(shop, event, known, round(event), rate) for shop, event, known, _, rate in sales]
        subject.build({"sales": [write_batch(tmp_path / "batches" / "m.parquet", marked)]}, DECLARED)
        subject.apply()
        asked = [(shop, hour + 0.5) for shop in ("north", "south", "west") for hour in range(0, 150, 3)]
        entities = write_entities(tmp_path / "e", asked)
        joined = read(subject.training_frame(entities, "demand", ["note"]))
        ages = read(subject.ages(entities, "demand", ["shop_sales"]))
        assert any(row["sold"] is None for row in joined)
        assert any(row["sold"] is not None for row in joined)
        for (_, hour), row, age in zip(asked, joined, ages, strict=True):
            old = age["shop_sales"]
            assert (row["sold"] is None) == (old is None)
            assert old is None or row["sold"] + old / 3_600_000_000 == pytest.approx(hour)

    def test_a_view_that_the_service_does_not_select_has_no_ages(
        self, built: Features, tmp_path: Path
    ) -> None:
        with pytest.raises(BadInput) as refused:
            built.ages(write_entities(tmp_path / "e", [("north", 1)]), "demand", ["shop_sales", "wages"])
        assert refused.value.code == "not-selected"
        assert refused.value.sentence.startswith("got wages, expected views that demand selects: item_price")

    def test_no_row_asked_has_no_age(self, built: Features, tmp_path: Path) -> None:
        frame = built.ages(write_entities(tmp_path / "e", []), "demand", ["shop_sales"])
        assert (frame.rows, frame.columns) == (0, ("shop_sales",))

    def test_a_materialization_tells_when_the_newest_of_what_was_known_happened(
        self, built: Features
    ) -> None:
        """What happened at 36 was known at 90 alone; what is past its ttl is old, and known all the same."""
        assert built.materialize(at(-1)).newest == {"shop_sales": None, "item_price": None}
        assert built.materialize(at(5)).newest["shop_sales"] is None
        for moment, newest in ((6, 0), (23, 0), (24, 24), (50, 24), (89, 24), (90, 36), (500, 36)):
            assert built.materialize(at(moment)).newest == {"shop_sales": at(newest), "item_price": at(0)}
        assert built.materialize(at(50)).newest["shop_sales"] == at(36), "it stays online as known later"

    def test_what_is_served_says_how_old_it_is(self, built: Features) -> None:
        built.materialize(at(50))
        north, south, west = built.answers("demand", self.KEYS, at(60))
        assert [each.values for each in (north, south, west)] == list(
            built.online("demand", self.KEYS, at(60))
        )
        assert dict(north.ages) == {"shop_sales": timedelta(hours=36), "item_price": timedelta(hours=60)}
        assert dict(south.ages) == {"shop_sales": timedelta(hours=36), "item_price": timedelta(hours=60)}
        assert dict(west.ages) == {"shop_sales": None, "item_price": None}
        (expired,) = built.answers("demand", self.KEYS[:1], at(72.01))
        assert (expired.ages["shop_sales"], expired.values["sold"]) == (None, None)
        (back,) = built.answers("demand", self.KEYS[:1], at(10))
        assert back.ages["shop_sales"] == timedelta(hours=26), (
            "a clock that jumped back makes nothing younger"
        )

    # ── statistics ────────────────────────────────────────────────────────────────────────────────

    def test_the_figures_of_a_window_are_those_of_the_rows_that_happened_in_it(self, built: Features) -> None:
        told = built.statistics("shop_sales", (at(0), at(36)))
        assert set(told) == {"sold", "rate"}
        sold = told["sold"]
        assert (sold["kind"], sold["row_count"], sold["null_count"], sold["mean"]) == ("numeric", 4, 1, 17)
        assert built.statistics("shop_sales", (at(36), at(37)))["sold"]["mean"] == 99

    def test_a_window_without_rows_has_figures_without_values(self, built: Features) -> None:
        sold = built.statistics("shop_sales", (at(900), at(901)))["sold"]
        assert (sold["row_count"], sold["null_count"], sold["mean"]) == (0, 0, None)

    def test_a_view_that_is_not_defined_has_no_figures(self, built: Features) -> None:
        with pytest.raises(BadInput) as refused:
            built.statistics("nothing", (at(0), at(36)))
        assert refused.value.code == "no-such-view"

    def test_values_are_counted_between_cuts_and_one_on_a_cut_lies_above_it(self, built: Features) -> None:
        window = (at(0), at(36))
        told = built.counts("shop_sales", window, {"sold": [20, 21]})
        figures = built.statistics("shop_sales", window)["sold"]
        assert list(told) == ["sold"]
        assert sum(told["sold"]) == figures["row_count"] - figures["null_count"] == 3
        assert list(told["sold"]) == [1, 1, 1]
        assert list(built.counts("shop_sales", window, {"sold": [1000]})["sold"]) == [3, 0]
        assert list(built.counts("shop_sales", (at(900), at(901)), {"sold": [5]})["sold"]) == [0, 0]

    def test_nothing_is_counted_of_what_is_no_view_or_no_feature(self, built: Features) -> None:
        for view, name, code in (("nothing", "sold", "no-such-view"), ("shop_sales", "x", "no-such-feature")):
            with pytest.raises(BadInput) as refused:
                built.counts(view, (at(0), at(36)), {name: [1.0]})
            assert refused.value.code == code

    # ── point in time ─────────────────────────────────────────────────────────────────────────────

    def test_a_row_is_joined_from_the_moment_it_was_known(self, built: Features, tmp_path: Path) -> None:
        asked = [("north", 5.9), ("north", 6), ("north", 29), ("north", 30)]
        assert self.sold(built, tmp_path, *asked) == [None, 10, 10, 20]

    def test_a_correction_counts_only_once_it_is_known(self, built: Features, tmp_path: Path) -> None:
        assert self.sold(built, tmp_path, ("north", 47.9), ("north", 48)) == [20, 21]

    def test_a_row_past_its_ttl_is_unknown_and_the_bound_is_inclusive(
        self, built: Features, tmp_path: Path
    ) -> None:
        asked = [("north", 72), ("north", 72.01), ("north", 84), ("north", 90)]
        assert self.sold(built, tmp_path, *asked) == [21, None, None, None]

    def test_rows_keep_their_order_and_their_repeats(self, built: Features, tmp_path: Path) -> None:
        asked = [("north", 48.0), ("south", 30.0), ("west", 30.0), ("north", 48.0), ("north", 1.0)]
        frame = built.training_frame(write_entities(tmp_path / "e", asked), "demand", ["note", "shop"])
        rows = read(frame)
        assert [row["note"] for row in rows] == [0, 1, 2, 3, 4]
        assert [row["price"] for row in rows] == [2.5, 3.0, None, 2.5, 2.5]
        assert [row["rate"] for row in rows] == [0.21, 0.5, None, 0.21, None]
        assert list(rows[0]) == ["event_timestamp", "item", "shop", "note", "sold", "rate", "price"]
        assert (
            built.training_frame(write_entities(tmp_path / "e", asked), "demand", ["note", "shop"]) == frame
        )

    def test_before_anything_was_known_every_feature_is_unknown(
        self, built: Features, tmp_path: Path
    ) -> None:
        frame = built.training_frame(write_entities(tmp_path / "e", [("north", -1)]), "demand", [])
        (row,) = read(frame)
        assert (row["sold"], row["rate"], row["price"]) == (None, None, None)

    def test_a_row_without_a_key_is_unknown_and_stays(self, built: Features, tmp_path: Path) -> None:
        assert self.sold(built, tmp_path, (None, 48), ("north", 48), (None, 48)) == [None, 21, None]

    def test_a_training_frame_is_read_again_in_full_whatever_became_of_it(
        self, built: Features, tmp_path: Path
    ) -> None:
        asked = [("north", 30.0 + number) for number in range(3)]
        frame = built.training_frame(write_entities(tmp_path / "e", asked), "demand", ["note"])
        assert built.reread(frame.digest) == frame.digest
        found = altered(frame.path, "note", 2)
        assert built.reread(frame.digest) == found != frame.digest
        frame.path.write_bytes(b"not Parquet")
        for _ in ("damaged", "gone"):
            with pytest.raises(DependencyFailed) as failure:
                built.reread(frame.digest)
            assert failure.value.code == "frame-unreadable"
            assert f"expected the training set {frame.digest}" in failure.value.sentence
            frame.path.unlink(missing_ok=True)

    @pytest.mark.parametrize("digest", ["", "tg1:../../secrets", "tg1:abc", "sha256:" + "0" * 64])
    def test_what_is_no_digest_of_a_frame_never_becomes_a_path(self, built: Features, digest: str) -> None:
        with pytest.raises(BadInput) as refusal:
            built.reread(digest)
        assert refusal.value.code == "not-a-digest"

    def test_a_run_is_marked_with_the_service_that_it_learned_from(self, built: Features) -> None:
        marks = built.marks("demand", 42)
        assert {"demand", "42"} <= set(marks.tags.values())
        with pytest.raises(BadInput) as refused:
            built.marks("nothing", 42)
        assert refused.value.code == "no-such-service"

    def test_no_row_asked_gives_no_row(self, built: Features, tmp_path: Path) -> None:
        frame = built.training_frame(write_entities(tmp_path / "e", []), "demand", ["note"])
        assert frame.rows == 0
        assert frame.columns == ("event_timestamp", "item", "shop", "note", "sold", "rate", "price")

    def test_an_unknown_service_is_refused(self, built: Features, tmp_path: Path) -> None:
        with pytest.raises(BadInput) as refused:
            built.training_frame(write_entities(tmp_path / "e", [("north", 1)]), "nothing", [])
        assert refused.value.code == "no-such-service"
        with pytest.raises(BadInput) as refused:
            built.online("nothing", [], at(1))
        assert refused.value.code == "no-such-service"

    def test_a_column_that_is_not_there_is_refused(self, built: Features, tmp_path: Path) -> None:
        with pytest.raises(BadInput) as refused:
            built.training_frame(write_entities(tmp_path / "e", [("north", 1)]), "demand", ["color"])
        assert refused.value.code == "missing-column"
        assert "color" in refused.value.sentence

    def test_a_store_that_was_never_built_says_so(self, subject: Features, tmp_path: Path) -> None:
        subject.apply()
        with pytest.raises(DependencyFailed) as failed:
            subject.training_frame(write_entities(tmp_path / "e", [("north", 1)]), "demand", [])
        assert failed.value.code == "features-not-built"

    # ── online ────────────────────────────────────────────────────────────────────────────────────

    KEYS = ({"shop": "north", "item": 1}, {"shop": "south", "item": 1}, {"shop": "west", "item": 1})

    def test_before_the_first_materialization_the_store_says_that_it_is_empty(self, built: Features) -> None:
        assert built.windows() == {}
        with pytest.raises(DependencyFailed) as failed:
            built.online("demand", self.KEYS[:1], at(50))
        assert failed.value.code == "online-empty"
        assert failed.value.sentence.startswith("got nothing of shop_sales")

    def test_online_is_what_was_known_at_the_moment(self, built: Features) -> None:
        assert built.materialize(at(40)).rows == {"shop_sales": 2, "item_price": 2}
        assert list(built.online("demand", self.KEYS, at(40))) == [
            {"sold": 20, "rate": None, "price": 2.5},
            {"sold": None, "rate": 0.5, "price": 3.0},
            {"sold": None, "rate": None, "price": None},
        ]
        built.materialize(at(50))
        assert built.online("demand", self.KEYS[:1], at(50)) == [{"sold": 21, "rate": 0.21, "price": 2.5}]

    def test_an_older_moment_never_overwrites_a_newer_one(self, built: Features) -> None:
        built.materialize(at(50))
        before = built.windows()
        assert brought(built.materialize(at(8))) == ({"shop_sales": 0, "item_price": 0}, ())
        assert built.windows() == before
        assert built.online("demand", self.KEYS[:1], at(50)) == [{"sold": 21, "rate": 0.21, "price": 2.5}]

    def test_the_same_window_twice_is_recognised_and_writes_nothing(self, built: Features) -> None:
        first = built.materialize(at(50))
        assert set(first.written) == {"shop_sales", "item_price"}
        before = built.windows()
        assert {view: window.until for view, window in before.items()} == dict.fromkeys(first.rows, at(50))
        assert brought(built.materialize(at(50))) == (first.rows, ())
        assert built.windows() == before

    def test_the_same_moment_of_another_source_is_another_window(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(50))
        fewer = write_batch(tmp_path / "batches" / "restated.parquet", SALES[:1])
        built.build({"sales": [fewer]}, DECLARED)
        assert built.materialize(at(47)).rows == {"shop_sales": 0, "item_price": 0}
        again = built.materialize(at(50))
        assert brought(again) == ({"shop_sales": 0, "item_price": 2}, ("shop_sales",))
        # What was restated away is gone, although what is left happened earlier.
        assert built.online("demand", self.KEYS[:2], at(50)) == [
            {"sold": None, "rate": None, "price": 2.5},
            {"sold": None, "rate": None, "price": 3.0},
        ]

    def test_a_value_past_its_ttl_is_not_served(self, built: Features) -> None:
        built.materialize(at(72))
        assert built.online("demand", self.KEYS[:1], at(72))[0]["sold"] == 21
        built.materialize(at(72.5))
        assert built.online("demand", self.KEYS[:1], at(72.5)) == [{"sold": None, "rate": None, "price": 2.5}]

    def test_a_value_expires_although_nobody_materializes(self, built: Features) -> None:
        built.materialize(at(50))
        assert built.online("demand", self.KEYS[:1], at(72))[0]["sold"] == 21
        expired = built.online("demand", self.KEYS[:1], at(72.01))
        assert expired == [{"sold": None, "rate": None, "price": 2.5}]

    def test_a_clock_that_jumped_back_brings_no_expired_value_back(self, built: Features) -> None:
        built.materialize(at(72.5))
        assert built.online("demand", self.KEYS[:1], at(50))[0]["sold"] is None

    # ── pushed ────────────────────────────────────────────────────────────────────────────────────

    def test_a_view_with_a_push_source_takes_pushes_of_what_its_query_reads(self, subject: Features) -> None:
        assert subject.streams() == {"shop_sales": frozenset({"sales"})}

    def test_what_is_pushed_is_served_beside_what_was_known(self, built: Features, tmp_path: Path) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4), ("west", 40, 40, 6, None)]))
        assert built.push(pushed) == {"shop_sales": 2}
        assert built.windows()["shop_sales"].pushed == 7
        assert self.online(built, 41) == [5, None, 6]
        assert built.windows()["item_price"].pushed == 0

    def test_the_same_push_again_is_recognised_and_writes_nothing(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)]))
        built.push(pushed)
        before = built.windows()
        assert built.push(pushed) == {}
        assert built.windows() == before

    def test_an_older_pushed_row_never_replaces_a_newer_one(self, built: Features, tmp_path: Path) -> None:
        built.materialize(at(40))
        one, other = (7, 41, [("north", 41, 41, 5, 0.4)]), (8, 42, [("north", 39, 39, 9, 0.9)])
        built.push(pushes(tmp_path, one))
        assert built.push(pushes(tmp_path, one, other)) == {"shop_sales": 1}
        assert self.online(built, 42)[0] == 5
        built.push(pushes(tmp_path, one, other, (9, 43, [("north", 23, 23, 1, 0.1)])))
        assert (self.online(built, 43)[0], built.windows()["shop_sales"].pushed) == (5, 9)

    def test_a_row_pushed_again_is_corrected_whatever_its_query_says_it_was_known(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        one, other = (7, 41, [("north", 41, 41, 5, 0.4)]), (8, 42, [("north", 41, 41, 6, 0.6)])
        built.push(pushes(tmp_path, one, other))
        assert self.online(built, 42)[0] == 6

    def test_of_two_pushes_in_one_second_the_one_recorded_last_counts(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        both = pushes(tmp_path, *((event, 41, [("north", 41, 41, event, 0.5)]) for event in (7, 8)))
        built.push(both)
        assert self.online(built, 41)[0] == 8
        built.materialize(at(50), lambda: both)
        assert self.online(built, 50)[0] == 8
        assert {pair.known for pair in built.paired("shop_sales", 1, both) if pair.feature == "sold"} == {8}

    def test_what_is_not_known_yet_by_its_query_waits_for_a_window(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 44, 5, 0.4)]))
        built.push(pushed)
        assert (self.online(built, 41)[0], built.windows()["shop_sales"].pushed) == (20, 7)
        built.materialize(at(44), lambda: pushed)
        assert self.online(built, 44)[0] == 5

    def test_a_later_window_holds_what_still_stands_and_drops_the_rest(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        one, other = (7, 41, [("north", 41, 41, 5, 0.4)]), (8, 42, [("west", 41, 41, 6, 0.6)])
        built.push(pushes(tmp_path, one, other))
        assert built.materialize(at(50), lambda: pushes(tmp_path, one, other)).rows["shop_sales"] == 3
        assert self.online(built, 50) == [5, None, 6]
        # The drop of the first one came, and has no row of hour 41.
        built.materialize(at(51), lambda: pushes(tmp_path, other))
        assert (self.online(built, 51), built.windows()["shop_sales"].pushed) == ([21, None, 6], 8)

    def test_the_same_window_with_the_same_pushes_writes_nothing(
        self, built: Features, tmp_path: Path
    ) -> None:
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)]))
        built.materialize(at(40), lambda: pushed)
        assert self.online(built, 41)[0] == 5
        assert built.push(pushed) == {}
        before = built.windows()
        assert built.materialize(at(40), lambda: pushed).written == ()
        assert built.windows() == before

    def test_a_view_that_is_not_online_is_not_pushed_to(self, built: Features, tmp_path: Path) -> None:
        assert built.push(pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)]))) == {}
        assert built.windows() == {}

    def test_what_was_pushed_was_known_and_is_no_skew(self, built: Features, tmp_path: Path) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4), ("west", 40, 40, 6, None)]))
        built.push(pushed)
        found = {
            (pair.key.split("=")[-1], pair.feature): pair for pair in built.paired("shop_sales", 9, pushed)
        }
        assert {place: (pair.online, pair.known) for place, pair in found.items()} == {
            ("north", "sold"): (5, 5),
            ("north", "rate"): (0.4, 0.4),
            ("south", "sold"): (None, None),
            ("south", "rate"): (0.5, 0.5),
            ("west", "sold"): (6, 6),
            ("west", "rate"): (None, None),
        }
        (skewed, *_) = [pair for pair in built.paired("shop_sales", 9) if pair.feature == "sold"]
        assert (skewed.online, skewed.known) == (5, 20)  # where nobody says what was pushed

    def test_pushed_rows_are_tried_alone_and_beside_what_came_before(
        self, built: Features, tmp_path: Path
    ) -> None:
        before = [write_batch(tmp_path / "before.parquet", SALES)]
        (one,) = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)])).rows
        assert built.derived(one, Pushes(declared=DECLARED), before) == {"shop_sales": 1}
        assert built.derived(one, Pushes(declared=DECLARED), []) == {"shop_sales": 1}

    def online(self, store: Features, hour: float) -> list[object]:
        return [answer["sold"] for answer in store.online("demand", self.KEYS, at(hour))]

    # ── served beside known ───────────────────────────────────────────────────────────────────────

    def test_each_feature_of_a_key_is_paired_with_what_was_known_at_its_moment(self, built: Features) -> None:
        built.materialize(at(50))
        pairs = {(pair.key.split("=")[-1], pair.feature): pair for pair in built.paired("shop_sales", 10)}
        assert {
            place: (pair.kind, pair.online, pair.known) for place, pair in pairs.items() if pair.online
        } == {
            ("north", "sold"): ("integer", 21, 21),
            ("north", "rate"): ("double", 0.21, 0.21),
            ("south", "rate"): ("double", 0.5, 0.5),
        }
        assert [pair for pair in pairs.values() if (pair.online is None) != (pair.known is None)] == []
        assert len(pairs) == 4

    def test_the_same_window_gives_the_same_sample(self, built: Features) -> None:
        built.materialize(at(50))
        few = built.paired("shop_sales", 1)
        assert len({pair.key for pair in few}) == 1
        assert built.paired("shop_sales", 1) == few

    def test_what_is_not_online_has_no_pair(self, built: Features) -> None:
        with pytest.raises(DependencyFailed) as failed:
            built.paired("shop_sales", 1)
        assert failed.value.code == "online-empty"

    def test_definitions_that_are_no_longer_what_was_planned_are_not_registered(
        self, built: Features
    ) -> None:
        planned = built.defined()
        digests = built.apply(planned)
        with pytest.raises(BadInput) as refused:
            built.apply(replace(planned, services={}))
        assert refused.value.code == "definitions-edited"
        assert built.apply(planned) == digests

    def test_a_time_without_a_zone_is_refused(self, built: Features) -> None:
        with pytest.raises(BadInput) as refused:
            built.materialize(datetime(2024, 1, 2))  # noqa: DTZ001 - that is the point
        assert refused.value.code == "naive-time"

    def test_a_key_that_lacks_a_part_is_refused(self, built: Features) -> None:
        built.materialize(at(50))
        with pytest.raises(BadInput) as refused:
            built.online("demand", [{"shop": "north"}], at(50))
        assert refused.value.code == "missing-key"


def random_sales(seed: int, count: int) -> list[tuple[str, float, float, int | None, float | None]]:
    """Return sales of three shops whose times collide, with every (shop, event, known) once."""
    chance = random.Random(seed)
    rows: dict[tuple[str, float, float], tuple[str, float, float, int | None, float | None]] = {}
    for number in range(count):
        shop, event = chance.choice(("north", "south", "west")), chance.randrange(0, 96, 6)
        known = event + chance.choice((0, 6, 12, 30, 60))
        sold = None if chance.random() < 0.1 else number
        rows[shop, event, known] = (shop, event, known, sold, chance.random())
    return list(rows.values())
