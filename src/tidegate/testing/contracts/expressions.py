"""What everybody may expect of `ports.Expressions`."""

from __future__ import annotations

from math import inf, nan

import pytest

from tidegate.application.ports import Expressions
from tidegate.domain.errors import BadInput

FACTS = {"packet": {"low": 0.61, "n": 12000, "verdict": "passed", "high": None, "flag": True, "zero": 0}}


class ExpressionsContract:
    """Subclass it, give it a ``subject``, and it runs."""

    @pytest.fixture
    def subject(self) -> Expressions:
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("expression", "answer"),
        [
            ("packet.low >= 0.6", True),
            ("packet.low >= 0.62", False),
            ("packet.n >= 12000", True),
            ("packet.n > 12000.5", False),
            ('packet.verdict == "passed"', True),
            ('packet.verdict != "passed"', False),
            ("packet.flag", True),
            ("!packet.flag", False),
            ("packet.low > 0.6 && packet.n > 1", True),
            ("packet.low > 0.7 || packet.zero == 0", True),
            ("packet.low >= -1.0", True),
        ],
    )
    def test_a_condition_says_what_it_says(self, subject: Expressions, expression: str, answer: bool) -> None:
        assert subject.holds(expression, FACTS) is answer

    def test_an_integer_and_a_float_of_one_value_are_one_fact(self, subject: Expressions) -> None:
        for n in (1, 1.0):
            assert subject.holds("packet.n == 1", {"packet": {"n": n}}) is True
            assert subject.holds("packet.n == 1.0", {"packet": {"n": n}}) is True

    @pytest.mark.parametrize(
        ("expression", "code"),
        [
            ("packet.absent > 1", "expression-failed"),
            ("nothing.low > 1", "expression-failed"),
            ("packet.high > 0.1", "expression-failed"),  # null
            ("packet.verdict > 1", "expression-failed"),
            ("packet.low >", "expression-syntax"),
            ("", "expression-syntax"),
            ("packet.low", "expression-not-boolean"),
            ("packet.verdict", "expression-not-boolean"),
        ],
    )
    def test_anything_but_a_boolean_is_bad_input_with_its_own_code(
        self, subject: Expressions, expression: str, code: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            subject.holds(expression, FACTS)
        assert caught.value.code == code
        assert caught.value.sentence.startswith("got ")

    @pytest.mark.parametrize("number", [nan, inf, -inf])
    def test_a_number_that_is_not_finite_is_refused_even_where_nobody_looks(
        self, subject: Expressions, number: float
    ) -> None:
        with pytest.raises(BadInput) as caught:
            subject.holds("packet.low > 0.1", {"packet": {"low": 0.5, "other": {"deep": number}}})
        assert caught.value.code == "expression-facts"

    def test_the_same_question_has_the_same_answer(self, subject: Expressions) -> None:
        assert [subject.holds("packet.low > 0.6", FACTS) for _ in range(3)] == [True] * 3
