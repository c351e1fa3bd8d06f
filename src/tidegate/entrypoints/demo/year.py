"""The year 2013, step by step: what arrives when, what the schedules run, and what people decide."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from tidegate.application.train import windows
from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import Refused, TidegateError
from tidegate.domain.policy import Tier
from tidegate.entrypoints.demo.stage import Stage, Step

FLIGHTS, HOURS = "flight_delay", "origin_delay"
#: The key of the story's last act. Once it is recorded, nothing is played again: people may have gone on.
LAST_ACT = "reject-4"
START = "2013-01-01T12:00:00Z"
#: What lies there from the start is collected by the first scheduled run after the opening.
FIRST_RUN = "2013-01-04"
#: The drop that restates a month comes outside every schedule, and is put through its gate by hand.
BY_HAND = "2013-11-11"
#: The policy's thresholds and the monitors' limits were chosen on what came before: judging that is in-sample.
CHOSEN_UNTIL = "2013-04-01T00:00:00Z"
#: When each version of the flight model is trained, and the month in which it stands in canary.
PLAN = (
    ("2013-04-04T12:00:00Z", "2013-04", "the first; beside its fallback"),
    ("2013-07-04T12:00:00Z", "2013-07", "retrained on half a year; beside version 1"),
    ("2013-10-05T09:30:00Z", "2013-10", "retrained because a review asks for it; beside version 2"),
    ("2013-12-04T12:00:00Z", "2013-12", "retrained on the year as restated; beside version 2"),
)


def calendar(stage: Stage) -> list[str]:
    """Return which months train, calibrate, judge and canary each version, before anything is played."""
    here = Tidegate(stage.settings)
    spec, policy = here.models.spec(FLIGHTS), here.policies.load()
    rule = policy.rollout[Tier(spec.tier)]
    lines = [
        "Tidegate: New York's flights of 2013, January to December. Simulated are the clock, the people and three",
        "documented faults of the feeds. Flights and weather arrive on the 1st, outcomes on the 4th.",
        "",
        f"{FLIGHTS}   trains on         calibrates on     is judged on      canary    why",
    ]
    seen: list[str] = []
    for number, (moment, canary, why) in enumerate(PLAN, 1):
        known = windows(spec, utc_time(moment))
        if known.validate[0] < utc_time(CHOSEN_UNTIL):
            seen.append(f"version {number}")
        first = max(known.train[0], utc_time("2013-01-01T00:00:00Z"))
        pairs = ((first, known.train[1]), known.calibrate, known.validate)
        shown = "   ".join(f"{start:%d %b} – {end:%d %b}" for start, end in pairs)
        lines.append(f"  version {number}     {shown}   {canary}   {why}")
    named = f"policy {policy.name} {policy.version}, {policy.digest[:19]}…"
    share, lose = f"{rule.labelled_share:.0%}", f"{rule.may_lose:.0%}"
    lines += [
        "",
        f"Thresholds were chosen on January to March: {named}",
        f"  {' and '.join(seen)}: judged there too before the canary, so in-sample for the thresholds",
        "  every canary and every other version: judged on later months, at which nobody had looked",
        f"  canary: outcomes of {share} of what was scored, on {rule.days} days; at most {lose} of the live loss lost",
        "",
    ]
    return lines


def story(stage: Stage) -> Sequence[Step]:
    """Return all steps in the order of their simulated moments."""
    feed = _feed(stage)
    steps = [
        Step(START, "The feeds of the year are cut into drops", lambda: _cut(stage, feed)),
        Step("2013-01-01T12:01:00Z", "The ledger is opened", lambda: _opened(stage)),
        *_arrivals(stage, feed),
        *_people(stage),
    ]
    return sorted(steps, key=lambda step: step.now)


def _feed(stage: Stage) -> ModuleType:
    from tidegate.entrypoints.flows import load_file

    return load_file(stage.settings.folder("pipelines") / "feed.py")


def _cut(stage: Stage, feed: ModuleType) -> str:
    drops = feed.deliver(feed.calendar(), stage.settings.home / "feeds")
    return f"{len(drops)} drops lie with the operators; each arrives on its day"


def _opened(stage: Stage) -> str:
    stage.command("open")
    people = stage.command("user", "list")
    return f"{len(people)} accounts, each with a token of its own"


def _arrivals(stage: Stage, feed: ModuleType) -> Iterator[Step]:
    """On each day of the feeds' calendar drops arrive at night, and the schedules run in the morning."""
    days: dict[str, list[Any]] = {}
    for delivery in feed.calendar():
        days.setdefault(max(delivery.arrives, FIRST_RUN), []).append(delivery)
    for day, deliveries in sorted(days.items()):
        names = ", ".join(f"{each.dataset} {each.period}" for each in deliveries)
        title = f"{names} arrive" if day == BY_HAND else f"{names} arrive; scheduled runs"
        yield Step(f"{day}T09:30:00Z", title, partial(_night, stage, day, tuple(deliveries)))
    for day in ("2013-07-05", "2013-10-05"):
        yield Step(
            f"{day}T09:30:00Z", "Scheduled runs follow what was reviewed", partial(_night, stage, day, ())
        )


