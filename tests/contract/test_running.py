import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tidegate.adapters.prefect_schedules import PrefectSchedules
from tidegate.adapters.turns import FileTurns, PostgresTurns
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.schedule import CatchUp, Schedule
from tidegate.testing.contracts.running import DAILY, MARCH, MONTHLY, SchedulesContract, TurnsContract
from tidegate.testing.fakes.running import FakeSchedules, FakeTurns


def deployment(schedule):
    return {
        "name": schedule.name,
        "entrypoint": f"{schedule.flow}.py:{schedule.flow}",
        "schedules": [{"cron": schedule.cron, "timezone": schedule.timezone}],
        "tags": [f"catch-up={schedule.catch_up}", "nightly work"],
        "parameters": dict(schedule.parameters),
    }


def written(folder, *deployments):
    """JSON is YAML: the shortest way to write a file whose lines do not matter."""
    file = folder / "pipelines" / "prefect.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"name": "tidegate", "deployments": list(deployments)}))
    return PrefectSchedules(file)


class TestPrefectSchedules(SchedulesContract):
    @pytest.fixture
    def holding(self, tmp_path):
        return lambda *schedules: written(tmp_path, *map(deployment, schedules))

    def test_without_a_file_there_is_no_schedule(self, tmp_path):
        assert PrefectSchedules(tmp_path / "prefect.yaml").all() == ()

    def test_only_active_schedules_count_and_a_deployment_may_have_none(self, tmp_path):
        idle = {"name": "Ad hoc", "entrypoint": "anything:goes", "schedules": []}
        paused = deployment(MONTHLY) | {"schedules": [{"cron": MONTHLY.cron, "active": False}]}
        assert written(tmp_path, idle, paused, deployment(DAILY)).all() == (DAILY,)

    def test_what_is_not_said_is_utc_and_every_slot(self, tmp_path):
        bare = {"name": "n", "entrypoint": "n.py:n", "schedules": [{"cron": "0 6 * * *"}]}
        assert written(tmp_path, bare).all() == (Schedule("n", "n", "0 6 * * *", "UTC", CatchUp.EACH),)

    def test_an_hour_that_the_clock_shows_twice_is_one_slot(self, holding):
        late = Schedule("late", "late", "30 1 * * *", "America/New_York")
        slots = holding(late).slots(
            late, datetime(2013, 11, 3, tzinfo=UTC), datetime(2013, 11, 4, tzinfo=UTC)
        )
        assert slots == (datetime(2013, 11, 3, 5, 30, tzinfo=UTC),)

    def test_a_day_whose_hour_is_leapt_over_has_its_slot(self, holding):
        night = Schedule("night", "night", "30 2 * * *", "America/New_York")
        after = datetime(2013, 3, 9, 12, tzinfo=UTC)
        slots = holding(night).slots(night, after, after + timedelta(days=2))
        assert slots == (datetime(2013, 3, 10, 6, 30, tzinfo=UTC), datetime(2013, 3, 11, 6, 30, tzinfo=UTC))

    @pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"])
    @pytest.mark.parametrize("cron", ["30 2 * * *", "*/20 1-3 * * *", "0 * * * *"])
    def test_going_from_slot_to_slot_leaves_none_out(self, holding, zone, cron):
        each = Schedule("each", "each", cron, zone)
        subject = holding(each)
        for start in (
            datetime(2013, 3, 8, tzinfo=UTC),
            datetime(2013, 10, 4, tzinfo=UTC),
            datetime(2013, 11, 2, tzinfo=UTC),
        ):
            slots = subject.slots(each, start, start + timedelta(days=4))
            assert all(subject.following(each, one) == next_one for one, next_one in pairwise(slots))
            middle = slots[len(slots) // 2]
            halves = (start, middle), (middle, start + timedelta(days=4))
            assert sum((subject.slots(each, *half) for half in halves), ()) == slots

    def test_all_faults_are_named_at_once_with_their_lines(self, tmp_path):
        file = tmp_path / "pipelines" / "prefect.yaml"
        file.parent.mkdir()
        file.write_text(
            """\
deployments:
  - name: Nightly Run
    entrypoint: flows/nightly.py:other
    schedules:
      - cron: "61 2 * * *"
        timezone: Mars/Olympus
        every: 5
    tags: [catch-up=never]
  - name: two
    entrypoint: two.py:two
    parameters: { drop: "{{ $HOME }}/x" }
    schedules: [{ cron: "0 0 1 * MON" }, { cron: "0 1 * * *" }]
  - name: interval
    entrypoint: interval.py:interval
    schedules: [{ interval: 60 }]
  - name: old
    entrypoint: old.py:old
    schedule: { cron: "0 1 * * *" }
  - name: seconds
    entrypoint: seconds.py:seconds
    schedules: [{ cron: "0 0 5 * * *", active: maybe }]
  - name: once
    entrypoint: once.py:once
    schedules: [{ cron: "0 0 31 2 *" }]
"""
        )
        with pytest.raises(BadInput) as caught:
            PrefectSchedules(file).all()
        assert caught.value.code == "schedules"
        assert "pipelines/prefect.yaml has" in caught.value.sentence
        said = {
            (fault["line"], fault["sentence"].split(", expected")[0]) for fault in caught.value.data["faults"]
        }
        assert said == {
            (2, "got 'Nightly Run'"),
            (3, "got 'flows/nightly.py:other'"),
            (5, "got '61 2 * * *' (Bad minute)"),
            (6, "got 'Mars/Olympus'"),
            (7, "got 'every'"),
            (8, "got 'catch-up=never'"),
            (11, "got a template in `drop`"),
            (12, "got a day of the month and of the week"),
            (12, "got a second schedule"),
            (15, "got 'interval'"),
            (15, "got no cron"),
            (18, "got `schedule`"),
            (21, "got '0 0 5 * * *'"),
            (21, "got 'maybe'"),
            (24, "got '0 0 31 2 *' (Bad day-of-month)"),
        }

    def test_a_schedule_comes_after_those_it_names_and_after_what_they_come_after(self, tmp_path):
        def after(name, *names, **more):
            tags = ["nightly", *(f"after={each}" for each in names)]
            return deployment(Schedule(name, name, "0 6 * * *", "UTC")) | {"tags": tags} | more

        paused = [{"cron": "0 6 * * *", "active": False}]
        found = written(
            tmp_path,
            after("collect"),
            after("build", "collect", schedules=paused),
            after("other"),
            after("score", "other", "build"),
        ).all()
        assert {schedule.name: schedule.after for schedule in found} == {
            "collect": (),
            "other": (),
            "score": ("collect", "build", "other"),
        }

    @pytest.mark.parametrize("name", ["score", "later", "nothing", ""])
    def test_a_schedule_comes_only_after_one_above_it_so_that_no_two_wait_for_each_other(
        self, tmp_path, name
    ):
        schedules = [
            deployment(Schedule(each, each, "0 6 * * *", "UTC")) for each in ("collect", "score", "later")
        ]
        schedules[1]["tags"] = [f"after={name}"]
        with pytest.raises(BadInput) as caught:
            written(tmp_path, *schedules).all()
        (fault,) = caught.value.data["faults"]
        assert fault["sentence"] == f"got 'after={name}', expected after=NAME, a deployment above it"

    def test_two_schedules_of_one_name_are_refused(self, tmp_path):
        with pytest.raises(BadInput, match="got the deployment 'nightly' again"):
            written(tmp_path, deployment(DAILY), deployment(DAILY)).all()

    @pytest.mark.parametrize("text", ["", "- a", "deployments: 5", "name: x", "deployments: [5]", "a: &x 1"])
    def test_a_file_of_another_shape_is_bad_input(self, tmp_path, text):
        (tmp_path / "prefect.yaml").write_text(text)
        with pytest.raises(BadInput) as caught:
            PrefectSchedules(tmp_path / "prefect.yaml").all()
        assert caught.value.data["faults"]


class TestFakeSchedules(SchedulesContract):
    @pytest.fixture
    def holding(self):
        days = [MARCH.replace(hour=2, minute=30) + timedelta(days=day) for day in range(-40, 60)]
        return lambda *schedules: FakeSchedules(
            schedules, {DAILY.name: days[::-1], MONTHLY.name: [MARCH.replace(hour=6)]}
        )


class TestFakeTurns(TurnsContract):
    @pytest.fixture
    def subject(self):
        return FakeTurns()

    @pytest.fixture
    def other(self, subject):
        return FakeTurns(subject.held)


class AcrossProcesses(TurnsContract):
    """Adds what only real turns can show: ``taker`` is a program that takes the turn and waits."""

    def holder(self, program, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline().strip() == b"mine"
        return process

    def test_a_turn_is_held_across_processes_and_ends_with_kill_9(self, subject, program, argument):
        process = self.holder(program, argument)
        try:
            with subject.take("score") as mine:
                assert not mine
        finally:
            process.kill()
            process.communicate()
        for _ in range(100):  # a server notices a closed connection a moment later
            with subject.take("score") as mine:
                if mine:
                    return
        pytest.fail("the turn outlived its holder")

    @pytest.fixture
    def program(self):
        return f"""
import pathlib, sys
from tidegate.adapters.turns import FileTurns, PostgresTurns
made = {self.made}
with made.take("score") as mine:
    print("mine" if mine else "not mine", flush=True)
    sys.stdin.read()
"""


class TestFileTurns(AcrossProcesses):
    made = "FileTurns(pathlib.Path(sys.argv[1]))"

    @pytest.fixture
    def argument(self, tmp_path):
        return str(tmp_path / "locks")

    @pytest.fixture
    def subject(self, tmp_path):
        return FileTurns(tmp_path / "locks")

    @pytest.fixture
    def other(self, tmp_path):
        return FileTurns(tmp_path / "locks")

    def test_a_folder_that_cannot_be_written_is_a_sentence(self, tmp_path):
        (tmp_path / "locks").write_text("a file")
        with pytest.raises(DependencyFailed) as caught, FileTurns(tmp_path / "locks").take("score"):
            pass
        assert caught.value.code == "no-turn"

    def test_no_child_keeps_a_turn_that_its_parent_gave_up(self, subject, other):
        with subject.take("score"):
            child = subprocess.Popen(
                [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
            )
        try:
            with other.take("score") as theirs:
                assert theirs
        finally:
            child.communicate(b"\n")


class TestPostgresTurns(AcrossProcesses):
    made = "PostgresTurns(sys.argv[1])"

    @pytest.fixture
    def argument(self, postgres_url):
        return postgres_url

    @pytest.fixture
    def subject(self, postgres_url):
        return PostgresTurns(postgres_url)

    @pytest.fixture
    def other(self, postgres_url):
        return PostgresTurns(postgres_url)

    def test_a_database_that_is_away_is_a_sentence_without_its_password(self):
        url = "postgresql://tidegate:secret@127.0.0.1:1/nowhere"
        with pytest.raises(DependencyFailed) as caught, PostgresTurns(url).take("score"):
            pass
        assert caught.value.code == "no-turn"
        assert "secret" not in caught.value.sentence
