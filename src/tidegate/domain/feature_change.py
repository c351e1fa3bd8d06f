"""What differs between two sets of feature definitions, and what each difference means to who consumes them.

    description   words alone: descriptions, owners, tags, comments and spacing in the SQL; how fresh it must be
    additive      a view, a field or a service that was not there: nobody can consume it yet; a push source for what the
                  view held already: the same values, sooner
    meaning       everything else. A type, the SQL, a shared step, the ttl, the keys, what is gone, and whatever
                  Feast keeps that is not named here: what a model learned from may be another thing now

Two texts of SQL are the same if nothing but comments and spacing differs. Whether two others give the same rows cannot
be told from them: they are a change of meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tidegate.domain.access import FeaturePermission
from tidegate.domain.canonical import sha256
from tidegate.domain.counting import many
from tidegate.domain.freshness import spelled


class Change(StrEnum):
    """What a difference means to who consumes it."""

    DESCRIPTION = "description"
    ADDITIVE = "additive"
    MEANING = "meaning"


class Of(StrEnum):
    """What differs."""

    VIEW = "view"
    SERVICE = "service"


@dataclass(frozen=True)
class ViewDefinition:
    """A view: its fields and join keys with their types, its ttl, and the SQL that fills it with the steps it names.

    ``stream`` names its push source. ``words`` is said to people only, ``rest`` whatever else Feast keeps, both by
    name. A key's type is empty where the definitions leave it to Feast. ``objective`` says how fresh it must be, in
    seconds (`domain.freshness`). ``kept`` False: of a definition on record nothing is left but its digest.
    """

    name: str
    digest: str
    fields: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    ttl: str = ""
    sql: str = ""
    steps: Mapping[str, str] = field(default_factory=dict)
    stream: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, str] = field(default_factory=dict)
    kept: bool = True
    objective: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceDefinition:
    """A service: the features that it selects, by view."""

    name: str
    selects: Mapping[str, tuple[str, ...]]
    words: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Definitions:
    """Views and services by name, and the permissions that the files declare; of what is registered, none."""

    views: Mapping[str, ViewDefinition] = field(default_factory=dict)
    services: Mapping[str, ServiceDefinition] = field(default_factory=dict)
    permissions: tuple[FeaturePermission, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One part of a view or service that differs: what each says there (empty: nothing)."""

    of: Of
    name: str
    part: str
    change: Change
    before: str = ""
    after: str = ""

    @property
    def sentence(self) -> str:
        """Return what differs, for people."""
        if self.part == "whole":
            return f"the {self.of} is {'new' if self.change is Change.ADDITIVE else 'gone'}"
        if self.part == "unknown":
            return f"the {self.of} is another one; what it was is not kept, so what changed cannot be told"
        if self.part == "sql" or self.part.startswith("step "):
            how = "in words alone" if self.change is Change.DESCRIPTION else "in what it computes"
            return f"{self.part} is written otherwise, {how}"
        if not self.before:
            return f"{self.part} is new: {self.after}"
        return (
            f"{self.part} was {self.before}, is {self.after}"
            if self.after
            else f"{self.part} is gone, was {self.before}"
        )


def differences(before: Definitions, after: Definitions) -> tuple[Difference, ...]:
    """Return every difference between two sets of definitions, views first, by name."""
    found: list[Difference] = []
    for name in sorted({*before.views, *after.views}):
        found += view_differences(before.views.get(name), after.views.get(name))
    for name in sorted({*before.services, *after.services}):
        found += service_differences(before.services.get(name), after.services.get(name))
    return tuple(found)


def view_differences(before: ViewDefinition | None, after: ViewDefinition | None) -> tuple[Difference, ...]:
    """Return what differs between two definitions of one view; None where there is none."""
    if before is None or after is None:
        return _whole(Of.VIEW, before, after)
    if before.digest == after.digest:
        return ()
    if not (before.kept and after.kept):
        return (Difference(Of.VIEW, after.name, "unknown", Change.MEANING),)
    return tuple(_in_view(before, after))


def service_differences(
    before: ServiceDefinition | None, after: ServiceDefinition | None
) -> tuple[Difference, ...]:
    """Return what differs between two definitions of one service; None where there is none."""
    if before is None or after is None:
        return _whole(Of.SERVICE, before, after)
    then = {f"{view}:{name}": "selected" for view, names in before.selects.items() for name in names}
    now = {f"{view}:{name}": "selected" for view, names in after.selects.items() for name in names}
    return tuple(
        Difference(Of.SERVICE, after.name, *each)
        for each in (
            *_named("", then, now, added=Change.ADDITIVE),
            *_named("", before.rest, after.rest),
            *_named("", before.words, after.words, Change.DESCRIPTION, Change.DESCRIPTION),
        )
    )


def worst(found: tuple[Difference, ...]) -> Change | None:
    """Return what several differences together mean; None: nothing differs."""
    order = list(Change)
    return max((each.change for each in found), key=order.index, default=None)


