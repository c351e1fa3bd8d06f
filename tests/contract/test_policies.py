from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.adapters.cel_expressions import CelExpressions
from tidegate.adapters.policy_files import PolicyFiles
from tidegate.testing.contracts.policies import PoliciesContract
from tidegate.testing.fakes.policies import FakePolicies

FOLDER = Path(__file__).parents[2] / "models" / "policy"


class TestPolicyFiles(PoliciesContract):
    @pytest.fixture
    def subject(self):
        return PolicyFiles(FOLDER, CelExpressions())

    @pytest.fixture
    def empty(self, tmp_path):
        return PolicyFiles(tmp_path, CelExpressions())


class TestFakePolicies(PoliciesContract):
    @pytest.fixture
    def subject(self):
        return FakePolicies(PolicyFiles(FOLDER, CelExpressions()).load())

    @pytest.fixture
    def empty(self):
        return FakePolicies()
