"""The console blocks of a page: what is typed, what it ends with, and what it shows.

    ```console
    $ tidegate rollback busy_hour --as otto --reason "Odd scores."
    busy_hour version 1 stands in prod
    $ tidegate approve busy_hour 2 --as dana --reason "Mine."   # exit 1
    ```

A line that begins with ``$`` is a command, with ``# exit N`` one that ends with N. What stands below it is a part of
what it prints, in that order; runs of blanks count as one, so a table need not be drawn exactly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Command:
    """One command of a block; ``shows`` are the pieces of output that the page promises."""

    line: str
    code: int = 0
    shows: tuple[str, ...] = ()

    def missing(self, output: str) -> str | None:
        """Return the first promised piece that is not in the output where its turn is, None where all are."""
        rest = _folded(output)
        for piece in self.shows:
            _, found, rest = rest.partition(_folded(piece))
            if not found:
                return piece
        return None


def blocks(page: str, kind: str = "console") -> list[str]:
    """Return the bodies of a page's blocks of one kind."""
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[Command]:
    """Return the commands of a block.

    Raises:
        ValueError: it does not begin with one.
    """
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            typed, _, code = line[2:].partition("# exit ")
            found.append(Command(typed.strip(), int(code or 0)))
        elif not found:
            raise ValueError(f"got {line!r}, expected a command: `$ …`")
        elif line.strip():
            found[-1] = replace(found[-1], shows=(*found[-1].shows, line))
    return found


def _folded(text: str) -> str:
    return " ".join(text.split())
