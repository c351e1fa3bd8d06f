"""Who may read and write which features.

    F2  a view is read and written only as a permission opens it to a role of the actor; what none opens is closed

A permission only ever opens: adding one takes nothing away, and removing one opens nothing. What rule A1 permits a role
to do says nothing of features: a role that may train trains on what is open to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.domain.actors import ROLES
from tidegate.domain.errors import BadInput
from tidegate.domain.lifecycle import Reason


class Access(StrEnum):
    """What is done to a view, in Feast's words: which of its stores is read or written."""

    READ_ONLINE = "read_online"
    READ_OFFLINE = "read_offline"
    WRITE_ONLINE = "write_online"
    WRITE_OFFLINE = "write_offline"


@dataclass(frozen=True)
class FeaturePermission:
    """A declared permission: the views that it names by now, the roles, and what it opens to them.

    ``idle`` are those of its name patterns that match nothing that is defined.
    """

    name: str
    views: tuple[str, ...]
    roles: tuple[str, ...]
    opens: tuple[Access, ...]
    idle: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        """Return the permission as a payload, without its name."""
        return {
            "views": sorted(set(self.views)),
            "roles": sorted(set(self.roles)),
            "opens": sorted(set(map(str, self.opens))),
        }


#: The roles to which a view is open, by view and access. What is not there is open to nobody.
Opened = Mapping[tuple[str, str], tuple[str, ...]]


def opened(permissions: Mapping[str, Mapping[str, Any]]) -> Opened:
    """Return the roles to which each view is open, for each access; ``permissions`` as a payload, by name."""
    found: dict[tuple[str, str], set[str]] = {}
    for each in permissions.values():
        for view in each["views"]:
            for access in each["opens"]:
                found.setdefault((view, access), set()).update(each["roles"])
    return {place: tuple(sorted(roles)) for place, roles in sorted(found.items()) if roles}


def checked(permissions: Iterable[FeaturePermission]) -> dict[str, dict[str, list[str]]]:
    """Return declared permissions as a payload, by name.

    Raises:
        BadInput: one names a role that there is not, or by name a view that there is not; all are told.
    """
    faults, known = [], ", ".join(sorted(ROLES))
    told = {}
    for each in permissions:
        if unknown := sorted(set(each.roles) - set(ROLES)):
            got = f"the role {_named(unknown)}" if len(unknown) == 1 else f"the roles {_named(unknown)}"
            faults.append(f"got {got} in the permission {each.name}, expected one or more of {known}")
        if not each.roles:
            faults.append(f"got no role in the permission {each.name}, expected one or more of {known}")
        faults += [
            f"got the name pattern {pattern!r} in the permission {each.name}, which matches nothing, "
            "expected the name of what is defined, or a pattern of it"
            for pattern in each.idle
        ]
        told[each.name] = each.as_dict()
    if faults:
        raise BadInput(
            "bad-permission", "; ".join(faults), "mend it in features/; `tidegate user roles` lists roles"
        )
    return dict(sorted(told.items()))


def closed(
    by: Opened, who: str, roles: Collection[str], views: Iterable[str], accesses: Sequence[Access]
) -> list[Reason]:
    """Return why this actor may not do this to these views (F2): a reason for each that is open to other roles."""
    shut: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for view in sorted(set(views)):
        for access in accesses:
            admitted = by.get((view, access), ())
            if not set(admitted) & set(roles):
                shut.setdefault((access, admitted), []).append(view)
    return [_reason(who, roles, access, admitted, names) for (access, admitted), names in shut.items()]


def differences(before: Opened, after: Opened) -> list[str]:
    """Say by view what two declarations open otherwise: one sentence for each access, to whom it opens and closes."""
    told = []
    for view, access in sorted({*before, *after}):
        old, new = set(before.get((view, access), ())), set(after.get((view, access), ()))
        if gained := sorted(new - old):
            told.append(f"{view} opens to {_named(gained)} for {access}")
        if lost := sorted(old - new):
            told.append(f"{view} closes to {_named(lost)} for {access}")
    return told


def _reason(
    who: str, roles: Collection[str], access: str, admitted: Sequence[str], views: Sequence[str]
) -> Reason:
    which = f"the view {views[0]}" if len(views) == 1 else f"the views {', '.join(views)}"
    are = "is" if len(views) == 1 else "are"
    shut = (
        f"{which} {are} open for {access} to {_named(admitted, 'or')} only"
        if admitted
        else f"no permission opens {which} for {access}"
    )
    sentence = f"{who} holds {_named(sorted(roles)) or 'no role'}, and {shut}"
    ask = f"ask somebody who holds {_named(admitted, 'or')}, or " if admitted else ""
    return Reason(
        "closed",
        "F2",
        sentence,
        f"{ask}declare a permission in features/permissions.py and run `tidegate run materialize`",
    )


def _named(names: Sequence[str], last: str = "and") -> str:
    quoted = [f"`{name}`" for name in names]
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}" if len(quoted) > 1 else "".join(quoted)
