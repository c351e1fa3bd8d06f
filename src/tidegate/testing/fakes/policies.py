"""Policies in memory."""

from __future__ import annotations

from pathlib import Path

from tidegate.domain.errors import BadInput
from tidegate.domain.policy import Policy


class FakePolicies:
    """Holds the policies it was given; the last one is the one "on disk"."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = policies

    def load(self) -> Policy:
        if not self._policies:
            raise BadInput("policy", "got no policy, expected one", "write one", faults=[])
        return self._policies[-1]

    def read(self, path: Path) -> Policy:
        if not path.is_file():
            raise BadInput("policy", f"got no readable {path.name}, expected a policy", faults=[])
        return self.parse(path.read_text())

    def parse(self, body: str) -> Policy:
        for policy in self._policies:
            if policy.body == body:
                return policy
        fault = {"line": 1, "sentence": "got another body, expected one of those given"}
        raise BadInput("policy", "got a body that no policy has, expected one", faults=[fault])
