"""A view's file in ``monitoring/features/``: beside which period it is held, and how far its features may drift."""

from __future__ import annotations

from pathlib import Path

from tidegate.adapters.shared.yaml_reader import Node, Reader, read_text
from tidegate.application.revisions import period_window
from tidegate.domain.errors import BadInput
from tidegate.domain.feature_drift import Limits, Shift

CODE = "feature-limits"
_PARTS = ("view", "baseline", "minimum_rows", "limits")
#: A share of rows moves by less than one; the others have no end.
_MOST = {Shift.MISSING: 1.0, Shift.MEAN: 1e6, Shift.PSI: 1e6}


def read_limits(path: Path, view: str) -> Limits:
    """Read what a team allows of a view.

    Raises:
        BadInput: code ``feature-limits``; no such file, or every fault at once, each with its line.
    """
    shown = "/".join(path.parts[-3:])
    if not path.is_file():
        raise BadInput(
            CODE,
            f"got no {shown}, expected what is allowed of {view}: without limits there is no verdict",
            f"declare {', '.join(_PARTS[:-1])} and {_PARTS[-1]} there",
            faults=[],
        )
    reader = Reader(read_text(path, CODE, f"limits for {view}"), shown, CODE)
    top = reader.root.members(_PARTS, ())
    if "view" in top and (name := top["view"].text("the view's name")) and name != view:
        top["view"].fault(repr(name), f"the file's own view, {view!r}")
    limits = Limits(
        baseline=_period(top["baseline"]) if "baseline" in top else "",
        minimum_rows=top["minimum_rows"].integer(2) if "minimum_rows" in top else 2,
        limits=_limits(top["limits"]) if "limits" in top else {},
    )
    reader.close()
    return limits


def _period(node: Node) -> str:
    period = node.word("a period like 2026, 2026-01 or 2026-01-31")
    try:
        period_window(period)
    except BadInput:
        if period:
            node.fault(node.shown, "a period like 2026, 2026-01 or 2026-01-31")
    return period


def _limits(node: Node) -> dict[str, float]:
    if node.value == {}:
        node.fault("no limit", f"at least one of {', '.join(Shift)}")
    asked = node.members((), tuple(map(str, Shift)))
    return {name: asked[name].number(0.0, _MOST[name]) for name in Shift if name in asked}
