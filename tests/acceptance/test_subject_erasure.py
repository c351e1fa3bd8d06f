"""Somebody is erased from data, features, training frames and decisions; then they are looked for everywhere."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tidegate.adapters.onnx_scorer import scorer
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.adapters.shared.sql import write_frame
from tidegate.application.measured import as_kept
from tidegate.application.ports import Frame
from tidegate.bootstrap import Tidegate
from tidegate.domain.events import Draft, EventType
from tidegate.domain.state import ScoringRow, TrainingSetRow
from tidegate.settings import load
from tidegate.testing.harbour import PERMISSIONS, write_project
from tidegate.testing.shell import BIN, Shell

ROOT = Path(__file__).parents[2]
NOW = {"TIDEGATE_NOW": "2013-02-01T06:00:00Z"}
WHY = ("--reason", "Article 17, letter of 3 May", "--as", "ada")
HEADER = "station,at,level,reading,note,keeper,remark"
SUBJECT = "Wilhelmine Quast"
#: What stands in her rows alone: who she is, and what only she said.
PLANTED = (SUBJECT, "remark-of-hers-7731", "remark-of-hers-8842")
COLUMNS = """
      - name: keeper
        logicalType: string
        classification: restricted
        customProperties: [{property: treatment, value: hash}, {property: subject, value: true}]
      - {name: remark, logicalType: string, classification: confidential}
"""
DEFINITIONS = """\
import os
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, String

HOME = Path(os.environ["TIDEGATE_HOME"])
keeper = Entity(name="keeper", join_keys=["keeper"], value_type=ValueType.STRING)
station = Entity(name="station", join_keys=["station"], value_type=ValueType.STRING)


def view(name, entity, *fields):
    source = FileSource(
        name=f"{name}_file", path=str(HOME / "features" / f"{name}.parquet"),
        timestamp_field="event_timestamp", created_timestamp_column="created_timestamp",
    )
    return FeatureView(name=name, entities=[entity], ttl=None, source=source, schema=list(fields))


keepers = view("keepers", keeper, Field(name="level", dtype=Float64), Field(name="said", dtype=String))
heard = view("heard", station, Field(name="remarks", dtype=String))
watch = FeatureService(name="watch", features=[keepers])
"""
SQL = 'SELECT keeper, "at" AS event_timestamp, "at" AS created_timestamp, level, remark AS said FROM tides\n'
#: What nobody can tell apart by person: all that was said at a station so far.
HEARD = """SELECT station, "at" AS event_timestamp, "at" AS created_timestamp,
    string_agg(remark, '; ') OVER (PARTITION BY station ORDER BY "at") AS remarks FROM tides
