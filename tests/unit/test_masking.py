"""What is left of a classified value, and what is not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.masking import Column, Mask, Treatment, generalised, kept, keyed_hash

KEY = b"k" * 32


@given(st.text(), st.text())
def test_equal_values_have_equal_hashes_and_others_others(one, other):
    assert (keyed_hash(KEY, one) == keyed_hash(KEY, other)) == (one == other)


@given(st.text(min_size=4))
def test_a_hash_says_nothing_without_the_key(value):
    assert value not in keyed_hash(KEY, value)
    assert keyed_hash(KEY, value) != keyed_hash(b"other" * 7, value)


def test_a_hash_is_that_of_rfc_2104():
    """RFC 4231, test case 2, cut to 128 bits."""
    assert keyed_hash(b"Jefe", "what do ya want for nothing?") == "hash:5bdcc146bf60754e6a042426089575c7"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (True, "true"),
        (date(2013, 1, 2), "2013-01-02"),
        (datetime(2013, 1, 2, tzinfo=UTC), "2013-01-02T00:00:00+00:00"),
    ],
)
def test_a_value_that_is_no_text_is_hashed_as_the_text_it_is_written_as(value, text):
    assert keyed_hash(KEY, value) == keyed_hash(KEY, text)


@pytest.mark.parametrize(
    ("value", "to", "coarser"),
    [
        (datetime(2013, 7, 27, 5, 6, 7, tzinfo=UTC), "day", datetime(2013, 7, 27, tzinfo=UTC)),
        (datetime(2013, 7, 27, 5, 6, 7, tzinfo=UTC), "month", datetime(2013, 7, 1, tzinfo=UTC)),
        (date(2013, 7, 27), "month", date(2013, 7, 1)),
        (date(2013, 7, 27), "year", date(2013, 1, 1)),
        (37, 10, 30),
        (-3, 10, -10),
        (0.37, 0.25, 0.25),
        (0.3, 0.1, 0.3),
        (-0.05, 0.1, -0.1),
        (1e308, 1e-9, 1e308),
        (2**53 + 3, 2, 2**53 + 2),
        (2**63 - 1, 2, 2**63 - 2),
        ("10115", 2, "10"),
        ("1", 2, "1"),
    ],
)
def test_what_is_generalised_keeps_its_type(value, to, coarser):
    assert generalised(value, to) == coarser
    assert type(generalised(value, to)) is type(value)


@given(st.integers(-(10**9), 10**9), st.integers(2, 10**6))
def test_a_number_lies_in_the_band_it_is_generalised_to(value, width):
    lower = generalised(value, width)
    assert lower <= value < lower + width
    assert generalised(lower, width) == lower


@given(st.integers(-(10**9), 10**9), st.integers(0, 4), st.integers(1, 10**4), st.integers(0, 4))
def test_a_decimal_lies_in_its_band_and_what_is_generalised_stays_where_it_is(value, places, width, more):
    number, band = float(Decimal(value).scaleb(-places)), float(Decimal(width).scaleb(-more))
    lower = generalised(number, band)
    assert Decimal(repr(lower)) <= Decimal(repr(number)) < Decimal(repr(lower)) + Decimal(repr(band))
    assert generalised(lower, band) == lower


def test_columns_are_kept_without_what_is_dropped_and_treated_no_more():
    came = (
        Column("id", "integer", treatment=Treatment(Mask.HASH)),
        Column("mail", "string", treatment=Treatment(Mask.DROP)),
        Column("born", "date", treatment=Treatment(Mask.GENERALISE, "year")),
        Column("level", "number"),
    )
    assert kept(came) == (Column("id", "string"), Column("born", "date"), Column("level", "number"))
    assert kept(kept(came)) == kept(came)