def plain_sql(text: str) -> str:
    """Return SQL without comments, and with one space wherever there are several outside quotes.

    A text in which quotes are written in a way not read here (dollar signs, ``e'…'``) is returned as it is: it is
    then another one for every character.
    """
    out: list[str] = []
    place = 0
    if "\r" in text.replace("\r\n", ""):
        return text  # it may end a comment
    while place < len(text):
        char, two = text[place], text[place : place + 2]
        if char == "$" or (two.lower() == "e'" and not (place and _part_of_name(text[place - 1]))):
            return text
        if char in "'\"":
            end = text.find(char, place + 1)
            if end < 0:
                return text
            out.append(text[place : end + 1])  # a doubled quote is the end of one and the begin of the next
            place = end + 1
        elif two == "--":
            end = text.find("\n", place)
            out.append(" ")
            place = len(text) if end < 0 else end
        elif two == "/*":
            end = text.find("*/", place + 2)
            if end < 0 or "/*" in text[place + 2 : end]:
                return text  # not closed, or one within another
            out.append(" ")
            place = end + 2
        elif char in _SPACE:
            out.append(" ")
            place += 1
        else:
            out.append(char)
            place += 1
    return _spaced(out)


def _spaced(pieces: list[str]) -> str:
    """Join pieces, with runs of single spaces as one; a quoted piece is kept as it is."""
    kept: list[str] = []
    for piece in pieces:
        if piece != " " or (kept and kept[-1] != " "):
            kept.append(piece)
    if kept and kept[-1] == " ":
        kept.pop()
    return "".join(kept)


def _part_of_name(char: str) -> bool:
    return char.isalnum() or char == "_"


_Part = tuple[str, Change, str, str]
_UNITS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
#: What separates words in every dialect; others may be part of a name.
_SPACE = " \t\n\r\f\v"


def _in_view(before: ViewDefinition, after: ViewDefinition) -> Iterator[Difference]:
    parts: list[_Part] = [*_named("field ", before.fields, after.fields, added=Change.ADDITIVE)]
    parts += _named("join key ", *_told(before.keys, after.keys))
    if before.ttl != after.ttl:
        parts.append(("ttl", Change.MEANING, _lasting(before.ttl), _lasting(after.ttl)))
    if before.sql != after.sql:
        parts.append(("sql", _of_sql(before.sql, after.sql), *_digests(before.sql, after.sql)))
    for name in sorted({*before.steps, *after.steps}):
        then, now = before.steps.get(name, ""), after.steps.get(name, "")
        if then != now:
            parts.append((f"step {name}", _of_sql(then, now), *_digests(then, now)))
    parts += _named("", _source(before), _source(after), added=Change.ADDITIVE)
    parts += _named("", before.rest, after.rest)
    parts += _named("", before.words, after.words, Change.DESCRIPTION, Change.DESCRIPTION)
    asked = _spelled(before.objective), _spelled(after.objective)
    parts += _named("", *asked, Change.DESCRIPTION, Change.DESCRIPTION)
    return (Difference(Of.VIEW, after.name, *each) for each in parts)


def _source(view: ViewDefinition) -> Mapping[str, str]:
    return {"push source": view.stream} if view.stream else {}


def _told(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return both sets of keys; a type that one side leaves to Feast is the other's."""
    return (
        {name: kind or after.get(name, "") or "any" for name, kind in before.items()},
        {name: kind or before.get(name, "") or "any" for name, kind in after.items()},
    )


def _lasting(ttl: str) -> str:
    """Return a ttl for people, in the largest unit that says it exactly; Feast spells it in seconds."""
    stated = re.fullmatch(r"([0-9]{1,12})s", ttl)
    if stated is None:
        return ttl or "none"
    seconds = int(stated[1])
    unit, size = next((unit, size) for unit, size in _UNITS.items() if seconds % size == 0)
    return many(seconds // size, unit)


def _spelled(objective: Mapping[str, int]) -> Mapping[str, str]:
    return {name: spelled(timedelta(seconds=seconds)) for name, seconds in objective.items()}


def _of_sql(before: str, after: str) -> Change:
    return Change.DESCRIPTION if plain_sql(before) == plain_sql(after) else Change.MEANING


def _digests(before: str, after: str) -> tuple[str, str]:
    """Name two texts by digest, for a plan is no place for a page of SQL; empty where there is none."""
    return sha256(before.encode()) if before else "", sha256(after.encode()) if after else ""


def _named(
    prefix: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
    changed: Change = Change.MEANING,
    added: Change = Change.MEANING,
) -> Iterator[_Part]:
    for name in sorted({*before, *after}):
        then, now = before.get(name, ""), after.get(name, "")
        if then != now:
            yield f"{prefix}{name}", changed if then else added, then, now


def _whole(
    of: Of,
    before: ViewDefinition | ServiceDefinition | None,
    after: ViewDefinition | ServiceDefinition | None,
) -> tuple[Difference, ...]:
    known = before or after
    if known is None:
        return ()
    return (Difference(of, known.name, "whole", Change.MEANING if after is None else Change.ADDITIVE),)
