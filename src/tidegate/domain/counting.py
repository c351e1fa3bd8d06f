"""Numbers beside their nouns, in sentences for people."""

from __future__ import annotations


def many(count: int, noun: str, form: str = "") -> str:
    """Return how many there are of something: ``1 batch``, ``12 batches``, ``2 entries``.

    ``form`` is how the number is written; ``,`` parts its thousands.
    """
    if count == 1:
        return f"1 {noun}"
    if noun.endswith(("ch", "sh", "s", "x")):
        return f"{count:{form}} {noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{count:{form}} {noun[:-1]}ies"
    return f"{count:{form}} {noun}s"


def times(count: int, form: str = "") -> str:
    """Return how often something happened: ``once``, ``3 times``."""
    return "once" if count == 1 else many(count, "time", form)
