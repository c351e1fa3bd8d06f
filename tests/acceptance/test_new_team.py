"""A new team's afternoon: every file and command of docs/new-team.md, played on an installed wheel.

Nothing of this checkout is used but the page itself: the project is made by ``tidegate init``, its data by the
page's own script, and what runs is what the wheel holds.
"""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tidegate.domain.canonical import sha256
from tidegate.entrypoints.scaffolding.project import project_files
from tidegate.testing.pages import File, steps

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "new-team.md"
MODELS = ("busy_hour", "hour_count")


class Team:
    """What the team's shell says, command by command."""

    def __init__(self, folder, installed):
        self.folder, self.project, self.said = folder, folder / "counting", []
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TIDEGATE_", "PREFECT_"))
        }
        self.environment = {
            **kept,
            "COLUMNS": "200",
            "PYTHONPATH": str(installed),
            "PATH": os.pathsep.join(
                [str(installed / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
        }

    def play(self, page):
        for step in steps(page, "console in a new project"):
            if isinstance(step, File):
                target = self.project / step.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(step.body)
            elif step.line.startswith("export "):
                name, _, value = step.line.removeprefix("export ").partition("=")
                self.environment[name] = value
            else:
                self.run(step.line, step.code)
                assert step.missing(self.said[-1][1]) is None, (step, self.said[-1][1])

    def run(self, command, wanted=0):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.project if self.project.exists() else self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == wanted, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, command
        self.said.append((command, done.stdout if done.stdout.strip() else done.stderr))
        return done.stdout

    def runs(self, command):
        """Return what the page's own runs of a command said."""
        return [said for ran, said in self.said if ran == command]

    def json(self, command):
        return json.loads(self.run(f"{command} --json"))


def lines(said):
    """Return what was told, line by line, wherever it stands."""
    return {line.strip().removeprefix("- ") for line in said.splitlines()}


def build(source, into):
    """Build a wheel. Without hatchling here, pip fetches it as it would for anybody."""
    alone = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps", *alone]
    done = subprocess.run([*pip, "-w", str(into), str(source)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = into.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where this checkout's wheel is installed, with nothing else; and what the checkout itself would copy then."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = build(ROOT, tmp_path_factory.mktemp("wheel"))
    copied = {path: sha256(body) for path, body in project_files().items()}
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
    ]
    done = subprocess.run(
        [*pip, "--target", str(folder), str(wheel)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, copied


@pytest.fixture(scope="module")
def team(installed, tmp_path_factory):
    """A team with the wheel installed, and the whole page behind it."""
    made = Team(tmp_path_factory.mktemp("team"), installed[0])
    made.play(PAGE.read_text())
    return made


@pytest.mark.slow
def test_the_wheel_copies_what_this_checkout_would_copy(installed, tmp_path):
    folder, copied = installed
    someone = Team(tmp_path, folder)
    assert someone.run("python -c 'import tidegate; print(tidegate.__file__)'").startswith(str(folder))
    program = (
        "import json; from tidegate.domain.canonical import sha256; "
        "from tidegate.entrypoints.scaffolding.project import project_files; "
        "print(json.dumps({path: sha256(body) for path, body in project_files().items()}))"
    )
    assert json.loads(someone.run(f"python -c '{program}'")) == copied


@pytest.mark.slow
def test_a_wheel_made_from_the_source_archive_holds_the_same(tmp_path):
    hatchling = pytest.importorskip("hatchling", reason="pip makes no source archive; hatchling does")
    made = subprocess.run(
        [sys.executable, "-m", hatchling.__name__, "build", "-t", "sdist", "-d", str(tmp_path)], cwd=ROOT,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with (
        zipfile.ZipFile(build(ROOT, tmp_path / "checkout")) as one,
        zipfile.ZipFile(build(archive, tmp_path / "archive")) as other,
    ):
        held = [{each.filename: each.CRC for each in each_wheel.infolist()} for each_wheel in (one, other)]
    assert held[0] == held[1]
    assert not [
        name for name in held[0] if "templates" in name and ("feed.py" in name or "__pycache__" in name)
    ]


@pytest.mark.slow
def test_both_models_stand_in_prod_on_the_teams_own_data(team):
    status = team.json("tidegate status")
    assert {name: model["stages"] for name, model in status["models"].items()} == {
        "busy_hour": {"prod": 1},
        "hour_count": {"prod": 1},
    }
    assert status["policy"] == "first 1"
    counts = status["batches"]
    assert (counts["accepted"], counts["held_back"], counts["quarantined"]) == (5, 0, 0)
    assert counts["rows"] == sum(
        len(drop.read_text().splitlines()) - 1 for drop in team.project.glob("drops/*.csv")
    )


@pytest.mark.slow
def test_a_scaffold_with_blanks_is_refused_line_by_line_and_trains_once_filled_in(team):
    first, then = team.runs("tidegate train busy_hour --as dana")
    assert "got nothing, expected who answers for it" in first
    assert "card.md with FILL IN on line" in first
    assert "stands in candidate" in then
    assert "roc_auc" in then


@pytest.mark.slow
def test_a_model_of_numbers_is_measured_as_one(team):
    (said,) = team.runs("tidegate train hour_count --as dana")
    assert "mae" in said
    assert "skill" in said
    assert "roc_auc" not in said


@pytest.mark.slow
def test_the_canary_held_before_prod_and_who_made_it_could_not_wave_it_through(team):
    canaries = [
        lines(said)
        for model in MODELS
        for said in team.runs(f"tidegate run canary model={model} --as svc-rollout")
    ]
    for told, stage in zip(canaries, ("canary", "prod"), strict=True):  # the one of tier low waits for nobody
        assert {"verdict: passed", "standing: better", f"stage: {stage}"} <= told
    (own,) = team.runs('tidegate approve busy_hour 1 --as dana --reason "It is mine and it is good"')
    assert "P4" in own


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_month_after_is_scored_by_prod_and_monitored(team, model):
    (scored,) = team.runs(f"tidegate run score model={model} period=2026-05 --as svc-score")
    drop = (team.project / "drops" / "readings-2026-05.csv").read_text().splitlines()
    assert {"stage: prod", "version: 1", f"rows: {len(drop) - 1}"} <= lines(scored)
    (watched,) = team.runs(f"tidegate run monitor model={model} period=2026-05 --as svc-monitor")
    binding = watched.partition("binding:")[2].partition("information:")[0]
    for kind in ("calibration_gap", "gain_over_base_rate", "missing_share"):
        assert f"kind: {kind}" in lines(binding)
    verdicts = {line for line in lines(watched.partition("information:")[0]) if line.startswith("verdict: ")}
    assert verdicts == {"verdict: passed"}
    assert not {line for line in lines(watched) if line.startswith("review")}


@pytest.mark.slow
def test_the_record_of_the_afternoon_verifies_and_says_who_did_what(team):
    (verified,) = team.runs("tidegate audit verify")
    assert "events" in verified
    log = [row["sentence"] for row in team.json("tidegate log --model busy_hour")]
    assert any(sentence.startswith("amir approved busy_hour-P") for sentence in log)
    assert any("version 1: canary → prod" in sentence for sentence in log)


@pytest.mark.slow
def test_the_tools_work_on_the_new_project_without_us(team):
    (listed,) = team.runs("feast -c features feature-views list")
    assert "station_day" in listed
    program = (
        "import great_expectations as gx; "
        'print(*[suite.name for suite in gx.get_context(context_root_dir="expectations").suites.all()])'
    )
    assert "readings" in team.run(f"python -W ignore -c '{program}'")


# ── an edit of the feature definitions (here, because somebody has to stand in prod) ───────────────────

TTL = ("timedelta(days=14)", "timedelta(days=7)")
NEXT_HOUR = "TIDEGATE_NOW=2026-06-01T07:00:00Z"
BESIDE = """
station_day_v2 = FeatureView(
    name="station_day_v2",
    entities=[station],
    ttl=timedelta(days=7),
    schema=[
        Field(name="station_mean_1d", dtype=Float64, description="Bicycles an hour, that day"),
        Field(name="station_mean_7d", dtype=Float64, description="Bicycles an hour, 7 days"),
    ],
    source=FileSource(
        name="station_day_v2_history",
        path=str(HOME / "features" / "station_day_v2.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    ),
)
busy_hour_v2 = FeatureService(name="busy_hour_v2", features=[station_day_v2])
"""


@pytest.fixture
def edited(team):
    """Return a function that edits files of the project; at the end they are as they were."""
    kept = {}

    def edit(path, change):
        file = team.project / path
        kept.setdefault(file, file.read_text() if file.exists() else None)
        file.write_text(change(kept[file] or ""))

    yield edit
    for file, text in kept.items():
        file.unlink() if text is None else file.write_text(text)


@pytest.mark.slow
def test_a_plan_without_an_edit_says_so_and_ends_well(team):
    assert team.json("tidegate features plan") == {
        "does": "nothing",
        "changes": [],
        "access": [],
        "reasons": [],
    }
    assert team.run("tidegate features plan") == "nothing differs from what was registered last\n"


@pytest.mark.slow
def test_an_edit_that_prod_consumes_is_planned_and_refused_with_whom_it_concerns(team, edited):
    edited("features/definitions.py", lambda text: text.replace(*TTL))
    before = team.json("tidegate log")
    plan = team.json("tidegate features plan")
    (change,) = plan["changes"]
    assert (plan["does"], change["name"], change["change"]) == ("refuse", "station_day", "meaning")
    assert [(each["model"], each["version"], each["stage"]) for each in change["consumers"]] == [
        ("busy_hour", 1, "prod"),
        ("hour_count", 1, "prod"),
    ]
    assert team.json("tidegate log") == before
    told = team.run("tidegate features plan")
    assert "busy_hour 1 (prod), hour_count 1 (prod)" in told
    team.run(f"{NEXT_HOUR} tidegate run materialize --as svc-features", 1)
    said = team.said[-1][1]
    assert (
        "F1  got another meaning of the view station_day (ttl was 14 days, is 7 days), expected the one that "
        "busy_hour version 1 in prod and hour_count version 1 in prod learned from, until they have left"
    ) in said
    assert "next: restore station_day and define station_day_v2 beside it" in said
    last = team.json("tidegate log")[-1]
    assert "was refused apply_features: F1: got another meaning of the view station_day" in last["sentence"]


@pytest.mark.slow
def test_a_view_beside_the_old_one_is_applied_and_a_version_is_trained_on_it(team, edited):
    edited("features/definitions.py", lambda text: text + BESIDE)
    sql = (team.project / "features/sources/station_day.sql").read_text()
    edited("features/sources/station_day_v2.sql", lambda _: sql)
    plan = team.json("tidegate features plan")
    assert plan["does"] == "apply"
    assert {each["name"]: (each["change"], each["consumers"]) for each in plan["changes"]} == {
        "station_day_v2": ("additive", []),
        "busy_hour_v2": ("additive", []),
    }
    team.run(f"{NEXT_HOUR} tidegate run materialize --as svc-features")
    edited(
        "models/busy_hour/model.yaml",
        lambda text: text.replace("service: busy_hour", "service: busy_hour_v2"),
    )
    team.run(f"{NEXT_HOUR} tidegate train busy_hour --as dana")
    found = team.json("tidegate lineage busy_hour 2")
    assert list(found["features"]) == ["station_day_v2"]
    view = found["features"]["station_day_v2"]
    assert (found["training_set"]["service"], view["selected"]) == (
        "busy_hour_v2",
        ["station_mean_1d", "station_mean_7d"],
    )
    assert [each["period"] for each in view["built_from"]] == [f"2026-{month:02}" for month in range(1, 6)]
    assert list(team.json("tidegate lineage busy_hour")["features"]) == ["station_day"]
    shown = {each["view"]: each for each in team.json("tidegate features show station_mean_1d")}
    assert set(shown) == {"station_day", "station_day_v2"}
    assert [each["version"] for each in shown["station_day"]["consumers"]] == [1, 1]
    assert shown["station_day_v2"]["consumers"] == []


FAULTS = {
    "no SQL": ("features/definitions.py", lambda text: text + BESIDE, "got no readable sources/station_day_v2.sql"),
    "an unknown source": (
        "features/sources/station_day.sql", lambda text: text.replace("FROM readings", "FROM lodes"),
        "Table with name lodes does not exist",
    ),
    "a key of another type": (
        "features/definitions.py",
        lambda text: text.replace("schema=[", 'schema=[Field(name="station", dtype=Float64),'),
        "Entity station has type ValueType.STRING, which does not match the inferred type Float64",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_definitions_that_cannot_be_used_are_one_sentence_before_anything_is_built(team, edited, fault):
    path, change, sentence = FAULTS[fault]
    edited(path, change)
    team.run("tidegate features plan", 2)
    said = team.said[-1][1]
    assert sentence in said
    assert [line[:6] for line in said.splitlines()] == ["not us", "  next"]


# ── and what was broken behind its back (here, because a small project is soon scored) ────────────────


@pytest.fixture
def broken(team):
    """Return a function that breaks files of the team's home; they are put back."""
    kept = {}

    def spoil(pattern, change):
        for path in (team.project / ".tidegate").glob(pattern):
            kept[path] = path.read_bytes()
            path.write_bytes(change(kept[path]))
        assert kept

    yield spoil
    for path, body in kept.items():
        path.write_bytes(body)


@pytest.mark.slow
def test_a_tampered_artifact_is_not_served(team, broken):
    broken("mlflow/artifacts/**/*.onnx", lambda body: body + b"\0")
    team.run("tidegate run score model=busy_hour period=2026-03 --as svc-score", 3)
    assert "failed: got an artifact with the digest sha256:" in team.said[-1][1]


@pytest.mark.slow
def test_a_broken_feature_store_fails_in_one_sentence(team, broken):
    broken("feast/registry.db", lambda _: b"broken" * 1000)
    later = "TIDEGATE_NOW=2026-06-02T06:00:00Z"  # or there would be nothing to bring online
    team.run(f"{later} tidegate run materialize --as svc-features", 3)
    (sentence, _) = team.said[-1][1].splitlines()
    assert sentence.startswith("failed: got DatabaseError from Feast")
