"""Whether a contract still promises what it promised."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.evolution import evolved, promised
from tidegate.domain.masking import Column, Mask, Treatment, kept

columns = st.lists(
    st.builds(Column, st.sampled_from("abcde"), st.sampled_from(("integer", "string")), st.booleans()),
    unique_by=lambda column: column.name,
)


@given(columns)
def test_what_did_not_change_says_nothing(given):
    found = evolved(promised(given), promised(list(reversed(given))))
    assert (found.notes, found.breaks) == ((), ())


@given(columns, columns)
def test_it_breaks_where_a_reader_of_before_would_meet_something_else(before, now):
    found = evolved(promised(before), promised(now))
    after = {column.name: column for column in now}
    met = [
        column.name not in after
        or after[column.name].type != column.type
        or (column.required and not after[column.name].required)
        for column in before
    ]
    assert len(found.breaks) == sum(met)


@given(columns)
def test_promising_more_breaks_nothing(given):
    more = [replace(column, required=True) for column in given] + [Column("new", "string")]
    found = evolved(promised(given), promised(more))
    assert found.breaks == ()
    assert "the column new is new: batches before have none" in found.notes


def test_values_that_are_treated_from_now_on_or_otherwise_are_something_else():
    plain, hashed = Column("keeper", "string"), Column("keeper", "string", treatment=Treatment(Mask.HASH))
    born = Column("born", "date", treatment=Treatment(Mask.GENERALISE, "month"))
    coarser = replace(born, treatment=Treatment(Mask.GENERALISE, "year"))
    before = promised(kept([plain, born]), [plain, born])
    assert evolved(before, before).breaks == ()
    now = promised(kept([hashed, coarser]), [hashed, coarser])
    assert evolved(before, now).breaks == (
        "keeper is string, hash, and was string",
        "born is date, generalise to year, and was date, generalise to month",
    )
    assert "required" not in now["keeper"]