"""
STORE = """\
project: harbour
provider: local
registry: {registry_type: sql, path: "sqlite:///../.tidegate/feast/registry.db"}
offline_store: {type: tidegate.adapters.feast_store.offline.PointInTimeOfflineStore}
online_store: {type: tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore, path: online.db}
entity_key_serialization_version: 3
"""


@pytest.fixture
def harbour(tmp_path):
    """A project whose readings name their keepers, with a view of keepers, and a drop that came."""
    project = write_project(tmp_path / "harbour", ROOT, COLUMNS.removeprefix("\n"), hours=9000)
    for folder in ("models", "pipelines"):
        shutil.copytree(ROOT / folder, project / folder, dirs_exist_ok=True)
    (project / "features" / "sources").mkdir(parents=True)
    (project / "features" / "definitions.py").write_text(DEFINITIONS)
    (project / "features" / "permissions.py").write_text(PERMISSIONS)
    (project / "features" / "feature_store.yaml").write_text(STORE)
    (project / "features" / "sources" / "keepers.sql").write_text(SQL)
    (project / "features" / "sources" / "heard.sql").write_text(HEARD)
    shell = Shell(tmp_path / "home", project)
    shell.json("ingest", "tides", str(drop(tmp_path)), "--as", "svc-ingest", **NOW)
    return shell


def drop(folder, name="tides-2013-01.csv", *more):
    lines = (
        row(0, 1, SUBJECT, PLANTED[1]), row(1, 99, SUBJECT, PLANTED[2]), row(2, 2, "Bob", "all calm"),
        row(3, 99, "Bob", "a wave"), *more,
    )  # fmt: skip
    path = folder / name
    path.write_text("\n".join([HEADER, *lines, ""]))
    return path


def row(hour, level, keeper, remark):
    return f"ABC,2013-01-01T0{hour}:00:00Z,{level},1,,{keeper},{remark}"


def found(folder, needles):
    """Return each needle with the file that holds it, also within a database, a Parquet or a compressed file."""
    hits = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data += gzip.decompress(data)
        if path.suffix == ".parquet":
            data += str(pq.read_table(path, partitioning=None).to_pylist()).encode()
        if data.startswith(b"SQLite format 3"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                data += "\n".join(database.iterdump()).encode()
        hits += [(needle, path.name) for needle in needles if needle.encode() in data]
    return hits


def masked(home):
    """Return what the subject is called in what is kept."""
    (file,) = (home / "batches" / "tides").glob("*.parquet")
    rows = pq.read_table(file, partitioning=None).to_pylist()
    return next(each["keeper"] for each in rows if each["remark"] == PLANTED[1])


@pytest.fixture
def used(harbour):
    """The project once views were brought online, a training set was built and decisions were made of its rows.

    In a process of its own: one that has a database open and reads its file's bytes gives its locks away.
    """
    harbour.json("run", "materialize", "--as", "svc-features", **NOW)
    child = multiprocessing.get_context("fork").Process(target=learn, args=(harbour,))
    child.start()
    child.join(300)
    assert child.exitcode == 0
    return harbour


def learn(harbour):
    os.environ.update(harbour.environment(**NOW))
    here = Tidegate(load(harbour.project))
    at = pa.array([datetime(2013, 1, 2, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC"))
    keepers = pc.unique(pq.read_table(next((harbour.home / "batches" / "tides").glob("*"))).column("keeper"))
    entities = write_frame(pa.table({"event_timestamp": at, "keeper": keepers}), harbour.home / "entities")
    frame = here.features.training_frame(entities, "watch", [])
    assert frame.rows == 2
    who = here.act("svc-train").actor.id
    (batch,) = {each.batch for each in here.ledger.state().select(_batches())}
    built = {"digest": frame.digest, "model": "flight_delay", "service": "watch", "entities": entities.digest}
    told(here, EventType.TRAINING_SET_BUILT, who, {**built, "rows": 2, "batches": [batch], "windows": {}})
    decided(here, frame, here.act("svc-score").actor.id)


def _batches():
    from tidegate.domain.state import BatchRow

    return BatchRow


def told(here, kind, actor, payload):
    with here.ledger.transaction() as tx:
        tx.append(Draft(kind, "model/flight_delay", actor, payload))


def decided(here, frame: Frame, actor):
    """Keep one decision a keeper, as the model's scorer writes them; judging them is not what is tried here."""
    spec = here.models.spec("flight_delay")
    rows = pq.read_table(frame.path, partitioning=None)
    names = {name: pa.array(["x"] * rows.num_rows) for name in spec.keys} | {"origin": rows.column("keeper")}
    decisions = pa.table(
        {spec.entity_time: rows.column("event_timestamp"), **names, "score": pa.array([0.25, 0.5])}
    )
    root = scorer.decisions_root(decisions, spec)
    write_parquet(decisions, here.settings.home / "scores" / f"{root[7:]}.parquet")
    payload = {
        "model": spec.name, "period": "2013-01", "version": 1, "artifact": "sha256:a", "entities": frame.digest,
        "rows": 2, "of": 2, "root": root, "file": f"{root[7:]}.parquet", "stage": "prod", "freshness": {},
    }  # fmt: skip
    told(here, EventType.DECISIONS_SCORED, actor, payload)


@pytest.mark.slow
def test_nothing_of_a_subject_is_found_in_any_file_or_table_and_nothing_of_others_is_lost(used, tmp_path):
    hers = (*PLANTED, masked(used.home))
    assert {needle for needle, _ in found(used.home, hers)} == set(hers[1:])
    done = subprocess.run(
        [str(BIN / "tidegate"), "subject", "erase", "tides", "-", *WHY], cwd=used.project, text=True,
        env=used.environment(**NOW), input=f"{SUBJECT}\n", capture_output=True, check=True,
    )  # fmt: skip
    printed = [done.stdout]
    assert done.stdout.splitlines()[1:] == [
        "  batches: 1 row from 1 file",
        "  segments of decisions: 1 row from 1 file",
        "  entity frames: 1 row from 1 file",
        "  training frames and those that were scored: 1 row from 1 file",
        "  held-back rows: 1 row from 1 file",
        "  sources of features: 1 row from 1 file",
        "  online: 1 row",
        "  what features count or average over is built without them by `tidegate run materialize`",
    ]
    export = used.home / "held.csv"
    printed += [
        used.run(*words, **NOW).stdout
        for words in (
            ("quarantine", "tides", "--export", str(export), "--as", "aude"),
            ("log", "--json"), ("status", "--as", "aude"), ("run", "materialize", "--as", "svc-features"),
            ("features", "parity", "keepers", "--as", "svc-features"), ("desk",),
        )
    ]  # fmt: skip
    assert found(used.home, hers) == []
    assert [needle for needle in hers if needle in "".join(printed)] == []
    assert "Bob" not in "".join(printed)
    assert [name for _, name in found(used.home, ["all calm"])], "the search can find what is left"
    assert "a wave" in export.read_text()


