"""What an operator may deliver by mistake or malice: one clear sentence, the right error, nothing lost."""

from __future__ import annotations

import importlib.util
import io
import os
import threading
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tidegate.adapters.arrow_batches import ArrowBatches
from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.gx_gate import GxGate
from tidegate.adapters.sql_record.engine import explained
from tidegate.domain.contract import judge
from tidegate.domain.errors import BadInput, DependencyFailed

ROOT = Path(__file__).parents[2]
FLIGHTS = ContractFiles(ROOT / "expectations").load("flights")
COLUMNS = [column.name for column in FLIGHTS.columns]
MEMBER = "flights-2013-01.csv"
#: A digest that no drop has.
NONE = "sha256:" + "0" * 64
Make = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """January's CSV."""
    spec = importlib.util.spec_from_file_location("feed", ROOT / "pipelines" / "feed.py")
    assert spec is not None
    assert spec.loader is not None
    feed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(feed)
    months = [each for each in feed.calendar() if (each.dataset, each.period) == ("flights", "2013-01")]
    (january,) = feed.deliver(months, tmp_path_factory.mktemp("drops"))
    with zipfile.ZipFile(january) as archive:
        return archive.read(MEMBER)


@pytest.fixture
def batches(tmp_path: Path) -> ArrowBatches:
    return ArrowBatches(tmp_path / "home", max_bytes=8 * 2**20)


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression, compresslevel=1) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return sink.getvalue()


def read(batches: ArrowBatches, drop: Path) -> pa.Table:
    """Read a drop of flights under the name its bytes have now."""
    return cast("pa.Table", batches.read(drop, FLIGHTS, batches.drop_digest(drop)).table)


def refusal(batches: ArrowBatches, drop: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read(batches, drop)
    error = caught.value
    assert error.exit_code == 2
    assert error.sentence.startswith("got ")
    assert "expected " in error.sentence
    assert "\n" not in error.sentence
    assert len(error.sentence) < 300
    assert str(drop.parent) not in error.sentence
    assert error.hint
    return error


def cell(csv: bytes, line: int, column: str, value: bytes) -> bytes:
    """Replace one cell; ``line`` counts from 1 with the header."""
    lines = csv.splitlines(keepends=True)
    parts = lines[line - 1].rstrip(b"\n").split(b",")
    parts[COLUMNS.index(column)] = value
    lines[line - 1] = b",".join(parts) + b"\n"
    return b"".join(lines)


def without_column(csv: bytes, column: str) -> bytes:
    rows, at = [line.split(b",") for line in csv.splitlines()], COLUMNS.index(column)
    return b"\n".join(b",".join(row[:at] + row[at + 1 :]) for row in rows) + b"\n"


@pytest.mark.parametrize("packed", [False, True], ids=["csv", "zip"])
@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (
            lambda csv: without_column(csv, "dep_delay"),
            "columns",
            f"got {{name}} with no 'dep_delay', expected the {len(COLUMNS)} columns",
        ),
        (lambda csv: csv.replace(b"distance", b"miles", 1), "columns", "no 'distance'; the extra 'miles'"),
        (lambda csv: csv.replace(b"hour,minute", b"hour,hour", 1), "columns", "no 'minute'; twice 'hour'"),
        (lambda csv: csv.partition(b"\n")[2], "columns", "whose first line has none of the 16 columns"),
        (lambda csv: b"", "empty-drop", "with 0 bytes"),
        (lambda csv: csv.partition(b"\n")[0] + b"\n", "empty-drop", "with a header and no row"),
        (
            lambda csv: cell(csv, 20001, "distance", b"far"),
            "mistyped-column",
            "got 'far' in `distance` on line 20001 of {name}, expected type integer",
        ),
        (
            lambda csv: cell(csv, 5, "time_hour", b"yesterday"),
            "mistyped-column",
            "got 'yesterday' in `time_hour` on line 5 of {name}, expected type timestamp",
        ),
        (
            lambda csv: cell(csv, 5, "sched_dep_time", b"9" * 400),
            "mistyped-column",
            "in `sched_dep_time` on line 5",
        ),
        (
            lambda csv: cell(csv, 301, "carrier", "Ü".encode("latin-1")),
            "wrong-encoding",
            "got bytes that are not UTF-8 on line 301 of {name}, expected UTF-8",
        ),
        (lambda csv: csv.decode().encode("utf-16"), "wrong-encoding", "not UTF-8 on line 1"),
        (lambda csv: csv.decode().encode("utf-16-le"), "wrong-encoding", "not UTF-8 on line 1"),
        (lambda csv: csv[:-60], "malformed-csv", f"on line 27005 of {{name}}, expected {len(COLUMNS)}"),
        (lambda csv: csv.replace(b",", b";"), "columns", "whose first line has none of the 16 columns"),
        (lambda csv: os.urandom(50_000), None, ""),
        (lambda csv: csv.partition(b"\n")[0] + b"\n" + b"\0" * 3_000_000, None, ""),
    ],
    ids=[
        "missing-column", "renamed-column", "column-twice", "no-header", "empty",
        "header-only", "text-for-number", "text-for-time", "number-too-large", "latin-1", "utf-16",
        "utf-16-without-mark", "cut-csv", "semicolons", "noise", "zero-bytes",
    ],
)  # fmt: skip
def test_a_bad_table_is_refused_in_one_sentence(
    batches: ArrowBatches, tmp_path: Path, good: bytes, make: Make, code: str | None, said: str, packed: bool
) -> None:
    drop = tmp_path / ("drop.zip" if packed else "drop.csv")
    drop.write_bytes(zipped((MEMBER, make(good))) if packed else make(good))
    error = refusal(batches, drop)
    assert code is None or error.code == code
    if not packed or said != "with 0 bytes":
        assert said.format(name=drop.name) in error.sentence


