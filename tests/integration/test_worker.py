"""Under a real Prefect server and worker: scheduled runs arrive, count once, and end with their worker."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.adapters.prefect_schedules import PrefectSchedules
from tidegate.bootstrap import Tidegate
from tidegate.domain.events import EventType
from tidegate.entrypoints.flows import load_file
from tidegate.settings import load
from tidegate.testing.orchestra import Orchestra

ROOT = Path(__file__).parents[2]
#: The whole story ends within this, whatever happens.
SECONDS = 240


@pytest.fixture
def orchestra(tmp_path):
    found = Orchestra(tmp_path, ROOT, SECONDS)
    yield found
    found.stop()


@pytest.mark.slow
def test_scheduled_runs_arrive_count_once_and_end_with_their_worker(orchestra):
    feed = load_file(ROOT / "pipelines" / "feed.py")
    airports = [delivery for delivery in feed.calendar() if delivery.dataset == "airports"]
    feed.deliver(airports, orchestra.shell.home / "landing")
    assert orchestra.shell.run("open").returncode == 0

    orchestra.begin()
    deployed = orchestra.deployments
    arrived = {
        (name, each["schedule"]["cron"], each["schedule"]["timezone"])
        for name, deployment in deployed.items()
        for each in deployment["schedules"]
    }
    declared = PrefectSchedules(ROOT / "pipelines" / "prefect.yaml").all()
    assert arrived == {(schedule.name, schedule.cron, schedule.timezone) for schedule in declared}
    assert {"ingest", "train", "promote"} <= set(deployed), "without a schedule, on request"

    # A schedule that does not let us wait for the first of a month.
    collect, soon = deployed["collect"]["id"], datetime.now(UTC) + timedelta(seconds=8)
    often = {"interval": 25, "anchor_date": soon.replace(microsecond=0).isoformat()}
    orchestra.api(f"/deployments/{collect}/schedules", [{"schedule": often, "active": True}])

    def counted():
        """A completed run that is on record; one that found another under way completes as skipped, and is not."""
        slots = orchestra.finished()
        return [run for run in orchestra.runs("collect", "COMPLETED") if run["expected_start_time"] in slots]

    done = orchestra.wait("a run to count", counted)[-1]
    orchestra.rest("collect")
    events = orchestra.events()
    gated = [event for event in events if event.type in {EventType.BATCH_ACCEPTED, EventType.BATCH_REFUSED}]
    assert [event.payload["dataset"] for event in gated] == ["airports"], "the drop counts once"
    slot = done["expected_start_time"]
    ours = next(event for event in events if event.payload.get("slot") == slot)
    assert {event.actor for event in events} == {"s-1"}, "svc-ingest, and nobody else"
    assert (ours.stream, ours.payload["outcome"] in {"done", "nothing"}) == ("schedule/collect", True)
    assert done["tags"] == ["auto-scheduled"]

    # The orchestrator executes the same run again.
    count = done["run_count"]
    again = {"state": {"type": "SCHEDULED", "name": "Scheduled"}, "force": True}
    orchestra.api(f"/flow_runs/{done['id']}/set_state", again)

    def repeated():
        run = orchestra.api(f"/flow_runs/{done['id']}")
        return run["run_count"] > count and run["state_type"] == "COMPLETED" and run

    assert orchestra.wait("the same run again", repeated)["expected_start_time"] == slot
    slots = orchestra.finished()
    assert slots.count(slot) == 1
    assert len(slots) == len(set(slots))
    batches = [event for event in orchestra.events() if event.type is gated[0].type]
    assert len(batches) == 1

    # The worker is killed while a flow waits for the ledger's write lock, which would let it go on two seconds later.
    feed.deliver(
        [each for each in feed.calendar() if each.dataset == "planes"], orchestra.shell.home / "landing"
    )
    with closing(sqlite3.connect(orchestra.shell.home / "record.db", isolation_level=None)) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        run = orchestra.ask("collect", datetime.now(UTC).isoformat())
        orchestra.wait("the run", lambda: orchestra.api(f"/flow_runs/{run}")["state_type"] == "RUNNING")
        flows = orchestra.flows()
        assert len(flows) == 1
        orchestra.kill("worker")
        time.sleep(2)
    orchestra.wait("its flow to end with it", lambda: not flows & orchestra.flows())
    assert orchestra.api(f"/flow_runs/{run}")["state_type"] == "CRASHED"
    assert orchestra.finished() == slots, "the slot stays due"
    assert [event.payload["dataset"] for event in orchestra.events() if event.type is gated[0].type] == [
        "airports"
    ]

    orchestra.stop()
    orchestra.wait("every process to end", lambda: orchestra.shell.processes() == [])
    assert Tidegate(load(ROOT, {"TIDEGATE_HOME": str(orchestra.shell.home)})).ledger.verify() == ()
