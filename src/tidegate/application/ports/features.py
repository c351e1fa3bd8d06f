"""The feature store: sources, point-in-time joins, and what is online."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from tidegate.application.ports.keeping import Whose
from tidegate.application.ports.models import Frame, Marks
from tidegate.application.ports.rows import Table
from tidegate.domain.feature_change import Definitions, ViewDefinition
from tidegate.domain.parity import Pair


@dataclass(frozen=True)
class OnlineWindow:
    """What is online of a view: what was known at ``until``, of the source with this digest; so many rows.

    ``pushed`` is the event of the last push that it holds, 0 where it holds none.
    """

    until: datetime
    source: str
    rows: int
    pushed: int = 0


Declared = Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]]


@dataclass(frozen=True)
class Pushed:
    """The rows of one push that still stand: the event that recorded it, its dataset, its files, when it came."""

    sequence: int
    dataset: str
    files: tuple[Path, ...]
    at: datetime


@dataclass(frozen=True)
class Pushes:
    """Pushes in the order of the record, and what views' queries read beside them: other datasets' batches."""

    rows: Sequence[Pushed] = ()
    batches: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    declared: Declared = field(default_factory=dict)


@dataclass(frozen=True)
class Materialized:
    """What a materialization came to: rows online by view, and the views that were not there already.

    A view that is online as known later counts no row. ``newest`` says when the newest of what was known then
    happened, by view; None where nothing was known.
    """

    rows: Mapping[str, int]
    written: tuple[str, ...]
    newest: Mapping[str, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What is online for one key: its features, and by view how old they are; None where a view has no value."""

    values: Mapping[str, object]
    ages: Mapping[str, timedelta | None]


def at_once() -> None:
    """Wait for nothing."""


