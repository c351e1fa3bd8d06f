"""What everybody may expect of `ports.Policies`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.application.ports import Policies
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput


class PoliciesContract:
    """Subclass it, give it a ``subject`` that holds one policy and an ``empty`` one, and it runs."""

    @pytest.fixture
    def subject(self) -> Policies:
        raise NotImplementedError

    @pytest.fixture
    def empty(self) -> Policies:
        raise NotImplementedError

    def test_a_policy_is_read_back_from_its_body(self, subject: Policies) -> None:
        policy = subject.load()
        assert subject.parse(policy.body) == policy

    def test_its_identity_is_the_digest_of_its_body(self, subject: Policies) -> None:
        policy = subject.load()
        assert policy.digest == sha256(policy.body.encode())

    def test_it_has_gates_demands_and_a_review_rule(self, subject: Policies) -> None:
        policy = subject.load()
        gates = [gate for stages in policy.gates.values() for gate in stages.values()]
        assert gates
        assert all(gate.demands for gate in gates)
        assert policy.review.on
        assert policy.review.due_days >= 1

    def test_without_a_policy_nothing_loads(self, empty: Policies) -> None:
        with pytest.raises(BadInput) as caught:
            empty.load()
        assert caught.value.code == "policy"

    def test_what_is_no_policy_is_refused_with_its_faults(self, subject: Policies) -> None:
        with pytest.raises(BadInput) as caught:
            subject.parse("no: policy\n")
        assert caught.value.code == "policy"
        assert caught.value.data["faults"]

    def test_a_policy_that_lies_elsewhere_is_read_in_the_same_way(
        self, subject: Policies, tmp_path: Path
    ) -> None:
        policy, elsewhere = subject.load(), tmp_path / "next.yaml"
        with pytest.raises(BadInput) as caught:
            subject.read(elsewhere)
        assert (caught.value.code, "next.yaml" in caught.value.sentence) == ("policy", True)
        elsewhere.write_text(policy.body)
        assert subject.read(elsewhere) == policy
