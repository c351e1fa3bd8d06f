"""Positions are any other sequence of the same numbers, in eight bytes each."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.positions import Positions

NUMBERS = st.lists(st.integers(0, 2**62), max_size=9)


@given(NUMBERS, st.slices(9))
def test_positions_are_what_a_tuple_of_them_is(numbers: list[int], part: slice) -> None:
    positions, plain = Positions(numbers), tuple(numbers)
    assert positions == plain
    assert plain == positions
    assert hash(positions) == hash(plain)
    assert (list(positions), len(positions), bool(positions)) == (numbers, len(numbers), bool(numbers))
    assert positions[part] == plain[part]
    assert [positions[place] for place in range(len(numbers))] == numbers


@given(NUMBERS, NUMBERS)
def test_other_numbers_are_other_positions(some: list[int], others: list[int]) -> None:
    assert (Positions(some) == Positions(others)) is (some == others)
    assert (Positions(some) == tuple(others)) is (some == others)


def test_what_is_no_sequence_is_no_positions() -> None:
    assert Positions([1]) != {1}
    assert Positions([1]) != 1


def test_a_million_of_them_take_some_eight_megabytes() -> None:
    positions = Positions.in_memory(memoryview(Positions(range(1_000_000))._numbers))
    assert positions == range(1_000_000)
    assert sys.getsizeof(positions._numbers) < 9e6  # an array has a little room to grow
