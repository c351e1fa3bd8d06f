"""Who asks for rows of what is not on record is told what is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.revisions import spans
from tidegate.domain.contract import Column, Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.entrypoints.cli.data import _batches, _pushes
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.platform import FakePlatform

BUOYS = Contract(
    dataset="buoys",
    version="1",
    owner="harbour-office",
    columns=(Column("buoy", "string", required=True),),
    key=("buoy",),
    checks=(),
    min_rows=1,
    max_rows=9,
    max_age=timedelta(days=1),
    quarantine_limit=0.1,
    digest="sha256:contract",
)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """Return a world with three months of a dataset, and one push of it."""
    platform = FakePlatform(tmp_path)
    platform.contracts = FakeContracts(BUOYS)
    for period in ("2024-01", "2024-02", "2024-04"):
        platform.accept(period, dataset="tides")
    pushed = {
        "dataset": "tides",
        "drop": "sha256:push",
        "verdict": "passed",
        "read": 1,
        "accepted": 1,
        "quarantined": 0,
        "quarantine_root": "",
        "contract": "",
        "report": {"checks": [], "stops": [], "period": "2024-05"},
        "parts": {},
    }
    platform.write(EventType.PUSH_REFUSED, pushed, "s-3", "dataset/tides")
    return platform


def said(error: pytest.ExceptionInfo[BadInput]) -> tuple[str, str]:
    return error.value.sentence, error.value.hint


def test_a_dataset_that_nobody_knows_is_answered_with_those_on_record(world: Any) -> None:
    with pytest.raises(BadInput) as error:
        _batches(world, "nothing", None)
    assert said(error) == (
        "got the dataset `nothing`, expected one with a drop on record: tides",
        "name one of them; another one begins with `tidegate dataset new`",
    )


def test_a_dataset_under_contract_of_which_nothing_came_is_to_be_ingested(world: Any) -> None:
    with pytest.raises(BadInput) as error:
        _batches(world, "buoys", None)
    assert said(error) == (
        "got the dataset `buoys`, expected one with a drop on record: tides",
        "tidegate ingest buoys …: nothing of it came that way yet",
    )


def test_a_period_that_is_not_on_record_is_answered_with_those_that_are(world: Any) -> None:
    assert [period for _, period, _ in _batches(world, "tides", "2024-02")] == ["2024-02"]
    with pytest.raises(BadInput) as error:
        _batches(world, "tides", "1999-01")
    assert said(error) == (
        "got tides 1999-01, expected a period on record: 2024-01 to 2024-02, 2024-04",
        "tidegate ingest tides DROP, if one of that period is there",
    )


def test_of_pushes_too_the_datasets_and_periods_are_told(world: Any) -> None:
    with pytest.raises(BadInput) as error:
        _pushes(world, "nothing", None)
    assert said(error)[0] == "got the dataset `nothing`, expected one that was pushed: tides"
    with pytest.raises(BadInput) as error:
        _pushes(world, "tides", "1999-01")
    assert said(error) == (
        "got tides 1999-01, expected a period of which rows were pushed: 2024-05",
        "`tidegate quarantine tides --pushed` shows all of them",
    )


@pytest.mark.parametrize(
    ("periods", "told"),
    [
        ([], ""),
        (["2024-02"], "2024-02"),
        (["2024-02", "2024-01", "2024-02"], "2024-01 to 2024-02"),
        (["2024-12", "2025-01", "2025-03"], "2024-12 to 2025-01, 2025-03"),
        (["2024-02-28", "2024-02-29", "2024-03-01"], "2024-02-28 to 2024-03-01"),
        (["2023", "2024-01"], "2023, 2024-01"),
        (["2023", "2024", "2024-01"], "2023 to 2024, 2024-01"),
    ],
)
def test_periods_that_follow_one_another_are_told_as_a_span(periods: list[str], told: str) -> None:
    assert spans(periods) == told
