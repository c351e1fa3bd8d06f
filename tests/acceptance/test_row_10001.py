"""The page that changes row 10,001: every file and command of it, and what it is shown to print.

MLflow is the real one, and so is everything else: the project is made by ``tidegate init``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.testing.pages import File, steps

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "examples" / "row_10001.md"


class Project:
    """A folder in which the page is played, and what its commands printed."""

    def __init__(self, folder):
        self.folder, self.home, self.printed = folder, folder / "counting", {}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {**kept, "COLUMNS": "300", "PATH": path}

    def play(self, page):
        for step in steps(page, "console in a new project"):
            if isinstance(step, File):
                target = self.home / step.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(step.body)
            elif step.line.startswith("export "):
                name, _, value = step.line.removeprefix("export ").partition("=")
                self.environment[name] = value
            else:
                printed = self.run(step.line, step.code)
                assert step.missing(printed) is None, f"{step}\n{printed}"
                self.printed.setdefault(step.line, []).append(printed)

    def run(self, line, code=0):
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.home if self.home.exists() else self.folder,
            env=self.environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == code, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, line
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The whole page, played once."""
    made = Project(tmp_path_factory.mktemp("row"))
    made.play(PAGE.read_text())
    return made


@pytest.mark.slow
def test_the_page_does_and_shows_what_it_says(project):
    assert len(project.printed) >= 12


@pytest.mark.slow
def test_mlflow_s_own_digest_did_not_change_and_would_have_one_row_earlier(project):
    (there,) = project.printed["python row_10001.py 1"]
    (back,) = project.printed["python row_10001.py -1"]
    assert "MLflow's digest is the same" in there
    assert "MLflow's digest is the same" in back
    program = (
        "import mlflow.data, pandas as pd; "
        "rows = pd.DataFrame({'hour': range(12180)}); first = mlflow.data.from_pandas(rows).digest; "
        "rows.loc[9999, 'hour'] += 1; earlier = mlflow.data.from_pandas(rows).digest; "
        "rows.loc[9999, 'hour'] -= 1; rows.loc[10000, 'hour'] += 1; "
        "print(first == earlier, first == mlflow.data.from_pandas(rows).digest)"
    )
    assert project.run(f'python -c "{program}"').split() == ["False", "True"]


@pytest.mark.slow
def test_the_record_keeps_the_refusals_with_the_packet_that_says_what_was_found(project):
    log = json.loads(project.run("tidegate log --model busy_hour --json"))
    sentences = " ".join(row["sentence"] for row in log)
    assert "the training set changed since" in sentences
    why = json.loads(project.run("tidegate why busy_hour 1 --json"))
    assert [each["verdict"] for each in why["findings"] if each["demand"] == "data_whole"] == ["error"]
    refused = [reason["code"] for each in why["refused"] for reason in each["reasons"]]
    assert refused == ["stale-request", "evidence-failed", "evidence-error"]
