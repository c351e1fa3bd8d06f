"""The point-in-time join, written as one DuckDB query.

A row counts from the moment at which it was known: the later of its two times. What is asked for at a moment is, of
the rows known by then, the one with the latest event time, restated rows by the latest creation, if it is within the
ttl. That is an as-of in two dimensions, and DuckDB's ASOF join has one.

So rows that are never asked for are left out first. Take a key's rows in the order in which they became known: one
that happened before another that was known already is never the answer, because the other happened later, and
expires later too. Those that are left rise in both times, and the last one known is the latest.

    known at   1   2   3   4                        known at   1   2       4
    happened   1   3   2   4     →  leave out 2  →  happened   1   3       4
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: Names of our own beside the columns of others.
PLACE, KNOWN = "tidegate_place", "tidegate_known"


@dataclass(frozen=True)
class History:
    """One view's rows, and what is asked of them.

    ``keys`` maps a column of the history to the one of the entity frame that must equal it; ``features`` a column of
    the history to its name in the answer. ``created`` is None where rows were known when they happened.
    """

    relation: str
    keys: Mapping[str, str]
    features: Mapping[str, str]
    event: str
    created: str | None
    ttl: timedelta | None


def point_in_time(
    asked: str, at: str, columns: Sequence[str], histories: Sequence[History], span: tuple[datetime, datetime]
) -> str:
    """Return the query that joins every history onto ``asked``: all of its rows, in the order of `PLACE`.

    ``at`` is the column of the moments, which all lie within ``span``; ``columns`` are those to carry along.
    """
    joins, found = [], []
    for number, history in enumerate(histories):
        name = f"history_{number}"
        on = [f"asked.{quoted(of)} = {name}.{quoted(key)}" for key, of in history.keys.items()]
        on.append(f"asked.{quoted(at)} >= {name}.{KNOWN}")
        joins.append(f"ASOF LEFT JOIN ({answers(history, span)}) AS {name} ON {' AND '.join(on)}")
        for feature, called in history.features.items():
            value = f"{name}.{quoted(feature)}"
            if history.ttl:
                expiry = f"{name}.{quoted(history.event)} + {_interval(history.ttl)}"
                value = f"CASE WHEN {expiry} >= asked.{quoted(at)} THEN {value} END"
            found.append(f"{value} AS {quoted(called)}")
    selected = ", ".join([*(f"asked.{quoted(name)}" for name in columns), *found])
    return f"SELECT {selected} FROM {asked} AS asked {' '.join(joins)} ORDER BY asked.{PLACE}"


def candidates(history: History, span: tuple[datetime, datetime]) -> str:
    """Return the query for those of a history's rows that were known, and had not expired, within ``span``."""
    within = [known_by(history.event, history.created, span[1])]
    within += [f"{quoted(key)} IS NOT NULL" for key in history.keys]
    if history.ttl:
        within.append(f"{quoted(history.event)} >= {moment(span[0])} - {_interval(history.ttl)}")
    return f"SELECT * FROM {history.relation} WHERE {' AND '.join(within)}"


def answers(history: History, span: tuple[datetime, datetime]) -> str:
    """Return the query for those of a history's rows that are the answer at some moment within ``span``."""
    event = quoted(history.event)
    created = quoted(history.created) if history.created else event
    keys = ", ".join(quoted(key) for key in history.keys)
    return f"""
        SELECT * FROM (
            SELECT *, greatest({event}, {created}) AS {KNOWN} FROM ({candidates(history, span)})
        )
        WINDOW known AS ({_partition(keys)} ORDER BY {KNOWN}, {event} DESC, {created} DESC)
        QUALIFY {event} = max({event}) OVER (known ROWS UNBOUNDED PRECEDING)
            AND {KNOWN} IS DISTINCT FROM lag({KNOWN}) OVER known
    """


def latest(history: History, since: datetime, until: datetime) -> str:
    """Return the query for each key's latest row that happened from ``since`` on and was known at ``until``."""
    event = quoted(history.event)
    created = quoted(history.created) if history.created else event
    keys = ", ".join(quoted(key) for key in history.keys)
    return f"""
        SELECT * FROM {history.relation}
        WHERE {event} >= {moment(since)} AND {known_by(history.event, history.created, until)}
        QUALIFY row_number() OVER ({_partition(keys)} ORDER BY {event} DESC, {created} DESC) = 1
    """


def known_by(event: str, created: str | None, until: datetime) -> str:
    """Return the condition that a row was known at ``until``; one of which nobody knows when never was."""
    times = [event, *([created] if created else [])]
    return " AND ".join(f"{quoted(time)} <= {moment(until)}" for time in times)


def read(path: str, columns: Mapping[str, str], times: Sequence[str]) -> str:
    """Return the relation of a Parquet file: ``columns`` by their name in it, ``times`` in UTC.

    A time without a zone counts as UTC, as Feast has it: the connection's zone must be UTC.
    """
    selected = [
        f"{quoted(name)}{'::TIMESTAMPTZ' if called in times else ''} AS {quoted(called)}"
        for name, called in columns.items()
    ]
    return f"(SELECT {', '.join(selected)} FROM read_parquet({text(path)}))"


def moment(value: datetime) -> str:
    """Return a moment as DuckDB reads it; without a zone it counts as UTC."""
    at = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return f"TIMESTAMPTZ {text(at.isoformat(sep=' '))}"


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as a literal."""
    return "'" + value.replace("'", "''") + "'"


def _partition(keys: str) -> str:
    return f"PARTITION BY {keys}" if keys else ""


def _interval(duration: timedelta) -> str:
    return f"to_microseconds({duration // timedelta(microseconds=1)})"
