"""Relationships between contracts, in the standard's own notation.

    properties:
      - name: station
        relationships:
          - to: stations.yaml#/schema/stations/properties/id

Between contracts the standard wants the fully qualified form: the other contract's file in the same folder, then
the ``id`` (not the name) of its schema object and of its property. The shorthand ``stations.id`` is for two
tables of one contract, and ours hold one each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.adapters.shared.yaml_reader import Node, Reader, read_text
from tidegate.domain.contract import Reference
from tidegate.domain.errors import BadInput

_TO = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\.yaml#/schema/([A-Za-z0-9_-]+)/properties/([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class Relationship:
    """A column's relationship as its contract states it; whether the other contract has it is not known yet."""

    column: str
    dataset: str
    schema_id: str
    property_id: str
    node: Node


def read_relationships(column: str, kind: str, node: Node) -> list[Relationship]:
    """Read a column's ``relationships``, noting every fault."""
    found = []
    for entry in node.items("relationships"):
        parts = entry.members(required=("to",))
        if "type" in parts:
            parts["type"].one_of(("foreignKey",), "a type of relationship")
        if "to" not in parts:
            continue
        to = parts["to"]
        match = _TO.fullmatch(to.value) if isinstance(to.value, str) else None
        if match is None:
            to.fault(
                f"the reference {to.shown}", "one to another contract: DATASET.yaml#/schema/ID/properties/ID"
            )
        elif kind != "string":
            entry.fault(
                f"a reference from `{column}`, of type {kind}", "type string: values are compared as text"
            )
        else:
            found.append(Relationship(column, match[1], match[2], match[3], to))
    return found


def resolve(relationships: Sequence[Relationship], contracts: Path) -> tuple[Reference, ...]:
    """Return the references, noting each that leads nowhere in the folder ``contracts``."""
    found = []
    for one in relationships:
        column, missing = _look_up(one, contracts / f"{one.dataset}.yaml")
        if missing:
            one.node.fault(f"a reference to {one.dataset}.yaml, which {missing}", "what it refers to")
        found.append(Reference(one.column, one.dataset, column or one.property_id))
    return tuple(found)


def _look_up(one: Relationship, path: Path) -> tuple[str, str]:
    """Return the name of the column a relationship leads to, or what is missing on the way."""
    try:
        root = Reader(read_text(path, "contract", "a data contract"), path.name, "contract").root
    except BadInput:
        return "", "cannot be read"
    table = _with_id(root, "schema", one.schema_id)
    if table is None:
        return "", f"has no schema object with the id {one.schema_id!r}"
    column = _with_id(table, "properties", one.property_id)
    name = column.value.get("name") if column is not None else None
    if name is None or not isinstance(name.value, str):
        return "", f"has no property with the id {one.property_id!r}"
    return name.value, ""


def _with_id(node: Node, part: str, identity: str) -> Node | None:
    """Return the member with this id; the other contract's own faults are told when it is loaded itself."""
    children = node.value.get(part) if isinstance(node.value, dict) else None
    child: Node
    for child in children.value if children is not None and isinstance(children.value, list) else ():
        if isinstance(child.value, dict) and "id" in child.value and child.value["id"].value == identity:
            return child
    return None
