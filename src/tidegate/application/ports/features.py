"""The feature store: sources, point-in-time joins, and what is online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from tidegate.application.ports.data import Table
from tidegate.application.ports.keeping import Whose
from tidegate.application.ports.models import Frame
from tidegate.domain.feature_change import Definitions, ViewDefinition
from tidegate.domain.parity import Pair


@dataclass(frozen=True)
class OnlineWindow:
    """What is online of a view: what was known at ``until``, of the source with this digest; so many rows."""

    until: datetime
    source: str
    rows: int


@dataclass(frozen=True)
class Materialized:
    """What a materialization came to: rows online by view, and the views that were not there already.

    A view that is online as known later counts no row.
    """

    rows: Mapping[str, int]
    written: tuple[str, ...]


class Features(Protocol):
    """The feature store, and the sources its views are built from."""

    @property
    def tool(self) -> str: ...

    def build(
        self,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
    ) -> Mapping[str, Frame]:
        """Rebuild every view's source table from accepted batches; return them by view name."""
        ...

    def reads(self) -> Mapping[str, frozenset[str]]:
        """Return by view the names that its source's query reads from: datasets, and what contracts declare.

        Raises:
            BadInput: the definitions do not load, or a view has no query that can be read.
        """
        ...

    def apply(self) -> Mapping[str, str]:
        """Register the repository's definitions; return each view's and service's definition digest."""
        ...

    def defined(self) -> Definitions:
        """Return what the repository's files define now; nothing is registered, and nothing written.

        Raises:
            BadInput: the definitions do not load, or do not belong together.
        """
        ...

    def check(
        self,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
    ) -> None:
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

    def materialize(self, until: datetime) -> Materialized:
        """Bring the online store to what was known at ``until``, each view in one step.

        A view that is online as known later stays as it is. The same window again, of the same source and the
        same moment, is recognised: nothing is written.

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

    def reread(self, digest: str) -> str:
        """Read the training frame that was kept under ``digest`` once more, in full; return its digest now.

        Raises:
            DependencyFailed: it is gone or cannot be read. BadInput: that is no digest of a frame.
        """
        ...

    def paired(self, view: str, count: int) -> Sequence[Pair]:
        """Return every feature of ``count`` keys of a view, as served and as known at the moment that is online.

        Which keys of the source, the window settles: the same window gives the same ones.

        Raises:
            DependencyFailed: nothing of the view is online, or a source or the online store cannot be read.
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
