"""A value that the contract marks is planted, and then looked for in every file and table that is left."""

from __future__ import annotations

import gzip
import re
import sqlite3
from pathlib import Path

import pytest

from tidegate.adapters.arrow_batches.masks import MaskingKey
from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell

ROOT = Path(__file__).parents[2]
NOW = {"TIDEGATE_NOW": "2013-02-01T06:00:00Z"}
HEADER = "station,at,level,reading,note,keeper,phone,born,pier"
#: What must not be found, of a good row, of a bad one, and of a drop that cannot be read.
PLANTED = ("Wilhelmine Quast", "0170-9981273", "1971-05-23", "pier-Q77x", "Ottokar Zibell", "0170-5512804")
COLUMNS = """
      - {name: keeper, logicalType: string, classification: restricted, customProperties: [{property: treatment, value: hash}]}
      - {name: phone, logicalType: string, classification: restricted, customProperties: [{property: treatment, value: drop}]}
      - {name: born, logicalType: date, classification: restricted, customProperties: [{property: treatment, value: {generalise: year}}]}
      - {name: pier, logicalType: string, classification: restricted, customProperties: [{property: treatment, value: token}]}
"""  # noqa: E501


@pytest.fixture
def harbour(tmp_path):
    """A project whose readings name their keepers, and a shell on a home of its own."""
    project = write_project(tmp_path / "harbour", ROOT, COLUMNS.removeprefix("\n"), hours=9000)
    return Shell(tmp_path / "home", project)


def lands(folder, name, *lines):
    (folder / name).write_text("\n".join([HEADER, *lines, ""]))
    return str(folder / name)


def row(hour, level, keeper, phone="0170-9981273", born="1971-05-23", pier="pier-Q77x"):
    return f"ABC,2013-01-01T0{hour}:00:00Z,{level},1,,{keeper},{phone},{born},{pier}"


