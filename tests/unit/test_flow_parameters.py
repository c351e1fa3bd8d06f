"""Parameters that a flow does not take are told in our words, from its own signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError

from tidegate.entrypoints.flows import _misfit, _misfits, _mistyped


def score(model: str, period: str | None = None, on_behalf_of: str | None = None, slot: str | None = None):
    """Stand for a flow."""


def sample(count: int, share: float = 0.5, versions: tuple[int, ...] | None = None):
    """Stand for another."""


def nothing(slot: str | None = None):
    """Stand for one without parameters of its own."""


def anything(**more: Any):
    """Stand for one that takes whatever it is given."""


@pytest.mark.parametrize(
    ("flow", "given", "faults"),
    [
        (score, {"model": "m", "period": "2024-01", "slot": "s"}, []),
        (
            score,
            {"model": "m", "wrong": 1},
            ["got the parameter `wrong` for the flow `score`, expected one of: model, period"],
        ),
        (
            score,
            {"modell": "m", "of": 1},
            [
                "got the parameters `modell`, `of` for the flow `score`, expected one of: model, period",
                "got no model for the flow `score`, expected model=…",
            ],
        ),
        (
            nothing,
            {"x": "1"},
            ["got the parameter `x` for the flow `nothing`, expected none: it has no parameters"],
        ),
        (anything, {"x": "1"}, []),
    ],
)
def test_names_are_held_against_the_flow_s_own(
    flow: Callable[..., Any], given: dict[str, Any], faults: list[str]
) -> None:
    assert list(_misfits(flow.__name__, flow, given)) == faults


def test_a_value_of_a_wrong_type_is_named_with_the_type_that_is_wanted() -> None:
    given = {"count": "many", "share": "half", "versions": ["one", "two"]}
    with pytest.raises(ParameterTypeError) as refused:
        Flow(sample).validate_parameters(given)
    assert _mistyped("sample", sample, given, str(refused.value)) == [
        "got count=many for the flow `sample`, expected a whole number",
        "got share=half for the flow `sample`, expected a number",
        "got versions=['one', 'two'] for the flow `sample`, expected tuple[int, ...] | None",
    ]


def test_all_faults_are_one_error_that_points_to_the_flow() -> None:
    error = _misfit("score", ["one", "two"])
    assert (error.code, error.sentence, error.hint, error.exit_code) == (
        "bad-parameters",
        "one; two",
        "what it takes is written in pipelines/score.py",
        2,
    )
