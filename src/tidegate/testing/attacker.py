"""Somebody who may write to the database of a ledger, and changes in it what they like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tidegate.adapters.sql_record import SqlLedger, tables
from tidegate.adapters.sql_record.cipher import opened, sealed
from tidegate.domain.state import TextRow
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import whole_story

UNGUARD: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        "DROP TRIGGER events_refuse_update",
        "DROP TRIGGER events_refuse_delete",
        "DROP TRIGGER events_refuse_replace",
    ),
    "postgresql": (
        "DROP TRIGGER events_refuse_change ON events",
        "DROP TRIGGER events_refuse_truncate ON events",
        "ALTER TABLE head DROP CONSTRAINT one_head",
    ),
}


class Attacker:
    """Somebody with the database's own password, and none of our code in the way."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def run(self, *statements: Any, **values: Any) -> Any:
        """Run statements in one transaction; return the last one's rows, or how many it changed."""
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
            for statement in statements:
                done = connection.execute(
                    sa.text(statement) if isinstance(statement, str) else statement, values
                )
            return done.mappings().all() if done.returns_rows else done.rowcount

    def unguard(self) -> None:
        """Take away what refuses to change events."""
        self.run(*UNGUARD[self._engine.dialect.name])

    def resealed(self, old: str, text: str | None = None, salt: Callable[[str], str] | None = None) -> str:
        """Put another text in the place of one, or another salt, encrypted with the key that lies there."""
        keys = {row["subject"]: row["key"] for row in self.run(sa.select(tables.text_keys))}
        owners = {row["commitment"]: row["subject"] for row in self.run(sa.select(tables.STATE[TextRow]))}
        for row in self.run(sa.select(tables.texts)):
            key, commitment = keys[owners[row["commitment"]]], str(row["commitment"])
            was, said = opened(key, commitment, row["sealed"])
            if said == old:
                new = sealed(key, commitment, salt(was) if salt else was, text or said)
                assert self.run("UPDATE texts SET sealed = :new WHERE commitment = :c", new=new, c=commitment)
                return commitment
        raise AssertionError(f"nobody said {old}")

    @contextmanager
    def altering(self, table: sa.Table, column: str) -> Iterator[Mapping[str, Any]]:
        """Change ``column`` in the newest row of ``table``, and change it back."""
        order = table.c.sequence.desc() if "sequence" in table.c else next(iter(table.primary_key))
        # Of the events one in the middle: the last one has nobody behind it who would notice.
        offset = 40 if table is tables.events else 0
        before = dict(self.run(sa.select(table).order_by(order).limit(1).offset(offset))[0])
        after = {**before, column: other(before[column])}
        keys = [each.name for each in table.primary_key]

        def change(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
            where = [table.c[name] == old[name] for name in keys]
            assert self.run(sa.update(table).where(*where).values({column: new[column]})) == 1

        change(before, after)
        yield before
        change(after, before)


def other(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1000
    return f"{value}x"


@dataclass(frozen=True)
class Told:
    """A ledger without its guards; ``noise`` is what verification says of their being gone."""

    ledger: SqlLedger
    attacker: Attacker
    noise: set[str]


def told_on(url: str) -> Told:
    """Tell the whole story on the database at ``url``, and take its guards away."""
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    whole_story(ledger)
    ledger.advance("aliases", 7)
    assert ledger.verify() == ()
    attacker = Attacker(url)
    attacker.unguard()
    return Told(ledger, attacker, set(ledger.verify()))
