"""Policy files as a port: read, tested, and kept for as long as the process lives."""

from __future__ import annotations

from pathlib import Path

from tidegate.adapters.policy_files.document import read_policy
from tidegate.adapters.shared.yaml_reader import Reader, read_text
from tidegate.application.judgement import coverage, run_tests
from tidegate.application.ports import Expressions
from tidegate.domain.policy import Policy, Tier

FILE = "policy.yaml"
CODE = "policy"

#: Policies that have loaded, by what evaluated them and their whole text. A ledger has few.
_LOADED: dict[tuple[type[Expressions], str], Policy] = {}


class PolicyFiles:
    """The policy in ``folder``; ``expressions`` compiles it and runs its tests."""

    def __init__(self, folder: Path, expressions: Expressions) -> None:
        self._folder, self._expressions = folder, expressions

    def load(self) -> Policy:
        """Read the policy on disk.

        Raises:
            BadInput: code ``policy``; all faults at once in ``faults``, each {line, sentence}.
        """
        return self.read(self._folder / FILE)

    def read(self, path: Path) -> Policy:
        """Read a policy that lies elsewhere.

        Raises:
            BadInput: as `load`; it names that file.
        """
        return self._known(read_text(path, CODE, "a policy"), path.name)

    def parse(self, body: str) -> Policy:
        """Read a policy from its text, in the same way and by the same rules.

        Raises:
            BadInput: as `load`.
        """
        return self._known(body, FILE)

    def _known(self, body: str, source: str) -> Policy:
        """Return the policy of a text. The same text is the same policy: what has loaded once is not tested again."""
        known = (type(self._expressions), body)
        if known not in _LOADED:
            _LOADED[known] = self._tested(Reader(body, source, CODE), body)
        return _LOADED[known]

    def _tested(self, reader: Reader, body: str) -> Policy:
        policy = read_policy(reader, self._expressions, body)
        if not reader.faults:  # tests of a broken policy would only repeat its faults
            for line, sentence in run_tests(policy, self._expressions):
                reader.fault(line, sentence)
        if not reader.faults:
            for gap in coverage(policy):
                if gap.tier is Tier.HIGH:
                    got = f"got {gap.rule!r} {gap.where}, which {gap.lacks}"
                    reader.fault(gap.line, f"{got}, expected a test each way in tier high")
        reader.close()
        return policy
