"""Texts in a table that a person may open in a spreadsheet, which runs some of them as formulas.

A cell that begins with one of `=`, `+`, `-`, `@`, a tab or a line's end gets an apostrophe before it, by which a
spreadsheet knows a text, and so does one that looks as if it had one. Read back, that apostrophe goes: whatever was
written comes back as it was. A text that begins otherwise is written as it is.
"""

from __future__ import annotations

import re

#: A text that has an apostrophe more than it is about. Both Python and Arrow read it so.
MARKED = r"^'('*[=+\-@\t\r\n])"
_ARMED = re.compile(r"'*[=+\-@\t\r\n]")


def disarmed(text: str) -> str:
    """Return a text as no spreadsheet runs it."""
    return f"'{text}" if _ARMED.match(text) else text


def as_it_was(text: str) -> str:
    """Return the text of which `disarmed` made this one; one that it did not make stays."""
    return re.sub(MARKED, r"\1", text)