class Features(Protocol):
    """The feature store, and the sources its views are built from."""

    @property
    def tool(self) -> str: ...

    def build(
        self,
        batches: Mapping[str, Sequence[Path]],
        declared: Declared,
        ready: Callable[[], object] = at_once,
    ) -> Mapping[str, Frame]:
        """Rebuild every view's source table from accepted batches; return them by view name.

        ``ready`` is called once when all are built, before any takes the place of the one before: what it raises
        leaves every view as it was.
        """
        ...

    def reads(self) -> Mapping[str, frozenset[str]]:
        """Return by view the names that its source's query reads from: datasets, and what contracts declare.

        Raises:
            BadInput: the definitions do not load, or a view has no query that can be read.
        """
        ...

    def apply(self, expected: Definitions | None = None) -> Mapping[str, str]:
        """Register the repository's definitions; return each view's and service's definition digest.

        Raises:
            BadInput: the definitions do not load, or are no longer ``expected``; nothing is registered then.
        """
        ...

    def defined(self) -> Definitions:
        """Return what the repository's files define now; nothing is registered, and nothing written.

        Raises:
            BadInput: the definitions do not load, or do not belong together.
        """
        ...

    def check(self, batches: Mapping[str, Sequence[Path]], declared: Declared) -> None:
        """Try the views' queries over these batches for their columns alone; nothing is built.

        Raises:
            BadInput: a view's query does not run, or lacks a column that the view defines.
        """
        ...

    def registered(self, recorded: Mapping[str, str]) -> Definitions:
        """Return what was registered last, its views by the digests that are on record (``recorded``).

        Of a view whose definition was not kept only the digest is known. A view on record that was left out of
        the definitions since is not there.
        """
        ...

    def kept(self, views: Mapping[str, str]) -> Mapping[str, ViewDefinition]:
        """Return the views' definitions that have these digests; of one that was not kept, the digest alone."""
        ...

    def verify(self, sources: Mapping[str, str]) -> None:
        """Compare each view's source table with the digest it must have.

        Raises:
            DependencyFailed: a view's source table no longer has this digest, or is gone.
        """
        ...

    def streams(self) -> Mapping[str, frozenset[str]]:
        """Return the views that take pushes, with the names that their queries read from.

        Raises:
            BadInput: the definitions do not load, or a view has no query that can be read.
        """
        ...

    def derived(self, push: Pushed, beside: Pushes, before: Sequence[Path]) -> Mapping[str, int]:
        """Run the queries of the views that a push feeds over its rows alone; return how many rows each gets.

        ``before`` are batches of the same dataset: with them beside it, a query must give the same rows.

        Raises:
            BadInput: a query does not run, or needs more than the pushed rows (code ``push-needs-history``).
        """
        ...

    def push(self, pushes: Pushes) -> Mapping[str, int]:
        """Bring what was pushed into the windows that are online, in order; return the rows by view written to.

        A row counts from the later of when its query says it was known and when it was pushed. A later row stays; what
        a window holds already is recognised, and written to no more. A view of which nothing is online waits.

        Raises:
            BadInput: a view's files are edited and not applied (code ``not-applied``).
            DependencyFailed: the online store cannot be written; running the same again completes it.
        """
        ...

    def materialize(self, until: datetime, pushes: Callable[[], Pushes] = Pushes) -> Materialized:
        """Bring the online store to what was known at ``until``, each view in one step.

        ``pushes`` says which still stand, and is asked when no other can push: what was pushed is part of the window,
        whatever its moment. A view that is online as known later stays as it is. The same window again, of the same
        source and the same moment, is recognised: nothing is written.

        Raises:
            DependencyFailed: a source was altered, or the online store cannot be written; what was online stays.
        """
        ...

    def windows(self) -> Mapping[str, OnlineWindow]:
        """Return what is online of each view; a view of which nothing is online is not there.

        Raises:
            DependencyFailed: the online store does not answer.
        """
        ...

    def training_frame(self, entities: Frame, service: str, keep: Sequence[str]) -> Frame:
        """Join a service's features onto an entity frame, as they were known at each row's event time.

        ``entities`` has ``event_timestamp`` (UTC) and the join keys; ``keep`` names columns to carry along.
        """
        ...

    def ages(self, entities: Frame, service: str, views: Collection[str]) -> Frame:
        """Return how old the value of each of these views is at each row's event time, as it is joined there.

        A column of microseconds by view, the rows of ``entities`` in their order; null where none was known, or it
        was past its view's ttl.

        Raises:
            BadInput: the service does not select one of them.
        """
        ...

    def marks(self, service: str, rows: int) -> Marks:
        """Return what the run of a model carries that was trained on so many rows of a service.

        Raises:
            BadInput: no such service.
        """
        ...

    def reread(self, digest: str) -> str:
        """Read the training frame that was kept under ``digest`` once more, in full; return its digest now.

        Raises:
            DependencyFailed: it is gone or cannot be read. BadInput: that is no digest of a frame.
        """
        ...

    def paired(self, view: str, count: int, pushes: Pushes | None = None) -> Sequence[Pair]:
        """Return every feature of ``count`` keys of a view, as served and as known at the moment that is online.

        What a window holds of ``pushes``, those that still stand, was known too: the later of both is expected.
        Which keys of the source, the window settles: the same window gives the same ones.

        Raises:
            DependencyFailed: nothing of the view is online, or a source or the online store cannot be read.
        """
        ...

    def statistics(self, view: str, window: tuple[datetime, datetime]) -> Mapping[str, Mapping[str, Any]]:
        """Return the figures of each feature of a view, over the rows that happened within ``window``.

        The window's end is not in it. Figures are what JSON holds: how many rows, how many without a value, and
        whatever the tool says of a feature of this ``kind``.

        Raises:
            BadInput: no such view. DependencyFailed: its source was altered, or is gone.
        """
        ...

    def counts(
        self, view: str, window: tuple[datetime, datetime], cuts: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Sequence[int]]:
        """Count the values of the window's rows in the bins between ``cuts``, by feature.

        A value that equals a cut lies above it; the outer bins are open, so there is one bin more than there are cuts.
        What is missing, or no finite number, is not counted.

        Raises:
            BadInput: no such view, or no numeric feature of it. DependencyFailed: its source was altered, or is gone.
        """
        ...

    def online(
        self, service: str, keys: Sequence[Mapping[str, object]], at: datetime
    ) -> Sequence[Mapping[str, object]]:
        """Return the latest materialised features of each key, None where unknown or past its time to live.

        ``at`` is the moment of asking: what has expired by then is not served, however late a materialization is.

        Raises:
            DependencyFailed: the online store does not answer, or a view of the service was never brought online.
        """
        ...

    def forget(self, whose: Whose | None, keys: Table) -> int:
        """Remove from what is online every row of a subject, or of an entity with one of these keys; count them.

        Rows that Feast wrote itself are searched like all others, and nothing of them is left in the store's file.

        Raises:
            DependencyFailed: the online store does not answer.
        """
        ...

    def wipe(self) -> None:
        """Leave nothing in the online store's own files of what is online no more.

        Raises:
            DependencyFailed: it does not answer, or others read it all the time.
        """
        ...

    def replaced(self, sources: Mapping[str, tuple[str, str]]) -> None:
        """Put what was left of views' sources in their place, and online: by view the digest before, and the one after.

        A view whose source is another one by now stays as it is.

        Raises:
            DependencyFailed: a source is gone or was altered, or the online store does not answer.
        """
        ...

    def answers(self, service: str, keys: Sequence[Mapping[str, object]], at: datetime) -> Sequence[Answer]:
        """Return what `online` returns, and how old it is at ``at``."""
        ...
