"""Scheduled flows on a real home: slots, turns, catching up, and what each service may do."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.prefect_schedules import PrefectSchedules
from tidegate.adapters.turns import FileTurns
from tidegate.application.follow import follow
from tidegate.application.lawfulness import unlawful
from tidegate.application.ports import MonitorResult, Segment
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.application.runs import schedule_status, story_of, what_came
from tidegate.bootstrap import Tidegate
from tidegate.domain.actors import ROLES, Permission
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.feature_change import Definitions
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.schedule import CatchUp, Schedule
from tidegate.domain.state import MonitorRow, ReviewRow, RunRow
from tidegate.entrypoints import examination, flows, slots
from tidegate.entrypoints.cli.app import app
from tidegate.entrypoints.flows import load_file
from tidegate.entrypoints.slots import each_model, moment_of, run_due, scheduled
from tidegate.settings import load
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities
from tidegate.testing.shell import Shell

ROOT = Path(__file__).parents[2]
OPENED = "2013-01-01T12:00:00Z"
FIRST = datetime(2013, 1, 2, 6, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def project(folder, schedules, **code):
    """A project of the reference's content with flows of its own, each in a file of its name."""
    (folder / "pipelines").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("features", "models", "expectations", "monitoring", "infra"):
        (folder / name).symlink_to(ROOT / name)
    for name, text in code.items():
        (folder / "pipelines" / f"{name}.py").write_text(text)
    deployments = [
        {
            "name": name,
            "entrypoint": f"{flow}.py:{flow}",
            "schedules": [{"cron": cron}],
            "tags": [f"catch-up={catch_up}", *(f"after={other}" for other in after)],
        }
        for name, flow, cron, catch_up, *after in schedules
    ]
    (folder / "pipelines" / "prefect.yaml").write_text(json.dumps({"deployments": deployments}))
    return folder


