"""What views are built from: each source's rows by content, in its place, and noted so that it can be verified."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.feast_store import repository, tables
from tidegate.adapters.feast_store.opened import Opened
from tidegate.adapters.feast_store.repository import tool_errors
from tidegate.adapters.feast_store.sources import Files, InPostgres, Sources
from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of, write_whole
from tidegate.adapters.shared.frames import verify_frame
from tidegate.adapters.shared.sql import Declared, run_sql, write_frame
from tidegate.application.ports import Frame
from tidegate.domain.errors import DependencyFailed

if TYPE_CHECKING:
    import pyarrow as pa


class Built:
    """The sources of an opened repository's views."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._folder = opened.home / "features"
        self._note = opened.home / "feast" / "built.json"
        #: What the bytes of sources were found to hold.
        self._held: dict[str, str] = {}

    def build(
        self, batches: Mapping[str, Sequence[Path]], declared: Declared, ready: Callable[[], object]
    ) -> Mapping[str, Frame]:
        """Run ``sources/<view>.sql`` for every view; keep the rows by content and, once ``ready``, swap the sources.

        What several sources share is a query ``sources/shared/<step>.sql``, a view to those that name it.

        Raises:
            BadInput: a view has no SQL, the SQL does not run, or its rows break the view's definition.
        """
        with self._opened.alone():
            with tool_errors("building sources"):
                views, frames = self._opened.views(), {}
                for view in views:
                    text, steps = repository.source_sql(self._opened.repo, view.name)
                    rows = tables.as_defined(view, run_sql(text, batches, declared, steps=steps))
                    frames[view.name] = write_frame(rows, self._folder / view.name, (view.event,))
            ready()
            with tool_errors("swapping sources"):
                self.put(frames, beside={})
            return frames

    def put(self, frames: Mapping[str, Frame], beside: Mapping[str, str]) -> None:
        """Put frames in the place of views' sources; ``beside`` them, other views keep the sources they have."""
        # Noted before it is done: a source that was not swapped is then noticed, and built again.
        noted = {**beside, **{view: frame.digest for view, frame in frames.items()}}
        write_whole(self._note, (json.dumps(noted, indent=1, sort_keys=True) + "\n").encode())
        self._sources().swap(frames)

    def reads(self) -> Mapping[str, frozenset[str]]:
        """Return by view the names that its source's query reads from, shared steps followed.

        Raises:
            BadInput: the definitions do not load, or a view has no query that can be read.
        """
        with self._opened.alone(), tool_errors("reading definitions"):
            return {
                view.name: repository.read_from(self._opened.repo, view.name) for view in self._opened.views()
            }

    def verify(self, sources: Mapping[str, str]) -> None:
        """Read each view's source where Feast reads it, and compare it with the digest it must have.

        Raises:
            DependencyFailed: a view's source has another digest, or is gone.
        """
        with tool_errors("verifying sources"):
            for view, digest in sorted(sources.items()):
                self._sources().verify(view, digest)

    def rows(self, view: str) -> pa.Table:
        """Read a view's source, verified: what was written behind our back is not joined."""
        return self._sources().read(view, self.digest(view))

    def require_whole(self, view: str) -> None:
        """Verify a view's source against what it was built with."""
        self._sources().verify(view, self.digest(view))

    def file(self, view: str) -> Path:
        """Verify a view's source, and what it was built with; return the file of that."""
        self.require_whole(view)
        kept = self.kept(view, self.digest(view))
        verify_frame(kept, self._held, f"what was built of {view}", "build the features again")
        return kept.path

    def digest(self, view: str) -> str:
        """Return the digest of what a view was built with.

        Raises:
            DependencyFailed: it never was.
        """
        digest = self.digests().get(view)
        if digest is None:
            raise DependencyFailed(
                "features-not-built",
                f"got no source for {view}, expected it to be built",
                "build features first",
            )
        return digest

    def digests(self) -> dict[str, str]:
        """Return by view the digest of what it was built with last."""
        return dict(json.loads(self._note.read_text())) if self._note.exists() else {}

    def kept(self, view: str, digest: str) -> Frame:
        """Return what was built of a view under a digest."""
        return Frame(digest, self._folder / view / f"{hex_of(digest, PREFIX)}.parquet", 0)

    def _sources(self) -> Sources:
        offline = repository.offline_store(self._opened.repo, self._opened.offline)
        if offline.get("type") == repository.POSTGRES_STORE:
            return InPostgres(self._opened.home, os.path.expandvars(str(offline.get("url", ""))))
        return Files(self._opened.home, self._held)
