"""The digest of a batch: the same values give the same digest, any other value gives another."""

from __future__ import annotations

import hashlib
import io
import struct
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import isnan
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tidegate.adapters.shared import arrow, pieces
from tidegate.adapters.shared.arrow import table_digest
from tidegate.adapters.shared.pieces import Stored
from tidegate.domain.errors import BadInput

TYPES: dict[str, pa.DataType] = {
    "count": pa.int64(), "level": pa.float64(), "name": pa.string(), "at": pa.timestamp("us", "UTC"),
    "open": pa.bool_(), "on": pa.date32(),
}  # fmt: skip
_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "count": st.integers(-(2**63), 2**63 - 1), "level": st.floats(), "name": st.text(max_size=5),
    "at": _MOMENTS, "open": st.booleans(), "on": st.dates(date(1900, 1, 1), date(2200, 1, 1)),
}  # fmt: skip
ROW = st.fixed_dictionaries({name: st.none() | values for name, values in _VALUES.items()})
ROWS = st.lists(ROW, max_size=12)

quick = settings(max_examples=60, deadline=None)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(list(TYPES.items())))


def shown(row: dict[str, Any]) -> list[str]:
    """Tell rows apart as the digest should: every NaN alike, and -0.0 from 0.0."""
    return [repr(row[name]) for name in TYPES]


def one(kind: pa.DataType, *values: object, name: str = "x") -> str:
    return table_digest(pa.table({name: pa.array(values, type=kind)}))


@quick
@given(ROWS, st.lists(st.integers(0, 12)))
def test_chunks_do_not_show(rows: list[dict[str, Any]], cuts: list[int]) -> None:
    whole = table(rows)
    ends = sorted({0, *(cut for cut in cuts if cut < len(rows)), len(rows)})
    pieces = [whole.slice(start, end - start) for start, end in pairwise(ends)]
    assert table_digest(pa.concat_tables(pieces or [whole])) == table_digest(whole)


