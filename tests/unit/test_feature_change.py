"""What an edit of feature definitions means: words alone, something new, or another meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.canonical import digest
from tidegate.domain.feature_change import (
    Change,
    Definitions,
    Of,
    ServiceDefinition,
    ViewDefinition,
    differences,
    plain_sql,
    service_differences,
    view_differences,
    worst,
)

NAMES = st.sampled_from(["a", "b", "c", "d"])
TEXTS = st.dictionaries(NAMES, st.sampled_from(["INT64", "DOUBLE", "STRING"]), max_size=3)
SQL = "SELECT a, ' -- no comment ' AS b FROM t"


def view(name: str = "day", **more: object) -> ViewDefinition:
    """Return a view whose digest is that of everything it says, as a store's is."""
    said: dict[str, object] = {
        "fields": {"late": "DOUBLE"},
        "keys": {"carrier": "STRING"},
        "ttl": "7d",
        "sql": SQL,
        "steps": {"departures": "SELECT 1"},
        "words": {"description": "how late"},
        "rest": {"online": "true"},
    }
    said |= more
    return ViewDefinition(name, digest({"name": name, **said}), **said)  # type: ignore[arg-type]


@st.composite
def views(draw: st.DrawFn) -> Mapping[str, ViewDefinition]:
    made = {}
    for name in draw(st.sets(NAMES)):
        ttl, sql = draw(st.sampled_from(["", "7d"])), draw(st.sampled_from(["SELECT 1", "SELECT 1 -- x"]))
        made[name] = view(name, fields=draw(TEXTS), keys=draw(TEXTS), words=draw(TEXTS), ttl=ttl, sql=sql)
    return made


@st.composite
def definitions(draw: st.DrawFn) -> Definitions:
    selects = st.dictionaries(NAMES, st.lists(NAMES, unique=True).map(tuple), max_size=2)
    services = {name: ServiceDefinition(name, draw(selects)) for name in draw(st.sets(NAMES))}
    return Definitions(draw(views()), services)


# ── of any two sets ───────────────────────────────────────────────────────────────────────────────


@given(definitions())
def test_definitions_do_not_differ_from_themselves(some: Definitions) -> None:
    assert differences(some, some) == ()


@given(definitions(), definitions())
def test_every_view_and_service_that_differs_is_named_and_no_other(
    before: Definitions, after: Definitions
) -> None:
    named = {(each.of, each.name) for each in differences(before, after)}
    expected = {
        (Of.VIEW, name)
        for name in {*before.views, *after.views}
        if before.views.get(name) != after.views.get(name)
    }
    # Of a service it counts what is selected, not in which order; a view of which it selects nothing is none.
    selected = [
        {
            name: {(view, each) for view, names in one.selects.items() for each in names}
            for name, one in of.items()
        }
        for of in (before.services, after.services)
    ]
    expected |= {
        (Of.SERVICE, name)
        for name in {*before.services, *after.services}
        if selected[0].get(name) != selected[1].get(name)
    }
    assert named == expected


@given(definitions(), definitions())
def test_what_is_new_one_way_is_a_change_of_meaning_the_other_way(
    before: Definitions, after: Definitions
) -> None:
    there = {(each.name, each.of, each.part): each.change for each in differences(before, after)}
    back = {(each.name, each.of, each.part): each.change for each in differences(after, before)}
    assert set(there) == set(back)
    for part, change in there.items():
        if change is Change.ADDITIVE:
            assert back[part] is Change.MEANING
        if change is Change.DESCRIPTION:
            assert back[part] is Change.DESCRIPTION


@given(definitions(), definitions())
def test_nothing_that_was_there_and_is_otherwise_counts_as_new(
    before: Definitions, after: Definitions
) -> None:
    for each in differences(before, after):
        if each.change is Change.ADDITIVE and each.of is Of.VIEW:
            assert each.part == "whole" or each.part.startswith("field ")
            assert each.before == ""


# ── of each part ──────────────────────────────────────────────────────────────────────────────────

PARTS = {
    "a type": ({"fields": {"late": "INT64"}}, "field late", Change.MEANING, "field late was DOUBLE, is INT64"),
    "a field gone": ({"fields": {}}, "field late", Change.MEANING, "field late is gone, was DOUBLE"),
    "a field more": (
        {"fields": {"late": "DOUBLE", "more": "INT64"}}, "field more", Change.ADDITIVE, "field more is new: INT64",
    ),
    "a key": (
        {"keys": {"origin": "STRING"}}, "join key carrier", Change.MEANING, "join key carrier is gone, was STRING",
    ),
    "a key's type": (
        {"keys": {"carrier": "INT64"}}, "join key carrier", Change.MEANING, "join key carrier was STRING, is INT64",
    ),
    "the ttl": ({"ttl": ""}, "ttl", Change.MEANING, "ttl was 7d, is none"),
    "a ttl in days": ({"ttl": "604800s"}, "ttl", Change.MEANING, "ttl was 7d, is 7 days"),
    "one of a day": ({"ttl": "86400s"}, "ttl", Change.MEANING, "ttl was 7d, is 1 day"),
    "one in hours": ({"ttl": "129600s"}, "ttl", Change.MEANING, "ttl was 7d, is 36 hours"),
    "one in seconds": ({"ttl": "90061s"}, "ttl", Change.MEANING, "ttl was 7d, is 90061 seconds"),
    "one in parts of a second": ({"ttl": "0.500s"}, "ttl", Change.MEANING, "ttl was 7d, is 0.500s"),
    "the sql": ({"sql": "SELECT 2"}, "sql", Change.MEANING, "sql is written otherwise, in what it computes"),
    "a comment": ({"sql": SQL + " -- why"}, "sql", Change.DESCRIPTION, "sql is written otherwise, in words alone"),
    "a step": (
        {"steps": {"departures": "SELECT 2"}}, "step departures", Change.MEANING,
        "step departures is written otherwise, in what it computes",
    ),
    "a step gone": (
        {"steps": {}}, "step departures", Change.MEANING, "step departures is written otherwise, in what it computes",
    ),
    "a description": (
        {"words": {"description": "late"}}, "description", Change.DESCRIPTION, "description was how late, is late",
    ),
    "what is not named": ({"rest": {"online": "false"}}, "online", Change.MEANING, "online was true, is false"),
}  # fmt: skip


