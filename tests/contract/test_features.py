"""The feature store's contract, on Feast and on the fake, and each against the other."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.shared.arrow import table_digest
from tidegate.domain.access import checked
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import Verdict
from tidegate.domain.feature_change import Change, differences
from tidegate.domain.feature_drift import cuts
from tidegate.domain.parity import TOLERANCES, judged
from tidegate.testing import shops
from tidegate.testing.contracts.features import FeaturesContract
from tidegate.testing.fakes.features import FakeFeatures

ON_DEMAND = """
from feast import RequestSource
from feast.on_demand_feature_view import on_demand_feature_view

asked = RequestSource(name="asked", schema=[Field(name="a", dtype=Int64)])


@on_demand_feature_view(sources=[asked], schema=[Field(name="b", dtype=Int64)], mode="python")
def twice(inputs):
    return {"b": inputs["a"] * 2}
"""


def plant(registry, name, proof):
    """Write an on-demand view into Feast's registry whose text leaves a file behind when it is run."""
    from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView

    view = OnDemandFeatureView()
    view.spec.name, view.spec.project, view.spec.mode = name, "shops", "python"
    function = view.spec.feature_transformation.user_defined_function
    function.name = name
    function.body_text = f"def f(inputs, x=open({str(proof)!r}, 'w')):\n    return inputs\n"
    row = (name, "shops", 1, view.SerializeToString())
    with sqlite3.connect(registry) as database:
        database.execute(
            "INSERT INTO on_demand_feature_views (feature_view_name, project_id, last_updated_timestamp, "
            "feature_view_proto) VALUES (?, ?, ?, ?)",
            row,
        )
    database.close()


def fake(home):
    return FakeFeatures(home, shops.VIEWS, shops.SERVICES, shops.DECLARES)


def real(folder, home, definitions=shops.DEFINITIONS, online=shops.SQLITE, offline=shops.DUCKDB):
    return FeastStore(shops.write_repository(folder, definitions, online, offline), home)


class TestFake(FeaturesContract):
    @pytest.fixture
    def subject(self, tmp_path):
        return fake(tmp_path / "home")


