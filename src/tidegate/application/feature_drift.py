"""The drift of a view's features over a window, judged from recorded statistics under limits that a team declares."""

from __future__ import annotations

from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import draft
from tidegate.application.revisions import period_window
from tidegate.application.statistics import built, replaced, statistics
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.feature_drift import Limits, Shift, as_dict, cuts, drift, overall
from tidegate.domain.state import DriftRow, FeatureViewRow, StatisticsRow


def feature_drift(platform: Platform, acting: Acting, view: str, window: str) -> DriftRow:
    """Return what each feature of a view came to over a period; the same source, period and limits are judged once.

    It opens no gate, closes none and takes nothing down.

    Raises:
        BadInput: no such view was built, that is no period, no limits are declared or their file breaks the format,
            or the period overlaps the baseline. Refused: rule F2, the view is not open for reading.
        DependencyFailed: the view's source was altered, is gone, or was replaced meanwhile.
    """
    period_window(window)
    limits = platform.monitors.limits(built(platform, view).view)
    _apart(window, limits.baseline)
    now, then = (statistics(platform, acting, view, period) for period in (window, limits.baseline))
    place = (view, window, now.source, now.definition, limits.digest)
    if (then.source, then.definition) != (now.source, now.definition):
        raise replaced(view)
    if known := platform.ledger.state().get(DriftRow, *place):
        return known
    counts = _counts(platform, limits, then, now)
    found = drift(limits, then.figures, now.figures, counts)
    payload: dict[str, Any] = {
        **dict(zip(DriftRow.KEY, place, strict=True)),
        "declared": limits.as_dict(),
        "counts": counts,
        "found": as_dict(found),
        "verdict": str(overall(found)),
    }
    with platform.ledger.transaction() as tx:
        row = tx.get(DriftRow, *place)
        if row is None:
            if (there := tx.get(FeatureViewRow, view)) is None or there.source != now.source:
                raise replaced(view)
            tx.append(draft(acting, EventType.FEATURES_JUDGED, "features", payload))
            row = tx.get(DriftRow, *place)
    assert row is not None  # the fold of the event just appended
    return row


def _counts(
    platform: Platform, limits: Limits, then: StatisticsRow, now: StatisticsRow
) -> dict[str, list[int]]:
    """Count the window's values in the baseline's bins, where a limit asks for it: two windows never share theirs."""
    if Shift.PSI not in limits.limits:
        return {}
    asked = {name: cuts(figures) for name, figures in then.figures.items()}
    counted = platform.features.counts(
        now.view, period_window(now.window), {name: between for name, between in asked.items() if between}
    )
    return {name: list(those) for name, those in sorted(counted.items())}


def _apart(window: str, baseline: str) -> None:
    (first, until), (since, end) = period_window(window), period_window(baseline)
    if first < end and since < until:
        raise BadInput(
            "overlapping-periods",
            f"got the window {window} and the baseline {baseline}, expected two periods that share no moment",
            "name another period, or declare another baseline",
        )
