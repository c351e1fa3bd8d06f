"""What something was built from is told by dataset and span; each batch by its digest where that is asked for."""

from __future__ import annotations

from tidegate.entrypoints.cli.features import _named

MADE_OF = [
    {"dataset": "levels", "period": "2024-01", "batch": "tg1:a"},
    {"dataset": "levels", "period": "2024-02", "batch": "tg1:b"},
    {"dataset": "levels", "period": "2024-04", "batch": "tg1:c"},
    {"dataset": "gauges", "period": "2024", "batch": "tg1:d"},
]


def test_batches_are_told_by_dataset_and_span() -> None:
    assert _named(MADE_OF, whole=False) == [
        "levels 2024-01 to 2024-02, 2024-04: 3 batches",
        "gauges 2024: 1 batch",
    ]


def test_two_batches_of_one_period_are_two() -> None:
    again = {"dataset": "gauges", "period": "2024", "batch": "tg1:e"}
    assert _named([*MADE_OF, again], whole=False)[1] == "gauges 2024: 2 batches"


def test_each_batch_is_named_by_its_digest_where_that_is_asked_for() -> None:
    assert _named(MADE_OF, whole=True) == [
        "levels 2024-01 tg1:a",
        "levels 2024-02 tg1:b",
        "levels 2024-04 tg1:c",
        "gauges 2024 tg1:d",
    ]


def test_of_nothing_nothing_is_told() -> None:
    assert _named([], whole=False) == _named([], whole=True) == []
