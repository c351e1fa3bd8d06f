"""Personal texts: names, reasons and comments, how long they are kept, and the two rules of letting them go.

    T1  a person's texts are erased together, all that are left, once no account of theirs can act
    T2  without anybody asking, a text goes only when it is older than the least age of its class

Both take side data only: the event that a text belongs to keeps its commitment, and the chain its hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tidegate.domain.canonical import utc_time
from tidegate.domain.folding import View
from tidegate.domain.state import ActorRow, CredentialRow, ErasureRow, TextRow

#: Per class of record, the days that its texts are kept at least. A reason counts from when it was written; a
#: name from when its person could last act, so that it outlives the reasons it signs.
LEAST_DAYS: Mapping[str, int] = {"name": 3650, "reason": 3650}


def class_of(kind: str) -> str:
    """Return the class of record of a text that events call ``kind``: all but names are reasons."""
    return kind if kind in LEAST_DAYS else "reason"


def kept(view: View, **equal: object) -> tuple[TextRow, ...]:
    """Return the texts that no event erased, of those whose fields equal the given values."""
    gone = {row.commitment for row in view.select(ErasureRow)}
    return tuple(row for row in view.select(TextRow, **equal) if row.commitment not in gone)


def can_act(view: View, subject: str) -> tuple[str, ...]:
    """Return a person's accounts that hold a good token."""
    accounts = (row.id for row in view.select(ActorRow, subject=subject))
    return tuple(each for each in accounts if view.select(CredentialRow, actor=each, revoked=False))


def barred(view: View, account: str) -> bool:
    """Say whether an account had tokens, and all of them are revoked: nobody acts under it any more.

    One that never had a token here is not barred: who its person is was shown elsewhere.
    """
    tokens = view.select(CredentialRow, actor=account)
    return bool(tokens) and all(each.revoked for each in tokens)


def kept_until(view: View, row: TextRow) -> datetime | None:
    """Return when rule T2 first lets a text go; None while its person can act and it is their name."""
    since = [row.occurred_at]
    if class_of(row.kind) == "name":
        if can_act(view, row.subject):
            return None
        for account in view.select(ActorRow, subject=row.subject):
            since += [each.revoked_at for each in view.select(CredentialRow, actor=account.id)]
    return max(map(utc_time, since)) + timedelta(days=LEAST_DAYS[class_of(row.kind)])
