"""Statistics of a view's features over a window, recorded with the definition and the source that they are of."""

from __future__ import annotations

from typing import Any

from tidegate.application.access import admit
from tidegate.application.features import trusted
from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import draft
from tidegate.application.revisions import period_window
from tidegate.domain.access import Access
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import EventType
from tidegate.domain.state import FeatureViewRow, StatisticsRow


def built(platform: Platform, view: str) -> FeatureViewRow:
    """Return what a view was built from.

    Raises:
        BadInput: no such view was built.
    """
    row = platform.ledger.state().get(FeatureViewRow, view)
    if row is None:
        known = ", ".join(each.view for each in platform.ledger.state().select(FeatureViewRow))
        raise BadInput(
            "no-such-view", f"got the view {view!r}, expected one of: {known or 'none is built yet'}", ""
        )
    return row


def replaced(view: str) -> DependencyFailed:
    """Return what to say of a view that was built from other rows while it was looked at."""
    return DependencyFailed(
        "source-replaced",
        f"got another source of {view} than it was measured from: it was built again meanwhile",
        "ask again",
    )


def statistics(platform: Platform, acting: Acting, view: str, window: str) -> StatisticsRow:
    """Return the figures of each feature of a view over a period; the same source and period are computed once.

    Raises:
        BadInput: no such view was built, or that is no period. Refused: rule F2, the view is not open for reading.
        DependencyFailed: the view's source was altered, is gone, or was replaced meanwhile.
    """
    first, until = period_window(window)
    row = built(platform, view)
    admit(platform, acting, "features", [view], Access.READ_OFFLINE)
    known_row = platform.ledger.state().get(StatisticsRow, view, window, row.source, row.definition)
    if known_row is not None:
        return known_row
    trusted(platform, platform.ledger.state())
    payload: dict[str, Any] = {
        "view": view,
        "window": window,
        "first": utc_text(first),
        "until": utc_text(until),
        "definition": row.definition,
        "source": row.source,
        "figures": {
            name: dict(told)
            for name, told in sorted(platform.features.statistics(view, (first, until)).items())
        },
    }
    with platform.ledger.transaction() as tx:
        found = tx.get(StatisticsRow, view, window, row.source, row.definition)
        if found is None:
            if (there := tx.get(FeatureViewRow, view)) is None or there.source != row.source:
                raise replaced(view)
            tx.append(draft(acting, EventType.FEATURES_MEASURED, "features", payload))
            found = tx.get(StatisticsRow, view, window, row.source, row.definition)
    assert found is not None  # the fold of the event just appended
    return found
