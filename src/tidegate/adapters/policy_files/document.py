"""A policy file as a whole: its sections, in one pass. Everything that is wrong is noted on the reader."""

from __future__ import annotations

from tidegate.adapters.policy_files.demands import Demands
from tidegate.adapters.policy_files.deny import read_deny
from tidegate.adapters.policy_files.examples import read_tests
from tidegate.adapters.policy_files.gates import read_gates
from tidegate.adapters.policy_files.terms import (
    read_break_glass,
    read_certification,
    read_changes,
    read_preconditions,
    read_review,
    read_rollout,
)
from tidegate.adapters.shared.yaml_reader import Node, Reader
from tidegate.application.ports import Expressions
from tidegate.domain.canonical import sha256
from tidegate.domain.policy import Policy

_TOP = ("policy", "version", "demands", "gates", "review", "example", "tests")
_MAY = ("rollout", "preconditions", "certification", "break_glass", "changes", "deny")
_NAME = 64


def read_policy(reader: Reader, expressions: Expressions, body: str) -> Policy:
    """Read a policy; where the reader has faults afterwards, what is returned is not to be used."""
    top = reader.root.members(_TOP, _MAY)
    demands = Demands(reader, expressions, top.get("demands"))
    # Before the gates: a demand that the floor alone asks for is asked for.
    glass = read_break_glass(top["break_glass"], demands) if "break_glass" in top else None
    gates = read_gates(top["gates"], demands) if "gates" in top else {}
    return Policy(
        name=top["policy"].one_line("the policy's name", _NAME) if "policy" in top else "",
        version=_version(top["version"]) if "version" in top else "",
        digest=sha256(body.encode()),
        body=body,
        gates=gates,
        review=read_review(top.get("review")),
        tests=read_tests(top["tests"], top.get("example"), gates) if "tests" in top else (),
        rollout=read_rollout(top["rollout"], gates) if "rollout" in top else {},
        preconditions=read_preconditions(top.get("preconditions")),
        certification=read_certification(top["certification"], gates) if "certification" in top else {},
        break_glass=glass,
        changes=read_changes(top.get("changes")),
        deny=read_deny(top.get("deny"), expressions),
    )


def _version(node: Node) -> str:
    version = node.word("the policy's version")
    if len(version) > _NAME or not version.isprintable():
        node.fault("a version that is long or has control characters", f"at most {_NAME} plain characters")
        return ""
    return version
