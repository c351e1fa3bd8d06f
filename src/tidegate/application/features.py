"""Build the feature views from accepted batches, and bring them online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tidegate.application.access import declare
from tidegate.application.erased import unread
from tidegate.application.held import plan, refuse_held
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import OnlineWindow, StateReader, Transaction
from tidegate.application.ports.features import Declared
from tidegate.application.pushes import bring, standing
from tidegate.application.reading import seal
from tidegate.application.recording import draft, permit
from tidegate.application.revisions import in_force
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.feature_change import Definitions
from tidegate.domain.keeping import Without
from tidegate.domain.state import ErasedFileRow, FeatureViewRow


def accepted(
    platform: Platform, state: StateReader, known_by: datetime | None
) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the files of the batches in force at ``known_by``, by dataset, and all their digests.

    None means everything on record: who means "now" says that, so that a clock which jumped back hides
    nothing. Files are in the order of their periods, each batch once, however many drops brought it. A dataset
    under contract of which nothing has come is there too, as a file without a row.

    Raises:
        DependencyFailed: a batch's file is gone or was altered.
        Refused: no batch was accepted yet.
    """
    rows = in_force(state, known_by=known_by)
    if not rows:
        raise Refused("no-data", "got no accepted batch, expected at least one", "ingest a drop first")
    files: dict[str, list[Path]] = {}
    for dataset, batch in dict.fromkeys((row.dataset, row.batch) for row in rows):
        files.setdefault(dataset, []).append(platform.batches.path(dataset, batch))
    for dataset in platform.contracts.datasets():
        if dataset not in files:
            files[dataset] = [platform.batches.empty(platform.contracts.load(dataset))]
    return files, sorted({row.batch for row in rows})


def declared(platform: Platform) -> Declared:
    """Return the reference rows that the contracts declare, by dataset and name."""
    return {name: platform.contracts.load(name).declared for name in platform.contracts.datasets()}


def trusted(platform: Platform, state: StateReader) -> None:
    """Compare the views' sources with what the ledger says was built: no file beside it can vouch for them.

    Raises:
        DependencyFailed: a source was altered, or is gone.
    """
    platform.features.verify({row.view: row.source for row in state.select(FeatureViewRow)})


@dataclass(frozen=True)
class Brought:
    """What is online now by the record, and the views that were written for it: none where all was there already."""

    views: tuple[FeatureViewRow, ...]
    written: tuple[str, ...] = ()


def materialize(platform: Platform, acting: Acting, until: datetime | None = None) -> Brought:
    """Rebuild every view from accepted batches and bring the online store to what was known at ``until``.

    Doing it again with the same batches and the same moment changes nothing and writes nothing. Without
    ``until`` everything on record is built, and what is online never goes back, whatever the clock did. What the
    online store lost is brought there again, and what was pushed and still stands; what it has and the record does
    not, because the one who brought it was killed, is recorded.

    Raises:
        Refused: rule A1, no batch was accepted yet, a change of the definitions is held (rule F1), or what they
            declare does not let the actor write a view (rule F2).
        BadInput: ``until`` lies ahead; the definitions do not load or belong together, or were edited meanwhile; a
            permission is none.
        DependencyFailed: a source was altered since it was built, or the online store does not answer.
    """
    permit(platform, acting, Permission.MATERIALIZE, "features")
    declare(platform, acting)  # first, and whatever is held: closing a view waits for nothing
    now = platform.clock.now()
    if (
        until is not None and until > now
    ):  # what is online never goes back: it would age by that moment until then
        raise BadInput(
            "lies-ahead",
            f"got {utc_text(until)}, expected a moment up to now, {utc_text(now)}",
            "leave `until` away to bring everything online that is known",
        )
    moment = until or now
    known, online = registered_views(platform, platform.ledger.state()), platform.features.windows()
    if known and all(row.online_until and utc_time(row.online_until) >= moment for row in known):
        whole = _intact(platform) and not not_online(known, online)
        behind = until is None and _behind(platform.ledger.state(), known)
        if whole and not behind and not plan(platform, platform.ledger.state()).edits:
            bring(platform)
            return Brought(known)  # an older moment never replaces what is online
        # Altered, lost, or swapped by a build that was killed before it was recorded: build what is recorded again.
        moment = max(utc_time(row.online_until) for row in known)
    moment = max([moment, *(window.until for window in online.values())])
    heard = None if until is None or until >= now else moment
    files, batches = accepted(platform, platform.ledger.state(), heard)
    planned = refuse_held(platform, acting)  # before anything is built: that may take long, for nothing
    with _Turn(platform, acting, planned.defined) as turn:
        built = platform.features.build(files, declared(platform), turn.take)
        definitions, defined = platform.features.apply(planned.defined), planned.defined.views
        views: dict[str, Mapping[str, Any]] = {
            name: {
                "definition": definitions[name],
                "source": frame.digest,
                "rows": frame.rows,
                "objective": dict(defined[name].objective),
            }
            for name, frame in sorted(built.items())
        }
        changed = _record_built(platform, turn.tx, acting, views, batches)
    at = utc_text(moment)
    written: tuple[str, ...] = ()
    known = registered_views(platform, platform.ledger.state())
    if (
        changed
        or any(row.online_until != at for row in known)
        or not_online(known, platform.features.windows())
    ):
        platform.features.verify({name: frame.digest for name, frame in built.items()})
        brought = platform.features.materialize(moment, lambda: standing(platform, platform.ledger.state()))
        written = brought.written
        with platform.ledger.transaction() as tx:
            if changed or any(row.online_until != at for row in registered_views(platform, tx)):
                rows = dict(sorted(brought.rows.items()))
                times = {name: brought.newest.get(name) for name in rows}
                newest = {name: utc_text(of) if of else "" for name, of in times.items()}
                payload = {"until": at, "rows": rows, "newest": newest}
                tx.append(draft(acting, EventType.FEATURES_MATERIALIZED, "features", payload))
    seal(platform, acting)
    bring(platform)  # what was pushed meanwhile, or waited for a view to be online
    _forget_builds(platform, written)
    return Brought(registered_views(platform, platform.ledger.state()), written)