def lying(good: bytes) -> bytes:
    """A zip whose directory and header declare 1,000 bytes for a member that unpacks to millions."""
    raw = bytearray(zipped((MEMBER, good)))
    size = len(good).to_bytes(4, "little")
    assert raw.count(size) == 2
    return bytes(raw).replace(size, (1000).to_bytes(4, "little"))


def encrypted(good: bytes) -> bytes:
    raw = bytearray(zipped((MEMBER, good[:5000])))
    raw[6] |= 1  # the flag in the local header
    raw[raw.index(b"PK\1\2") + 8] |= 1  # and in the directory
    return bytes(raw)


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (lambda csv: zipped((MEMBER, csv))[:-5000], "broken-zip", "which is cut short or damaged"),
        (lambda csv: zipped((MEMBER, csv))[:100], "broken-zip", "expected a whole zip"),
        (lambda csv: b"PK", "broken-zip", "expected a whole zip"),
        (lambda csv: csv, "broken-zip", "expected a whole zip"),
        (
            lambda csv: zipped((MEMBER, csv), compression=0).replace(b"UA,1545", b"UA,1546", 1),
            "broken-zip",
            "which is cut short or damaged",
        ),
        (lambda csv: zipped(), "zip-members", "with 0 members, expected exactly one CSV"),
        (lambda csv: zipped((MEMBER, csv), ("b.csv", csv)), "zip-members", "with 2 members"),
        (lambda csv: zipped(("../../etc/flights.csv", csv)), "zip-member-name", "no plain CSV file name"),
        (lambda csv: zipped(("/flights.csv", csv)), "zip-member-name", "no plain CSV file name"),
        (lambda csv: zipped(("C:flights.csv", csv)), "zip-member-name", "no plain CSV file name"),
        (lambda csv: zipped(("..\\flights.csv", csv)), "zip-member-name", "no plain CSV file name"),
        (lambda csv: zipped(("flights.exe", csv)), "zip-member-name", "no plain CSV file name"),
        (lambda csv: zipped(("flights.csv/", b"")), "zip-member-name", "no plain CSV file name"),
        (lambda csv: zipped((MEMBER, b"0" * 2**25)), "drop-too-large", "unpacks to more than 8,388,608"),
        (lying, "broken-zip", "expected a whole zip"),
        (encrypted, "unusual-zip", "encrypted"),
        (lambda csv: zipped((MEMBER, b"")), "empty-drop", "without even a header"),
    ],
    ids=[
        "truncated", "cut-to-100-bytes", "two-bytes", "no-zip-at-all", "one-byte-altered", "no-member",
        "two-members", "traversal", "absolute", "drive", "backslash", "not-csv", "folder", "bomb",
        "lying-size", "encrypted",
        "empty-member",
    ],
)  # fmt: skip
def test_a_bad_zip_is_refused_in_one_sentence(
    batches: ArrowBatches, tmp_path: Path, good: bytes, make: Make, code: str, said: str
) -> None:
    drop = tmp_path / "drop.zip"
    drop.write_bytes(make(good))
    error = refusal(batches, drop)
    assert (error.code, said in error.sentence) == (code, True), error.sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drop.zip"]


def test_a_csv_larger_than_the_limit_is_refused_while_it_is_read(
    batches: ArrowBatches, tmp_path: Path, good: bytes
) -> None:
    drop = tmp_path / "drop.csv"
    drop.write_bytes(good + good.partition(b"\n")[2] * 3)
    assert refusal(batches, drop).code == "drop-too-large"


