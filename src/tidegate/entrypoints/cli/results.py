"""What a flow returned, in lines for people: a name and what it is, deeper where one holds others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

NOTHING = "done; nothing to report"
_DEEPER = "  "


def in_words(found: object) -> list[str]:
    """Return the lines; of what holds nothing, at whatever depth, one that says so.

    What is empty is left out: an id that was not given, a list of reasons where there is none.
    """
    return list(_lines(found)) or [NOTHING]


def _lines(found: object) -> Iterator[str]:
    if isinstance(found, Mapping):
        for name, value in found.items():
            below = list(_lines(value))
            if below and _is_one(value):
                yield f"{name}: {below[0]}"
            elif below:
                yield from (f"{name}:", *(f"{_DEEPER}{line}" for line in below))
    elif isinstance(found, list | tuple):
        for each in found:
            for place, line in enumerate(_lines(each)):
                yield f"{_DEEPER if place else '- '}{line}"
    elif isinstance(found, bool):
        yield "yes" if found else "no"
    elif found not in (None, ""):
        yield str(found)


def _is_one(value: object) -> bool:
    return not isinstance(value, Mapping | list | tuple)
