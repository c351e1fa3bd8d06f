"""Schedules as Prefect's own deployments declare them, in ``pipelines/prefect.yaml``.

A scheduled deployment has one schedule and lends it its name. ``tags: [catch-up=latest]`` says what is done
about missed slots; ``tags: [after=NAME]``, once or more, whose work it needs: a deployment above it in the file,
so that no two can wait for each other. Only cron of five plain fields is read: what is wider (seconds, ``L``, a
day of the month and of the week at once) means different things to different readers, and ours must see the
server's slots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tidegate.adapters.shared.yaml_reader import Node, Reader, read_text
from tidegate.domain.schedule import CatchUp, Schedule

CATCH_UP = "catch-up="
AFTER = "after="
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ENTRYPOINT = re.compile(r"([A-Za-z_]\w*)\.py:([A-Za-z_]\w*)")
_FIELD = re.compile(r"(?:\*|[0-9]+|[A-Za-z]{3})(?:-(?:[0-9]+|[A-Za-z]{3}))?(?:/[0-9]+)?")
_FIELDS = 5
#: No wall clock is set by more than this at once.
_SHIFT = timedelta(hours=3)


class PrefectSchedules:
    """The schedules in ``file``, read once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: tuple[Schedule, ...] | None = None

    def all(self) -> tuple[Schedule, ...]:
        """Return every active schedule in the file's order.

        Raises:
            BadInput: with ``faults``, all of them, each as {line, sentence}.
        """
        if self._known is None:
            self._known = self._read() if self._file.exists() else ()
        return self._known

    def slots(self, schedule: Schedule, after: datetime, until: datetime) -> tuple[datetime, ...]:
        """Return the slots in (after, until]."""
        found = set()
        for slot in _moments(schedule, after):
            if slot > until + _SHIFT:
                break
            if after < slot <= until:
                found.add(slot)
        return tuple(sorted(found))

    def following(self, schedule: Schedule, after: datetime) -> datetime | None:
        """Return the first slot after a moment."""
        later = next((slot for slot in _moments(schedule, after) if slot > after), None)
        return None if later is None else self.slots(schedule, after, later)[0]

    def _read(self) -> tuple[Schedule, ...]:
        source = f"{self._file.parent.name}/{self._file.name}"
        reader = Reader(read_text(self._file, "schedules", "Prefect's deployments"), source, "schedules")
        found: dict[str, Schedule] = {}
        above: dict[str, tuple[str, ...]] = {}
        for deployment in _list(reader.root.members(("deployments",), None), "deployments"):
            schedule = _schedule(deployment, above)
            if schedule is not None and schedule.name in found:
                deployment.fault(f"the deployment {schedule.name!r} again", "each name once")
            elif schedule is not None:
                found[schedule.name] = schedule
        reader.close()
        return tuple(found.values())