class TestFeast(FeaturesContract):
    @pytest.fixture
    def subject(self, tmp_path):
        return real(tmp_path / "features", tmp_path / "home")

    def test_the_tool_is_named_with_its_version(self, subject):
        assert subject.tool.startswith("feast 0.")

    @pytest.mark.parametrize(
        ("broken", "told"),
        [
            (
                ('policy=RoleBasedPolicy(roles=["feature_service"])', "policy=AllowAll"),
                "with the policy AllowAll",
            ),
            (
                ("actions=READ,", 'actions=READ, required_tags={"a": "b"},'),
                "with required_tags, expected none",
            ),
            (('"shop_.*"', '"shop_("'), "got the name pattern 'shop_(' in the permission counts"),
        ],
    )
    def test_a_permission_that_names_no_role_or_no_view_is_bad_input(self, subject, tmp_path, broken, told):
        file = tmp_path / "features" / "permissions.py"
        text = file.read_text().replace("import RoleBasedPolicy", "import AllowAll, RoleBasedPolicy")
        assert broken[0] in text
        file.write_text(text.replace(*broken))
        with pytest.raises(BadInput) as refused:
            subject.defined()
        assert refused.value.code == "bad-permission"
        assert told in refused.value.sentence

    def test_a_pattern_that_matches_nothing_is_told_with_its_permission(self, subject, tmp_path):
        file = tmp_path / "features" / "permissions.py"
        file.write_text(file.read_text().replace('["shop_.*"]', '["shop_.*", "sop_sales"]'))
        _, counts = subject.defined().permissions
        assert (counts.views, counts.idle) == (("shop_sales",), ("sop_sales",))
        with pytest.raises(BadInput) as refused:
            checked([counts])
        assert refused.value.sentence == (
            "got the name pattern 'sop_sales' in the permission counts, which matches nothing, "
            "expected the name of what is defined, or a pattern of it"
        )

    def test_tags_of_a_view_open_nothing_because_feast_does_not_look_at_them(self, subject):
        from feast import FeatureView
        from feast.permissions.permission import Permission
        from feast.permissions.policy import RoleBasedPolicy

        tagged = Permission(
            name="t", types=[FeatureView], policy=RoleBasedPolicy(roles=[]), required_tags={"team": "shops"}
        )
        view = FeatureView(name="other", source=None, entities=[], tags={"team": "somebody else"})
        assert tagged.match_resource(view), "Feast compares them now: they may be allowed"

    def test_the_figures_are_those_of_feast_s_own_monitoring(self, built):
        from feast.monitoring.monitoring_service import MonitoringService

        store = built._store()
        day = shops.START.date()
        theirs = MonitoringService(store).compute_transient(
            "shops", "shop_sales", start_date=day, end_date=day + timedelta(days=1)
        )
        ours = built.statistics("shop_sales", (shops.at(0), shops.at(48)))
        assert {each["feature_name"] for each in theirs["metrics"]} == set(ours)
        for each in theirs["metrics"]:
            own = ours[each["feature_name"]]
            for name in ("row_count", "null_count", "mean", "stddev", "min_val", "max_val", "p50"):
                assert own[name] == pytest.approx(each[name]), (each["feature_name"], name)

    def test_what_is_no_finite_number_is_counted_and_left_out(self):
        import pyarrow as pa

        from tidegate.adapters.feast_store.statistics import statistics

        moments = pa.array([shops.at(hour) for hour in range(5)], pa.timestamp("us", "UTC"))
        rows = pa.table(
            {"at": moments, "a": [1.0, float("nan"), None, float("inf"), 3.0], "b": list("xxyxz")}
        )
        view = SimpleNamespace(event="at", features={"a": pa.float64(), "b": pa.string()})
        told = statistics(rows, view, (shops.at(0), shops.at(5)))
        assert (told["a"]["not_finite"], told["a"]["null_count"], told["a"]["mean"]) == (2, 1, 2.0)
        assert told["b"]["kind"] == "categorical"
        assert told["b"]["histogram"] == {"counts": [3, 1, 1], "other_count": 0, "unique_count": 3}, (
            "no word is told"
        )

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6) | st.integers(0, 20).map(float), min_size=1, max_size=60))
    def test_values_counted_in_a_histogram_s_own_bins_are_the_histogram_s(self, values):
        import pyarrow as pa

        from tidegate.adapters.feast_store.statistics import counts, statistics

        moments = pa.array([shops.at(0)] * len(values), pa.timestamp("us", "UTC"))
        rows = pa.table({"at": moments, "a": pa.array(values, pa.float64())})
        view = SimpleNamespace(name="v", event="at", features={"a": pa.float64()})
        window = (shops.at(0), shops.at(1))
        figures = statistics(rows, view, window)["a"]
        assert counts(rows, view, window, {"a": cuts(figures)})["a"] == figures["histogram"]["counts"]

    def test_words_are_not_counted_in_bins(self):
        import pyarrow as pa

        from tidegate.adapters.feast_store.statistics import counts

        moments = pa.array([shops.at(0)], pa.timestamp("us", "UTC"))
        view = SimpleNamespace(name="v", event="at", features={"b": pa.string()})
        with pytest.raises(BadInput) as refused:
            counts(pa.table({"at": moments, "b": ["x"]}), view, (shops.at(0), shops.at(1)), {"b": [1.0]})
        assert refused.value.sentence == "got b, expected numeric features of v"

    def test_another_home_gives_the_same_digests(self, built, tmp_path):
        other = real(tmp_path / "features", tmp_path / "elsewhere")
        assert other.apply() == built.apply()

    def test_a_changed_definition_changes_the_digests_of_view_and_service(self, built, tmp_path):
        before = built.apply()
        changed = real(
            tmp_path / "features",
            tmp_path / "home",
            shops.DEFINITIONS.replace("timedelta(days=2)", "timedelta(days=3)"),
        ).apply()
        assert {name for name in before if before[name] != changed[name]} == {"shop_sales", "demand"}

    def test_changed_sql_changes_the_digests_of_view_and_service(self, built, tmp_path):
        before = built.apply()
        file = tmp_path / "features" / "sources" / "item_price.sql"
        file.write_text(file.read_text() + "-- and one more thought\n")
        changed = built.apply()
        assert {name for name in before if before[name] != changed[name]} == {"item_price", "demand"}

    def test_a_step_that_sources_share_is_a_view_to_those_that_name_it(self, built, tmp_path):
        before, folder = built.apply(), tmp_path / "features" / "sources"
        (folder / "shared").mkdir()
        step = folder / "shared" / "doubled.sql"
        step.write_text("SELECT shop, happened, known, sold * 2 AS sold, rate FROM sales\n")
        file = folder / "shop_sales.sql"
        file.write_text(file.read_text().replace("FROM sales", "FROM doubled"))
        built.build({"sales": [tmp_path / "batches" / "a.parquet"]}, shops.DECLARED)
        assert FeaturesContract.sold(built, tmp_path, ("north", 48)) == [42]
        named = built.apply()
        assert {name for name in before if before[name] != named[name]} == {"shop_sales", "demand"}
        step.write_text(step.read_text().replace("* 2", "* 3"))
        changed = built.apply()
        assert {name for name in named if named[name] != changed[name]} == {"shop_sales", "demand"}

    @pytest.mark.parametrize("text", ["SELECT color FROM sales", "SELECT", "CREATE TABLE kept (a INT)"])
    def test_a_shared_step_that_does_not_run_is_refused(self, built, tmp_path, text):
        folder = tmp_path / "features" / "sources"
        (folder / "shared").mkdir()
        (folder / "shared" / "broken.sql").write_text(text)
        (folder / "shop_sales.sql").write_text("SELECT * FROM broken")
        with pytest.raises(BadInput) as refused:
            built.build({"sales": [tmp_path / "batches" / "a.parquet"]}, shops.DECLARED)
        assert refused.value.code == "sql-failed"
        assert "\n" not in refused.value.sentence

    def test_feasts_own_duckdb_store_joins_the_same(self, built, tmp_path):
        asked = [("north", hour) for hour in (48, 5, 6, 29.9, 30, 72, 72.001, 48)] + [(None, 48), ("west", 1)]
        frame = shops.write_entities(tmp_path / "e", asked)
        expected = built.training_frame(frame, "demand", ["note"])
        file = tmp_path / "features" / "feature_store.yaml"
        file.write_text(re.sub("offline_store: .*", "offline_store: {type: duckdb}", file.read_text()))
        other = FeastStore(tmp_path / "features", tmp_path / "home")
        with warnings.catch_warnings():  # Feast's ibis still calls DuckDB by an old name
            warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
            assert other.training_frame(frame, "demand", ["note"]) == expected

    def test_a_view_that_is_gone_from_the_definitions_is_gone_from_the_registry(self, built, tmp_path):
        text = shops.DEFINITIONS.replace(
            'item_price = view("item_price", [shop, item], None, price=Float64)\n', ""
        )
        fewer = real(tmp_path / "features", tmp_path / "home", text.replace(", item_price]", "]"))
        assert set(fewer.apply()) == {"shop_sales", "demand"}
        fewer.materialize(shops.at(50))
        assert fewer.online("demand", [{"shop": "north"}], shops.at(50)) == [{"sold": 21, "rate": 0.21}]

    def test_a_source_written_behind_its_back_is_not_joined(self, built, tmp_path):
        late = [(shop, event, event, sold, rate) for shop, event, _, sold, rate in shops.SALES[3:4]]
        shops.write_batch(tmp_path / "home" / "features" / "shop_sales.parquet", late)
        with pytest.raises(DependencyFailed) as failed:
            built.materialize(shops.at(50))
        assert failed.value.code == "frame-altered"

    def test_a_source_altered_after_it_was_verified_is_not_joined_though_its_file_looks_untouched(
        self, built, tmp_path
    ):
        file, frame = (
            tmp_path / "home" / "features" / "shop_sales.parquet",
            shops.write_entities(tmp_path / "e", [("north", 48)]),
        )
        built.training_frame(frame, "demand", [])
        before, body = file.stat(), file.read_bytes()
        rows = pq.ParquetFile(file).read()
        pq.write_table(rows.slice(0, rows.num_rows - 1), file)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        for again in (built, real(tmp_path / "features", tmp_path / "home")):
            with pytest.raises(DependencyFailed) as failed:
                again.training_frame(frame, "demand", [])
            assert failed.value.code == "frame-altered"
        file.write_bytes(body)
        built.training_frame(frame, "demand", [])

    def test_a_source_packed_otherwise_with_the_same_rows_is_joined(self, built, tmp_path):
        file = tmp_path / "home" / "features" / "shop_sales.parquet"
        frame = shops.write_entities(tmp_path / "e", [("north", 48)])
        first = built.training_frame(frame, "demand", [])
        pq.write_table(pq.ParquetFile(file).read(), file, compression="none", row_group_size=2)
        assert built.training_frame(frame, "demand", []) == first

    def test_a_source_altered_together_with_the_note_beside_it_is_found(self, built, tmp_path):
        late = [(shop, event, event, sold, rate) for shop, event, _, sold, rate in shops.SALES[3:4]]
        note = tmp_path / "home" / "feast" / "built.json"
        before = json.loads(note.read_text())
        file = shops.write_batch(tmp_path / "home" / "features" / "shop_sales.parquet", late)
        note.write_text(json.dumps(before | {"shop_sales": table_digest(pq.ParquetFile(file).read())}))
        with pytest.raises(DependencyFailed) as failed:
            built.verify(before)
        assert failed.value.code == "frame-altered"

    @pytest.mark.parametrize("own", [False, True], ids=["a-new-name", "the-name-of-a-view"])
    def test_code_planted_in_the_registry_is_refused_and_not_run(self, built, tmp_path, own):
        proof = tmp_path / "ran"
        plant(tmp_path / "home" / "feast" / "registry.db", "shop_sales" if own else "planted", proof)
        fresh = real(tmp_path / "features", tmp_path / "home")
        frame = shops.write_entities(tmp_path / "e", [("north", 48)])
        for store in (built, fresh):
            for act in (
                store.apply,
                lambda store=store: store.materialize(shops.at(50)),
                lambda store=store: store.training_frame(frame, "demand", []),
                lambda store=store: store.online("demand", [{"shop": "north", "item": 1}], shops.at(50)),
                lambda store=store: store.online("no such", [{"shop": "north", "item": 1}], shops.at(50)),
            ):
                if own and act == store.apply:
                    continue
                with pytest.raises(DependencyFailed) as failed:
                    act()
                assert failed.value.code == "registry-foreign"
        if own:  # the repository's own takes its place
            built.apply()
            fresh.materialize(shops.at(50))
        assert not proof.exists()

    @pytest.mark.filterwarnings("ignore:On demand feature view:RuntimeWarning")
    def test_an_on_demand_view_of_the_repository_is_read_by_another_process(self, tmp_path):
        text = shops.DEFINITIONS + ON_DEMAND
        real(tmp_path / "features", tmp_path / "home", text).apply()
        code = (
            "import sys; from pathlib import Path; from tidegate.adapters.feast_store import FeastStore;"
            "FeastStore(Path(sys.argv[1]), Path(sys.argv[2])).windows()"
        )
        places = [str(tmp_path / "features"), str(tmp_path / "home")]
        done = subprocess.run([sys.executable, "-c", code, *places], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        changed = real(tmp_path / "features", tmp_path / "home", text.replace("* 2", "* 3"))
        assert "twice" in changed.apply()

    def test_an_altered_entity_frame_is_not_joined(self, built, tmp_path):
        frame = shops.write_entities(tmp_path / "e", [("north", 48)])
        shutil.copyfile(shops.write_entities(tmp_path / "e", [("north", 50)]).path, frame.path)
        with pytest.raises(DependencyFailed) as failed:
            built.training_frame(frame, "demand", [])
        assert failed.value.code == "frame-altered"

    @pytest.mark.parametrize(
        ("columns", "code"),
        [
            ("shop, happened AS event_timestamp, known AS created_timestamp, sold", "source-columns"),
            ("shop, known AS event_timestamp, happened AS created_timestamp, sold, rate", "known-too-early"),
            (
                "shop, happened AS event_timestamp, event_timestamp AS created_timestamp, sold, rate",
                "source-ties",
            ),
            (
                "shop, happened AS event_timestamp, known AS created_timestamp, 'x' AS sold, rate",
                "source-types",
            ),
            (
                "NULL::TEXT AS shop, happened AS event_timestamp, known AS created_timestamp, sold, rate",
                "source-null",
            ),
            ("color", "sql-failed"),
        ],
    )
    def test_rows_that_break_the_definition_are_refused_and_the_old_source_stays(
        self, built, tmp_path, columns, code
    ):
        (tmp_path / "features" / "sources" / "shop_sales.sql").write_text(f"SELECT {columns} FROM sales")
        with pytest.raises(BadInput) as refused:
            built.build({"sales": [tmp_path / "batches" / "a.parquet"]}, shops.DECLARED)
        assert refused.value.code == code
        assert built.materialize(shops.at(50)).rows == {"shop_sales": 2, "item_price": 2}

    def test_definitions_that_do_not_run_are_one_sentence(self, tmp_path):
        with pytest.raises(BadInput) as refused:
            real(tmp_path / "features", tmp_path / "home", "import nothing_of_that_name\n").apply()
        assert refused.value.code == "definitions-broken"
        assert "nothing_of_that_name" in refused.value.sentence

    def test_a_source_outside_the_home_is_refused(self, tmp_path):
        text = shops.DEFINITIONS.replace('HOME / "features"', 'HOME / "elsewhere"')
        store = real(tmp_path / "features", tmp_path / "home", text)
        batch = shops.write_batch(tmp_path / "a.parquet", shops.SALES)
        with pytest.raises(BadInput) as refused:
            store.build({"sales": [batch]}, shops.DECLARED)
        assert refused.value.code == "source-path"

    def test_a_broken_registry_is_one_sentence(self, tmp_path):
        (tmp_path / "home" / "feast").mkdir(parents=True)
        (tmp_path / "home" / "feast" / "registry.db").write_bytes(b"not a database" * 100)
        with pytest.raises(DependencyFailed) as failed:
            real(tmp_path / "features", tmp_path / "home").apply()
        assert failed.value.code == "feature-store-failed"
        assert "\n" not in failed.value.sentence

    def test_definitions_lie_in_feasts_own_sql_registry(self, built, tmp_path):
        with sqlite3.connect(tmp_path / "home" / "feast" / "registry.db") as registry:
            names = {row[0] for row in registry.execute("SELECT feature_view_name FROM feature_views")}
        registry.close()
        assert names == {"shop_sales", "item_price"}

    def test_threads_share_one_store(self, built, tmp_path):
        built.materialize(shops.at(50))
        frame = shops.write_entities(tmp_path / "e", [("north", 48.0), ("south", 30.0)])
        expected = built.training_frame(frame, "demand", [])
        key = {"shop": "north", "item": 1}
        with ThreadPoolExecutor(8) as threads:
            joined = [threads.submit(built.training_frame, frame, "demand", []) for _ in range(4)]
            served = [threads.submit(built.online, "demand", [key], shops.at(50)) for _ in range(40)]
        assert {future.result() for future in joined} == {expected}
        assert {future.result()[0]["sold"] for future in served} == {21}


class TestFeastOnRedis(FeaturesContract):
    """The same store, with its online part in a real Redis."""

    @pytest.fixture
    def subject(self, tmp_path, redis_address):
        return real(tmp_path / "features", tmp_path / "home", online=shops.redis(redis_address))


@pytest.mark.parametrize("seed", [1, 2])
def test_feast_joins_and_serves_what_the_plain_loop_does(tmp_path, seed):
    batch = shops.write_batch(tmp_path / "a.parquet", shops.random_sales(seed, 120))
    hours = [("north", h) for h in range(0, 150, 3)] + [("west", h + 0.5) for h in range(0, 150, 5)]
    hours += [("south", h + shift) for h in range(0, 150, 6) for shift in (-1e-6, 0, 1e-6)]
    stores = [fake(tmp_path / "fake"), real(tmp_path / "features", tmp_path / "home")]
    frames, served = [], []
    for store in stores:
        store.build({"sales": [batch]}, shops.DECLARED)
        store.apply()
        frames.append(store.training_frame(shops.write_entities(tmp_path / "e", hours), "demand", ["note"]))
        for hour in (20, 66, 100):
            store.materialize(shops.at(hour))
            served.append(list(store.online("demand", shops.KEYS, shops.at(hour))))
    assert shops.read(frames[0]) == shops.read(frames[1])
    assert frames[0].digest == frames[1].digest
    assert served[:3] == served[3:]


# ── what an edit of the files changes ─────────────────────────────────────────────────────────────

TTL = ("timedelta(days=2)", "timedelta(days=3)")
SALES = "shop_sales = view("
MOMENT = 'timestamp_field="event_timestamp"'
EDITS = {
    "a ttl": (TTL, "shop_sales: ttl was 2 days, is 3 days"),
    "a type": (("rate=Float64", "rate=Int64"), "shop_sales: field rate was DOUBLE, is INT64"),
    "a field less": ((", rate=Float64", ""), "shop_sales: field rate is gone, was DOUBLE"),
    "a key less": (
        ('"item_price", [shop, item]', '"item_price", [shop]'),
        "item_price: join key item is gone, was INT64",
    ),
    "a key's type": (
        ("ValueType.INT64", "ValueType.STRING"), "item_price: join key item was INT64, is STRING",
    ),
    "the time that counts": (
        ('created_timestamp_column="created_timestamp"', 'created_timestamp_column="known"'),
        '"createdTimestampColumn": "known"',
    ),
    "what a column of the source is called": (
        (MOMENT, f'field_mapping={{"takings": "sold"}}, {MOMENT}'), '"fieldMapping": {"takings": "sold"}',
    ),
    "a column of the source that is called as what no definition keeps": (
        (MOMENT, f'field_mapping={{"state": "sold"}}, {MOMENT}'), '"fieldMapping": {"state": "sold"}',
    ),
}  # fmt: skip


class TestEdits:
    @pytest.fixture
    def store(self, tmp_path):
        store = real(tmp_path / "features", tmp_path / "home")
        store.apply()
        return store

    def found(self, store):
        recorded = {name: view.digest for name, view in store.registered({}).views.items()}
        return {
            f"{each.name}: {each.sentence}": each.change
            for each in differences(store.registered(recorded), store.defined())
        }

    def edit(self, tmp_path, old, new):
        file = tmp_path / "features" / "definitions.py"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def digests(self, store):
        return {name: view.digest for name, view in store.defined().views.items()}

    @pytest.mark.parametrize("what", EDITS)
    def test_each_edit_that_changes_what_a_view_is_is_told_in_a_sentence(self, store, tmp_path, what):
        (old, new), sentence = EDITS[what]
        self.edit(tmp_path, old, new)
        told = [each for each in self.found(store) if sentence in each]
        assert told
        assert {self.found(store)[each] for each in told} == {Change.MEANING}

    def test_another_mapping_of_columns_is_another_definition(self, store, tmp_path):
        plain = self.digests(store)
        self.edit(tmp_path, MOMENT, f'field_mapping={{"state": "sold"}}, {MOMENT}')
        mapped = self.digests(store)
        self.edit(tmp_path, '{"state": "sold"}', '{"state": "rate"}')
        assert len({plain["shop_sales"], mapped["shop_sales"], self.digests(store)["shop_sales"]}) == 3
        self.edit(tmp_path, 'field_mapping={"state": "rate"}, ', "field_mapping={}, ")
        assert self.digests(store) == plain, "no mapping is what it was before mappings were looked at"

    def test_a_description_and_a_comment_are_words_alone(self, store, tmp_path):
        self.edit(
            tmp_path, "Field(name=feature, dtype=dtype)", "Field(name=feature, dtype=dtype, description='x')"
        )
        sql = tmp_path / "features" / "sources" / "shop_sales.sql"
        sql.write_text(f"-- Sales as they were known.\n{sql.read_text()}")
        found = self.found(store)
        assert set(found.values()) == {Change.DESCRIPTION}
        assert "shop_sales: description of sold is new: x" in found
        assert "shop_sales: sql is written otherwise, in words alone" in found

    def test_how_fresh_a_view_must_be_may_change_without_another_meaning(self, store, tmp_path):
        self.edit(tmp_path, '"freshness": "24h", "lag": "3d"', '"freshness": "36h"')
        found = self.found(store)
        assert set(found.values()) == {Change.DESCRIPTION}
        assert set(found) == {"shop_sales: freshness was 1d, is 1d 12h", "shop_sales: lag is gone, was 3d"}

    def test_every_objective_that_is_none_is_named_with_its_file(self, store, tmp_path):
        self.edit(tmp_path, '"freshness": "24h", "lag": "3d"', '"freshness": "24 hours", "lag": 3')
        for refusing in (store.defined, lambda: store.materialize(shops.at(50))):
            with pytest.raises(BadInput) as refused:
                refusing()
            assert refused.value.code == "freshness-objective"
            assert refused.value.sentence == (
                "got freshness '24 hours' of the view shop_sales in features/definitions.py; "
                "lag 3 of the view shop_sales in features/definitions.py, "
                "expected a whole number and a unit, m, h or d, up to 3650d, like 36h"
            )

    def test_other_sql_is_another_meaning_and_so_is_that_of_a_shared_step(self, store, tmp_path):
        folder = tmp_path / "features" / "sources"
        (folder / "shared").mkdir()
        (folder / "shared" / "doubled.sql").write_text(
            "SELECT shop, happened, known, sold, rate FROM sales\n"
        )
        sql = folder / "shop_sales.sql"
        sql.write_text(sql.read_text().replace("FROM sales", "FROM doubled"))
        assert set(self.found(store).values()) == {Change.MEANING}
        store.apply()
        assert self.found(store) == {}
        (folder / "shared" / "doubled.sql").write_text(
            "SELECT shop, happened, known, sold * 2 AS sold, rate FROM sales\n"
        )
        assert self.found(store) == {
            "shop_sales: step doubled is written otherwise, in what it computes": Change.MEANING
        }

    def test_a_view_beside_the_old_one_is_new_and_changes_nothing(self, store, tmp_path):
        self.edit(
            tmp_path,
            SALES,
            'shop_sales_v2 = view("shop_sales_v2", [shop], None, sold=Int64)\nshop_sales = view(',
        )
        with pytest.raises(BadInput) as refused:
            store.defined()
        assert refused.value.code == "no-source-sql"
        assert refused.value.sentence.startswith("got no readable sources/shop_sales_v2.sql")
        sources = tmp_path / "features" / "sources"
        (sources / "shop_sales_v2.sql").write_text((sources / "shop_sales.sql").read_text())
        assert self.found(store) == {"shop_sales_v2: the view is new": Change.ADDITIVE}

    def test_a_push_source_into_what_a_view_holds_is_new_and_its_end_is_another_meaning(
        self, store, tmp_path
    ):
        self.edit(tmp_path, 'name == "shop_sales"', 'name == "item_price"')
        assert self.found(store) == {
            "item_price: push source is new: shop_sales_push": Change.ADDITIVE,
            "shop_sales: push source is gone, was shop_sales_push": Change.MEANING,
        }

    def test_a_definition_that_was_altered_where_it_is_kept_is_as_good_as_none(self, store, tmp_path):
        (known,) = (view.digest for view in store.registered({}).views.values() if view.name == "shop_sales")
        file = tmp_path / "home" / "features" / "definitions" / f"{known[7:]}.json"
        file.write_text(file.read_text().replace("172800s", "259200s"))
        (found,) = store.kept({"shop_sales": known}).values()
        assert (found.digest, found.kept) == (known, False)

    def test_what_is_defined_is_read_without_a_trace(self, tmp_path):
        store = real(tmp_path / "features", tmp_path / "home")
        before = sorted(tmp_path.rglob("*"))
        store.defined()
        store.registered({})
        assert sorted(path for path in tmp_path.rglob("*") if path.name != "__pycache__") == before

    FAULTS = (
        (
            '"shop_sales", [shop]',
            '"shop_sales", [Entity(name="lorry", value_type=ValueType.STRING)]',
            "no-entity",
            "got the view shop_sales over lorry, expected entities among",
        ),
        (
            "schema = [",
            'schema = [Field(name="shop", dtype=Int64)] + [',
            "definitions-broken",
            "Entity shop has type ValueType.STRING, which does not match the inferred type Int64",
        ),
        ('f"{name}.parquet"', '"other.parquet"', "source-path", "got a source called other.parquet for"),
        (
            "features=[shop_sales, item_price]",
            'features=[shop_sales, view("nowhere", [shop], None, price=Float64)]',
            "unknown-view",
            "got the service demand over nowhere, expected views that are defined: item_price, shop_sales",
        ),
        (
            "shop_sales = view(",
            "shop_sales = vew(",
            "definitions-broken",
            "NameError: name 'vew' is not defined",
        ),
    )

    @pytest.mark.parametrize(("old", "new", "code", "sentence"), FAULTS)
    def test_definitions_that_cannot_be_used_are_one_sentence(
        self, store, tmp_path, old, new, code, sentence
    ):
        self.edit(tmp_path, old, new)
        with pytest.raises(BadInput) as refused:
            store.defined()
        assert refused.value.code == code
        assert sentence in refused.value.sentence
        assert "\n" not in refused.value.sentence

    QUERIES = (
        ("FROM sales", "FROM refunds", "sql-failed", "Table with name refunds does not exist!"),
        ("FROM sales", "FORM sales", "sql-failed", "got a query that does not run"),
        (", rate", "", "source-columns", "for shop_sales, expected also rate"),
    )

    @pytest.mark.parametrize(("old", "new", "code", "sentence"), QUERIES)
    def test_a_query_that_does_not_fit_its_view_is_one_sentence_before_anything_is_built(
        self, store, tmp_path, old, new, code, sentence
    ):
        batch = shops.write_batch(tmp_path / "batches" / "a.parquet", shops.SALES)
        store.check({"sales": [batch]}, shops.DECLARED)
        sql = tmp_path / "features" / "sources" / "shop_sales.sql"
        sql.write_text(sql.read_text().replace(old, new))
        with pytest.raises(BadInput) as refused:
            store.check({"sales": [batch]}, shops.DECLARED)
        assert refused.value.code == code
        assert sentence in refused.value.sentence
        assert refused.value.hint.startswith("mend sources/shop_sales.sql")
        assert "\n" not in refused.value.sentence
        assert not (tmp_path / "home" / "features" / "shop_sales").exists()

    def test_what_the_native_command_registered_otherwise_is_not_joined_until_it_is_applied_here(
        self, tmp_path
    ):
        store = real(tmp_path / "features", tmp_path / "home")
        store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
        store.apply()
        asked = ("north", 48)
        assert FeaturesContract.sold(store, tmp_path, asked) == [21]
        overlay = tmp_path / "home" / "feast" / "feature_store.yaml"
        command = [
            sys.executable,
            "-m",
            "feast.cli.cli",
            "-f",
            str(overlay),
            "-c",
            str(tmp_path / "features"),
            "apply",
        ]
        environment = {**os.environ, "TIDEGATE_HOME": str(tmp_path / "home")}

        def apply():
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr

        apply()
        assert FeaturesContract.sold(store, tmp_path, asked) == [21]
        self.edit(tmp_path, *TTL)
        apply()
        with pytest.raises(DependencyFailed) as failed:
            FeaturesContract.sold(store, tmp_path, asked)
        assert (failed.value.code, "definition of shop_sales" in failed.value.sentence) == (
            "registry-foreign",
            True,
        )
        store.apply()
        assert FeaturesContract.sold(store, tmp_path, asked) == [21]


@pytest.mark.parametrize("since", [datetime(2300, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)])
def test_a_time_is_known_and_served_in_whole_seconds_on_both_sides(tmp_path, since):
    text = shops.DEFINITIONS.replace("rate=Float64", "rate=UnixTimestamp").replace(
        "import Float64, Int64", "import Float64, Int64, UnixTimestamp"
    )
    repo = shops.write_repository(tmp_path / "features", text)
    moment = f"TIMESTAMPTZ '{since:%Y-%m-%d} 23:59:59.7Z'"
    sql = shops.SOURCES["shop_sales"].replace(", rate FROM", f", {moment} AS rate FROM")
    (repo / "sources" / "shop_sales.sql").write_text(sql)
    store = FeastStore(repo, tmp_path / "home")
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    store.materialize(shops.at(40))
    served = store.online("demand", [{"shop": "north", "item": 1}], shops.at(40))[0]["rate"]
    assert served == since.replace(hour=23, minute=59, second=59)
    assert judged(store.paired("shop_sales", 9), TOLERANCES).verdict is Verdict.PASSED
