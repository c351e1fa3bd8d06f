"""What makes a flow of ``pipelines/`` a scheduled one: its slot, its turn, and its line in the record.

A run that was started for a slot does first what the schedule missed before it, then the slot itself; each
counts once, however often and by whomever it is started (S1). Where another run of the schedule is under way, or
a slot of a schedule that it comes after was not run (S4), it is skipped, with the reason, and its slot stays due.
A run by hand has no slot and records none.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.recording import permit
from tidegate.application.runs import agenda, due_by, finish, story_of, waits_for, what_came
from tidegate.bootstrap import Tidegate
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.errors import BadInput, Refused, TidegateError
from tidegate.domain.schedule import SKEW, Due, Schedule
from tidegate.domain.state import ModelRow
from tidegate.entrypoints.flows import SLOT, Service, Slot, in_process, run_flow, service
from tidegate.settings import load


@dataclass(frozen=True)
class Asked:
    """A slot that somebody asks to have run; ``given`` by hand or in process, not by Prefect's scheduler."""

    schedule: str
    slot: datetime
    given: bool


def scheduled(service_name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a flow's function one that a schedule may start; it must have a parameter ``slot``.

    The function is called once per slot that is due, with ``slot`` as that moment's text. What came of it is
    recorded under the service's name; a refusal is an outcome, a tool that failed leaves the slot due.
    """

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(body)

        @functools.wraps(body)
        def run(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            given = dict(bound.arguments)
            asked = _asked(body.__name__, given.pop("slot", None))
            if asked is None:
                return body(**given)
            return _in_turn(
                service(service_name), asked, body.__name__, lambda slot: body(**given, slot=slot)
            )

        return run

    return decorate


def each_model(model: str | None, act: Callable[[str], Any]) -> Any:
    """Do something for one model or, without one, for every registered model of ``models/``, one by one.

    What is refused for one of them, or fails, does not stop the others. Returns what ``act`` returns, or
    that by model; where it was refused, ``{"refused": code, "sentence": …}``.

    Raises:
        TidegateError: what failed first, after the others had their turn; with one model, whatever it raises.
    """
    if model is not None:
        return act(model)
    here = _platform()
    state = here.ledger.state()
    # What is declared and was never trained is left out: there is nothing yet to do anything with.
    return one_by_one([name for name in here.models.names() if state.get(ModelRow, name) is not None], act)


def one_by_one(names: Iterable[str], act: Callable[[str], Any]) -> dict[str, Any]:
    """Do something for each of several models, or periods; return what came of each, as `each_model`.

    Raises:
        TidegateError: what failed first, after the others had their turn.
    """
    done: dict[str, Any] = {}
    failed: list[TidegateError] = []
    for name in names:
        try:
            done[name] = act(name)
        except Refused as refusal:
            done[name] = _refusal(refusal)
        except TidegateError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return done


def moment_of(slot: str | None) -> datetime:
    """Return the moment that a run is about: its slot's, or now where it has none."""
    return utc_time(slot) if slot else _platform().clock.now()


def _platform() -> Tidegate:
    slot = SLOT.get()
    return slot.platform if slot else Tidegate(load())


def _asked(flow: str, slot: str | None) -> Asked | None:
    """Return which slot this run is for: the one given, else the one Prefect's scheduler made it for."""
    if slot is not None:
        name, _, moment = slot.rpartition("/")
        return Asked(name or flow, utc_time(moment), given=True)
    from prefect.runtime import deployment, flow_run

    if "auto-scheduled" not in flow_run.tags:
        return None
    moment = flow_run.scheduled_start_time
    return Asked(deployment.name, datetime.fromisoformat(moment.isoformat()), given=False)


def _in_turn(here: Service, asked: Asked, flow: str, act: Callable[[str], Any]) -> dict[str, Any]:
    """Run what is due for a slot while nobody else runs this schedule."""
    platform = here.platform
    schedule = _schedule(platform, asked, flow)
    permit(platform, here.acting, Permission.RUN, f"schedule/{schedule.name}")
    found: dict[str, Any] = {"schedule": schedule.name, "runs": [], "said": ""}
    with platform.turns.take(f"schedule/{schedule.name}") as mine:
        if not mine:
            return {**found, "skipped": True, "said": f"skipped: another run of {schedule.name} is under way"}
        for due in due_by(platform, schedule, asked.slot):
            if why := _waits(platform, schedule, due):
                return {**found, "skipped": True, "said": f"skipped: {why}"}
            found["runs"].append(_run(here, schedule.name, due, act))
    return found if found["runs"] else {**found, "said": "recorded by an earlier run"}


def _waits(platform: Tidegate, schedule: Schedule, due: Due) -> str:
    """Return why a slot cannot be run yet, empty where it can."""
    if (first := waits_for(platform, schedule, due.slot)) is None:
        return ""
    before = f"{first[0]} of {utc_text(first[1])}"
    return f"{schedule.name} of {utc_text(due.slot)} waits for {before}, which was not run"


def _schedule(platform: Tidegate, asked: Asked, flow: str) -> Schedule:
    """Return the declared schedule, or one without slots of its own where only Prefect's server knows it."""
    schedule = next((each for each in platform.schedules.all() if each.name == asked.schedule), None)
    fault = ""
    if schedule is not None and schedule.flow != flow:
        fault = f"is of the flow `{schedule.flow}`"
    elif asked.slot - platform.clock.now() > SKEW:
        fault = "lies ahead"
    elif asked.given and (schedule is None or not _is_slot(platform, schedule, asked.slot)):
        fault = "no schedule declares"
    if fault:
        raise BadInput(
            "wrong-slot",
            f"got the slot {asked.schedule}/{utc_text(asked.slot)}, which {fault}, "
            f"expected one of the flow `{flow}` that has come",
            "see `tidegate schedule list`; a run by hand needs no slot",
        )
    return schedule or Schedule(asked.schedule, flow, "", "UTC")


def _is_slot(platform: Tidegate, schedule: Schedule, moment: datetime) -> bool:
    return bool(platform.schedules.slots(schedule, moment - timedelta(microseconds=1), moment))


def _run(here: Service, schedule: str, due: Due, act: Callable[[str], Any]) -> dict[str, Any]:
    """Run one slot and record what came of it."""
    running = SLOT.set(Slot(here.platform, story_of(schedule, due.slot)))
    try:
        found = act(utc_text(due.slot))
    except Refused as refusal:
        found = _refusal(refusal)
    finally:
        SLOT.reset(running)
    outcome, summary = what_came(here.platform, schedule, due.slot, list(_refusals(found)))
    row = finish(here.platform, here.acting, schedule, due.slot, outcome, summary, due.covers)
    return {
        "slot": row.slot,
        "outcome": row.outcome,
        "said": row.summary,
        "covers": row.covers,
        "found": found,
    }


def _refusals(found: object) -> Iterator[tuple[str, str]]:
    """Yield what was refused, for whichever model and period, as (code, sentence)."""
    if isinstance(found, dict) and "refused" in found:
        yield found["refused"], found["sentence"]
    elif isinstance(found, dict):
        for each in found.values():
            yield from _refusals(each)


def _refusal(refusal: Refused) -> dict[str, str]:
    return {"refused": refusal.code, "sentence": refusal.sentence}


def run_due(here: Tidegate, until: datetime | None, note: Callable[[dict[str, Any]], None]) -> None:
    """Run all slots up to ``until`` (default: now) in this process, oldest first; ``note`` is told of each.

    Raises:
        BadInput: ``until`` lies ahead, or the schedules' file breaks the format.
        Refused: somebody else is at it, or at one of its schedules. DependencyFailed: a tool failed. Later
            slots are not run.
    """
    now = here.clock.now()
    if until is not None and until > now:
        raise BadInput(
            "lies-ahead",
            f"got {utc_text(until)}, expected a moment up to now, {utc_text(now)}",
            "leave --until away to run everything that is due",
        )
    with here.turns.take("schedules") as mine:
        if not mine:
            raise Refused(
                "under-way", "got another `schedule run` under way, expected one at a time", "wait for it"
            )
        asked = agenda(here, until or now)
        with in_process(here.settings) if asked else nullcontext():
            for schedule, due in asked:
                slot = f"{schedule.name}/{utc_text(due.slot)}"
                found = run_flow(here.settings, schedule.flow, {**schedule.parameters, "slot": slot})
                note(found)
                if found.get("skipped"):
                    why = found["said"].removeprefix("skipped: ")
                    raise Refused("under-way", why, "run the same again once that has ended")
