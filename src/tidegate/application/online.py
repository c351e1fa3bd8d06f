"""Read what is online, and say of it what is not as fresh as its view says it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tidegate.application.access import admit, selected
from tidegate.application.platform import Acting, Platform
from tidegate.application.reading import note
from tidegate.domain.access import Access
from tidegate.domain.errors import BadInput
from tidegate.domain.freshness import of_values, stale
from tidegate.domain.state import FeatureViewRow


@dataclass(frozen=True)
class Read:
    """What one key is served: its features, and by view how old they are; None where a view has no value.

    ``stale`` names the views whose value is older than it may be, or that have none.
    """

    values: Mapping[str, object]
    ages: Mapping[str, timedelta | None]
    stale: tuple[str, ...]


def online(
    platform: Platform, acting: Acting, service: str, keys: Sequence[Mapping[str, str]]
) -> tuple[Read, ...]:
    """Return the features of each key as they are online now; each read is on record before it is answered.

    Keys are given as text. A value that is not fresh is served, and marked; what is past its view's ttl is not served
    at all. A view that says nothing of how fresh it must be is not asked.

    Raises:
        Refused: rule F2. BadInput: no such service, or a key lacks a part or is of another type.
        DependencyFailed: the online store does not answer, a view of the service was never brought online, or the log
            of reads cannot be written.
    """
    views = selected(platform, service)
    admit(platform, acting, "features", views, Access.READ_ONLINE)
    typed = [typed_key(platform, service, key) for key in keys]
    found = platform.features.answers(service, typed, platform.clock.now())
    note(platform, acting, service, views, Access.READ_ONLINE, len(keys))
    rows = platform.ledger.state().select(FeatureViewRow)
    asked = {row.view: most for row in rows if (most := of_values(row.objective)) is not None}
    return tuple(
        Read(
            each.values,
            each.ages,
            tuple(view for view, old in each.ages.items() if view in asked and stale(old, asked[view])),
        )
        for each in found
    )


def typed_key(platform: Platform, service: str, given: Mapping[str, str]) -> dict[str, object]:
    """Return a key's parts, which are given as text, in the types that the service's views have them.

    Raises:
        BadInput: a part is no number where one is wanted.
    """
    recorded = {row.view: row.definition for row in platform.ledger.state().select(FeatureViewRow)}
    known = platform.features.registered(recorded)
    selected = known.services[service].selects if service in known.services else {}
    kinds = {
        key: kind for view in selected if view in known.views for key, kind in known.views[view].keys.items()
    }
    key: dict[str, object] = {}
    for name, text in given.items():
        if not kinds.get(name, "").startswith(("INT", "UINT")):
            key[name] = text
        elif text.removeprefix("-").isdecimal() and text.isascii():
            key[name] = int(text)
        else:
            raise BadInput("bad-key", f"got {name}={text!r}, expected a whole number", "")
    return key
