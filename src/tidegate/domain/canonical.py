"""Canonical bytes and the digests taken over them.

Hashed values are RFC 8785 JSON in UTF-8. What RFC 8785 cannot carry is refused here and not
rounded: a non-finite number, an integer beyond 2**53, a naive time. ``rfc8785`` is the one
third-party package the domain reaches: it is a pure function of its argument.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import rfc8785

from tidegate.domain.errors import BadInput

#: Integers from here on are not canonical (RFC 8785 rests on IEEE doubles); they are written as strings.
MAX_INTEGER = 2**53

#: The ``previous`` of the first event: a digest of nothing, spelled so that nobody mistakes it.
NO_DIGEST = "sha256:" + "0" * 64


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of ``value``.

    Raises:
        BadInput: ``value`` holds something that has no canonical form (NaN, 2**60, a set).
    """
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # its alias is narrower than what it checks
    except (rfc8785.CanonicalizationError, ValueError, UnicodeError) as error:
        raise BadInput(
            "not-canonical",
            f"got a value with no canonical JSON form ({error}), expected strings, booleans, null, "
            "finite numbers and integers up to 2^53",
            "turn large integers into strings; record a non-finite number as the verdict `error`",
        ) from error


def sha256(data: bytes) -> str:
    """Return ``sha256:<64 hex digits>`` of raw bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical bytes of ``value``."""
    return sha256(canonical(value))


def parse(text: str) -> Any:
    """Read canonical JSON back.

    RFC 8785 writes a float of 2**53 or more without a point; no canonical integer is that large, so a
    numeral beyond it is read back as the float it was.
    """
    return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    number = int(digits)
    return number if abs(number) < MAX_INTEGER else float(digits)


def utc_text(moment: datetime) -> str:
    """Return an RFC 3339 UTC string; whole seconds stay short.

    Raises:
        BadInput: the time carries no zone, so nobody can say when it was; or in UTC it has no year from 1 to 9999.
    """
    if moment.tzinfo is None:
        raise BadInput(
            "naive-time", f"got the time {moment.isoformat()} without a zone, expected UTC", "attach a zone"
        )
    return _in_utc(moment).isoformat().replace("+00:00", "Z")


def utc_time(text: str) -> datetime:
    """Read an RFC 3339 string back into an aware time.

    Raises:
        BadInput: the text is no RFC 3339 time with a zone, or in UTC it has no year from 1 to 9999.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(
            "not-a-time", f"got {text!r}, expected a time like 2013-02-01T06:00:00Z", "write it in UTC"
        ) from error
    if moment.tzinfo is None:
        raise BadInput(
            "naive-time",
            f"got {text!r} without a zone, expected a time like 2013-02-01T06:00:00Z",
            "add the Z",
        )
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise BadInput(
            "not-a-time",
            f"got {moment.isoformat()}, which in UTC lies outside the years 1 to 9999, expected a time within",
            "write it in UTC",
        ) from error
