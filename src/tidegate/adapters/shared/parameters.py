"""Suite parameters: how an expectation names values that are only known when it runs.

A contract's reference is called ``dataset.column``, like ``stations.id``. Great Expectations reads the name
of a ``$PARAMETER`` as an expression and takes no dot in it, so in a suite the dot is a double underscore:
``{"$PARAMETER": "stations__id"}``. Nothing else is translated, and only here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def parameter_of(reference: str) -> str:
    """Return what a suite calls the values of a reference."""
    return reference.replace(".", "__")


def parameters_in(value: object) -> Iterator[str]:
    """Yield the names of the parameters in an expectation's arguments."""
    if isinstance(value, Mapping):
        if "$PARAMETER" in value:
            yield str(value["$PARAMETER"])
        for part in value.values():
            yield from parameters_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from parameters_in(part)
