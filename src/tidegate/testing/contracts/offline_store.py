"""What every offline store behind Feast's interface must do: join what a slow and obvious loop joins.

It needs hypothesis installed. Subclass it with a `Shop` of another engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.domain.errors import BadInput
from tidegate.testing.histories import (
    FEATURES,
    SHOPS,
    START,
    VIEWS,
    Histories,
    Rows,
    Shop,
    as_frame,
    asked_at,
    entity_table,
    history_table,
    oracle,
    rows,
)

NEW_YORK = ZoneInfo("America/New_York")
WAYS: Mapping[str, Callable[[Shop, pa.Table], Any]] = {
    "DataFrame": lambda _, table: as_frame(table),
    "Arrow": lambda _, table: table,
    "query": lambda shop, table: shop.query(table),
}

moments = st.builds(
    lambda hour, shift: START + timedelta(hours=hour, microseconds=shift),
    st.integers(0, 6),
    st.sampled_from([0, 0, 0, 0, -1, 1]),
)
shops = st.sampled_from(["north", "north", "it's", None])
items = st.sampled_from([1, 2**60 + 1, None])
#: Every key at every hour and a microsecond beside it, in no order: what few rows differ in is asked for.
EVERYTHING = [
    {"shop": shop, "item": item, "event_timestamp": START + timedelta(hours=hour, microseconds=shift)}
    for shift in (1, 0, -1)
    for hour in (3, 10, 0, 7, 1, 5, 4, 8, 6, 2, 9)
    for item in (2**60 + 1, 1, None, 5)
    for shop in ("north", None, "it's", "west")
]
entities = st.fixed_dictionaries({"shop": shops, "item": items, "event_timestamp": moments})


@st.composite
def histories(draw: Any) -> Histories:
    """Rows that are late, restated, tied, known before they happened, or of unknown creation; no two the same."""
    each = st.tuples(shops, items, moments, st.one_of(moments, moments, moments, st.none()))
    made = {}
    for view, (keys, _) in VIEWS.items():
        drawn = draw(st.lists(each, max_size=20, unique_by=partial(_identity, keys)))
        made[view] = [
            {
                "shop": shop,
                "item": item,
                "event_timestamp": happened,
                "created_timestamp": known,
                "number": None if number == 3 else number,
            }
            for number, (shop, item, happened, known) in enumerate(drawn, 1)
        ]
    return made


def _identity(keys: Sequence[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what no two rows of a history share: keys and both times."""
    return (*(row[key == "item"] for key in keys), *row[2:])


#: One class's property runs in several subclasses, each with a fixture of its own.
ONE_SHOP = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)


#: What is asked of what was known, in which zones, and how.
DRAWN: Mapping[str, st.SearchStrategy[Any]] = {
    "drawn": st.lists(entities, max_size=5),
    "known": histories(),
    "zones": st.tuples(*[st.sampled_from([UTC, NEW_YORK, None])] * 2),
    "way": st.sampled_from(sorted(WAYS)),
}


def joins_what_the_oracle_says(
    shop: Shop, drawn: Rows, known: Histories, zones: tuple[Any, Any], way: str
) -> None:
    asked = [*drawn, *EVERYTHING, *drawn]
    shop.write(known, zones[0])
    rows = WAYS[way](shop, entity_table(asked, zones[1]))
    found = shop.store.get_historical_features(entity_df=rows, features=FEATURES).to_arrow().to_pylist()
    assert [row["note"] for row in found] == list(range(len(asked)))
    assert [row["event_timestamp"] for row in found] == [row["event_timestamp"] for row in asked]
    names = [feature.split(":")[1] for feature in FEATURES]
    assert [{name: row[name] for name in names} for row in found] == oracle(asked, known)


