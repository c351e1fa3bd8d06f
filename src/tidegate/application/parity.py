"""Compare what is served online with what was known at the moment that was brought online."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from tidegate.application.access import admit
from tidegate.application.features import not_online, registered_views
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Pushes
from tidegate.application.pushes import standing
from tidegate.application.recording import draft, permit
from tidegate.domain.access import Access
from tidegate.domain.actors import Permission
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.parity import Parity, judged, tolerances
from tidegate.domain.state import FeatureViewRow

#: How many keys of each view are compared where nobody says, and at most.
SAMPLE, MOST = 100, 10_000


def parity(
    platform: Platform, acting: Acting, sample: int = SAMPLE, given: Mapping[str, float] | None = None
) -> Mapping[str, Parity]:
    """Compare ``sample`` keys of each view that is online; record the verdicts and return them by view.

    Which keys, is settled by the window that is online: who compares it again compares the same ones. What could
    not be compared is the verdict ``error``.

    Raises:
        Refused: rule A1 or F2, or nothing was brought online yet. BadInput: a tolerance or a sample that is none.
    """
    permit(platform, acting, Permission.MATERIALIZE, "features")
    allowed = tolerances(given or {})
    if not 0 < sample <= MOST:
        raise BadInput("bad-sample", f"got a sample of {sample} keys, expected from 1 to {MOST}", "")
    rows = [row for row in registered_views(platform, platform.ledger.state()) if row.online_until]
    if not rows:
        raise Refused(
            "nothing-online",
            "got no view that is online, expected at least one",
            "run `tidegate run materialize`",
        )
    admit(platform, acting, "features", [row.view for row in rows], Access.READ_ONLINE, Access.READ_OFFLINE)
    pushes = cache(lambda: standing(platform, platform.ledger.state()))
    found = {row.view: _compared(platform, row, sample, allowed, pushes) for row in rows}
    views = {
        row.view: {
            "source": row.source,
            "until": row.online_until,
            "verdict": found[row.view].verdict,
            "sampled": found[row.view].sampled,
            "skewed": dict(found[row.view].skewed or {}),
            "sentence": found[row.view].sentence,
        }
        for row in rows
    }
    payload = {"views": views, "tolerances": dict(allowed), "sample": sample}
    with platform.ledger.transaction() as tx:
        tx.append(draft(acting, EventType.FEATURES_COMPARED, "features", payload))
    return found


def _compared(
    platform: Platform,
    row: FeatureViewRow,
    sample: int,
    allowed: Mapping[str, float],
    pushes: Callable[[], Pushes],
) -> Parity:
    try:
        if not_online([row], platform.features.windows()):
            told = "what is online is not the window that the record says; materialize, and compare again"
            return Parity(Verdict.ERROR, told)
        platform.features.verify({row.view: row.source})
        return judged(platform.features.paired(row.view, sample, pushes()), allowed)
    except DependencyFailed as failed:  # its sentence may name a place; the record keeps its code
        return Parity(Verdict.ERROR, f"it could not be compared ({failed.code})")
