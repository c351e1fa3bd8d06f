from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tidegate.adapters.cel_expressions import CelExpressions
from tidegate.domain.errors import BadInput
from tidegate.testing.contracts.expressions import ExpressionsContract
from tidegate.testing.fakes.expressions import FakeExpressions


class TestCelExpressions(ExpressionsContract):
    @pytest.fixture
    def subject(self):
        return CelExpressions()

    @pytest.mark.parametrize(
        ("expression", "answer"),
        [
            ("packet.slices.all(s, packet.slices[s].low > 0.5)", True),
            ("packet.slices.exists(s, packet.slices[s].low > 0.69)", True),
            ("size(packet.slices) >= 2", True),
            ('"origin=JFK" in packet.slices', True),
            ("has(packet.gone)", False),
            ("has(packet.none)", False),  # a null is as good as absent
            ("packet.n + 1.0 == 2.0", True),
            ("packet.nothing.all(s, false)", True),  # over nothing: so a policy asks for a size as well
        ],
    )
    def test_cel_says_what_its_specification_says(self, subject, expression, answer):
        slices = {"origin=JFK": {"low": 0.6}, "origin=LGA": {"low": 0.7}}
        facts = {"packet": {"slices": slices, "n": 1, "none": None, "nothing": {}}}
        assert subject.holds(expression, facts) is answer

    def test_an_error_is_ignored_only_where_the_other_side_decides_alone(self, subject):
        facts = {"packet": {"version": 0}}
        assert subject.holds("packet.gain > 0 || packet.version == 0", facts) is True
        assert subject.holds("packet.gain > 0 && packet.version == 1", facts) is False
        with pytest.raises(BadInput) as caught:
            subject.holds("packet.gain > 0 || packet.version == 1", facts)
        assert caught.value.code == "expression-failed"
        assert "'gain'" in caught.value.sentence

    @pytest.mark.parametrize(
        ("expression", "code"),
        [
            ("+".join(["packet.s"] * 91) + '=="x"', "expression-cost"),
            ("packet.l.all(x, packet.l == packet.l && packet.l == packet.l)", "expression-cost"),
            ("packet.l.all(x, x in packet.l)", "expression-cost"),
            ("packet.l.exists(x, packet.l != packet.l)", "expression-cost"),
            (f"[{','.join(['packet.l'] * 50)}] == [{','.join(['packet.l'] * 50)}]", ""),
            ("packet.s.contains(packet.s)", ""),
            ("packet.l == packet.l", ""),
        ],
    )
    def test_work_inside_an_operation_counts_as_well(self, subject, expression, code):
        facts = {"packet": {"s": "5" * 900_000, "l": list(range(9000))}}
        begun = time.perf_counter()
        if code:
            with pytest.raises(BadInput) as caught:
                subject.holds(expression, facts)
            assert caught.value.code == code
        else:
            assert subject.holds(expression, facts) is True
        assert time.perf_counter() - begun < 0.5

    def test_facts_of_megabytes_are_refused_before_anything_is_done_with_them(self, subject):
        expression = "+".join(["packet.s"] * 91) + '=="x"'
        begun = time.perf_counter()
        with pytest.raises(BadInput) as caught:
            subject.holds(expression, {"packet": {"s": "5" * 5_000_000}})
        assert caught.value.code == "expression-facts"
        assert caught.value.sentence == (
            "got facts with texts of more than 1,000,000 characters, expected a packet"
        )
        assert time.perf_counter() - begun < 0.5

    def test_its_command_line_is_not_imported_with_it(self):
        code = (
            "import sys; from tidegate.adapters.cel_expressions import CelExpressions;"
            "CelExpressions().holds('1 == 1', {});"
            "print([name for name in ('prompt_toolkit', 'typer', 'cel.cli') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestFakeExpressions(ExpressionsContract):
    @pytest.fixture
    def subject(self):
        return FakeExpressions()