class _Turn(ExitStack):
    """The turn at the record from when views are about to be swapped until that is recorded.

    A promotion that came while they were built holds what it consumes (F1); one that comes now waits, and meets it in
    its packet.
    """

    tx: Transaction

    def __init__(self, platform: Platform, acting: Acting, defined: Definitions) -> None:
        super().__init__()
        self._platform, self._acting, self._defined = platform, acting, defined

    def take(self) -> None:
        """Take it, and judge once more.

        Raises:
            Refused: rule F1; it is recorded, and no view was swapped.
        """
        self.tx = self.enter_context(self._platform.ledger.transaction())
        while plan(self._platform, self.tx, self._defined).held:
            self.close()  # a refusal is recorded in a transaction of its own
            refuse_held(self._platform, self._acting, self._defined)
            self.tx = self.enter_context(self._platform.ledger.transaction())


def registered_views(platform: Platform, state: StateReader) -> tuple[FeatureViewRow, ...]:
    """Return the views as they were last built, without those that are defined no more: nothing brings them online."""
    rows = state.select(FeatureViewRow)
    there = platform.features.registered({row.view: row.definition for row in rows}).views
    return tuple(row for row in rows if row.view in there)


def _forget_builds(platform: Platform, written: Sequence[str]) -> None:
    """Once rows were erased from batches, keep of each view what is on record alone: older builds may count them."""
    state = platform.ledger.state()
    if state.select(ErasedFileRow, kind="batch"):
        for row in state.select(FeatureViewRow):
            platform.copies.discard(platform.copies.beside("source", row.view, row.source))
        if written:
            platform.features.wipe()


def not_online(views: Sequence[FeatureViewRow], windows: Mapping[str, OnlineWindow]) -> list[str]:
    """Return the views of which the online store has not what the record says: it can be emptied, or another one."""
    return [
        row.view
        for row in views
        if row.view not in windows
        or (utc_text(windows[row.view].until), windows[row.view].source) != (row.online_until, row.source)
    ]


def _behind(state: StateReader, views: Sequence[FeatureViewRow]) -> bool:
    """Say whether a batch or an erasure came since the views were last recorded, by sequence: clocks may jump."""
    erased = state.select(ErasedFileRow, kind="batch")
    latest = max([row.sequence for row in in_force(state)] + [row.sequence for row in erased], default=0)
    return latest > min(row.sequence for row in views)


def _intact(platform: Platform) -> bool:
    try:
        trusted(platform, platform.ledger.state())
    except DependencyFailed:
        return False
    return True


def _record_built(
    platform: Platform,
    tx: Transaction,
    acting: Acting,
    views: Mapping[str, Mapping[str, Any]],
    batches: Sequence[str],
) -> bool:
    """Record the views that are other than recorded, and say whether there were any."""
    made = [Without("source", name, str(view["source"]), "", 0) for name, view in views.items()]
    unread(platform, tx, batches, made)
    known = {
        row.view: {
            "definition": row.definition,
            "source": row.source,
            "rows": row.rows,
            "objective": row.objective,
        }
        for row in tx.select(FeatureViewRow)
    }
    changed = {name: view for name, view in views.items() if known.get(name) != view}
    if changed:
        payload = {"views": changed, "batches": list(batches)}
        tx.append(draft(acting, EventType.FEATURES_BUILT, "features", payload))
    return bool(changed)