@quick
@given(ROWS, ROWS, ROWS)
def test_a_slice_is_what_it_shows_not_what_lies_around_it(
    before: list[dict[str, Any]], rows: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    inside = table(before + rows + after).slice(len(before), len(rows))
    assert table_digest(inside) == table_digest(table(rows))


@quick
@given(ROWS, st.sampled_from(["none", "snappy", "zstd"]), st.integers(1, 5), st.booleans())
def test_parquet_in_any_form_gives_the_digest_back(
    rows: list[dict[str, Any]], compression: str, group: int, dictionary: bool
) -> None:
    sink = io.BytesIO()
    pq.write_table(
        table(rows), sink, compression=compression, row_group_size=group, use_dictionary=dictionary
    )
    assert table_digest(pq.read_table(sink)) == table_digest(table(rows))


@quick
@given(ROWS)
def test_the_order_of_columns_and_their_metadata_do_not_show(rows: list[dict[str, Any]]) -> None:
    turned = table(rows).select(list(TYPES)[::-1]).replace_schema_metadata({"written by": "someone"})
    assert table_digest(turned) == table_digest(table(rows))


@quick
@given(ROWS)
def test_encodings_of_the_same_values_do_not_show(rows: list[dict[str, Any]]) -> None:
    plain = table(rows)
    names = plain.column("name")
    for encoded in (names.dictionary_encode(), names.cast(pa.large_string()), names.cast(pa.string_view())):
        assert table_digest(plain.set_column(2, "name", encoded)) == table_digest(plain)
    finer = plain.set_column(3, "at", plain.column("at").cast(pa.timestamp("ns", "UTC")))
    assert table_digest(finer) == table_digest(plain)


@quick
@given(ROWS, st.data())
def test_the_order_of_rows_shows(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    turned = data.draw(st.permutations(rows))
    assume([shown(row) for row in turned] != [shown(row) for row in rows])
    assert table_digest(table(turned)) != table_digest(table(rows))


@quick
@given(ROWS.filter(bool), st.data())
def test_one_changed_value_shows(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    i = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(list(TYPES)))
    value = data.draw(st.none() | _VALUES[name])
    assume(repr(value) != repr(rows[i][name]))
    changed = [*rows[:i], {**rows[i], name: value}, *rows[i + 1 :]]
    assert table_digest(table(changed)) != table_digest(table(rows))


@quick
@given(ROWS.filter(bool))
def test_a_row_more_or_less_shows(rows: list[dict[str, Any]]) -> None:
    nothing = dict.fromkeys(TYPES)
    digests = [table_digest(table(some)) for some in (rows, rows[:-1], [*rows, nothing], [*rows, rows[-1]])]
    assert len(set(digests)) == 4 - (shown(rows[-1]) == shown(nothing))


def test_null_nan_zero_and_empty_are_four_things() -> None:
    assert len({one(pa.float64(), value) for value in (None, float("nan"), 0.0, -0.0)}) == 4
    assert len({one(pa.string(), value) for value in (None, "", "\0", "NA")}) == 4
    assert len({one(pa.bool_(), value) for value in (None, False, True)}) == 3
    assert len({one(kind) for kind in TYPES.values()}) == len(TYPES)


def test_every_nan_is_the_same_nan() -> None:
    quiet, odd = (
        struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in (0x7FF8 << 48, 0xFFF8 << 48 | 1)
    )
    assert one(pa.float64(), quiet) == one(pa.float64(), odd)


def test_what_lies_under_a_null_does_not_show() -> None:
    valid = pa.py_buffer(b"\x01")
    arrays = [
        pa.Array.from_buffers(pa.int64(), 2, [valid, pa.py_buffer(struct.pack("<qq", 1, under))])
        for under in (0, 99)
    ]
    assert table_digest(pa.table({"x": arrays[0]})) == table_digest(pa.table({"x": arrays[1]}))


def test_a_value_that_moves_shows() -> None:
    def pair(a: list[str | None], b: list[str | None]) -> str:
        return table_digest(pa.table({"a": pa.array(a, pa.string()), "b": pa.array(b, pa.string())}))

    cases = [
        pair(["x", "y"], ["z", "w"]), pair(["z", "w"], ["x", "y"]), pair(["xy", ""], ["z", "w"]),
        pair(["", "xy"], ["z", "w"]), pair(["x", "yz"], ["", "w"]), pair(["x", "y"], ["zw", ""]),
        pair(["x", None], ["z", "w"]), pair([None, "x"], ["z", "w"]),
    ]  # fmt: skip
    assert len(set(cases)) == len(cases)


def test_names_and_types_show() -> None:
    assert one(pa.int64(), 1, name="a") != one(pa.int64(), 1, name="b")
    assert len({one(pa.int64(), 1), one(pa.float64(), 1), one(pa.string(), "1"), one(pa.bool_(), True)}) == 4


def test_two_columns_of_one_name_are_refused() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(BadInput) as caught:
        table_digest(twice)
    assert caught.value.code == "duplicate-column"


def number(value: int) -> bytes:
    return struct.pack("<q", value)


#: By type, the bytes of a value as the layout is described; NaN and texts have rules of their own.
WRITTEN: dict[str, Any] = {
    "count": number,
    "level": lambda value: struct.pack("<Q", 0x7FF8 << 48) if isnan(value) else struct.pack("<d", value),
    "at": lambda value: number((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)),
    "open": lambda value: bytes([value]),
    "on": lambda value: struct.pack("<i", (value - date(1970, 1, 1)).days),
}
NOTHING = {"count": bytes(8), "level": bytes(8), "at": bytes(8), "open": bytes(1), "on": bytes(4)}


def plainly(rows: list[dict[str, Any]]) -> str:
    """Return the digest as its description says, value by value."""
    sha = hashlib.sha256(b"tg1\n")
    for name in sorted(TYPES):
        kind, values = str(TYPES[name]).encode(), [row[name] for row in rows]
        sha.update(number(len(name)) + name.encode() + number(len(kind)) + kind + number(len(rows)))
        sha.update(bytes(value is not None for value in values))
        if name == "name":
            texts = [(value or "").encode() for value in values]
            sha.update(b"".join(number(len(text)) for text in texts) + b"".join(texts))
        else:
            sha.update(b"".join(NOTHING[name] if each is None else WRITTEN[name](each) for each in values))
    return f"tg1:{sha.hexdigest()}"


@quick
@given(ROWS, st.integers(0, 3), st.integers(1, 4))
def test_values_made_ready_some_at_a_time_in_memory_or_from_disk_give_what_is_described(
    rows: list[dict[str, Any]], before: int, at_once: int
) -> None:
    whole = table([*rows[:before], *rows]).slice(min(before, len(rows)))
    sink = io.BytesIO()
    pq.write_table(whole, sink, row_group_size=at_once + 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(arrow, "_AT_ONCE", at_once)
        patched.setattr(pieces, "AT_ONCE", 2 * at_once)
        assert [table_digest(whole), table_digest(Stored(sink))] == [plainly(rows)] * 2
        patched.setattr(arrow, "_KEPT", 20)  # some columns are read once, some once more
        assert table_digest(Stored(sink)) == plainly(rows)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_text_that_lies_under_a_null_does_not_show(kind: pa.DataType) -> None:
    offsets = struct.pack("<iii" if kind == pa.string() else "<qqq", 0, 3, 5)
    parts = [pa.py_buffer(b"\x02"), pa.py_buffer(offsets), pa.py_buffer(b"oldab")]
    under = pa.Array.from_buffers(kind, 2, parts)
    assert under.to_pylist() == [None, "ab"]
    assert table_digest(pa.table({"x": under})) == one(pa.string(), None, "ab")


def test_the_layout_is_the_one_that_was_promised() -> None:
    """Written by hand from the description: if this fails, every digest on record has lost its meaning."""

    def column(name: bytes, kind: bytes, valid: bytes, values: bytes) -> bytes:
        return number(len(name)) + name + number(len(kind)) + kind + number(len(valid)) + valid + values

    expected = hashlib.sha256(
        b"tg1\n"
        + column(b"at", b"timestamp[us, tz=UTC]", b"\1\0", number(1_356_998_400_000_000) + number(0))
        + column(b"level", b"double", b"\1\1", struct.pack("<d", 1.5) + struct.pack("<Q", 0x7FF8 << 48))
        + column(b"name", b"string", b"\0\1", number(0) + number(3) + "aé".encode())
    ).hexdigest()
    rows = pa.table(
        {
            "name": pa.array([None, "aé"], pa.string()),
            "level": pa.array([1.5, float("nan")], pa.float64()),
            "at": pa.array([datetime(2013, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        }
    )
    assert table_digest(rows) == f"tg1:{expected}"
