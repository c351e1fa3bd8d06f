"""Names that become files, SQL views and modules: one rule for all of them, one sentence for all that break it."""

from __future__ import annotations

import keyword
import re

from tidegate.domain.errors import BadInput

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_LONGEST = 40
#: Folders and words that mean something else already.
_TAKEN = {"model": {"policy"}, "dataset": set[str]()}
#: Words that DuckDB keeps for itself: a dataset is a view of its name.
_SQL = (
    "all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create "
    "default deferrable desc describe distinct do else end except false fetch for foreign from group having in "
    "initially intersect into lambda lateral leading limit not null offset on only or order pivot pivot_longer "
    "pivot_wider placing primary qualify references returning select show some summarize symmetric table then to "
    "trailing true union unique unpivot using variadic when where window with "
)


def checked(kind: str, name: str) -> str:
    """Return the name of a new model or dataset.

    Raises:
        BadInput: it is no name, or a word that means something else.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise BadInput(
            "bad-name",
            f"got the {kind} name {name[:60]!r}, expected at most {_LONGEST} lower-case letters, digits and single "
            "underscores, a letter first",
            "like busy_hour",
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _SQL.split() or name in _TAKEN[kind]:
        raise BadInput(
            "bad-name",
            f"got the {kind} name {name!r}, which means something else in Python, SQL or here, expected another",
            "two words joined by an underscore are rarely taken",
        )
    return name
