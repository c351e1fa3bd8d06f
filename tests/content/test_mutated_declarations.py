"""Whatever somebody does to a file of theirs, it is read or refused in words: never a fault of ours."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.adapters.cel_expressions import CelExpressions
from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.evidently_monitor.declaration import read_plan
from tidegate.adapters.evidently_monitor.feature_limits import read_limits
from tidegate.adapters.model_folders import ModelFolders
from tidegate.adapters.policy_files import PolicyFiles
from tidegate.adapters.prefect_schedules import PrefectSchedules
from tidegate.domain.errors import BadInput

steady = settings(deadline=None, max_examples=60)  # a slow machine is no fault

ROOT = Path(__file__).parents[2]
MODEL, MONITOR = "models/flight_delay/model.yaml", "monitoring/flight_delay.yaml"
LIMITS = "monitoring/features/carrier_day.yaml"
HOSTILE = (
    "", "null", "[]", "{}", "-1", "0", "1e400", ".nan", ".inf", "9" * 20, "true", '"\\u202e x"', '"\\0"', '"\\ud800"',
    "../../etc/passwd", "a" * 3000, "[[1]]", "{a: 1}", "2013-01-01", "'; DROP TABLE events; --", "[a, a]", "0x10",
    "!!python/object:os.system x", "&a b", "*a", "|\n  x", '"${HOME}"', "1_000", "P1000000000D", "1000000000d",
    "'* * * * *'", "0001-01-01T00:00:00+14:00", "'('", "'(a+)+$'",
)  # fmt: skip
ODD = ("\t", "\x00", "\u2028", ":", "-", "#", "[", "'", "\x1b[2J")


def slots(folder):
    schedules = PrefectSchedules(folder / "pipelines/prefect.yaml")
    noon = datetime(2013, 1, 1, 12, tzinfo=UTC)
    return [schedules.slots(each, noon, noon.replace(day=3)) for each in schedules.all()]


READERS = {
    MODEL: lambda folder: ModelFolders(folder / "models").spec("flight_delay"),
    "models/policy/policy.yaml": lambda folder: PolicyFiles(folder / "models/policy", CelExpressions()).load(),
    "expectations/contracts/flights.yaml": lambda folder: ContractFiles(folder / "expectations").load("flights"),
    "expectations/suites/flights.json": lambda folder: ContractFiles(folder / "expectations").load("flights"),
    MONITOR: lambda folder: read_plan(folder / MONITOR, ModelFolders(ROOT / "models").spec("flight_delay")),
    LIMITS: lambda folder: read_limits(folder / LIMITS, "carrier_day"),
    "pipelines/prefect.yaml": slots,
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name in ("models", "expectations", "monitoring", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def refusal(read, project):
    try:
        read(project)
    except BadInput as told:
        return told
    return None


@st.composite
def mutations(draw, text):
    """Return the text with one to three of its lines gone, said again, given another value, or broken."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        line, what = lines[at], draw(st.sampled_from(("value", "value", "gone", "again", "broken")))
        if what == "gone":
            del lines[at]
        elif what == "again":
            lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
        elif what == "value" and ":" in line:
            lines[at] = f"{line.partition(':')[0]}: {draw(st.sampled_from(HOSTILE))}"
        else:
            cut = draw(st.integers(0, len(line)))
            lines[at] = line[:cut] + draw(st.sampled_from(ODD)) + line[cut:]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("file", READERS)
def test_a_mutated_file_is_read_or_refused_in_one_printable_sentence(project, file):
    before = (ROOT / file).read_text()

    @steady
    @given(mutations(before))
    def mutated(text):
        (project / file).write_text(text)
        if (told := refusal(READERS[file], project)) is not None:
            assert told.sentence.isprintable(), told.sentence
            assert "expected" in told.sentence
            assert told.hint

    try:
        mutated()
    finally:
        (project / file).write_text(before)