def _moments(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield slots from shortly before ``after`` on, by the wall clock: around a shift not quite in order.

    As Prefect does it: what the clock shows twice counts at its first showing, and what it leaps over counts
    by the offset that holds after the leap.
    """
    from cronsim import CronSim

    zone = ZoneInfo(schedule.timezone)
    for wall in CronSim(schedule.cron, (after.astimezone(zone) - _SHIFT).replace(tzinfo=None)):
        leapt = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall
        yield wall.replace(tzinfo=zone, fold=int(leapt)).astimezone(UTC)


def _schedule(deployment: Node, above: dict[str, tuple[str, ...]]) -> Schedule | None:
    """Return a deployment's schedule, None if it has none or its faults were noted.

    ``above`` has what the deployments above it come after, and gains this one's.
    """
    fields = deployment.members(("name", "entrypoint"), None)
    after = _after(_list(fields, "tags"), above)
    if "name" in fields:
        above[str(fields["name"].value)] = after
    if "schedule" in fields:
        fields["schedule"].fault("`schedule`", "`schedules`, a list of one")
    given = _list(fields, "schedules")
    if not given or not {"name", "entrypoint"} <= set(fields):
        return None
    if len(given) > 1:
        given[1].fault("a second schedule", "one a deployment: give the other a deployment of its own")
    timing = given[0].members(("cron",), ("timezone", "active", "slug"))
    name, entrypoint = fields["name"].text("a name"), fields["entrypoint"].text("FILE.py:FLOW")
    if not _NAME.fullmatch(name):
        fields["name"].fault(fields["name"].shown, "lower-case letters, digits, - and _, a letter first")
    flow = _ENTRYPOINT.fullmatch(entrypoint)
    if flow is None or flow[1] != flow[2]:
        fields["entrypoint"].fault(repr(entrypoint), "FLOW.py:FLOW, a file here and the flow of its name")
    made = Schedule(
        name,
        flow[2] if flow else "",
        _cron(timing["cron"]) if "cron" in timing else "",
        _zone(timing["timezone"]) if "timezone" in timing else "UTC",
        _catch_up(_list(fields, "tags")),
        _parameters(fields),
        after,
    )
    if "active" in timing and not isinstance(timing["active"].value, bool):
        timing["active"].fault(timing["active"].shown, "true or false")
    return None if "active" in timing and timing["active"].value is False else made


def _list(fields: Mapping[str, Node], name: str) -> list[Node]:
    """Return the elements of an optional list; Prefect takes an empty one for none."""
    if name not in fields or fields[name].value in (None, []):
        return []
    return fields[name].items(name)


def _cron(node: Node) -> str:
    from cronsim import CronSim, CronSimError

    text = node.text("cron, five fields")
    fields = text.split()
    plain = len(fields) == _FIELDS and all(
        _FIELD.fullmatch(part) for field in fields for part in field.split(",")
    )
    if not plain:
        node.fault(repr(text), "five plain fields: minute, hour, day, month, day of the week")
    elif fields[2] != "*" and fields[4] != "*":
        node.fault("a day of the month and of the week", "one of them: readers of cron do not agree on both")
    else:
        try:
            CronSim(text, datetime(2000, 1, 1))  # noqa: DTZ001  # a wall clock's time: only the syntax is tried
        except CronSimError as error:
            node.fault(f"{text!r} ({error})", "cron that can come true")
    return text


def _zone(node: Node) -> str:
    name = node.text("a time zone")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        node.fault(repr(name), "a time zone's name, like UTC or America/New_York")
        return "UTC"
    return name


def _catch_up(tags: list[Node]) -> CatchUp:
    wishes = [tag for tag in tags if str(tag.value).startswith(CATCH_UP)]
    if not wishes:
        return CatchUp.EACH
    for again in wishes[1:]:
        again.fault("a second catch-up", "one")
    wish = str(wishes[0].value).removeprefix(CATCH_UP)
    if wish not in CatchUp.__members__.values():
        wishes[0].fault(wishes[0].shown, " or ".join(f"{CATCH_UP}{each}" for each in CatchUp))
        return CatchUp.EACH
    return CatchUp(wish)


def _after(tags: list[Node], above: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return all that a deployment comes after, through others too: one that is paused breaks no chain."""
    found: set[str] = set()
    for tag in tags:
        name = str(tag.value).removeprefix(AFTER)
        if not str(tag.value).startswith(AFTER):
            continue
        if name not in above:
            tag.fault(tag.shown, f"{AFTER}NAME, a deployment above it")
        else:
            found |= {name, *above[name]}
    return tuple(name for name in above if name in found)


def _parameters(fields: Mapping[str, Node]) -> Mapping[str, Any]:
    if "parameters" not in fields or fields["parameters"].value is None:
        return {}
    node = fields["parameters"]
    for name, value in node.members((), None).items():
        if "{{" in str(value.plain()):
            value.fault(f"a template in `{name}`", "plain values where a deployment has a schedule")
    return dict(node.plain()) if isinstance(node.value, dict) else {}
