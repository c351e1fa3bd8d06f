"""What `init`, `dataset new` and `model new` write: all of it or nothing, and nothing over what is there."""

import ast
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tidegate.adapters.arrow_batches.sample import MOST_ROWS, read_sample
from tidegate.adapters.cel_expressions import CelExpressions
from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.feast_store.repository import load_definitions
from tidegate.adapters.model_folders import BLANK, ModelFolders
from tidegate.adapters.policy_files import PolicyFiles
from tidegate.adapters.prefect_schedules import PrefectSchedules
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.policy import Tier
from tidegate.entrypoints.scaffolding import placing
from tidegate.entrypoints.scaffolding.dataset import make_dataset
from tidegate.entrypoints.scaffolding.model import MARK, blanks, make_model
from tidegate.entrypoints.scaffolding.names import checked
from tidegate.entrypoints.scaffolding.project import TEMPLATES, make_project, project_files
from tidegate.settings import load

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def tidegate(where, *words):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    done = subprocess.run(
        [str(BIN / "tidegate"), *map(str, words)],
        cwd=where,
        env={**kept, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


@pytest.fixture
def project(tmp_path):
    make_project(tmp_path / "team")
    return tmp_path / "team"


# ── init ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_project_loads_with_its_policy_profiles_and_schedules(project):
    settings = load(project, {})
    assert settings.project == project
    assert settings.profile.assurance == "local"
    policy = PolicyFiles(settings.folder("models") / "policy", CelExpressions()).load()
    assert set(policy.rollout) == set(policy.gates) == set(Tier)
    assert {each.flow for each in PrefectSchedules(settings.folder("pipelines") / "prefect.yaml").all()}
    assert ModelFolders(settings.folder("models")).names() == ()
    assert ContractFiles(settings.folder("expectations")).datasets() == ()


def test_what_the_reference_project_shares_is_not_written_twice(project):
    shared = [
        "expectations/great_expectations.yml",
        "infra/profiles/embedded.toml",
    ]
    here = [path.name for path in (ROOT / "pipelines").iterdir() if path.is_file()]
    flows = [f"pipelines/{name}" for name in here if name != "feed.py"]
    for path in (*shared, *flows):  # a flow that is new in pipelines/ needs its link in templates/project/
        assert (TEMPLATES / "project" / path).is_symlink()
        assert (project / path).read_bytes() == (ROOT / path).read_bytes()
    assert not (project / "pipelines" / "feed.py").exists()
    assert (project / "features" / ".tidegate").readlink() == Path("../.tidegate")


#: What only the reference project may speak of.
FLIGHTS = re.compile(
    rb"flight|flown|airport|airline|carrier|tailnum|\bplanes?\b|\bweather\b|origin_delay|New York",
    re.IGNORECASE,
)


def test_no_file_of_a_new_project_knows_of_flights():
    for path, body in project_files().items():
        assert not FLIGHTS.search(body), path


def test_the_engine_knows_of_flights_in_its_demo_only():
    engine, demo = ROOT / "src" / "tidegate", ROOT / "src" / "tidegate" / "entrypoints" / "demo"
    files = [path for path in engine.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert demo / "year.py" in files
    assert FLIGHTS.search((demo / "year.py").read_bytes())
    named = [
        f"{path.relative_to(engine)}:{number}"
        for path in files
        if demo not in path.parents
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if FLIGHTS.search(line)
    ]
    assert named == []


def test_init_again_changes_nothing_and_says_so(project):
    before = tree(project)
    again = tidegate(project.parent, "init", project.name)
    assert (again.returncode, tree(project)) == (0, before)
    assert "nothing changed" in again.stdout


def test_a_folder_that_holds_something_else_under_one_of_the_names_is_refused_and_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("ours")
    (tmp_path / "notes.txt").write_text("ours too")
    done = tidegate(tmp_path, "init", ".")
    assert done.returncode == 2
    assert "README.md" in done.stderr
    assert tree(tmp_path) == {"README.md": b"ours", "notes.txt": b"ours too"}


def test_a_folder_with_other_files_is_taken_and_they_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("ours")
    make_project(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "ours"
    assert load(tmp_path, {}).project == tmp_path


def test_a_file_where_a_folder_is_needed_is_refused(tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(BadInput, match=r"models/policy/policy\.yaml"):
        make_project(tmp_path)
    assert tree(tmp_path) == {"models": b"a file"}


@pytest.mark.parametrize("where", ["a-file/below", "/proc/team", "x" * 300])
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, where):
    (tmp_path / "a-file").write_text("")
    done = tidegate(tmp_path, "init", where)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="cannot be written"):
        make_project(tmp_path / "team")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    linked = []

    def link(source, target):
        if len(linked) == 7:
            raise OSError(28, "No space left on device")
        linked.append(os.fspath(target))
        return real(source, target)

    real = os.link
    monkeypatch.setattr(placing.os, "link", link)
    with pytest.raises(DependencyFailed, match="No space left"):
        make_project(tmp_path / "team")
    assert len(linked) == 7
    assert list((tmp_path / "team").iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from tidegate.entrypoints.scaffolding.project import make_project
calls = 0
def counted(real):
    def call(*arguments):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        return real(*arguments)
    return call
os.fsync, os.link = counted(os.fsync), counted(os.link)
make_project(Path(sys.argv[1]))
"""


def test_a_killed_init_is_no_project_and_is_finished_by_the_next(tmp_path):
    make_project(tmp_path / "whole")
    whole = tree(tmp_path / "whole")
    files = len(project_files())
    for call in (1, files, files + 1, files + 2, files + files // 2, 2 * files):
        folder = tmp_path / f"killed-{call}"
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder), str(call)], capture_output=True, timeout=60
        )
        assert done.returncode == -signal.SIGKILL
        with pytest.raises(BadInput, match="outside any Tidegate project"):
            load(folder, {})
        make_project(folder)
        assert tree(folder) == whole
        assert not (folder / placing.STAGING).exists()


def test_two_at_once_write_one_project(tmp_path):
    with placing._alone(tmp_path), pytest.raises(BadInput, match="another tidegate command"):
        make_project(tmp_path)
    assert tree(tmp_path) == {}


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    "name",
    ["", "Busy", "../busy", "/busy", "busy/hour", "busy.hour", "busy hour", "busy-hour", "_busy", "busy_", "1busy",
     "a__b", "class", "None", "match", "select", "order", "x" * 41, "büsy", "busy\n", "."],
)  # fmt: skip
def test_a_bad_name_is_one_sentence(kind, name):
    with pytest.raises(BadInput) as refused:
        checked(kind, name)
    assert refused.value.code == "bad-name"
    assert refused.value.exit_code == 2


def test_the_policys_folder_is_no_models_name():
    with pytest.raises(BadInput, match="means something else"):
        checked("model", "policy")


# ── model new ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prediction", ["probability", "number"])
def test_a_new_model_does_not_load_and_the_loader_names_every_blank_line(project, prediction):
    written = make_model(project, project / "models", project / "monitoring", "busy_hour", prediction)
    assert {str(path.relative_to(project)) for path in written} == {
        "models/busy_hour/card.md", "models/busy_hour/model.yaml", "models/busy_hour/rows.sql",
        "models/busy_hour/train.py", "monitoring/busy_hour.yaml",
    }  # fmt: skip
    marked = {each.line for each in blanks(written, project) if each.file.endswith("model.yaml")}
    with pytest.raises(BadInput) as refused:
        ModelFolders(project / "models").spec("busy_hour")
    found = {fault["line"]: fault["sentence"] for fault in refused.value.data["faults"]}
    assert marked <= set(found)
    whole = refused.value.sentence
    assert "rows.sql with FILL IN on line" in whole
    assert "card.md with FILL IN on line" in whole
    assert MARK == BLANK


@pytest.mark.parametrize("prediction", ["probability", "number"])
def test_the_trainer_of_a_new_model_needs_nothing_filled_in(project, prediction):
    make_model(project, project / "models", project / "monitoring", "busy_hour", prediction)
    text = (project / "models" / "busy_hour" / "train.py").read_text()
    assert MARK not in text
    defined = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert defined == ["pipeline"]


def test_a_model_that_is_there_is_refused_and_left_alone(project):
    make_model(project, project / "models", project / "monitoring", "busy_hour", "probability")
    (project / "models" / "busy_hour" / "train.py").write_text("ours")
    before = tree(project)
    done = tidegate(project, "model", "new", "busy_hour")
    assert done.returncode == 2
    assert "which is there" in done.stderr
    assert tree(project) == before


def test_a_monitor_that_is_there_is_not_overwritten_and_no_model_appears(project):
    (project / "monitoring" / "busy_hour.yaml").write_text("ours")
    with pytest.raises(BadInput, match=r"monitoring/busy_hour\.yaml"):
        make_model(project, project / "models", project / "monitoring", "busy_hour", "number")
    assert ModelFolders(project / "models").names() == ()
    assert not (project / "models" / "busy_hour").exists()


def test_a_model_of_a_dataset_without_contract_is_refused(project):
    done = tidegate(project, "model", "new", "busy_hour", "--dataset", "nothing")
    assert done.returncode == 2
    assert "expected one under contract" in done.stderr
    assert not (project / "models" / "busy_hour").exists()


# ── dataset new ───────────────────────────────────────────────────────────────────────────────────

ROWS = [
    ["shop", "day", "orders", "revenue", "opened", "code", "open_at", "closed", "note"],
    ["a", "2026-01-01", "3", "10.5", "true", "007", "2026-01-01T08:00:00Z", "2026-01-01 20:00", ""],
    ["a", "2026-01-02", "4", "11", "false", "010", "2026-01-02T08:00:00+01:00", "2026-01-02 20:00", ""],
    ["b", "2026-01-01", "3", "", "true", "010", "2026-01-01T08:00:00Z", "2026-01-01 20:00", ""],
]


ABOUT = {"owner": "Shops", "purpose": "Orders a day"}


def sample(tmp_path, rows=ROWS, name="orders-2026-01.csv"):
    made = io.StringIO()
    csv.writer(made).writerows(rows)
    (tmp_path / name).write_text(made.getvalue())
    return tmp_path / name


def test_a_sample_is_read_into_logical_types_and_says_what_is_less_obvious(tmp_path):
    seen = read_sample(sample(tmp_path))
    assert [(column.name, column.type, column.required) for column in seen.columns] == [
        ("shop", "string", True), ("day", "date", True), ("orders", "integer", True), ("revenue", "number", False),
        ("opened", "boolean", True), ("code", "string", True), ("open_at", "timestamp", True),
        ("closed", "string", True), ("note", "string", False),
    ]  # fmt: skip
    told = " ".join(seen.notes)
    assert "code: digits with a leading zero" in told
    assert "closed: times without a zone" in told
    assert "note: no value in the sample" in told


def test_the_contract_and_the_suite_of_a_sample_load_as_they_are(project, tmp_path):
    make_dataset(project / "expectations", "orders", read_sample(sample(tmp_path)), **ABOUT)
    contract = ContractFiles(project / "expectations").load("orders")
    assert contract.key == ("shop", "day")
    assert (contract.min_rows, contract.max_rows) == (1, 6)
    assert contract.owner == "Shops"
    rules = [check.id for check in contract.checks]
    assert rules[:3] == ["O01", "O02", "O03"]
    assert len(set(rules)) == len(rules) == 3 + 7


@pytest.mark.slow
def test_great_expectations_reads_the_suite_as_its_own(project, tmp_path):
    make_dataset(project / "expectations", "orders", read_sample(sample(tmp_path)), **ABOUT)
    program = (
        "import sys, great_expectations as gx; context = gx.get_context(context_root_dir=sys.argv[1]); "
        "print(*[suite.name + ' ' + str(len(suite.expectations)) for suite in context.suites.all()])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(project / "expectations")], capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["orders", "10"], done.stderr


def test_without_an_owner_the_contract_does_not_load_and_says_which_lines_are_empty(project, tmp_path):
    done = tidegate(project, "dataset", "new", "orders", "--from", sample(tmp_path), "--json")
    assert done.returncode == 0
    left = json.loads(done.stdout)["blanks"]
    with pytest.raises(BadInput) as refused:
        ContractFiles(project / "expectations").load("orders")
    faults = {fault["line"]: fault["sentence"] for fault in refused.value.data["faults"]}
    assert {each["line"] for each in left} == set(faults)
    assert all(sentence.startswith("got nothing") for sentence in faults.values())


def test_what_was_assumed_is_said(project, tmp_path):
    done = tidegate(
        project,
        "dataset",
        "new",
        "orders",
        "--from",
        sample(tmp_path),
        "--period-columns",
        "day",
        "--key",
        "day,shop",
    )
    assert done.returncode == 0, done.stderr
    for told in (
        "3 of 3 rows were looked at",
        "the key is day, shop",
        "between 1 and 6 rows",
        "within 10 days",
    ):
        assert told in done.stdout


def test_a_dataset_under_contract_is_refused_and_left_alone(project, tmp_path):
    make_dataset(project / "expectations", "orders", read_sample(sample(tmp_path)))
    before = tree(project)
    with pytest.raises(BadInput, match="which has a contract"):
        make_dataset(project / "expectations", "orders", read_sample(sample(tmp_path)))
    assert tree(project) == before


@pytest.mark.parametrize(
    ("key", "told"),
    [(("shop",), "2 rows that share shop"), (("nothing",), "the column 'nothing'"), (("revenue",), "rows that lack it"),
     (("shop", "shop"), "twice")],
)  # fmt: skip
def test_a_key_that_the_sample_does_not_bear_is_refused(project, tmp_path, key, told):
    with pytest.raises(BadInput, match=told):
        make_dataset(project / "expectations", "orders", read_sample(sample(tmp_path)), key=key)
    assert ContractFiles(project / "expectations").datasets() == ()


def test_rows_that_nothing_tells_apart_need_a_key_from_a_person(project, tmp_path):
    twice = [["shop", "orders"], ["a", "1"], ["a", "1"]]
    with pytest.raises(BadInput, match="no 4 columns without gaps tell apart"):
        make_dataset(project / "expectations", "orders", read_sample(sample(tmp_path, twice)))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "0 bytes"),
        (b"\n", "without even a header"),
        (b"a,b\n", "without a row"),
        (b"a,a\n1,2\n", "'a' twice"),
        (b"a,\n1,2\n", "the column ''"),
        (b"a, b\n1,2\n", "the column ' b'"),
        (b"a,b\n1\n", "1 fields in row 2"),
        (b"a,b\n1,2\n1,2,3\n", "3 fields in row 3"),
        (b'a,b\n1,"2\n', "no CSV at line"),
        ("a,b\n1,é\n".encode("latin-1"), "else than UTF-8 text on line 2"),
        ("a,b\n1,2\n".encode("utf-16-le"), "else than UTF-8 text on line 1"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "else than UTF-8"),
        (b"PK\x03\x04broken", "cut short or damaged"),
    ],
)
def test_a_broken_sample_is_one_sentence_and_nothing_is_written(project, tmp_path, body, told):
    (tmp_path / "orders.csv").write_bytes(body)
    before = tree(project)
    with pytest.raises(BadInput, match=told):
        read_sample(tmp_path / "orders.csv")
    assert tree(project) == before


@pytest.mark.parametrize("where", ["nothing.csv", "."])
def test_a_sample_that_is_no_file_is_one_sentence(project, where):
    done = tidegate(project, "dataset", "new", "orders", "--from", where)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 2


def test_a_sample_may_be_a_zip_with_a_mark_and_quoted_line_breaks(tmp_path):
    body = '\ufeffa,b\n1,"two\nlines"\n2,x\n'.encode()
    with zipfile.ZipFile(tmp_path / "orders.zip", "w") as archive:
        archive.writestr("orders.csv", body)
    seen = read_sample(tmp_path / "orders.zip")
    assert [column.name for column in seen.columns] == ["a", "b"]
    assert (seen.rows, seen.table.column("b").to_pylist()) == (2, ["two\nlines", "x"])


def test_of_a_long_sample_all_rows_are_counted_and_ten_thousand_judged(tmp_path):
    rows = [["at", "value"], *([str(at), "1"] for at in range(MOST_ROWS + 500)), ["last", ""]]
    seen = read_sample(sample(tmp_path, rows))
    assert (seen.rows, seen.looked_at) == (MOST_ROWS + 501, MOST_ROWS)
    assert [(column.type, column.required) for column in seen.columns] == [
        ("integer", True),
        ("integer", True),
    ]


def test_a_sample_too_wide_for_a_contract_is_refused(project, tmp_path):
    wide = [[f"column_{at}" for at in range(900)], [str(at) for at in range(900)]]
    with pytest.raises(BadInput, match="900 columns"):
        make_dataset(project / "expectations", "orders", read_sample(sample(tmp_path, wide)))
    assert ContractFiles(project / "expectations").datasets() == ()


@pytest.mark.parametrize("name", ["on", "Temp (°C)", "no: yes", 'a"b', "#1", "null"])
def test_any_printable_column_name_makes_a_contract_that_loads(project, tmp_path, name):
    rows = [["at", name], ["1", "x"], ["2", "y"]]
    make_dataset(
        project / "expectations", "orders", read_sample(sample(tmp_path, rows)), owner="a", purpose="b"
    )
    assert [column.name for column in ContractFiles(project / "expectations").load("orders").columns] == [
        "at",
        name,
    ]


# ── the templates themselves ──────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_definitions_load_as_they_are_and_with_their_pattern_uncommented(project, tmp_path):
    features = project / "features"
    before = load_definitions(features, tmp_path / "home", "tidegate")
    assert (before.feature_views, before.feature_services) == ([], [])
    above, _, pattern = (features / "definitions.py").read_text().partition("# A pattern to start from")
    code = "\n".join(line.removeprefix("#").removeprefix(" ") for line in pattern.splitlines()[2:])
    (features / "definitions.py").write_text(above + code)
    found = load_definitions(features, tmp_path / "home", "tidegate")
    assert [view.name for view in found.feature_views] == ["place_day"]
    assert [service.name for service in found.feature_services] == ["place_model"]
    assert found.feature_views[0].batch_source.path == str(
        tmp_path / "home" / "features" / "place_day.parquet"
    )


def test_every_command_of_the_projects_readme_exists():
    readme = (TEMPLATES / "project" / "README.md").read_text()
    named = set(re.findall(r"^ {4,}tidegate ([a-z]+)", readme, re.MULTILINE))
    assert named >= {
        "dataset",
        "model",
        "open",
        "ingest",
        "run",
        "train",
        "promote",
        "approve",
        "status",
        "why",
    }
    listed = tidegate(ROOT, "--help").stdout
    for name in named:
        assert re.search(rf"^│ {name}\s", listed, re.MULTILINE), name
