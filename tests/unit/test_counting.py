import pytest

from tidegate.domain.counting import many, times


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "row", "2 rows"),
        (1, "batch", "1 batch"),
        (12, "batch", "12 batches"),
        (2, "entry", "2 entries"),
        (2, "day", "2 days"),
        (2, "push", "2 pushes"),
        (2, "more approval", "2 more approvals"),
    ],
)
def test_a_number_stands_beside_its_noun(count, noun, said):
    assert many(count, noun) == said


def test_thousands_are_parted_where_that_is_asked_for():
    assert (many(336776, "row"), many(336776, "row", ",")) == ("336776 rows", "336,776 rows")


def test_what_happened_one_time_happened_once():
    assert [times(count) for count in (0, 1, 2)] == ["0 times", "once", "2 times"]
