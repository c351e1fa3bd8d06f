from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.canonical import canonical, digest, parse, sha256, utc_text, utc_time
from tidegate.domain.errors import BadInput
from tidegate.domain.policy import Stage

EXACT = 2**53 - 1
steady = settings(deadline=None, max_examples=50)  # a slow machine is no fault
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-EXACT, EXACT)
    | st.floats(-float(EXACT), float(EXACT), allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)


@steady
@given(OBJECTS)
def test_canonical_bytes_read_back_have_the_same_canonical_bytes(value):
    assert canonical(parse(canonical(value).decode())) == canonical(value)


@steady
@given(OBJECTS)
def test_the_order_in_which_fields_were_given_changes_nothing(value):
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@steady
@given(OBJECTS)
def test_canonical_bytes_are_json_that_anybody_reads(value):
    assert json.loads(canonical(value)) == value


@steady
@given(st.floats(2.0**53, 1e20))
def test_large_floats_read_back_too(value):
    assert canonical(parse(canonical({"x": value}).decode())) == canonical({"x": value})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # RFC 8785, section 3.2.2 and appendix B.
        ({"numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27]},
         '{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'),
        ({"string": "€$\u000f\nA'B\"\\\\\"/"}, '{"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7},
         '{"\\r":2,"1":4,"\x80":6,"\xf6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'),
        ({"a": 1.0, "b": -0.0, "c": True, "d": None}, '{"a":1,"b":0,"c":true,"d":null}'),
        ({"a": (1, 2), "s": Stage.PROD}, '{"a":[1,2],"s":"prod"}'),
        ({}, "{}"),
    ],
)  # fmt: skip
def test_canonical_text_is_as_the_rfc_has_it(value, text):
    assert canonical(value).decode() == text


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), -float("inf"), 2**53, -(2**53), 2**60, {1, 2}, object, b"bytes",
        datetime(2013, 1, 1, tzinfo=UTC), {1: "a key that is no text"}, "\ud800", {"\udfff": 1},
    ],
    ids=repr,
)  # fmt: skip
def test_what_has_no_canonical_form_is_refused_and_not_rounded(value):
    with pytest.raises(BadInput) as caught:
        canonical({"deep": [value]})
    assert caught.value.code == "not-canonical"
    assert "verdict `error`" in caught.value.hint


def test_digests_are_named_by_their_algorithm():
    assert sha256(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1}) == sha256(b'{"a":2,"b":1}')


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2013, 2, 1, 6, tzinfo=UTC), "2013-02-01T06:00:00Z"),
        (datetime(2013, 2, 1, 6, 0, 0, 250000, tzinfo=UTC), "2013-02-01T06:00:00.250000Z"),
        (datetime(2013, 2, 1, 1, tzinfo=timezone(-timedelta(hours=5))), "2013-02-01T06:00:00Z"),
    ],
)
def test_a_time_is_written_in_utc(moment, text):
    assert utc_text(moment) == text
    assert utc_time(text) == moment
    assert utc_time(text).utcoffset() == timedelta(0)


@steady
@given(
    st.datetimes(
        datetime(1, 1, 2),  # noqa: DTZ001  # hypothesis adds the zone
        datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.integers(-14 * 60, 14 * 60).map(lambda east: timezone(timedelta(minutes=east))),
    )
)
def test_a_time_comes_back_as_the_same_moment(moment):
    assert utc_time(utc_text(moment)) == moment


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_cannot_tell_is_refused(text):
    for read in (utc_time, lambda text: utc_text(datetime.fromisoformat(text))):
        with pytest.raises(BadInput, match="outside the years 1 to 9999") as caught:
            read(text)
        assert caught.value.code == "not-a-time"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(BadInput) as caught:
        utc_text(datetime(2013, 2, 1))  # noqa: DTZ001
    assert caught.value.code == "naive-time"
    with pytest.raises(BadInput) as caught:
        utc_time("2013-02-01T06:00:00")
    assert caught.value.code == "naive-time"


@pytest.mark.parametrize("text", ["", "yesterday", "2013-02-30T00:00:00Z", "2013-02-01T25:00:00Z"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(BadInput) as caught:
        utc_time(text)
    assert caught.value.code == "not-a-time"