class OfflineStoreContract:
    """Override ``made`` with a shop of an engine over an empty folder."""

    @classmethod
    def made(cls, folder: Path) -> Shop:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def shop(cls, tmp_path_factory: pytest.TempPathFactory) -> Shop:
        return cls.made(tmp_path_factory.mktemp("shop"))

    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Shop:
        """Return a shop with four sales, of which the third is told after the fourth, and restated."""
        shop = self.made(tmp_path)
        shop.write({"sales": rows((0, 0), (4, 4), (2, 5), (4, 6))}, UTC)
        return shop

    # ── what is joined ────────────────────────────────────────────────────────────────────────────

    @settings(max_examples=60, deadline=None, suppress_health_check=ONE_SHOP)
    @given(**DRAWN)
    def test_every_row_has_what_the_oracle_says_in_the_order_asked(self, shop: Shop, **drawn: Any) -> None:
        joins_what_the_oracle_says(shop, **drawn)

    def test_what_was_not_known_is_not_joined_whether_feast_is_asked_for_that_or_not(
        self, shelf: Shop
    ) -> None:
        hours = [-1, 0, 3, 3.5, 4, 5, 6, 7, 7.001]
        wanted = [None, 1, 1, None, 2, 2, 4, 4, None]
        assert shelf.numbers(hours) == shelf.numbers(hours, filter_by_created_timestamp=True) == wanted
        nothing_older_or_younger = [shelf.numbers([hour]) for hour in (3, 7)]
        assert nothing_older_or_younger == [[1], [4]]

    def test_no_entity_row_gives_no_row_and_every_column(self, shelf: Shop) -> None:
        found = shelf.joined([], FEATURES)
        assert found.num_rows == 0
        assert found.column_names == [
            *entity_table([], UTC).column_names,
            *(feature.split(":")[1] for feature in FEATURES),
        ]

    def test_integers_and_texts_stay_what_they_are_where_some_are_unknown(self, shelf: Shop) -> None:
        found = shelf.joined(asked_at(-1, 0), ["sales:sales_number", "sales:sales_name"])
        assert (found.schema.field("note").type, found.schema.field("sales_number").type) == (
            pa.int32(),
            pa.int64(),
        )
        assert found.select(["sales_number", "sales_name"]).to_pylist() == [
            {"sales_number": None, "sales_name": None},
            {"sales_number": 1, "sales_name": "1"},
        ]

    # ── the rest of Feast's interface ─────────────────────────────────────────────────────────────

    @pytest.mark.filterwarnings("ignore:.* is an experimental feature:RuntimeWarning")
    def test_a_joined_set_is_persisted_whole_and_read_back_by_feast(self, shelf: Shop) -> None:
        from feast.errors import SavedDatasetLocationAlreadyExists
        from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

        table = entity_table(asked_at(5, 0, 4), UTC)
        job = shelf.store.get_historical_features(entity_df=table, features=["sales:sales_number"])
        storage = SavedDatasetFileStorage(path=str(shelf.folder / "kept" / "set.parquet"))
        shelf.store.create_saved_dataset(from_=job, name="kept", storage=storage)
        assert sorted(shelf.store.get_saved_dataset("kept").to_df()["sales_number"]) == [1, 2, 2]
        with pytest.raises(SavedDatasetLocationAlreadyExists):
            job.persist(storage)
        shelf.write({"sales": rows((0, 0))}, UTC)
        job.persist(storage, allow_overwrite=True)
        (only,) = set(shelf.store.get_saved_dataset("kept").to_df()["sales_number"].dropna())
        assert only == 1

    def test_feasts_own_materialization_writes_what_was_known_at_its_end(self, shelf: Shop) -> None:
        served = []
        for end in (3, 4.5, 5.5, 6):
            shelf.store.materialize(START - timedelta(hours=1), START + timedelta(hours=end))
            asked = [{"shop": "north"}, {"shop": "west"}]
            read = shelf.store.get_online_features(["sales:sales_number"], asked)
            served.append(read.to_dict()["sales_number"])
        assert served == [[1, None], [2, None], [2, None], [4, None]]

    def test_a_batch_is_appended_to_a_view(self, shelf: Shop) -> None:
        (row,) = rows((7, 7))
        more = history_table("sales", [row | {"number": 9}], UTC)
        shelf.store.write_to_offline_store("sales", more.to_pandas(), reorder_columns=True)
        assert shelf.numbers([0, 6, 7, 7.5]) == [1, 4, 9, 9]
        store = shelf.store
        with pytest.raises(BadInput) as refused:
            store._get_provider().offline_store.offline_write_batch(  # noqa: SLF001 - Feast's own way there
                store.config, store.get_feature_view("sales"), more.drop_columns("sales_name"), None
            )
        assert refused.value.code == "batch-columns"
        assert "sales_name" in refused.value.sentence

    def test_names_that_need_quoting_and_full_names_are_kept(self, shelf: Shop) -> None:
        table = entity_table(asked_at(0), UTC).append_column('a "b" `c`', pa.array(["x"]))
        job = shelf.store.get_historical_features(
            entity_df=table, features=["sales:sales_number"], full_feature_names=True
        )
        assert job.to_arrow().select(['a "b" `c`', "sales__sales_number"]).to_pylist() == [
            {'a "b" `c`': "x", "sales__sales_number": 1}
        ]

    @pytest.mark.parametrize(
        ("change", "code", "named"),
        [
            (lambda table: table.drop_columns("shop"), "missing-column", "expected also shop"),
            (lambda table: table.set_column(1, "shop", pa.array([7])), "key-type", "got shop as "),
            (
                lambda table: table.append_column("sales_number", pa.array([1])),
                "column-twice",
                "sales_number",
            ),
            (lambda _: None, "no-entity-rows", "expected rows"),
        ],
    )
    def test_entity_rows_that_cannot_be_joined_are_refused_in_one_sentence(
        self, shelf: Shop, change: Callable[[pa.Table], Any], code: str, named: str
    ) -> None:
        with pytest.raises(BadInput) as refused:
            shelf.store.get_historical_features(
                entity_df=change(entity_table(asked_at(0), UTC)), features=["sales:sales_number"]
            ).to_arrow()
        assert refused.value.code == code
        assert named in refused.value.sentence
        assert "\n" not in refused.value.sentence

    # ── many at once ──────────────────────────────────────────────────────────────────────────────

    def test_many_threads_ask_at_once_and_each_gets_its_rows(self, shelf: Shop) -> None:
        hours, most = [hour / 4 for hour in range(40)], 8
        known = [row for shop in SHOPS for row in rows(*((hour, hour) for hour in hours), shop=shop)]
        shelf.write({"sales": known}, UTC)
        barrier = Barrier(most)

        def ask(number: int) -> list[list[int | None]]:
            barrier.wait()
            asked = [row for shop in SHOPS for row in asked_at(*hours[number:], 13, shop=shop)]
            return [shelf.joined(asked).column("sales_number").to_pylist() for _ in range(5)]

        with ThreadPoolExecutor(most) as threads:
            for number, answers in enumerate(threads.map(ask, range(most))):
                assert answers == [[*range(number + 1, 41), None] * len(SHOPS)] * 5