DAILY = (("tide", "tide", "0 6 * * *", "each"), ("ebb", "ebb", "0 7 * * *", "latest"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return a function that opens the project at a moment; its schedules are the flows `tide` and `ebb`."""
    monkeypatch.setenv("TIDEGATE_PROJECT", str(project(tmp_path / "project", DAILY)))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))

    def at(moment):
        monkeypatch.setenv("TIDEGATE_NOW", moment if isinstance(moment, str) else utc_text(moment))
        return Tidegate(load())

    at(OPENED).open()
    return at


def recorder():
    """A scheduled flow `tide` and the list of slots it was called for."""
    called = []

    @scheduled("svc-score")
    def tide(slot=None):
        called.append(slot)

    return tide, called


def slots_run(platform, schedule="tide"):
    return [row.slot for row in platform.ledger.state().select(RunRow, schedule=schedule)]


# ── the team's file, and Prefect's reading of it ─────────────────────────────────────────────────


def test_the_reference_project_runs_what_the_month_asks_for_in_this_order():
    found = PrefectSchedules(ROOT / "pipelines" / "prefect.yaml").all()
    latest = {"materialize", "parity", "follow"}
    assert [schedule.name for schedule in found] == [
        "collect", "materialize", "parity", "score", "monitor", "canary", "follow"
    ]  # fmt: skip
    assert {schedule.name for schedule in found if schedule.catch_up is CatchUp.LATEST} == latest
    assert {schedule.timezone for schedule in found} == {"UTC"}
    for schedule in found:
        assert schedule.flow == schedule.name
        assert "@scheduled(" in (ROOT / "pipelines" / f"{schedule.flow}.py").read_text()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
@pytest.mark.parametrize(
    "cron",
    [
        "30 2 * * *",
        "0 2 * * *",
        "0 * * * *",
        "*/15 1-3 * * *",
        "30 1 * * *",
        "0 0 1 * *",
        "5/20 0 * * MON-FRI",
    ],
)
def test_our_slots_are_the_ones_that_prefects_scheduler_makes(zone, cron):
    from prefect.server.schemas.schedules import CronSchedule
    from prefect.types._datetime import DateTime

    theirs = CronSchedule(cron=cron, timezone=zone)
    schedule = Schedule("x", "x", cron, zone)
    for start in (datetime(2013, 3, 7, tzinfo=UTC), datetime(2013, 10, 3, tzinfo=UTC)):
        end = start + timedelta(days=35)
        made = theirs._get_dates_generator(start=DateTime.instance(start), end=DateTime.instance(end))
        ours = PrefectSchedules(Path("none")).slots(schedule, start - timedelta(seconds=1), end)
        assert sorted(each.astimezone(UTC) for each in made) == list(ours)


# ── one slot, one effect ─────────────────────────────────────────────────────────────────────────


def test_a_run_that_the_orchestrator_executes_twice_has_one_effect(here):
    tide, called = recorder()
    here(FIRST)
    first, second = tide(slot="tide/2013-01-02T06:00:00Z"), tide(slot="2013-01-02T06:00:00Z")
    assert called == ["2013-01-02T06:00:00Z"]
    assert [run["outcome"] for run in first["runs"]] == ["nothing"]
    assert (second["runs"], second["said"]) == ([], "recorded by an earlier run")
    finished = [event for event in here(FIRST).ledger.events() if event.type is EventType.RUN_FINISHED]
    assert [event.actor for event in finished] == ["s-3"], "svc-score, the third service of the profile"


def test_a_run_by_hand_has_no_slot_and_records_none(here):
    tide, called = recorder()
    assert tide() is None
    assert called == [None]
    assert slots_run(here(FIRST)) == []


def test_after_downtime_a_run_catches_up_first_and_then_does_its_own(here):
    tide, called = recorder()
    here(FIRST)
    tide(slot=utc_text(FIRST))
    here(FIRST + 3 * DAY)
    tide(slot=utc_text(FIRST + 3 * DAY))
    assert called == [utc_text(FIRST + day * DAY) for day in range(4)]
    assert slots_run(here(FIRST + 3 * DAY)) == called


def test_where_only_the_latest_counts_one_run_makes_good_for_all(here):
    called = []

    @scheduled("svc-features")
    def ebb(slot=None):
        called.append(slot)

    for day in (0, 4):
        slot = FIRST + timedelta(hours=1) + day * DAY
        here(slot)
        ebb(slot=utc_text(slot))
    assert len(called) == 2
    rows = here(FIRST + 5 * DAY).ledger.state().select(RunRow, schedule="ebb")
    assert [row.covers for row in rows] == [0, 3]


def test_a_tool_that_fails_leaves_the_slot_due_and_status_shows_it_missed(here):
    up = [False]

    @scheduled("svc-score")
    def tide(slot=None):
        if not up[0]:
            raise DependencyFailed("down", "got no answer from the registry, expected one", "start it")

    platform = here(FIRST)
    with pytest.raises(DependencyFailed):
        tide(slot=utc_text(FIRST))
    assert slots_run(platform) == []
    late = here(FIRST + timedelta(hours=2))
    assert schedule_status(late, late.clock.now())[0]["missed"] == [utc_text(FIRST)]
    up[0] = True
    tide(slot=utc_text(FIRST))
    assert schedule_status(late, late.clock.now())[0]["missed"] == []


def test_what_a_rule_refuses_is_an_outcome_and_not_due_again(here):
    @scheduled("svc-score")
    def tide(slot=None):
        raise Refused("not-permitted", "A1: s-3 may not", "ask")

    here(FIRST)
    run = tide(slot=utc_text(FIRST))["runs"][0]
    assert (run["outcome"], run["said"]) == ("refused", "A1: s-3 may not")
    assert slots_run(here(FIRST)) == [utc_text(FIRST)]


def test_what_a_slot_writes_is_one_story_under_the_services_own_name(here):
    @scheduled("svc-score")
    def tide(slot=None):
        flows.service("svc-train")
        inside = flows.service("svc-score")
        assert inside.acting.correlation == f"schedule/tide/{slot}"
        assert inside.acting.actor.id == "s-3"

    here(FIRST)
    tide(slot=utc_text(FIRST))
    assert flows.service("svc-score").acting.correlation is None


@pytest.mark.parametrize(
    ("slot", "why"),
    [
        ("2013-01-02T06:00:01Z", "no schedule declares"),
        ("neap/2013-01-02T06:00:00Z", "no schedule declares"),
        ("2013-01-05T06:00:00Z", "lies ahead"),
        ("ebb/2013-01-02T07:00:00Z", "is of the flow `ebb`"),
    ],
)
def test_a_slot_that_is_none_is_bad_input_and_nothing_is_run(here, slot, why):
    tide, called = recorder()
    here(FIRST + DAY)
    with pytest.raises(BadInput) as caught:
        tide(slot=slot)
    assert caught.value.code == "wrong-slot"
    assert why in caught.value.sentence
    assert called == []


@pytest.mark.parametrize("slot", ["yesterday", "2013-01-02T06:00:00", "tide/"])
def test_a_slot_that_is_no_time_is_bad_input(here, slot):
    tide, _ = recorder()
    with pytest.raises(BadInput, match="expected a time like"):
        tide(slot=slot)


def test_a_run_is_about_the_moment_of_its_slot_and_by_hand_about_now(here):
    assert moment_of("2013-03-01T06:30:00Z") == datetime(2013, 3, 1, 6, 30, tzinfo=UTC)
    here("2013-06-15T00:00:00Z")
    assert moment_of(None) == datetime(2013, 6, 15, tzinfo=UTC)


def test_a_refusal_or_a_failure_for_one_model_does_not_stop_the_others(here, monkeypatch):
    platform = here(FIRST)
    names = ("a", "b", "c", "never_trained")
    monkeypatch.setattr(type(platform.models), "names", lambda _: names)
    about = {"owner": "o", "purpose": "p", "tier": "low", "fallback": "abstain: x"}
    acting = platform.act("svc-train")
    from tidegate.application.recording import draft

    with platform.ledger.transaction() as tx:
        for name in names[:3]:
            tx.append(draft(acting, EventType.MODEL_REGISTERED, f"model/{name}", {"name": name, **about}))
    called = []

    def act(model):
        called.append(model)
        if model == "a":
            raise Refused("nothing-to-score-with", "got no version", "promote one")
        return model.upper()

    assert each_model(None, act) == {
        "a": {"refused": "nothing-to-score-with", "sentence": "got no version"},
        "b": "B",
        "c": "C",
    }

    def fails(model):
        called.append(model)
        raise DependencyFailed("down", f"got no {model}", "")

    called.clear()
    with pytest.raises(DependencyFailed, match="got no a"):
        each_model(None, fails)
    assert called == ["a", "b", "c"]
    with pytest.raises(Refused):
        each_model("a", act)


# ── no overlap ───────────────────────────────────────────────────────────────────────────────────

HOLDER = """
import sys
from tidegate.entrypoints.slots import scheduled

@scheduled("svc-score")
def tide(slot=None):
    print("running", slot, flush=True)
    sys.stdin.readline()

print(tide(slot="2013-01-02T06:00:00Z"), flush=True)
"""


def test_two_processes_never_run_one_schedule_at_once_and_kill_9_frees_it(here):
    here(FIRST)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    )
    try:
        assert process.stdout.readline() == b"running 2013-01-02T06:00:00Z\n"
        tide, called = recorder()
        found = tide(slot=utc_text(FIRST))
        assert (found["skipped"], found["said"]) == (True, "skipped: another run of tide is under way")
        assert called == []
        process.kill()
        process.wait()
        tide(slot=utc_text(FIRST))
        assert called == [utc_text(FIRST)]
    finally:
        process.kill()
        process.communicate()


def test_another_schedule_runs_meanwhile(here):
    platform = here(FIRST + timedelta(hours=1))
    tide, called = recorder()
    with platform.turns.take("schedule/ebb"):
        tide(slot=utc_text(FIRST))
    assert called == [utc_text(FIRST)]


# ── what comes after what ────────────────────────────────────────────────────────────────────────

CHAIN = (("tide", "tide", "0 6 * * *", "each"), ("ebb", "ebb", "0 7 * * *", "each", "tide"))


@pytest.fixture
def chain(here, tmp_path, monkeypatch):
    """Return two scheduled flows, of which `ebb` comes after `tide`, what they were called for, and what is broken."""
    monkeypatch.setenv("TIDEGATE_PROJECT", str(project(tmp_path / "chain", CHAIN)))
    called, broken = [], set()

    def flow(name, account):
        def body(slot=None):
            if name in broken:
                raise DependencyFailed("down", f"got no {name}, expected one", "start it")
            called.append((name, slot[:10]))

        body.__name__ = name
        return scheduled(account)(body)

    return flow("tide", "svc-score"), flow("ebb", "svc-monitor"), called, broken


def test_after_downtime_a_slot_waits_until_what_it_comes_after_was_run(here, chain):
    """A worker starts all late runs at once, and nobody says which of them comes first."""
    tide, ebb, called, _ = chain
    platform = here(FIRST + 2 * HOUR)
    found = ebb(slot=utc_text(FIRST + HOUR))
    assert (found["skipped"], found["runs"]) == (True, [])
    assert found["said"] == (
        "skipped: ebb of 2013-01-02T07:00:00Z waits for tide of 2013-01-02T06:00:00Z, which was not run"
    )
    assert (called, slots_run(platform, "ebb")) == ([], [])
    assert schedule_status(platform, FIRST + 3 * HOUR)[1]["missed"] == [utc_text(FIRST + HOUR)], "still due"
    tide(slot=utc_text(FIRST))
    assert "skipped" not in ebb(slot=utc_text(FIRST + HOUR))
    assert called == [("tide", "2013-01-02"), ("ebb", "2013-01-02")]


def test_what_does_not_have_to_wait_is_caught_up_before_what_has_to(here, chain):
    tide, ebb, called, _ = chain
    here(FIRST)
    tide(slot=utc_text(FIRST))
    here(FIRST + HOUR)
    ebb(slot=utc_text(FIRST + HOUR))
    here(FIRST + DAY)
    tide(slot=utc_text(FIRST + DAY))
    here(FIRST + 2 * DAY + HOUR)
    found = ebb(slot=utc_text(FIRST + 2 * DAY + HOUR))
    assert [run["slot"] for run in found["runs"]] == [utc_text(FIRST + DAY + HOUR)]
    assert "waits for tide of 2013-01-04T06:00:00Z" in found["said"]
    assert called[2:] == [("tide", "2013-01-03"), ("ebb", "2013-01-03")]


def test_a_broken_schedule_holds_back_what_comes_after_it_and_nothing_for_ever(here, chain):
    tide, ebb, called, broken = chain
    broken.add("tide")
    for day in (0, 1):
        here(FIRST + day * DAY)
        with pytest.raises(DependencyFailed):
            tide(slot=utc_text(FIRST + day * DAY))
        here(FIRST + day * DAY + HOUR)
        assert ebb(slot=utc_text(FIRST + day * DAY + HOUR))["skipped"]
    broken.clear()
    here(FIRST + 2 * DAY + HOUR)
    tide(slot=utc_text(FIRST + 2 * DAY))
    ebb(slot=utc_text(FIRST + 2 * DAY + HOUR))
    platform = here(FIRST + 2 * DAY + HOUR)
    assert slots_run(platform, "ebb")[-1] == utc_text(FIRST + 2 * DAY + HOUR)
    assert called == [("tide", "2013-01-04"), ("ebb", "2013-01-04")], "who never ran owes the latest alone"
    assert all(item["missed"] == [] for item in schedule_status(platform, platform.clock.now()))


def test_what_is_broken_holds_back_nothing_that_does_not_come_after_it(here, chain):
    tide, ebb, called, broken = chain
    broken.add("ebb")
    here(FIRST + 2 * HOUR)
    tide(slot=utc_text(FIRST))
    with pytest.raises(DependencyFailed):
        ebb(slot=utc_text(FIRST + HOUR))
    here(FIRST + DAY)
    tide(slot=utc_text(FIRST + DAY))
    assert called == [("tide", "2013-01-02"), ("tide", "2013-01-03")]


def test_a_slot_that_is_skipped_ends_the_run_of_all_that_is_due(here, chain, monkeypatch):
    platform = here(FIRST + 2 * HOUR)
    asked, noted = [], []

    def skipped(_settings, flow, parameters):
        asked.append((flow, parameters["slot"]))
        return {
            "schedule": flow,
            "runs": [],
            "skipped": True,
            "said": f"skipped: another run of {flow} is under way",
        }

    monkeypatch.setattr(slots, "run_flow", skipped)
    monkeypatch.setattr(slots, "in_process", lambda _: nullcontext())
    with pytest.raises(Refused) as caught:
        run_due(platform, None, noted.append)
    assert (caught.value.code, caught.value.sentence) == ("under-way", "another run of tide is under way")
    assert asked == [("tide", "tide/2013-01-02T06:00:00Z")], "what comes behind it was not begun"
    assert len(noted) == 1


def test_the_reference_project_says_what_comes_after_what():
    found = {each.name: each.after for each in PrefectSchedules(ROOT / "pipelines" / "prefect.yaml").all()}
    assert found == {
        "collect": (),
        "materialize": ("collect",),
        "parity": ("collect", "materialize"),
        "score": ("collect", "materialize"),
        "monitor": ("collect", "materialize", "score"),
        "canary": ("collect", "materialize", "score"),
        "follow": (),
    }


# ── clocks that jump ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ticking(tmp_path, monkeypatch):
    """Return a function that sets the machine's own clock and opens the project; a simulated one never goes back."""
    monkeypatch.setenv("TIDEGATE_PROJECT", str(project(tmp_path / "project", DAILY)))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TIDEGATE_NOW", raising=False)

    def at(moment):
        monkeypatch.setattr(SystemClock, "now", lambda _: moment)
        return Tidegate(load())

    at(FIRST - 12 * HOUR).open()
    return at


def test_a_clock_that_jumped_ahead_and_back_stops_no_schedule_and_is_said(ticking, monkeypatch, capsys):
    tide, called = recorder()
    ticking(FIRST)
    tide(slot=utc_text(FIRST))
    far = FIRST + 3 * DAY
    ticking(far)
    tide(slot=utc_text(far))
    assert called == [utc_text(FIRST + day * DAY) for day in range(4)]
    platform = ticking(FIRST + DAY)
    tide(slot=utc_text(FIRST + DAY))
    assert called[4:] == [utc_text(FIRST + DAY)], "it is run again when it comes"
    tide(slot=utc_text(FIRST + DAY))
    assert len(called) == 5
    assert unlawful(platform) == ()
    assert platform.ledger.verify() == ()

    said = "tide has 2 slots up to 2013-01-05T06:00:00Z recorded on a clock ahead of this one"
    app(["status"], standalone_mode=False)
    assert f"ahead of the clock: {said}" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr(examination, "_LOOKS", {"schedules": examination._LOOKS["schedules"]})
    with pytest.raises(DependencyFailed, match="1 of 1 examination found a fault"):
        app(["doctor"], standalone_mode=False)
    assert f"BAD schedules: {said}" in " ".join(capsys.readouterr().out.split())
    ticking(far)
    app(["doctor"], standalone_mode=False)
    assert "no run recorded ahead of the clock" in capsys.readouterr().out


def test_a_clock_that_went_back_runs_nothing_twice_and_goes_on_when_it_is_right(ticking):
    tide, called = recorder()
    for day in range(5):
        ticking(FIRST + day * DAY)
        tide(slot=utc_text(FIRST + day * DAY))
    ticking(FIRST + 2 * DAY + HOUR)
    assert tide(slot=utc_text(FIRST + 2 * DAY))["said"] == "recorded by an earlier run"
    ticking(FIRST + 5 * DAY)
    tide(slot=utc_text(FIRST + 5 * DAY))
    assert called == [utc_text(FIRST + day * DAY) for day in range(6)]


# ── late rows and late labels, by the flows that are scheduled ───────────────────────────────────


@pytest.fixture
def trams(tmp_path, monkeypatch):
    """Return a world on fakes whose version 1 went live on 4 April, and a function that runs a flow for a slot."""
    world = FakePlatform(tmp_path)
    world.clock.moment = datetime(2024, 4, 4, 12, tzinfo=UTC)
    for month in ("2024-03", "2024-04"):
        world.accept(month, accepted=120)
    world.register()
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "Evidence looks sound to me.")
    world.entities = StatedEntities(tmp_path)
    world.monitors.run = lambda *_: MonitorResult((), (), tmp_path, "sha256:report")
    store = {"training_frame": lambda entities, *_, **__: entities, "verify": lambda _: None}
    store["registered"] = lambda _: Definitions()
    monkeypatch.setitem(world.__dict__, "features", SimpleNamespace(**store))
    world.scorer = SimpleNamespace(score=lambda *_: Segment("sha256:root", tmp_path / "x.parquet", 120))
    modules = {name: load_file(ROOT / "pipelines" / f"{name}.py") for name in ("score", "monitor")}
    accounts = {"score": "s-6", "monitor": "s-2"}

    def run(name, month, day):
        world.clock.moment = datetime(2024, month, day, 12, tzinfo=UTC)
        slot = utc_text(datetime(2024, month, day, 6, 30, tzinfo=UTC))
        story = story_of(name, utc_time(slot))
        acting = replace(world.acting(accounts[name]), correlation=story)
        monkeypatch.setattr(modules[name], "service", lambda _: flows.Service(world, acting))
        inside = flows.SLOT.set(flows.Slot(world, story))
        try:
            found = inspect.unwrap(modules[name].__dict__[name].fn)(slot=slot)
        finally:
            flows.SLOT.reset(inside)
        return found[MODEL], what_came(world, name, utc_time(slot), list(slots._refusals(found)))

    for name, step in (("score", "decide"), ("monitor", "watch")):
        monkeypatch.setattr(modules[name], step, getattr(modules[name], step).fn)
    return world, run


def test_a_month_whose_drop_came_late_is_scored_and_monitored_by_the_schedules(trams):
    world, run = trams
    assert list(run("score", 5, 1)[0]) == ["2024-04"]
    assert list(run("monitor", 5, 4)[0]) == ["2024-04"]
    found, came = run("score", 6, 1)
    assert found["refused"] == "nothing-to-score"
    assert came[0] == "nothing"
    assert "got no batch of trips for 2024-05" in came[1]
    found, came = run("monitor", 6, 4)
    assert (found["refused"], came[0]) == ("not-scored", "nothing")
    for month in ("2024-05", "2024-06"):  # May's comes with June's
        world.accept(month, accepted=120)
    found, came = run("score", 7, 1)
    assert list(found) == ["2024-05", "2024-06"]
    assert came == ("done", "2 decisions.scored")
    assert list(run("monitor", 7, 4)[0]) == ["2024-05", "2024-06"]
    assert run("score", 7, 2) == ({}, ("nothing", "nothing new to do"))


def test_labels_that_came_late_or_were_restated_are_looked_at_by_the_schedule(trams):
    world, run = trams
    for month in (5, 6):
        world.accept(f"2024-{month:02d}", accepted=120)
        run("score", month, 1)
    run("monitor", 6, 4)
    assert run("monitor", 6, 4)[0] == {}
    world.entities.digest = "tg1:late"
    found, came = run("monitor", 7, 4)
    assert list(found) == ["2024-04", "2024-05"]
    assert came[0] == "done"


def test_a_period_that_fails_stops_no_other_and_leaves_the_slot_due(trams):
    world, run = trams
    world.accept("2024-05", accepted=120)
    run("score", 6, 1)

    def failing(_spec, decisions, *_):
        if world.monitors.failed:
            return MonitorResult((), (), decisions.path, "sha256:report")
        world.monitors.failed = True
        raise DependencyFailed("decisions-altered", "got other decisions, expected those recorded")

    world.monitors.failed, world.monitors.run = False, failing
    with pytest.raises(DependencyFailed):
        run("monitor", 6, 4)
    assert [row.period for row in world.ledger.state().select(MonitorRow)] == ["2024-05"]
    assert list(run("monitor", 6, 4)[0]) == ["2024-04"]


# ── the commands ─────────────────────────────────────────────────────────────────────────────────

FLOW = """
from prefect import flow
from tidegate.domain.errors import DependencyFailed
from tidegate.entrypoints.flows import service
from tidegate.entrypoints.slots import scheduled
from tidegate.settings import load

@flow(name="{name}")
@scheduled("{service}")
def {name}(slot: str | None = None) -> None:
    if (load().home / "{name}.down").exists():
        raise DependencyFailed("down", "got no {name}, expected one", "wait for it")
"""


@pytest.fixture
def shell(tmp_path):
    code = {
        "tide": FLOW.format(name="tide", service="svc-score"),
        "ebb": FLOW.format(name="ebb", service="svc-monitor"),
    }
    folder = project(tmp_path / "project", DAILY, **code)
    found = Shell(tmp_path / "home", folder)
    assert found.run("open", TIDEGATE_NOW=OPENED).returncode == 0
    return found


def test_status_shows_what_was_missed_and_what_comes_next(shell):
    now = {"TIDEGATE_NOW": "2013-01-04T06:30:00Z"}
    said = shell.run("status", **now).stdout
    assert "missed: ebb of 2013-01-03T07:00:00Z; `tidegate schedule run` catches up" in said
    assert "missed: tide" not in said, "its latest slot is half an hour old"
    assert "next run: ebb at 2013-01-04T07:00:00Z" in said
    listed = shell.json("schedule", "list", **now)
    assert [(row["name"], row["cron"], row["last"], row["next"]) for row in listed] == [
        ("tide", "0 6 * * *", None, "2013-01-05T06:00:00Z"),
        ("ebb", "0 7 * * *", None, "2013-01-04T07:00:00Z"),
    ]
    assert shell.json("status", **now)["schedules"] == listed
    assert "0 6 * * *" in shell.run("schedule", "list", **now).stdout


def test_a_broken_schedule_file_is_named_and_status_still_answers(shell):
    (shell.project / "pipelines" / "prefect.yaml").write_text(
        "deployments:\n  - { name: x, entrypoint: 'x.py:x', schedules: [{ cron: daily }] }\n"
    )
    done = shell.run("schedule", "list")
    assert done.returncode == 2
    assert "line 2: got 'daily', expected five plain fields" in done.stderr
    assert "schedules cannot be read: pipelines/prefect.yaml has one fault" in shell.run("status").stdout


def test_a_second_schedule_run_is_refused_at_once(shell):
    with FileTurns(shell.home / "locks").take("schedules") as mine:
        assert mine
        done = shell.run("schedule", "run", TIDEGATE_NOW="2013-01-03T00:00:00Z")
    assert done.returncode == 1
    assert "another `schedule run` under way" in done.stderr


def test_the_future_is_not_run(shell):
    done = shell.run(
        "schedule", "run", "--until", "2013-01-09T00:00:00Z", TIDEGATE_NOW="2013-01-03T00:00:00Z"
    )
    assert done.returncode == 2
    assert "expected a moment up to now" in done.stderr


@pytest.mark.slow
def test_what_is_due_is_run_oldest_slot_first_and_a_failure_is_gone_on_from(shell):
    def run(now, *words):
        found = shell.json("schedule", "run", *words, TIDEGATE_NOW=now)
        return [(row["schedule"], row["slot"][:16], row["covers"]) for row in found]

    assert run("2013-01-02T12:00:00Z") == [("tide", "2013-01-02T06:00", 0), ("ebb", "2013-01-02T07:00", 0)]
    (shell.home / "ebb.down").touch()
    now = "2013-01-04T12:00:00Z"
    done = shell.run("schedule", "run", TIDEGATE_NOW=now)
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "2013-01-03T06:00  tide  nothing: nothing new to do",
        "2013-01-04T06:00  tide  nothing: nothing new to do",
    ]
    assert "failed: got no ebb, expected one" in done.stderr
    assert "missed: ebb of 2013-01-03T07:00:00Z and 1 more" in shell.run("status", TIDEGATE_NOW=now).stdout
    (shell.home / "ebb.down").unlink()
    assert run(now, "--until", "2013-01-03T23:00:00Z") == [("ebb", "2013-01-03T07:00", 0)]
    assert run(now) == [("ebb", "2013-01-04T07:00", 0)]
    events = len(shell.json("log", TIDEGATE_NOW=now))
    assert run(now) == []
    assert len(shell.json("log", TIDEGATE_NOW=now)) == events
    finished = [row for row in shell.json("log", TIDEGATE_NOW=now) if row["type"] == "run.finished"]
    assert {(row["actor"], row["sentence"].split()[2]) for row in finished} == {
        ("s-3", "tide"),
        ("s-4", "ebb"),
    }
    assert shell.processes() == []


