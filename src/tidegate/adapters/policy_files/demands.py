"""The demands of a policy file, and which of them somebody asks for."""

from __future__ import annotations

from tidegate.adapters.shared.yaml_reader import Node, Reader
from tidegate.application.ports import Expressions
from tidegate.domain.errors import BadInput
from tidegate.domain.policy import Demand


class Demands:
    """The demands that a file states, by id."""

    def __init__(self, reader: Reader, expressions: Expressions, node: Node | None) -> None:
        """Read ``node``; None where the file has no demands, which its reader has noted."""
        self._reader, self._expressions = reader, expressions
        self._asked: set[str] = set()
        self._stated = self._read(node) if node else {}

    def chosen(self, node: Node | None, what: str = "demand ids") -> tuple[Demand, ...]:
        """Return the demands that a list names; they are asked for then."""
        chosen: list[Demand] = []
        for item in node.items(what) if node else []:
            name = item.text("a demand's id")
            if name and name not in self._stated:
                item.fault(f"the demand {name!r}", f"one of {', '.join(self._stated)}")
            elif name and self._stated[name] in chosen:
                item.fault(f"{name!r} again", "each demand once in a gate")
            elif name:
                chosen.append(self._stated[name])
                self._asked.add(name)
        return tuple(chosen)

    def note_idle(self) -> None:
        """Note every demand that nothing has asked for."""
        for name, demand in self._stated.items():
            if name not in self._asked:
                self._reader.fault(demand.line, f"got {name!r} in no gate, expected a gate that demands it")

    def _read(self, node: Node) -> dict[str, Demand]:
        demands = {}
        members = node.members()
        if node.value == {}:
            node.fault("no demand", "at least one")
        for name, entry in members.items():
            parts = entry.members(("says", "passes"), ("unclear",))
            demands[name] = Demand(
                id=name,
                sentence=" ".join(parts["says"].text("what is demanded").split()) if "says" in parts else "",
                passes=self._expression(parts.get("passes")),
                unclear=self._expression(parts.get("unclear")),
                line=node.key_lines[name],
            )
        return demands

    def _expression(self, node: Node | None) -> str:
        if node is None or not (text := node.text("an expression")):
            return ""
        try:
            answer = self._expressions.holds(text, {})
        except BadInput as error:
            # On no facts at all, everything but a fault of the expression itself is to be expected.
            if error.code == "expression-syntax":
                self._reader.fault(node.line, error.sentence)
        else:
            node.fault(f"an expression that is always {str(answer).lower()}", "one that reads the packet")
        return text
