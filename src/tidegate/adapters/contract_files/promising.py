"""A contract's text with other promises of volume and freshness, and not a character of the rest changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.domain.suggestion import Promise, Promised


def promised(text: str, promises: Sequence[Promise]) -> str:
    """Return the contract with these promises in the place of its own; ``text`` is a contract that loads."""
    from ruamel.yaml import YAML

    for each in promises:
        root = YAML().compose(text)
        place = _volume if each.about is Promised.VOLUME else _freshness
        for start, end, said in sorted(place(text, root, each.value), reverse=True):
            text = text[:start] + said + text[end:]
    return text


def _volume(_: str, root: Any, bounds: tuple[int, ...]) -> list[tuple[int, int, str]]:
    """Change the two bounds where they stand, in a list of either style."""
    rules = [
        rule
        for table in _get(root, "schema").value
        for rule in _get(table, "quality").value
        if (metric := _get(rule, "metric")) is not None and metric.value == "rowCount"
    ]
    nodes = _get(rules[0], "mustBeBetween").value
    return [
        (node.start_mark.index, node.end_mark.index, str(bound))
        for node, bound in zip(nodes, bounds, strict=True)
    ]


def _freshness(text: str, root: Any, days: tuple[int, ...]) -> list[tuple[int, int, str]]:
    """Change the promise where it stands, else put one before the others, else at the end of the file."""
    said = {"property": "freshness", "value": str(days[0]), "unit": "d"}
    levels = _get(root, "slaProperties")
    for level in levels.value if levels is not None else ():
        if _get(level, "property").value == "freshness":
            nodes = [_get(level, name) for name in ("value", "unit")]
            return [
                (node.start_mark.index, node.end_mark.index, said[name])
                for node, name in zip(nodes, ("value", "unit"), strict=True)
            ]
    if levels is None or not levels.value:
        lines = "\n    ".join(f"{name}: {value}" for name, value in said.items())
        section = f"{'' if text.endswith(chr(10)) else chr(10)}\nslaProperties:\n  - {lines}\n"
        return [(len(text), len(text), section)]
    first = levels.value[0].start_mark
    if levels.flow_style:
        flow = ", ".join(f"{name}: {value}" for name, value in said.items())
        return [(first.index, first.index, f"{{{flow}}}, ")]
    dash = text[first.index - first.column : first.index]  # the line's beginning, with its dash
    lines = f"\n{' ' * first.column}".join(f"{name}: {value}" for name, value in said.items())
    return [(first.index, first.index, f"{lines}\n{dash}")]


def _get(node: Any, name: str) -> Any:
    return next((value for key, value in node.value if key.value == name), None)
