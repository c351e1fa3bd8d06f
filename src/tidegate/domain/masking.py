"""What becomes of a classified column before anything of it is kept: dropped, hashed, tokenised or generalised.

A hash is keyed (HMAC-SHA256, RFC 2104, cut to 128 bits), for names and numbers of people are few enough to be tried
one after the other. The same value has the same hash in every dataset, so that they can be joined. A token is
the same, but whoever holds the key can turn it back (AES-SIV, RFC 5297; by an adapter). What is generalised keeps
its type: the first moment of a day, month or year, the lower bound of a band, or a text's first characters.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Context, Decimal
from enum import StrEnum

HASHED, TOKEN = "hash:", "token:"
#: What a moment or a day may be generalised to.
SPANS = ("day", "month", "year")
#: Numbers are put into bands by their decimals: 0.3 lies in the band from 0.3 on, whatever its binary fraction is.
_DECIMALS = Context(prec=700)
_HASH = re.compile(f"{HASHED}[0-9a-f]{{32}}")


class Mask(StrEnum):
    """What is done to each value of a column."""

    DROP = "drop"
    HASH = "hash"
    TOKEN = "token"  # noqa: S105  # a word, no secret
    GENERALISE = "generalise"


@dataclass(frozen=True)
class Treatment:
    """How one column is treated. ``to`` says what is generalised to: a span, a band's width, or a length."""

    mask: Mask
    to: str | float = ""

    def __str__(self) -> str:
        """Return it in words, like ``hash`` or ``generalise to month``."""
        return f"{self.mask} to {self.to}" if self.mask is Mask.GENERALISE else str(self.mask)


@dataclass(frozen=True)
class Column:
    """One promised column. ``type`` is one of integer, number, string, timestamp, boolean, date."""

    name: str
    type: str
    required: bool = False
    classification: str = "public"
    treatment: Treatment | None = None


def kept(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns as they are kept, of those that a drop has; what was treated there is treated no more."""
    left = (column for column in columns if not (column.treatment and column.treatment.mask is Mask.DROP))
    return tuple(_kept(column) for column in left)


def _kept(column: Column) -> Column:
    if column.treatment is None:
        return column
    text = column.treatment.mask in {Mask.HASH, Mask.TOKEN}
    return replace(column, type="string" if text else column.type, treatment=None)


def keyed_hash(key: bytes, value: object) -> str:
    """Return the keyed hash of a value's text: ``hash:`` and 32 hex digits."""
    return HASHED + hmac.new(key, plain(value).encode(), hashlib.sha256).hexdigest()[:32]


def plain(value: object) -> str:
    """Return the text of a value that is hashed or tokenised."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def hashed_already(text: str) -> bool:
    """Say whether a text is what `keyed_hash` returns."""
    return _HASH.fullmatch(text) is not None


def generalised(value: object, to: str | float) -> object:
    """Return a coarser value of the same type."""
    if isinstance(value, str):
        return value[: int(to)]
    if isinstance(value, int):
        return value - value % int(to)
    if isinstance(value, float):
        band, number = Decimal(str(to)), Decimal(repr(value))
        over = _DECIMALS.remainder(number, band)
        lower = _DECIMALS.subtract(number, over if over >= 0 else _DECIMALS.add(over, band))
        return float(lower) + 0.0  # a zero has no sign
    assert isinstance(value, date)  # a moment is one too
    day = {"day": value.day}.get(str(to), 1)
    month = 1 if to == "year" else value.month
    if isinstance(value, datetime):
        return value.replace(month=month, day=day, hour=0, minute=0, second=0, microsecond=0)
    return value.replace(month=month, day=day)