def _night(stage: Stage, day: str, deliveries: Sequence[Any]) -> str:
    for each in deliveries:
        _arrive(stage, each)
    if day == BY_HAND:
        for each in deliveries:
            stage.flow("ingest", "svc-ingest", dataset=each.dataset, drop=str(_landed(stage, each)))
    else:
        stage.command("schedule", "run")
    return "\n".join(f"(simulated: {each.note})" for each in deliveries if each.note)


def _landed(stage: Stage, delivery: Any) -> Path:
    return stage.landing / str(delivery.dataset) / str(delivery.file)


def _arrive(stage: Stage, delivery: Any) -> None:
    """Have a drop appear in the landing folder in one step: no half a drop is ever seen there."""
    source = stage.settings.home / "feeds" / delivery.dataset / delivery.file
    target = _landed(stage, delivery)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)


def _people(stage: Stage) -> Iterator[Step]:
    """What people do: train, try, approve, refuse, review."""

    def trains(model: str) -> None:
        asks(model, stage.flow("train", "dana", model=model)["version"])

    def rita(review: str, outcome: str, reason: str) -> str:
        words = ("review", review, "--outcome", outcome, "--reason", reason)
        stage.person("rita", *words, key=f"review-{review}")
        return f"rita: “{reason}”"

    def asks(model: str, version: int) -> None:
        key = f"demo/up-{model}-{version}"
        stage.flow("promote", "dana", model=model, version=version, to="canary", key=key)

    def amir(verb: str, version: int, reason: str, model: str = FLIGHTS, key: str = "") -> str:
        key = key or (f"{verb}-{version}" if model == FLIGHTS else f"{verb}-{model}-{version}")
        stage.person("amir", verb, model, str(version), "--reason", reason, key=key)
        return f"amir: “{reason}”"

    yield Step(PLAN[0][0], f"Dana trains the first {FLIGHTS}", lambda: trains(FLIGHTS))
    yield Step("2013-04-04T12:30:00Z", f"Dana trains the first {HOURS}", lambda: trains(HOURS))
    yield Step("2013-05-04T12:00:00Z", "Its own trainer tries to approve version 1", lambda: _own_work(stage))
    held = "Surely better than the base rate on April, parity proved, fallback declared. Go."
    yield Step("2013-05-04T13:00:00Z", "An approver decides", lambda: amir("approve", 1, held))

    late = "June ran minutes later than predicted: it has only seen winter. Train on the spring too."
    yield Step("2013-07-04T11:00:00Z", "A reviewer decides", lambda: rita("R-1", "retrain", late))
    yield Step(PLAN[1][0], f"Dana trains {FLIGHTS} on half a year", lambda: trains(FLIGHTS))
    off = "It runs seven minutes below June, further off than the live one. Not into canary."
    yield Step(
        "2013-07-05T13:00:00Z",
        f"An approver refuses {HOURS} version 2",
        lambda: amir("reject", 2, off, HOURS),
    )

    better = "Surely better in July on the very same flights, and it has seen the spring. Go."
    yield Step("2013-08-04T12:00:00Z", "An approver decides", lambda: amir("approve", 2, better))
    storms = "July's storms; the mean is off, the ranking of hours is not. See what August says."
    yield Step("2013-08-04T13:00:00Z", "A reviewer decides", lambda: rita("R-2", "watch", storms))

    feed = "The weather feed was stale from the 11th to the 15th, as W04 said. The operators know; nothing drifted."
    yield Step("2013-09-04T11:00:00Z", "A reviewer decides", lambda: rita("R-3", "benign", feed))
    yield Step("2013-09-04T11:30:00Z", "The same cause, the other model", lambda: rita("R-4", "benign", feed))
    calm = "We predict many times the late flights that September had. Autumn seems calmer: retrain."
    yield Step("2013-10-04T11:00:00Z", "A reviewer decides", lambda: rita("R-5", "retrain", calm))
    good = "A Brier score of 0.02, far below anything before; whether it ranks as well the canary will tell."
    yield Step(
        "2013-10-05T13:00:00Z",
        "What was inconclusive waits for an approver",
        lambda: amir("approve", 3, good),
    )
    yield Step("2013-10-05T13:30:00Z", "Dana asks it on", lambda: asks(FLIGHTS, 3))
    yield Step(
        "2013-10-05T14:00:00Z",
        "An approver decides again",
        lambda: amir("approve", 3, good, key="approve-3b"),
    )

    looked = (
        "Its September was wrong: outcomes were restated on the 11th. It never served; nothing live to mend."
    )
    yield Step("2013-11-12T11:00:00Z", "A reviewer decides", lambda: rita("R-6", "watch", looked))

    yield Step(PLAN[3][0], f"Dana trains {FLIGHTS} on the restated year", lambda: trains(FLIGHTS))
    unsure = "A month of storms cannot tell it from the live one, and nothing is wrong with that. Not before spring."
    yield Step("2014-01-04T12:00:00Z", "An approver refuses version 4", lambda: amir("reject", 4, unsure))


def _own_work(stage: Stage) -> None:
    words = ("approve", FLIGHTS, "1", "--reason", "I trained it, it is fine")
    try:
        stage.person("dana", *words, key="own-work")
    except Refused:
        return
    raise TidegateError("demo-broken", "got an approval of one's own work, expected a refusal", "report this")