@pytest.mark.parametrize("edit", PARTS)
def test_each_part_of_a_view_has_its_class_and_its_sentence(edit: str) -> None:
    more, part, change, sentence = PARTS[edit]
    found = {each.part: each for each in view_differences(view(), view(**more))}
    assert found[part].change is change
    assert found[part].sentence == sentence
    assert worst(tuple(found.values())) is change


def test_a_view_that_is_gone_is_another_meaning_and_a_new_one_is_none() -> None:
    (gone,) = view_differences(view(), None)
    (new,) = view_differences(None, view())
    assert (gone.change, gone.sentence) == (Change.MEANING, "the view is gone")
    assert (new.change, new.sentence) == (Change.ADDITIVE, "the view is new")


def test_a_field_more_with_other_sql_is_another_meaning() -> None:
    found = view_differences(
        view(), view(fields={"late": "DOUBLE", "more": "INT64"}, sql="SELECT a, more FROM t")
    )
    assert {each.change for each in found} == {Change.ADDITIVE, Change.MEANING}
    assert worst(found) is Change.MEANING


def test_a_definition_of_which_only_the_digest_is_left_cannot_be_told_to_be_the_same() -> None:
    left = ViewDefinition("day", "sha256:old", kept=False)
    (unknown,) = view_differences(left, view())
    assert (unknown.part, unknown.change) == ("unknown", Change.MEANING)
    assert view_differences(replace(left, digest=view().digest), view()) == ()


def test_a_key_whose_type_is_left_to_feast_is_the_key_that_it_was() -> None:
    open_ended = replace(view(keys={"carrier": ""}), digest="other")
    assert view_differences(view(), open_ended) == ()
    (other,) = view_differences(view(), replace(view(keys={"origin": ""}), digest="other"))[:1]
    assert other.change is Change.MEANING


def test_a_service_that_selects_less_is_another_meaning_and_one_that_selects_more_is_not() -> None:
    less, more = ServiceDefinition("s", {"day": ("a",)}), ServiceDefinition("s", {"day": ("a", "b")})
    assert [each.change for each in service_differences(less, more)] == [Change.ADDITIVE]
    assert [each.change for each in service_differences(more, less)] == [Change.MEANING]
    beside = ServiceDefinition("s", {"day_v2": ("a", "b")})
    assert worst(service_differences(more, beside)) is Change.MEANING


# ── SQL ───────────────────────────────────────────────────────────────────────────────────────────

SAME = [
    ("SELECT a -- why\nFROM t", "SELECT a\n    FROM  t"),
    ("/* what\n it is */ SELECT a", "SELECT a"),
    ("SELECT a;\r\n", "SELECT a;"),
    ("SELECT 'it''s -- here' FROM t", "SELECT 'it''s -- here'   FROM t"),
]
OTHER = [
    ("SELECT 'a  b'", "SELECT 'a b'"),
    ("SELECT '-- x'", "SELECT ''"),
    ('SELECT "a  b"', 'SELECT "a b"'),
    ("SELECT a, b", "SELECT b, a"),
    ("SELECT A", "SELECT a"),
    ("SELECT $$a  b$$", "SELECT $$a b$$"),
    (r"SELECT e'\' --', 1", r"SELECT e'\' --', 2"),
    ("SELECT /* a /* b */ 1 */ 2", "SELECT /* a /* b */ 3 */ 2"),
    ("SELECT -- a\r 1", "SELECT -- a\r 2"),
    ("SELECT 'open -- 1", "SELECT 'open -- 2"),
    ("SELECT a b", "SELECT ab"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_comments_and_spacing_do_not_count_in_sql(one: str, other: str) -> None:
    assert plain_sql(one) == plain_sql(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_everything_else_counts_in_sql(one: str, other: str) -> None:
    assert plain_sql(one) != plain_sql(other)


@given(st.text(alphabet="ab'\" -/*$e\n\r", max_size=30))
def test_plain_sql_is_plain_already(text: str) -> None:
    assert plain_sql(plain_sql(text)) == plain_sql(text)


@given(st.text(alphabet="abc, ()=1", max_size=20), st.text(alphabet="xyz -'\"", max_size=10))
def test_a_comment_at_the_end_changes_nothing(text: str, comment: str) -> None:
    assert plain_sql(f"{text}\n-- {comment}") == plain_sql(text)


def test_a_push_source_is_new_and_nothing_else_and_its_end_is_another_meaning() -> None:
    without, pushed = view(), view(stream="day_push")
    (new,) = view_differences(without, pushed)
    assert (new.change, new.sentence) == (Change.ADDITIVE, "push source is new: day_push")
    (gone,) = view_differences(pushed, without)
    assert (gone.change, gone.sentence) == (Change.MEANING, "push source is gone, was day_push")
    (other,) = view_differences(pushed, view(stream="hour_push"))
    assert other.change is Change.MEANING