def found(folder, needles):
    """Return each needle with the file that holds it, also within a database or a compressed file."""
    hits = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data += gzip.decompress(data)
        if path.suffix == ".parquet":
            data += columns_of(path)
        if data.startswith(b"SQLite format 3"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                data += "\n".join(database.iterdump()).encode()
        hits += [(needle, path.name) for needle in needles if needle.encode() in data]
    return hits


def columns_of(path):
    """Return all values of a Parquet file as text: its pages may be compressed."""
    import pyarrow.parquet as pq

    return str(pq.read_table(path, partitioning=None).to_pylist()).encode()


def test_a_marked_value_is_in_no_file_table_log_export_or_report(harbour, tmp_path):
    good = lands(
        tmp_path, "tides-2013-01.csv", row(0, 1, "Wilhelmine Quast"), row(1, 99, "Ottokar Zibell", "0170-5512804"),
        row(2, 2, "Wilhelmine Quast"), row(3, 2, ""),
    )  # fmt: skip
    broken = lands(tmp_path, "tides-2013-02.csv", row(0, 1, "Ottokar Zibell", born="pier-Q77x"))
    said = [harbour.run("ingest", "tides", good, "--as", "svc-ingest", **NOW)]
    said.append(harbour.run("ingest", "tides", broken, "--as", "svc-ingest", **NOW))
    export = tmp_path / "home" / "held.csv"
    said.append(harbour.run("quarantine", "tides", "--as", "aude", **NOW))
    said.append(harbour.run("quarantine", "tides", "--export", str(export), "--as", "aude", **NOW))
    said += [
        harbour.run(*words, "--as", "aude", **NOW) for words in (("status",), ("log",), ("audit", "verify"))
    ]
    assert [done.returncode for done in said] == [0, 2, 0, 0, 0, 0, 0]
    assert "got a value in `born` on line 2 of tides-2013-02.csv, expected type date" in said[1].stderr
    printed = "".join(done.stdout + done.stderr for done in said)
    assert [needle for needle in PLANTED if needle in printed] == []
    assert found(tmp_path / "home", PLANTED) == []
    assert found(tmp_path, PLANTED[:1]) == [(PLANTED[0], "tides-2013-01.csv")], "the search can find it"


def test_what_is_left_joins_counts_and_turns_back_with_the_key_alone(harbour, tmp_path):
    import pyarrow.parquet as pq

    drop = lands(
        tmp_path, "tides-2013-01.csv", row(0, 1, "Ann"), row(1, 1, "Bob"), row(2, 2, "Ann"), row(3, 2, "")
    )
    harbour.json("ingest", "tides", drop, "--as", "svc-ingest", **NOW)
    (file,) = (harbour.home / "batches" / "tides").glob("*.parquet")
    rows = pq.read_table(file, partitioning=None)
    assert rows.column_names == ["station", "at", "level", "reading", "note", "keeper", "born", "pier"]
    ann, bob, again, nobody = rows.column("keeper").to_pylist()
    assert ann == again != bob
    assert ann.startswith("hash:")
    assert nobody is None
    assert {str(day) for day in rows.column("born").to_pylist()} == {"1971-01-01"}
    (token,) = set(rows.column("pier").to_pylist())
    assert MaskingKey(harbour.home / "keys" / "masking.key").value(token) == "pier-Q77x"
    assert (harbour.home / "keys" / "masking.key").stat().st_mode & 0o777 == 0o600


def test_masked_rows_are_put_back_without_being_masked_again(harbour, tmp_path):
    lines = [row(0, 1, "Ann"), row(1, 99, "Bob"), row(2, 2, "Ann"), row(3, 1, "Bob")]
    first = harbour.json(
        "ingest", "tides", lands(tmp_path, "tides-2013-01.csv", *lines), "--as", "svc-ingest", **NOW
    )
    assert first["quarantined"] == 1
    held = tmp_path / "held.csv"
    harbour.json("quarantine", "tides", "--export", str(held), "--as", "aude", **NOW)
    held.write_text(held.read_text().replace(",99,", ",9.5,"))
    mended = harbour.json("replay", "tides", str(held), "--as", "svc-ingest", **NOW)
    as_if = lands(tmp_path, "tides-2013-01.r1.csv", lines[0], row(1, 9.5, "Bob"), *lines[2:])
    again = harbour.json("ingest", "tides", as_if, "--as", "svc-ingest", **NOW)
    assert mended["batch"] == again["batch"]


def test_a_name_that_whoever_mends_types_is_masked_before_it_is_kept(harbour, tmp_path):
    lines = [row(0, 1, "Ann"), row(1, 99, "Bob"), row(2, 2, "Ann"), row(3, 1, "Bob")]
    harbour.json("ingest", "tides", lands(tmp_path, "tides-2013-01.csv", *lines), "--as", "svc-ingest", **NOW)
    held = tmp_path / "held.csv"
    harbour.json("quarantine", "tides", "--export", str(held), "--as", "aude", **NOW)
    text = held.read_text().replace(",99,", ",9.5,").replace('"1971-01-01"', "1971-05-23")
    text = re.sub('"hash:[0-9a-f]{32}"', '"Wilhelmine Quast"', re.sub('"token:[^"]+"', '"pier-Q77x"', text))
    held.write_text(text)
    assert all(needle in text for needle in ("Wilhelmine Quast", "pier-Q77x", "1971-05-23")), (
        "what a person types"
    )
    held = held.rename(tmp_path / "mended.csv")
    done = harbour.json("replay", "tides", str(held), "--as", "svc-ingest", **NOW)
    assert (done["accepted"], done["quarantined"]) == (4, 0)
    assert found(harbour.home, PLANTED) == []
    as_if = lands(tmp_path, "tides-2013-01.r1.csv", lines[0], row(1, 9.5, "Wilhelmine Quast"), *lines[2:])
    assert harbour.json("ingest", "tides", as_if, "--as", "svc-ingest", **NOW)["batch"] == done["batch"]


def test_another_key_is_refused_where_it_is_none(harbour, tmp_path):
    drop = lands(tmp_path, "tides-2013-01.csv", row(0, 1, "Ann"), row(1, 1, "Bob"))
    done = harbour.run("ingest", "tides", drop, "--as", "svc-ingest", TIDEGATE_MASKING_KEY="abc", **NOW)
    assert done.returncode == 3
    assert "got a masking key that is not 64 hex digits" in done.stderr
    assert "abc" not in done.stderr.replace("masking", "")