# ── each service has only what its flow needs ────────────────────────────────────────────────────

#: What each flow's step needs, and how it is called. A service that lacks it is refused.
STEPS = {
    "ingest": (Permission.INGEST, lambda flow: flow.gate.fn("airports", "airports-2013.zip")),
    "collect": (Permission.INGEST, lambda flow: flow.gates.fn(None)),
    "materialize": (Permission.MATERIALIZE, lambda flow: flow.views.fn(None)),
    "parity": (Permission.MATERIALIZE, lambda flow: flow.sample.fn(100)),
    "train": (Permission.REGISTER, lambda flow: flow.version.fn("flight_delay", None, None)),
    "score": (Permission.SCORE, lambda flow: flow.decide.fn("flight_delay", "2013-01")),
    "monitor": (Permission.MONITOR, lambda flow: flow.watch.fn("flight_delay", "2013-01")),
    "canary": (Permission.ANALYSE, lambda flow: flow.compare.fn("flight_delay")),
}
#: What each service's flows do, all of it.
NEEDS = {
    "svc-ingest": {Permission.INGEST},
    "svc-features": {Permission.MATERIALIZE},
    "svc-train": {Permission.REGISTER, Permission.REQUEST, Permission.FOLLOW},
    "svc-score": {Permission.SCORE},
    "svc-monitor": {Permission.MONITOR},
    "svc-rollout": {
        Permission.ANALYSE, Permission.REQUEST, Permission.DEMOTE, Permission.ROLL_BACK, Permission.FOLLOW,
        Permission.TEND,
    },
}  # fmt: skip