def test_a_folder_is_no_drop(batches: ArrowBatches, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for act in (batches.drop_digest, lambda drop: batches.read(drop, FLIGHTS, NONE)):
        with pytest.raises(BadInput) as caught:
            act(tmp_path / "folder.csv")
        assert caught.value.code == "no-drop"


def test_what_never_ends_or_never_begins_is_no_drop(batches: ArrowBatches, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zeros.csv").symlink_to("/dev/zero")
    for drop in (tmp_path / "pipe.csv", tmp_path / "zeros.csv", Path("/dev/zero")):
        for act in (batches.drop_digest, lambda drop: batches.read(drop, FLIGHTS, NONE)):
            with pytest.raises(BadInput) as caught:
                act(drop)
            assert caught.value.code == "no-drop"
            assert caught.value.sentence == (f"got {drop.name}, which is no regular file, expected a drop")


def test_a_file_larger_than_the_limit_is_not_even_hashed(tmp_path: Path) -> None:
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(BadInput) as caught:
        ArrowBatches(tmp_path / "home").drop_digest(tmp_path / "large.csv")
    assert caught.value.code == "drop-too-large"


def test_a_value_of_a_classified_column_is_not_quoted(tmp_path: Path) -> None:
    from dataclasses import replace

    secret = tuple(replace(column, classification="confidential") for column in FLIGHTS.columns)
    header = ",".join(column.name for column in FLIGHTS.columns)
    (tmp_path / "drop.csv").write_text(f"{header}\n{','.join(['hunter2'] * len(COLUMNS))}\n")
    drop, batches = tmp_path / "drop.csv", ArrowBatches(tmp_path)
    named = batches.drop_digest(drop)
    with pytest.raises(BadInput) as caught:
        batches.read(drop, replace(FLIGHTS, columns=secret), named)
    assert caught.value.code == "mistyped-column"
    assert "hunter2" not in str(caught.value.as_dict())


def test_after_a_refusal_what_was_accepted_before_is_still_there(
    batches: ArrowBatches, tmp_path: Path, good: bytes
) -> None:
    (tmp_path / "good.csv").write_bytes(good)
    (tmp_path / "bad.zip").write_bytes(zipped((MEMBER, good))[:-5000])
    digest, path = batches.accept(FLIGHTS, read(batches, tmp_path / "good.csv"), {})
    refusal(batches, tmp_path / "bad.zip")
    assert batches.path("flights", digest) == path


def test_of_duplicated_rows_every_copy_is_quarantined_and_the_rest_goes_on(
    batches: ArrowBatches, tmp_path: Path, good: bytes
) -> None:
    header, *lines = good.splitlines(keepends=True)
    drop = tmp_path / "drop.csv"
    drop.write_bytes(b"".join([header, *lines, *lines[:50]]))
    table = read(batches, drop)
    known = {each.name: table.column(each.column).unique().to_pylist() for each in FLIGHTS.references}
    results = GxGate(ROOT / "expectations" / "suites").run(FLIGHTS, table, known)
    report = judge(
        FLIGHTS, table.num_rows, results, datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 2, 2, tzinfo=UTC)
    )
    assert report.verdict == "passed"
    assert sorted(report.reasons) == [*range(50), *range(len(lines), len(lines) + 50)]
    assert set(report.reasons.values()) == {("F04",)}
    digest, _ = batches.accept(FLIGHTS, table, report.reasons)
    segment = batches.quarantine(FLIGHTS, table, report)
    assert segment.records + report.accepted == table.num_rows == len(lines) + 50
    (tmp_path / "rest.csv").write_bytes(b"".join([header, *lines[50:]]))
    assert digest == batches.accept(FLIGHTS, read(batches, tmp_path / "rest.csv"), {})[0]


def test_a_drop_that_is_written_to_while_it_is_read_is_refused_or_read_whole(
    tmp_path: Path, good: bytes
) -> None:
    """A real writer appends, flushes and cuts all the while: never is a row taken that the name does not stand for."""
    batches, drop, done = ArrowBatches(tmp_path / "home"), tmp_path / "drop.csv", threading.Event()
    drop.write_bytes(good)
    lines = good.splitlines(keepends=True)

    def write() -> None:
        while not done.is_set():
            with drop.open("ab", buffering=0) as file:
                file.write(b"".join(lines[1:200]))
            os.truncate(drop, len(good))

    writer = threading.Thread(target=write)
    named, outcomes = batches.drop_digest(drop), Counter[str]()
    writer.start()
    try:
        for _ in range(20):
            try:
                outcomes[
                    f"{len(lines) - 1 - batches.read(drop, FLIGHTS, named).table.num_rows} rows off"
                ] += 1
            except BadInput as error:
                outcomes[error.code] += 1
    finally:
        done.set()
        writer.join()
    assert outcomes["drop-changed"] > 0, outcomes
    assert set(outcomes) <= {"drop-changed", "0 rows off"}
    assert batches.read(drop, FLIGHTS, named).table.num_rows == len(lines) - 1


def test_a_database_that_says_its_disk_is_full_is_a_failed_dependency() -> None:
    class Server(Exception):  # as PostgreSQL's driver has it
        sqlstate = "53100"

    with pytest.raises(DependencyFailed) as caught, explained("write to the ledger"):
        raise sa.exc.OperationalError("INSERT", {}, Server("could not extend file"))
    assert caught.value.code == "disk-full"
    assert caught.value.sentence == (
        "could not write to the ledger: got no space left on the disk of the ledger's database (could not extend file)"
    )
