"""Where rows stand: millions of places in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload


class Positions(Sequence[int]):
    """Zero-based positions of rows, eight bytes each; equal to any other sequence of the same numbers."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._numbers = array("q", numbers)

    @classmethod
    def in_memory(cls, *parts: memoryview) -> Positions:
        """Take numbers as they lie in memory, eight bytes each."""
        made = cls()
        for part in parts:
            made._numbers.frombytes(part.cast("B"))
        return made

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Positions: ...
    def __getitem__(self, place: int | slice) -> int | Positions:
        return Positions(self._numbers[place]) if isinstance(place, slice) else self._numbers[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Positions):
            return self._numbers == other._numbers
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == each for one, each in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self._numbers))

    def __repr__(self) -> str:
        return f"Positions({list(self._numbers)})"
