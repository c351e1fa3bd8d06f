"""A suite's text with more expectations at its end, and not a character of the rest changed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from textwrap import indent
from typing import Any

from tidegate.domain.contract import OnRow, Severity
from tidegate.domain.suggestion import Suggestion

_ABOUT = ("column", "column_A", "column_B", "column_list")


def amended(text: str, suggestions: Sequence[Suggestion]) -> tuple[str, tuple[Suggestion, ...]]:
    """Return the suite with the suggestions that it does not hold yet, whatever their bounds, and which those are."""
    suite = json.loads(text)
    held = {(each["type"], _columns(each["kwargs"])) for each in suite["expectations"]}
    new = tuple(each for each in suggestions if (each.expectation, _columns(each.kwargs)) not in held)
    if not new:
        return text, ()
    taken = {str(each["meta"]["rule"]) for each in suite["expectations"]}
    names = (name for number in range(1, len(taken) + len(new) + 1) if (name := f"S{number:02}") not in taken)
    parts = [_expectation(each, name) for each, name in zip(new, names, strict=False)]
    place = _end(text, suite["expectations"])
    if place is None:  # its list cannot be found in the text as it is: then the text is written anew
        suite["expectations"] += parts
        return json.dumps(suite, indent=2, sort_keys=True, ensure_ascii=False) + "\n", new
    more = ",\n".join(
        indent(json.dumps(part, indent=2, sort_keys=True, ensure_ascii=False), "    ") for part in parts
    )
    return f"{text[:place].rstrip()},\n{more}\n  {text[place:]}", new


def _columns(kwargs: Any) -> str:
    return json.dumps([kwargs.get(name) for name in _ABOUT])


def _expectation(suggestion: Suggestion, rule: str) -> dict[str, Any]:
    """Return what warns and keeps its rows: a person makes it stricter."""
    return {
        "kwargs": dict(suggestion.kwargs),
        "meta": {"on_row": str(OnRow.KEEP), "rule": rule, "sentence": suggestion.sentence},
        "severity": str(Severity.WARNING),
        "type": suggestion.expectation,
    }


def _end(text: str, expectations: list[Any]) -> int | None:
    """Return where the list of expectations is closed."""
    for found in re.finditer(r'"expectations"\s*:\s*(?=\[)', text):
        value, end = json.JSONDecoder().raw_decode(text, found.end())
        if value == expectations:
            return end - 1
    return None