@pytest.mark.slow
def test_the_record_says_what_was_erased_and_by_whom_and_stays_sound(used):
    event = used.json("subject", "erase", "tides", SUBJECT, *WHY, **NOW)
    assert (event["rows"], event["online"]) == (2, 1)
    assert len(event["touches"]["training_sets"]) == 1
    verified = used.run("audit", "verify", **NOW)
    assert "erased since: 2 rows from 6 files, each by an event that says so" in verified.stdout
    faults = used.json("log", **NOW)[-1]
    assert (faults["type"], faults["reason"]) == ("rows.erased", WHY[1])
    here = Tidegate(load(used.project, used.environment(**NOW)))
    state = here.ledger.state()
    (training,) = state.select(TrainingSetRow)
    kept = as_kept(here, type("Version", (), {"training_set": training.digest})())
    assert (kept["training_set"], kept["erased"]["rows"]) == (training.digest, 1)
    assert kept["erased"]["left"] != training.digest
    (scoring,) = state.select(ScoringRow)
    assert (scoring.rows, (used.home / "scores" / scoring.file).exists()) == (1, True)


@pytest.mark.slow
def test_erased_files_that_a_backup_brings_back_are_told_and_removed(used, tmp_path):
    hers = masked(used.home)
    shutil.copytree(used.home / "batches", tmp_path / "backup")
    used.json("subject", "erase", "tides", SUBJECT, *WHY, **NOW)
    shutil.copytree(tmp_path / "backup", used.home / "batches", dirs_exist_ok=True)
    unsound = used.run("audit", "verify", **NOW)
    assert unsound.returncode == 1
    assert "was erased, and lies there: `tidegate subject finish` removes it" in unsound.stdout
    assert used.run("subject", "finish", "--as", "ada", **NOW).stdout == "removed 1 erased file\n"
    assert "lies there" not in used.run("audit", "verify", **NOW).stdout
    assert found(used.home, [SUBJECT, hers]) == []


def test_what_comes_later_is_read_without_them(harbour, tmp_path):
    harbour.json("subject", "erase", "tides", SUBJECT, *WHY, **NOW)
    again = harbour.json("ingest", "tides", str(tmp_path / "tides-2013-01.csv"), "--as", "svc-ingest", **NOW)
    assert (again["read"], again["accepted"], again["quarantined"], again["erased"]) == (4, 1, 1, 2)
    restated = drop(
        tmp_path, "tides-2013-01.r1.csv", row(4, 3, SUBJECT, PLANTED[1]), row(5, 3, "Bob", "calm again")
    )
    printed = harbour.run("ingest", "tides", str(restated), "--as", "svc-ingest", **NOW).stdout
    assert "6 rows in, 2 accepted, 1 quarantined, 3 erased" in printed
    assert found(harbour.home, PLANTED) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tides", SUBJECT, "--reason", "Why", "--as", "amir"), 1, "A1  p-3 holds no role that permits"),
        (("tides", SUBJECT, "--reason", " ", "--as", "ada"), 2, "got no reason, expected one"),
        (("waves", SUBJECT, *WHY), 2, "got the dataset `waves`, expected one under contract"),
        (("tides", "", *WHY), 2, "got a subject that cannot stand in `keeper` of tides"),
        (("tides", "-", *WHY), 2, "got 0 lines from standard input, expected one"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_sentence_without_the_name(harbour, words, code, said):
    done = subprocess.run(
        [str(BIN / "tidegate"), "subject", "erase", *words], cwd=harbour.project, text=True, input="",
        env=harbour.environment(**NOW), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stderr
    assert SUBJECT not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_rows_whose_time_is_over_go_with_the_texts(harbour):
    contract = harbour.project / "expectations" / "contracts" / "tides.yaml"
    terms = "slaProperties:\n  - {property: retention, value: 2, unit: y}\n"
    contract.write_text(contract.read_text().replace("slaProperties:\n", terms))
    tried = harbour.run("retention", "--dry-run", "--as", "ada", TIDEGATE_NOW="2015-02-01T00:00:00Z")
    assert "tides    2 years   2013-01   4" in tried.stdout
    before = harbour.json("retention", "--as", "ada", TIDEGATE_NOW="2015-01-31T00:00:00Z")
    assert before[-1] == {"dataset": "tides", "keeps": "2 years", "periods": [], "rows": 0}
    harbour.json("retention", "--as", "ada", TIDEGATE_NOW="2015-02-01T00:00:00Z")
    assert found(harbour.home, ["all calm", "a wave", *PLANTED]) == []
    assert (
        json.loads(harbour.run("audit", "verify", "--json", TIDEGATE_NOW="2015-02-01T00:00:00Z").stdout)[
            "faults"
        ]
        == []
    )