def test_every_service_of_the_profile_has_what_its_flows_need_and_nothing_else():
    profile = load(ROOT, {}).profile
    services = {account.name: account.roles for account in profile.accounts if account.kind == "service"}
    assert set(services) == set(NEEDS)
    for name, roles in services.items():
        granted = set().union(*(ROLES[role] for role in roles))
        assert granted == NEEDS[name] | {Permission.RUN}


@pytest.mark.parametrize(
    ("step", "account"),
    [(step, name) for step, (needed, _) in STEPS.items() for name in NEEDS if needed not in NEEDS[name]],
)
def test_a_flow_under_another_services_account_is_refused(here, monkeypatch, step, account):
    permission, call = STEPS[step]
    platform = here(FIRST)
    landing = platform.settings.home / "landing" / "airports"
    landing.mkdir(parents=True)
    (landing / "airports-2013.zip").write_bytes(b"PK")
    module = load_file(ROOT / "pipelines" / f"{step}.py")
    own = flows.service
    monkeypatch.setattr(module, "service", lambda _name, *more: own(account, *more))
    with pytest.raises(Refused) as caught:
        call(module)
    assert caught.value.data["rule"] == "A1"
    assert f"permits `{permission}`" in caught.value.sentence
    refused = list(here(FIRST).ledger.events())[-1]
    assert (refused.type, refused.actor) == (EventType.ACTION_REFUSED, platform.act(account).actor.id)


@pytest.mark.parametrize("account", [name for name in NEEDS if Permission.FOLLOW not in NEEDS[name]])
def test_what_reviews_decided_is_carried_out_by_no_other_service(here, account):
    platform = here(FIRST)
    review = ReviewRow(
        "R-1",
        "flight_delay",
        "2013-01",
        1,
        "finding",
        "c",
        "reviewer",
        "decided",
        "retrain",
        "p-4",
        "",
        OPENED,
        1,
    )
    with pytest.raises(Refused) as caught:
        follow(platform, platform.act(account), review)
    assert caught.value.data["rule"] == "A1"
