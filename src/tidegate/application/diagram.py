"""The lifecycle as a picture, drawn from the table that the heart decides by."""

from __future__ import annotations

from tidegate.domain.policy import Stage
from tidegate.domain.promotion import CONSEQUENCES, TRANSITIONS

_WORDS = {"promote": "replaced by a promotion", "roll_back": "restored by a rollback"}


def state_diagram() -> str:
    """Return the lifecycle as a Mermaid state diagram, without acts that move nothing (approve, reject)."""
    moves = [
        (stage, target, str(action)) for (stage, action), targets in TRANSITIONS.items() for target in targets
    ]
    moves += [(*ends, _WORDS[action]) for action, ends in CONSEQUENCES.items()]
    lines = [f"    {source} --> {target}: {label}" for source, target, label in moves]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Stage.CANDIDATE}: train", *lines])
