"""`Entities`: the fake and the SQL keep the same contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.adapters.sql_entities import SqlEntities
from tidegate.domain.errors import BadInput
from tidegate.testing.contracts.entities import DAY, EntitiesContract
from tidegate.testing.fakes.entities import FakeEntities
from tidegate.testing.material import (
    DATASET,
    FIRST_DAY,
    NO_DECLARED,
    model_spec,
    trips,
    write_model,
    write_rows,
)


class TestFakeEntities(EntitiesContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> FakeEntities:
        return FakeEntities(tmp_path / "entities")


class TestSqlEntities(EntitiesContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> SqlEntities:
        return SqlEntities(tmp_path)

    @pytest.mark.parametrize(
        ("sql", "code", "sentence"),
        [
            ("SELECT nothing FROM trips", "sql-failed", "nothing"),
            ("SELECT * EXCLUDE (known_at) FROM trips", "missing-column", "known_at"),
            ("SELECT * REPLACE (NULL::TIMESTAMPTZ AS departs_at) FROM trips", "row-without-time", "120 rows"),
        ],
    )
    def test_rows_sql_that_breaks_its_promise_is_one_clear_sentence(
        self, subject: SqlEntities, tmp_path: Path, sql: str, code: str, sentence: str
    ) -> None:
        model = model_spec(write_model(tmp_path / "models", rows=sql))
        batches = {DATASET: [write_rows(trips(days=1), tmp_path / "trips.parquet").path]}
        with pytest.raises(BadInput) as refusal:
            subject.frame(model, batches, NO_DECLARED, (FIRST_DAY, FIRST_DAY + DAY))
        assert refusal.value.code == code
        assert sentence in refusal.value.sentence

    def test_a_label_time_that_is_no_time_is_one_clear_sentence(
        self, subject: SqlEntities, tmp_path: Path
    ) -> None:
        sql = "SELECT * REPLACE ('later' AS known_at) FROM trips"
        model = model_spec(write_model(tmp_path / "models", rows=sql))
        batches = {DATASET: [write_rows(trips(days=1), tmp_path / "trips.parquet").path]}
        window = (FIRST_DAY, FIRST_DAY + DAY)
        with pytest.raises(BadInput) as refusal:
            subject.outcomes(model, batches, NO_DECLARED, window, FIRST_DAY + DAY)
        assert refusal.value.code == "bad-label-time"
        assert refusal.value.sentence == "got known_at of tram_delay as string, expected times"

    def test_rows_sql_sees_the_models_datasets_and_no_other(
        self, subject: SqlEntities, tmp_path: Path
    ) -> None:
        model = model_spec(write_model(tmp_path / "models", rows="SELECT trips.* FROM trips, secrets"))
        rows = write_rows(trips(days=1), tmp_path / "trips.parquet").path
        with pytest.raises(BadInput, match="secrets"):
            subject.frame(
                model, {DATASET: [rows], "secrets": [rows]}, NO_DECLARED, (FIRST_DAY, FIRST_DAY + DAY)
            )
