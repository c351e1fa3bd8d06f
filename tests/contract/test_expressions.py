from __future__ import annotations

import subprocess
import sys

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
