"""The picture in the docs is the table that the heart decides by."""

from __future__ import annotations

from pathlib import Path

from tidegate.application.diagram import state_diagram

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
BEGIN = "<!-- state-diagram: generated from domain/promotion.py, held equal by tests/unit/test_diagram.py -->"
END = "<!-- /state-diagram -->"

EXPECTED = """\
stateDiagram-v2
    [*] --> candidate: train
    candidate --> staging: promote
    candidate --> retired: retire
    staging --> canary: promote
    staging --> candidate: demote
    staging --> retired: retire
    canary --> prod: promote
    canary --> prod: break_glass
    canary --> staging: demote
    canary --> candidate: demote
    canary --> retired: retire
    prod --> candidate: roll_back
    prod --> candidate: stop
    prod --> candidate: revoke
    prod --> retired: replaced by a promotion
    retired --> prod: restored by a rollback"""


def test_the_diagram_shows_every_move_there_is() -> None:
    assert state_diagram() == EXPECTED


def test_the_architecture_page_shows_exactly_this_diagram() -> None:
    page = ARCHITECTURE.read_text(encoding="utf-8")
    wanted = f"```mermaid\n{state_diagram()}\n```"
    assert page.count(BEGIN) == page.count(END) == 1
    shown = page.split(BEGIN)[1].split(END)[0].strip()
    assert shown == wanted, f"between the markers of docs/architecture.md belongs\n{wanted}"
