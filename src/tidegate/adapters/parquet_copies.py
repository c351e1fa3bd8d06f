"""What is made of batches row by row, and kept: found, and written again without the rows that go.

    HOME/entities/<64 hex>.parquet                     entity frames and outcomes
    HOME/frames/<64 hex>.parquet                       training frames, and those that were scored
    HOME/features/VIEW/<64 hex>.parquet                every build of a view's source
    HOME/models/<64 hex>/reference-<64 hex>.parquet    the rows that an artifact was judged on
    HOME/scores/<64 hex>.parquet                       segments of decisions, called by their root

All of them are read, one after the other: a row may be anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tidegate.adapters.shared.arrow import PREFIX, table_digest, write_parquet
from tidegate.adapters.shared.decisions import decisions_root
from tidegate.adapters.shared.files import hex_of, told
from tidegate.adapters.shared.frames import read_parquet
from tidegate.adapters.shared.keyed import among
from tidegate.application.ports import ModelSpec, Table, Whose
from tidegate.domain.keeping import Without

if TYPE_CHECKING:
    import pyarrow as pa

_ROOT = "sha256:"
_REFERENCE = "reference-"
#: Where each kind lies, and by what its files are named; a star stands for its place.
_FOLDERS: Mapping[str, tuple[str, str]] = {
    "entities": ("entities", PREFIX),
    "frame": ("frames", PREFIX),
    "source": ("features/*", PREFIX),
    "reference": ("models/*", PREFIX),
    "decisions": ("scores", _ROOT),
}


class ParquetCopies:
    """The files below one home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def thinned(
        self,
        whose: Whose | None,
        keys: Table,
        model_of: Callable[[str], ModelSpec | None],
        *,
        write: bool = True,
    ) -> tuple[Without, ...]:
        """Write what is left of each file without a subject's rows; of a segment, as its model reads it.

        A segment that is on nobody's record has no model: it is nothing that anybody reads, and goes whole.

        Raises:
            DependencyFailed: a file cannot be read, or there is no room for what is left of it.
        """
        import pyarrow.compute as pc

        files = []
        for kind, place, digest, path in self._all():
            rows = read_parquet(path, f"a file of kind {kind}", "restore it from a backup")
            their = _theirs(rows, whose, cast("pa.Table", keys))
            if not (count := pc.sum(their).as_py()):
                continue
            left = rows.filter(pc.invert(their)).combine_chunks()
            if kind == "decisions":
                model = model_of(digest)
                successor = decisions_root(left, model) if model else ""
            else:
                successor = table_digest(left)
            file = Without(kind, place, digest, successor, count)
            if successor and write:
                write_parquet(left, self._path(kind, place, successor))
            files.append(file)
        return tuple(files)

    def beside(self, kind: str, place: str, digest: str) -> tuple[Without, ...]:
        """Return every other file of a kind in the same folder."""
        return tuple(
            Without(found, where, name, "", 0)
            for found, where, name, _ in self._all()
            if (found, where) == (kind, place) and name != digest
        )

    def left(self, files: Sequence[Without]) -> tuple[Without, ...]:
        """Return the files that are there."""
        ours = (each for each in files if each.kind in _FOLDERS)
        return tuple(each for each in ours if self._path(each.kind, each.place, each.digest).exists())

    def discard(self, files: Sequence[Without]) -> None:
        """Remove files."""
        for each in self.left(files):
            path = self._path(each.kind, each.place, each.digest)
            with told(path, 0):
                path.unlink(missing_ok=True)

    def _all(self) -> Iterator[tuple[str, str, str, Path]]:
        """Yield kind, place, digest and path of every file."""
        for kind, (folder, prefix) in _FOLDERS.items():
            for path in sorted(self._home.glob(f"{folder}/*.parquet")):
                name = path.stem.removeprefix(_REFERENCE) if kind == "reference" else path.stem
                place = path.parent.name if folder.endswith("*") else ""
                yield kind, place, prefix + name, path

    def _path(self, kind: str, place: str, digest: str) -> Path:
        folder, prefix = _FOLDERS[kind]
        name = (_REFERENCE if kind == "reference" else "") + hex_of(digest, prefix)
        return self._home / folder.replace("*", place) / f"{name}.parquet"


def _theirs(rows: pa.Table, whose: Whose | None, keys: pa.Table) -> pa.Array | pa.ChunkedArray:
    """Return for each row whether it goes: it says the subject's name, or has the key of a row that went."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: pa.Array | pa.ChunkedArray = pa.array([False] * rows.num_rows, pa.bool_())
    names = set(rows.column_names)
    if whose is not None:
        texts = pa.array(whose.texts, pa.string())
        for field in rows.schema:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            if field.name == whose.column or (whose.anywhere and text):
                said = pc.is_in(rows.column(field.name).cast(pa.string()), value_set=texts)
                found = pc.or_(found, said)
    if keys.num_rows and set(keys.column_names) <= names:
        found = pc.or_(found, among(rows, keys))
    return found
