"""The point-in-time join, written as one query that PostgreSQL and Spark both run.

It answers what the query of `as_of` answers, without DuckDB's ASOF join. Each row of a key has an ordinal: the later it
happened, the higher; of rows that happened at once, the later it was known. What counts at a moment is the highest
ordinal known by then. So a key's rows and the moments asked for lie on one line of time, and a maximum runs along it.

    known at             1   2   3   4
    happened             1   3   2   4
    ordinal              1   3   2   4
    highest known then   1   3   3   4

Whether that row is within its ttl is asked at the end: where the latest has expired, so have all before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tidegate.adapters.feast_store.as_of import PLACE, History, text

#: The table of the moments asked for: place, moment, and keys by their names.
ASKED, AT = "tidegate_asked", "tidegate_at"


class Dialect(Protocol):
    """What the engines spell otherwise."""

    #: The type of a moment, in UTC.
    time: str

    def quoted(self, name: str) -> str:
        """Return a name as an identifier."""
        ...

    def interval(self, duration: timedelta) -> str:
        """Return a duration."""
        ...


@dataclass(frozen=True)
class Timeline:
    """Writes the queries of one dialect."""

    dialect: Dialect

    def point_in_time(self, histories: Sequence[History], span: tuple[datetime, datetime]) -> str:
        """Return the query for every place in `ASKED`, and for each feature of each history what it was then.

        The features come in their order, under `found`'s names; the rows in none. All moments lie within ``span``.
        """
        named, joins, wanted = [], [], []
        for number, history in enumerate(histories):
            known, highest = f"known_{number}", f"highest_{number}"
            named += [
                f"{known} AS ({self._known(history, span)})",
                f"{highest} AS ({self._highest(history, known)})",
            ]
            on = [f"{known}.{name} = asked.{asked}" for name, asked in self._keys(history)]
            on.append(f"{known}.ordinal = {highest}.ordinal")
            if history.ttl:
                on.append(f"{known}.happened + {self.dialect.interval(history.ttl)} >= asked.{AT}")
            joins.append(f"LEFT JOIN {highest} ON {highest}.place = asked.{PLACE}")
            joins.append(f"LEFT JOIN {known} ON {' AND '.join(on)}")
            wanted += [f"{known}.feature_{of} AS {found(number, of)}" for of in range(len(history.features))]
        selected = ", ".join([f"asked.{PLACE}", *wanted])
        return f"WITH {', '.join(named)} SELECT {selected} FROM {ASKED} AS asked {' '.join(joins)}"

    def latest(self, history: History, since: datetime, until: datetime) -> str:
        """Return the query for each key's latest row that happened from ``since`` on and was known at ``until``."""
        quoted = self.dialect.quoted
        times = [history.event, *([history.created] if history.created else [])]
        columns = ", ".join(
            quoted(name) for name in dict.fromkeys((*history.keys, *history.features, *times))
        )
        order = ", ".join(f"{quoted(time)} DESC" for time in times)
        ordinal = f"row_number() OVER ({_partition(map(quoted, history.keys))} ORDER BY {order}) AS tidegate_ordinal"
        within = f"{quoted(history.event)} >= {self.moment(since)} AND {self.known_by(history, until)}"
        ranked = f"SELECT {columns}, {ordinal} FROM {history.relation} AS history WHERE {within}"
        return f"SELECT {columns} FROM ({ranked}) AS ranked WHERE tidegate_ordinal = 1"

    def between(self, history: History, since: datetime | None, until: datetime | None) -> str:
        """Return the query for all rows that happened from ``since`` on and were known at ``until``."""
        within = [f"{self.dialect.quoted(history.event)} >= {self.moment(since)}"] if since else []
        within += [self.known_by(history, until)] if until else []
        return f"SELECT * FROM {history.relation} AS history WHERE {' AND '.join(within) or 'TRUE'}"

    def known_by(self, history: History, until: datetime) -> str:
        """Return the condition that a row was known at ``until``; one of which nobody knows when never was."""
        times = [history.event, *([history.created] if history.created else [])]
        return " AND ".join(f"{self.dialect.quoted(time)} <= {self.moment(until)}" for time in times)

    def relation(self, source: str, columns: Mapping[str, str], times: Sequence[str]) -> str:
        """Return the relation of ``source``: ``columns`` by their name in it, ``times`` in UTC.

        A time without a zone counts as UTC: the session's zone must be UTC.
        """
        quoted = self.dialect.quoted
        selected = [
            f"CAST({quoted(name)} AS {self.dialect.time}) AS {quoted(called)}"
            if called in times
            else f"{quoted(name)} AS {quoted(called)}"
            for name, called in columns.items()
        ]
        return f"(SELECT {', '.join(selected)} FROM {source} AS source)"

    def moment(self, value: datetime) -> str:
        """Return a moment as a literal; without a zone it counts as UTC."""
        at = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return f"CAST({text(at.isoformat(sep=' '))} AS {self.dialect.time})"

    def _known(self, history: History, span: tuple[datetime, datetime]) -> str:
        """Return the query for what was known, and had not expired, within ``span``; each row with its ordinal."""
        quoted = self.dialect.quoted
        keys = [quoted(key) for key in history.keys]
        event = quoted(history.event)
        created = quoted(history.created) if history.created else event
        within = [self.known_by(history, span[1]), *(f"{key} IS NOT NULL" for key in keys)]
        if history.ttl:
            within.append(f"{event} >= {self.moment(span[0])} - {self.dialect.interval(history.ttl)}")
        selected = [
            *(f"{key} AS key_{number}" for number, key in enumerate(keys)),
            f"{event} AS happened",
            f"greatest({event}, {created}) AS known",
            f"row_number() OVER ({_partition(keys)} ORDER BY {event}, {created}) AS ordinal",
            *(f"{quoted(name)} AS feature_{number}" for number, name in enumerate(history.features)),
        ]
        return f"SELECT {', '.join(selected)} FROM {history.relation} AS history WHERE {' AND '.join(within)}"

    def _highest(self, history: History, known: str) -> str:
        """Return the query for the highest ordinal known at each place; what became known at its moment counts."""
        keys = self._keys(history)
        rows = [*(name for name, _ in keys), "known AS moment", "ordinal", "CAST(NULL AS BIGINT) AS place"]
        moments = [*(f"{asked} AS {name}" for name, asked in keys), AT, "NULL", PLACE]
        line = f"SELECT {', '.join(rows)} FROM {known} UNION ALL SELECT {', '.join(moments)} FROM {ASKED}"
        highest = f"max(ordinal) OVER ({_partition(name for name, _ in keys)} ORDER BY moment)"
        along = f"SELECT place, {highest} AS ordinal FROM ({line}) AS line"
        return f"SELECT place, ordinal FROM ({along}) AS along WHERE place IS NOT NULL"

    def _keys(self, history: History) -> list[tuple[str, str]]:
        """Return each key's name in `_known`, and the one in `ASKED`."""
        quoted = self.dialect.quoted
        return [(f"key_{number}", quoted(name)) for number, name in enumerate(history.keys.values())]


def found(history: int, feature: int) -> str:
    """Return what a feature is called in the answer: its own name may be there twice, or need more than quotes."""
    return f"found_{history}_{feature}"


def _partition(keys: Iterable[str]) -> str:
    names = ", ".join(keys)
    return f"PARTITION BY {names}" if names else ""
