"""How a contract says what becomes of a classified column before anything is kept.

ODCS has custom properties for it, on a column:

    classification: restricted
    customProperties:
      - property: treatment
        value: hash                     # or drop, or token
      - property: treatment
        value: {generalise: month}      # of a date or a timestamp: day, month, year
                                        # of a number: the width of a band; of a text: how many characters stay
"""

from __future__ import annotations

from tidegate.adapters.shared.yaml_reader import Node
from tidegate.domain.contract import Column
from tidegate.domain.masking import SPANS, Mask, Treatment

#: A column that is so classified is treated, or its contract does not load.
RESTRICTED = "restricted"
_PROPERTY, _SUBJECT = "treatment", "subject"


def treats(column: Column, *masks: Mask) -> bool:
    """Say whether a column is treated in one of these ways."""
    return column.treatment is not None and column.treatment.mask in masks


def read_subject(node: Node | None) -> Node | None:
    """Return where a column's custom properties say that it names the subject of a row, or None."""
    for entry in node.items("custom properties") if node else []:
        parts = entry.members(required=("property", "value"))
        if "value" in parts and "property" in parts and parts["property"].value == _SUBJECT:
            told = parts["value"]
            if told.flag("whether it says whom a row is about"):
                return told
    return None


def read_treatment(node: Node | None, kind: str) -> Treatment | None:
    """Return the treatment that a column's custom properties name, or None."""
    found: list[Node] = []
    for entry in node.items("custom properties") if node else []:
        parts = entry.members(required=("property", "value"))
        if "value" in parts and "property" in parts and parts["property"].value == _PROPERTY:
            found.append(parts["value"])
    for extra in found[1:]:
        extra.fault("a second treatment", "one a column")
    return _treatment(found[0], kind) if found else None


def _treatment(node: Node, kind: str) -> Treatment | None:
    if isinstance(node.value, dict):
        to = node.members(required=(Mask.GENERALISE,), optional=()).get(Mask.GENERALISE)
        return Treatment(Mask.GENERALISE, _coarser(to, kind)) if to is not None else None
    word = node.one_of((Mask.DROP, Mask.HASH, Mask.TOKEN), "a treatment, or generalise: with what to")
    if word is None:
        return None
    if kind == "number" and word in {Mask.HASH, Mask.TOKEN}:
        node.fault(f"{word} of a number", "drop or generalise: equal numbers may be written in several ways")
    return Treatment(Mask(word))


def _coarser(node: Node, kind: str) -> str | float:
    if kind in {"date", "timestamp"}:
        return node.one_of(SPANS, f"what a {kind} is generalised to") or SPANS[0]
    if kind == "string":
        return node.integer(1, 1000)
    if kind == "integer":
        return node.integer(2)
    if kind == "number":
        return node.number(1e-9, 1e9)
    node.fault(f"a {kind} to generalise", "drop, hash or token")
    return 1
