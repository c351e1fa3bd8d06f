"""Personal texts beside the chain: kept encrypted, a key a subject, and made unreadable by losing the key."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from tidegate.adapters.sql_record import tables
from tidegate.adapters.sql_record.cipher import opened, sealed
from tidegate.application.ports import Entropy
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.state import TextRow

_owners = tables.STATE[TextRow]


def keep(connection: sa.Connection, entropy: Entropy, row: TextRow, salt: str, text: str) -> None:
    """Keep a text under its subject's key, made with the first of them."""
    key = _key(connection, row.subject)
    if key is None:
        key = _new_key(connection, entropy, row.subject)
    kept = {"commitment": row.commitment, "sealed": sealed(key, row.commitment, salt, text)}
    connection.execute(sa.insert(tables.texts).values(kept))


def read(connection: sa.Connection, commitment: str) -> tuple[str, str] | None:
    """Return a text's salt and the text, or None where it was erased.

    Raises:
        DependencyFailed: it is there, and its key does not open it.
    """
    joined = tables.texts.outerjoin(_owners, _owners.c.commitment == tables.texts.c.commitment)
    joined = joined.outerjoin(tables.text_keys, tables.text_keys.c.subject == _owners.c.subject)
    query = sa.select(tables.text_keys.c.key, tables.texts.c.sealed).select_from(joined)
    row = connection.execute(query.where(tables.texts.c.commitment == commitment)).one_or_none()
    return _opened(row.key, commitment, row.sealed) if row else None


def shred(connection: sa.Connection, entropy: Entropy, commitments: Sequence[str]) -> None:
    """Erase texts, and the keys that open them: what is left of a subject's is sealed anew under another key.

    Raises:
        DependencyFailed: what is left cannot be read, so it cannot be sealed anew.
    """
    subjects = set()
    for each in commitments:
        subjects |= set(connection.scalars(sa.select(_owners.c.subject).where(_owners.c.commitment == each)))
        connection.execute(sa.delete(tables.texts).where(tables.texts.c.commitment == each))
    for subject in sorted(subjects):
        key = _key(connection, subject)
        joined = tables.texts.join(_owners, _owners.c.commitment == tables.texts.c.commitment)
        query = sa.select(tables.texts).select_from(joined).where(_owners.c.subject == subject)
        left = [
            (row.commitment, *_opened(key, row.commitment, row.sealed))
            for row in connection.execute(query).all()
        ]
        connection.execute(sa.delete(tables.text_keys).where(tables.text_keys.c.subject == subject))
        fresh = _new_key(connection, entropy, subject) if left else ""
        for commitment, salt, text in left:
            anew = sa.update(tables.texts).where(tables.texts.c.commitment == commitment)
            connection.execute(anew.values(sealed=sealed(fresh, commitment, salt, text)))
    _leave_no_dead_key(connection)


def _leave_no_dead_key(connection: sa.Connection) -> None:
    """Write PostgreSQL's table of keys anew, in a file of its own: deleted rows stay in the old one, readable."""
    if connection.dialect.name == "postgresql":  # SQLite overwrites what it deletes (PRAGMA secure_delete)
        keys = [dict(row) for row in connection.execute(sa.select(tables.text_keys)).mappings()]
        connection.execute(sa.text("TRUNCATE text_keys"))
        if keys:
            connection.execute(sa.insert(tables.text_keys), keys)


def _key(connection: sa.Connection, subject: str) -> str | None:
    query = sa.select(tables.text_keys.c.key).where(tables.text_keys.c.subject == subject)
    return connection.execute(query).scalar()


def _new_key(connection: sa.Connection, entropy: Entropy, subject: str) -> str:
    key = entropy.key()
    connection.execute(sa.insert(tables.text_keys).values(subject=subject, key=key))
    return key


def _opened(key: object, commitment: str, kept: str) -> tuple[str, str]:
    try:
        return opened(key, commitment, kept)
    except (ValueError, TypeError) as error:
        raise DependencyFailed(
            "text-unreadable",
            f"got a text ({commitment[:19]}…) that its key does not open, expected the one committed to",
            "run `tidegate audit verify`; restore the latest backup",
        ) from error
