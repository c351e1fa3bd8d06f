"""YAML files a person wrote: every fault at once, each with its line.

The file becomes a tree of `Node`. Whoever reads it asks each node for what it expects; a fault is noted
and reading goes on, so that one pass finds all of them. `Reader.close` then raises them together.

Plain YAML 1.2 data only: no anchors, aliases, tags, or second document. Anchors multiply (a file of one
kilobyte can stand for gigabytes), and none of our files needs them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.domain.errors import BadInput

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16
_SHOWN = 60

_INTEGER = re.compile(r"[-+]?[0-9]{1,16}")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")
_WORDS: Mapping[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class Fault(NamedTuple):
    """One mistake in a file."""

    line: int
    sentence: str


class Reader:
    """Reads one file's text and collects its faults."""

    def __init__(self, text: str, source: str, code: str) -> None:
        """Parse ``text``; ``source`` names it in the error, ``code`` is the error's code."""
        self.source, self.code = source, code
        self.faults: list[Fault] = []
        self.root = self._parse(text)

    def fault(self, line: int, sentence: str) -> None:
        """Note a mistake and go on."""
        if (fault := Fault(line, sentence)) not in self.faults:
            self.faults.append(fault)

    def close(self, hint: str = "correct every line named; nothing was loaded") -> None:
        """Raise all faults together, if there are any.

        Raises:
            BadInput: with ``faults``, a list of {line, sentence} in the file's order.
        """
        if not self.faults:
            return
        faults = sorted(self.faults)
        count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "; ".join(f"line {fault.line}: {fault.sentence}" for fault in faults)
        raise BadInput(
            self.code,
            f"{self.source} has {count}: {lines}",
            hint,
            faults=[fault._asdict() for fault in faults],
        )

    def _parse(self, text: str) -> Node:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        if (size := len(text.encode(errors="surrogatepass"))) > MAX_BYTES:
            self.fault(1, f"got {size:,} bytes, expected at most {MAX_BYTES:,}")
            self.close()
        try:
            root = self._build(YAML(typ="safe").parse(text))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.fault(mark.line + 1 if mark else 1, f"got {error.problem or error.context}, expected YAML")
            root = None
        except (YAMLError, ValueError) as error:
            self.fault(1, f"got {' '.join(str(error).split())}, expected YAML")
            root = None
        if root is None or self.faults:
            if not self.faults:
                self.fault(1, "got an empty file, expected a mapping")
            self.close()
            raise AssertionError("unreachable: an absent root is a fault")
        return root

    def _build(self, events: Iterator[Any]) -> Node | None:
        """Build the tree from parser events, without recursion: depth is capped before it can hurt."""
        from ruamel.yaml import events as yaml

        root: Node | None = None
        stack: list[Node] = []
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                stack.pop()
            elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                return self._give_up(line, "got an anchor or alias, expected the value written out")
            elif isinstance(event, (yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                if event.tag is not None:
                    return self._give_up(line, f"got the tag {event.tag}, expected plain data")
                node = _node(self, event, line)
                if stack:
                    stack[-1].attach(node)
                elif root is None:
                    root = node
                else:
                    return self._give_up(line, "got a second document, expected one")
                if not isinstance(event, yaml.ScalarEvent):
                    stack.append(node)
                if len(stack) > MAX_DEPTH:
                    return self._give_up(line, f"got more than {MAX_DEPTH} levels, expected fewer")
        return root

    def _give_up(self, line: int, sentence: str) -> Node | None:
        """Note what makes the rest of the file not worth reading; there is no tree then."""
        self.fault(line, sentence)
        return None


class Node:
    """One value with its line. ``value`` is a scalar, a list of nodes, or a mapping of names to nodes."""

    def __init__(self, reader: Reader, line: int, value: Any, raw: str) -> None:
        self.reader, self.line, self.value, self.raw = reader, line, value, raw
        self.key_lines: dict[str, int] = {}
        self._key: Node | None = None

    def attach(self, node: Node) -> None:
        """Take the next child, as the parser meets it."""
        if isinstance(self.value, list):
            self.value.append(node)
        elif self._key is None:
            self._key = node
        else:
            key, self._key = self._key, None
            if not isinstance(key.value, (str, int, float, bool, type(None))):
                self.reader.fault(key.line, "got a list or mapping as a name, expected a text")
            elif key.raw in self.value:
                self.reader.fault(
                    key.line,
                    f"got {key.raw!r} again, expected it once (first on line {self.key_lines[key.raw]})",
                )
            else:
                self.value[key.raw] = node
                self.key_lines[key.raw] = key.line

    def fault(self, got: str, expected: str) -> None:
        """Note a mistake on this node's line."""
        self.reader.fault(self.line, f"got {got}, expected {expected}")

    @property
    def shown(self) -> str:
        """Say what this node is, for a fault."""
        if isinstance(self.value, list):
            return "a list"
        if isinstance(self.value, dict):
            return "a mapping"
        if self.value is None:
            return "nothing"
        return repr(self.raw if len(self.raw) <= _SHOWN else self.raw[:_SHOWN] + "…")

    def members(
        self, required: Collection[str] = (), optional: Collection[str] | None = None
    ) -> dict[str, Node]:
        """Return a mapping's members; with ``optional`` given, a name in neither collection is a fault."""
        if not isinstance(self.value, dict):
            self.fault(self.shown, f"a mapping with {', '.join(required)}" if required else "a mapping")
            return {}
        known = (*required, *(optional or ()))
        for name in self.value:
            if optional is not None and name not in known:
                self.reader.fault(self.key_lines[name], f"got {name!r}, expected one of {', '.join(known)}")
        if missing := [name for name in required if name not in self.value]:
            self.fault(f"no {' and no '.join(missing)}", f"{', '.join(required)}")
        return dict(self.value)

    def items(self, what: str) -> list[Node]:
        """Return a list's elements; an empty list is a fault."""
        if not isinstance(self.value, list) or not self.value:
            self.fault("an empty list" if self.value == [] else self.shown, f"a list of {what}")
            return []
        return list(self.value)

    def text(self, what: str, most: int = 2000) -> str:
        """Return a text that is not blank and at most ``most`` characters long."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.fault(self.shown, what)
            return ""
        if len(self.value) > most:
            self.fault(f"{len(self.value)} characters", f"at most {most}")
            return ""
        return self.value.strip()

    def one_line(self, what: str, most: int) -> str:
        """Return a text that shows on one line as what it is: nothing in it that a terminal or reader obeys."""
        text = self.text(what, most)
        if not text.isprintable():
            self.fault("characters that are not printed", f"{what} in plain ones")
            return ""
        return text

    def word(self, what: str) -> str:
        """Return a scalar as it is written, such as the version in ``version: 1``."""
        if isinstance(self.value, (list, dict)) or self.value is None or not self.raw.strip():
            self.fault(self.shown, what)
            return ""
        return self.raw.strip()

    def integer(self, least: int, most: int = 10**9) -> int:
        """Return a whole number from ``least`` to ``most``."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            self.fault(self.shown, f"a whole number from {least} to {most}")
            return least
        return self.value

    def number(self, least: float, most: float) -> float:
        """Return a finite number from ``least`` to ``most``."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            self.fault(self.shown, f"a number from {least:g} to {most:g}")
            return least
        return float(value)

    def flag(self, what: str) -> bool:
        """Return true or false; false after a fault."""
        if not isinstance(self.value, bool):
            self.fault(self.shown, f"true or false: {what}")
            return False
        return self.value

    def one_of(self, choices: Collection[str], what: str) -> str | None:
        """Return one of the texts in ``choices``, or None after a fault."""
        if not isinstance(self.value, str) or self.value not in choices:
            self.fault(self.shown, f"{what}: {', '.join(choices)}")
            return None
        return self.value

    def plain(self) -> Any:
        """Return the node as plain JSON data."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        if isinstance(self.value, float) and not isfinite(self.value):
            self.fault(self.raw, "a finite number (write null where nothing could be measured)")
            return None
        return self.value


def read_text(path: Path, code: str, what: str) -> str:
    """Return a file's text.

    Raises:
        BadInput: there is no such file, it is far too large, or it is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1).decode()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadInput(
            code,
            f"{path.name} has one fault: line {line}: got a byte that is not UTF-8, expected UTF-8",
            "save the file as UTF-8",
            faults=[{"line": line, "sentence": "got a byte that is not UTF-8, expected UTF-8"}],
        ) from error
    except OSError as error:
        raise BadInput(
            code,
            f"got no readable {path.name} ({error.strerror}), expected {what}",
            f"create {path.name}",
            faults=[],
        ) from error


def _node(reader: Reader, event: Any, line: int) -> Node:
    from ruamel.yaml import events as yaml

    if isinstance(event, yaml.MappingStartEvent):
        return Node(reader, line, {}, "")
    if isinstance(event, yaml.SequenceStartEvent):
        return Node(reader, line, [], "")
    # libyaml says "" of an unquoted scalar, the pure parser None
    return Node(reader, line, event.value if event.style else _scalar(event.value), event.value)


def _scalar(text: str) -> object:
    """Resolve an unquoted scalar by YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    if special := _NOT_FINITE.fullmatch(text):
        return float(special[1] + special[2])
    return text
