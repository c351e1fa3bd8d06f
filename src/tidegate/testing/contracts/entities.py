"""What every `Entities` keeps to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.ports import Entities, ModelSpec
from tidegate.domain.errors import BadInput
from tidegate.testing.material import (
    DATASET,
    FIRST_DAY,
    NO_DECLARED,
    model_spec,
    trips,
    write_model,
    write_rows,
)

DAY = timedelta(days=1)


class EntitiesContract:
    """Override ``subject``. The model's rows are the rows of its one dataset."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Entities:
        """Return the entities under test."""
        raise NotImplementedError

    @pytest.fixture
    def model(self, tmp_path: Path) -> ModelSpec:
        """Return the small model, in a folder of its own."""
        return model_spec(write_model(tmp_path / "models"))

    @pytest.fixture
    def batches(self, tmp_path: Path) -> Mapping[str, Sequence[Path]]:
        """Return two batches of trips, out of order."""
        rows = trips(days=6)
        late, early = rows[360:], list(reversed(rows[:360]))
        return {
            DATASET: [
                write_rows(part, tmp_path / f"{name}.parquet").path
                for name, part in (("1", late), ("2", early))
            ]
        }

    def test_a_frame_holds_the_window_from_its_start_until_before_its_end(
        self, subject: Entities, model: ModelSpec, batches: Mapping[str, Sequence[Path]]
    ) -> None:
        frame = subject.frame(model, batches, NO_DECLARED, (FIRST_DAY + DAY, FIRST_DAY + 4 * DAY))
        times = _column(frame.path, "departs_at")
        assert frame.rows == len(times) == 3 * 120
        assert times[0] == FIRST_DAY + DAY
        assert times[-1] == FIRST_DAY + 4 * DAY - timedelta(minutes=12)

    def test_rows_are_ordered_by_time_and_key_whatever_order_batches_came_in(
        self, subject: Entities, model: ModelSpec, batches: Mapping[str, Sequence[Path]]
    ) -> None:
        window = (FIRST_DAY, FIRST_DAY + 6 * DAY)
        frame = subject.frame(model, batches, NO_DECLARED, window)
        again = subject.frame(model, {DATASET: list(reversed(batches[DATASET]))}, NO_DECLARED, window)
        times = _column(frame.path, "departs_at")
        assert times == sorted(times)
        assert again.digest == frame.digest

    def test_every_scheduled_row_is_there_labelled_or_not(
        self, subject: Entities, model: ModelSpec, batches: Mapping[str, Sequence[Path]]
    ) -> None:
        frame = subject.frame(model, batches, NO_DECLARED, (FIRST_DAY, FIRST_DAY + 6 * DAY))
        assert {"departs_at", "line", "trip", "late", "known_at", "status"} <= set(frame.columns)
        assert set(_column(frame.path, "status")) == {"arrived", "cancelled", "diverted"}
        assert None in _column(frame.path, "late")

    def test_outcomes_are_what_was_known_of_the_same_rows_by_a_moment(
        self, subject: Entities, model: ModelSpec, batches: Mapping[str, Sequence[Path]]
    ) -> None:
        window, noon = (FIRST_DAY, FIRST_DAY + DAY), FIRST_DAY + DAY / 2
        frame = subject.frame(model, batches, NO_DECLARED, window)
        known = subject.outcomes(model, batches, NO_DECLARED, window, noon)
        assert known.columns == ("departs_at", "line", "trip", "late", "known_at")
        assert _column(known.path, "departs_at") == _column(frame.path, "departs_at")
        all_known = list(zip(_column(frame.path, "late"), _column(frame.path, "known_at"), strict=True))
        heard = [(label, at) if at is not None and at <= noon else (None, None) for label, at in all_known]
        assert list(zip(_column(known.path, "late"), _column(known.path, "known_at"), strict=True)) == heard
        assert 0 < sum(at is not None for _, at in heard) < sum(at is not None for _, at in all_known)

    def test_outcomes_have_another_digest_where_one_more_is_known_and_the_same_where_none_is(
        self, subject: Entities, model: ModelSpec, batches: Mapping[str, Sequence[Path]], tmp_path: Path
    ) -> None:
        window = (FIRST_DAY, FIRST_DAY + DAY)

        def digest(known_by: datetime, these: Mapping[str, Sequence[Path]] = batches) -> str:
            return subject.outcomes(model, these, NO_DECLARED, window, known_by).digest

        noon, minute = FIRST_DAY + DAY / 2, timedelta(minutes=1)
        assert digest(noon) == digest(noon + 11 * minute) != digest(noon + 12 * minute)
        assert digest(FIRST_DAY + 2 * DAY) == digest(FIRST_DAY + 9 * DAY)
        restated = [{**row, "late": not row["late"]} if row["trip"] == 1 else row for row in trips(days=6)]
        path = write_rows(restated, tmp_path / "restated.parquet").path
        assert digest(noon, {DATASET: [path]}) != digest(noon)
        busier = [{**row, "load": 0.5, "stops": 3} for row in trips(days=6)]
        path = write_rows(busier, tmp_path / "busier.parquet").path
        assert digest(noon, {DATASET: [path]}) == digest(noon), "what is no outcome changes none"

    def test_a_window_without_rows_is_a_frame_of_none(
        self, subject: Entities, model: ModelSpec, batches: Mapping[str, Sequence[Path]]
    ) -> None:
        frame = subject.frame(model, batches, NO_DECLARED, (FIRST_DAY - 2 * DAY, FIRST_DAY - DAY))
        assert frame.rows == 0

    def test_a_key_that_occurs_twice_at_one_time_is_bad_input(
        self, subject: Entities, model: ModelSpec, batches: Mapping[str, Sequence[Path]], tmp_path: Path
    ) -> None:
        same = write_rows(trips(days=1), tmp_path / "same.parquet").path
        with pytest.raises(BadInput) as refusal:
            subject.frame(
                model, {DATASET: [*batches[DATASET], same]}, NO_DECLARED, (FIRST_DAY, FIRST_DAY + DAY)
            )
        assert refusal.value.code == "repeated-key"


def _column(path: Path, name: str) -> list[Any]:
    import pyarrow.parquet as pq

    values: list[Any] = pq.read_table(path).column(name).to_pylist()
    return values
