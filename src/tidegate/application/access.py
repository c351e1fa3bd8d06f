"""Who may read and write which features: Feast's permissions, in force as the record has them (rule F2).

The declaration lies in ``features/`` in Feast's own form and is applied with the definitions: what the record does not
say is not in force, whatever the files say by now. What `feast` does by itself on the same files and databases is not
asked about here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader
from tidegate.application.recording import draft, record_refusal, refused
from tidegate.application.standing import itself
from tidegate.domain.access import Access, Opened, checked, closed, differences, opened
from tidegate.domain.events import EventType
from tidegate.domain.feature_change import Definitions
from tidegate.domain.state import AccessRow, FeatureViewRow

WRITTEN = (Access.WRITE_OFFLINE, Access.WRITE_ONLINE)


def in_force(state: StateReader) -> Opened:
    """Return the roles to which each view is open by the record, by view and access."""
    return {(row.view, row.access): row.roles for row in state.select(AccessRow) if row.roles}


def selected(platform: Platform, service: str) -> tuple[str, ...]:
    """Return the views of a service as it was registered last; of one that is not known, every view there is."""
    known = platform.features.registered({}).services.get(service)
    if known is not None:
        return tuple(sorted(known.selects))
    return tuple(sorted(row.view for row in platform.ledger.state().select(FeatureViewRow)))


def admit(
    platform: Platform,
    acting: Acting,
    stream: str,
    views: Collection[str],
    *accesses: Access,
    by: Opened | None = None,
) -> None:
    """Refuse, and record the refusal, where a view is not open to the actor (rule F2); ``by`` default: by the record.

    Raises:
        Refused: rule F2, with every view that is closed. BadInput: it acts for nobody known.
    """
    state = platform.ledger.state()
    actor, _ = itself(state, acting)
    reasons = closed(in_force(state) if by is None else by, actor.id, actor.roles, views, accesses)
    if not reasons:
        return
    action = "+".join(accesses)
    key = acting.scoped_key(f"{action}:{stream}")
    with platform.ledger.transaction() as tx:
        if key is None or tx.recorded(key) is None:
            record_refusal(tx, acting, stream, action, {"views": sorted(set(views))}, reasons, key)
    raise refused("features", reasons, rule="F2")


def declare(platform: Platform, acting: Acting) -> None:
    """Put in force what the files declare: who applies it must be admitted by it to write every view.

    Raises:
        BadInput: the definitions do not load, or a permission is none. Refused: rule F2.
    """
    found = platform.features.defined()
    permissions = checked(found.permissions)
    admit(platform, acting, "features", found.views, *WRITTEN, by=opened(permissions))
    with platform.ledger.transaction() as tx:
        if in_force(tx) != opened(permissions):
            tx.append(draft(acting, EventType.ACCESS_DECLARED, "features", {"permissions": permissions}))


def changed(state: StateReader, after: Definitions) -> list[str]:
    """Say what the files would open and close.

    Raises:
        BadInput: a permission is none.
    """
    return differences(in_force(state), opened(checked(after.permissions)))


def read(platform: Platform, services: Iterable[str]) -> dict[str, list[str]]:
    """Return what a read of these services reads, as a payload: the views by service."""
    return {service: list(selected(platform, service)) for service in sorted(set(services))}
