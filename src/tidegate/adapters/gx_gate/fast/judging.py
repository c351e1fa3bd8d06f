"""What every expectation of ours does: look at the drop piece by piece, and tell GX's result at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.domain.positions import Positions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Shape:
    """What is known of a drop before any row is looked at; what is held ``until`` it was judged goes then."""

    schema: pa.Schema
    rows: int
    until: ExitStack


class Judge:
    """One expectation on one drop. ``columns`` are those it looks at."""

    columns: Sequence[str] = ()

    def see(self, piece: pa.Table, first: int) -> None:
        """Look at the next piece, whose first row has the position ``first``.

        Raises:
            NotOurs: this is for GX to evaluate.
        """

    def again(self) -> bool:
        """Say, after the last piece, whether all of them must be seen once more."""
        return False

    def result(self) -> dict[str, Any]:
        """Return GX's ``result``, with ``holds``.

        Raises:
            NotOurs: as `see`.
        """
        raise NotImplementedError


class Known(Judge):
    """An expectation whose result needs no row."""

    def __init__(self, result: dict[str, Any]) -> None:
        self._result = result

    def result(self) -> dict[str, Any]:
        return self._result


@dataclass(frozen=True)
class Selection:
    """Which rows an expectation is about: those where a column is null, or is not."""

    column: str
    null: bool

    def of(self, piece: pa.Table) -> Any:
        import pyarrow.compute as pc

        values = piece.column(self.column)
        return pc.is_null(values) if self.null else pc.is_valid(values)


#: Of a piece, a mask of rows; None stands for no row.
Mask = Callable[["pa.Table"], Any]


class Rows(Judge):
    """An expectation that judges row by row."""

    def __init__(
        self,
        columns: Sequence[str],
        fails: Mask,
        missing: Mask | None,
        mostly: float,
        selected: Selection | None = None,
    ) -> None:
        """Take which rows fail, and which are missing: those are not evaluated. None is for rules about nulls."""
        self.columns = (*columns, *([selected.column] if selected else []))
        self._fails, self._missing, self._mostly, self._selected = fails, missing, mostly, selected
        self._rows = self._absent = 0
        self._failing: list[np.ndarray] = []

    def see(self, piece: pa.Table, first: int) -> None:
        import pyarrow.compute as pc

        among = self._selected.of(piece) if self._selected else None
        self._rows += len(piece) if among is None else _count(among)
        if self._missing and (missing := self._missing(piece)) is not None:
            self._absent += _count(missing if among is None else pc.and_(missing, among))
        if (failing := self._fails(piece)) is not None:
            failing = failing if among is None else pc.and_(failing, among)
            if len(places := pc.indices_nonzero(failing)):
                self._failing.append(places.to_numpy().astype("int64") + first)

    def result(self) -> dict[str, Any]:
        missing = None if self._missing is None else self._absent
        return told(
            Positions.in_memory(*(part.data for part in self._failing)), self._rows, missing, self._mostly
        )


def told(failing: Sequence[int], rows: int, missing: int | None, mostly: float) -> dict[str, Any]:
    """Return GX's result of the positions that fail; ``missing`` is None where nulls themselves are judged."""
    evaluated = rows - (missing or 0)
    # As GX computes it, so that a share just at `mostly` falls on the same side.
    holds = not evaluated or (float(evaluated) - float(len(failing))) / float(evaluated) >= mostly
    found: dict[str, Any] = {"holds": holds, "element_count": rows, "unexpected_count": len(failing)}
    found |= {"unexpected_index_list": failing}
    return found if missing is None else {**found, "missing_count": missing}


def _count(mask: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)
