"""Write the desk: one self-contained page without scripts that works from a file."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.shared.files import write_whole
from tidegate.application.runs import schedule_status
from tidegate.bootstrap import Tidegate
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput
from tidegate.entrypoints.web.schedules import Agenda
from tidegate.entrypoints.web.view import Desk, build
from tidegate.settings import Settings

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
#: The least share that two decimals of a per cent can show.
_LEAST = 0.0001


def write(settings: Settings) -> Path:
    """Write ``home/desk/index.html`` whole, as the ledger stands, and return its absolute path.

    The page holds names and reasons, so only this machine account reads it; writing it again after a text
    was erased erases it here too.

    Raises:
        DependencyFailed: the ledger cannot be read, or the disk is full or cannot be written.
    """
    here = Tidegate(settings)
    desk = build(
        here.ledger,
        here.policies,
        here.expressions,
        here.clock,
        settings.home / "reports",
        "../reports",
        agenda(here),
    )
    return write_whole((settings.home / "desk" / "index.html").absolute(), render(desk).encode(), mode=0o600)


def agenda(here: Tidegate) -> Agenda:
    """Return what tells, for a moment, the schedules as `schedule_status` has them, or why they cannot be read."""

    def asked(now: datetime) -> tuple[list[dict[str, Any]], str]:
        try:
            return schedule_status(here, now), ""
        except BadInput as fault:
            return [], fault.sentence

    return asked


def render(desk: Desk) -> str:
    """Return the page. Whatever people or data wrote is escaped and shown as plain text."""
    return environment().get_template("desk.html.j2").render(desk=desk)


def environment() -> Environment:
    """Return the templates' environment: escaping is on everywhere, and a missing name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "day": lambda at: at[:10],
        "minute": lambda at: at[11:16],
        "thousands": lambda n: f"{n:,}",
        "many": lambda n, noun: many(n, noun, ","),
    }
    made.filters |= {"percent": _percent, "short": lambda digest: digest.rpartition(":")[2][:10]}
    made.filters |= {"word": shlex.quote}
    return made


def plain(value: Any) -> Any:
    """Return text as it may be shown: whatever is invisible or turns the reading direction becomes visible.

    Escaping alone does not stop U+202E from showing “approved” where “devorppa” was written.
    """
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "".join(char if char.isprintable() or char == "\n" else _visible(char) for char in value)


def _percent(share: float) -> str:
    return "0 %" if not share else f"{share:.2%}".replace("%", " %") if share >= _LEAST else "< 0.01 %"


def _visible(char: str) -> str:
    return " " if char.isspace() else f"⟨U+{ord(char):04X}⟩"
