"""What an edit of the feature definitions changes, who consumes it, and whether it may be applied.

    F1  a change of meaning is held while a version in prod or canary consumes what it changes

Consumers are read off the ledger: a version names its feature service, what that selected when it was trained, and
each view's definition by digest. A hold ends by itself when nobody is left who holds it: another version has taken
their place, they were rolled back or stopped, or the definition is again the one that they learned from. Nobody
releases a hold by saying so: a version is validated on what it learned from, by the same gates as ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.application.access import changed
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Features, StateReader
from tidegate.application.recording import record_refusal
from tidegate.application.revisions import in_force
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import Refused
from tidegate.domain.feature_change import (
    Change,
    Definitions,
    Difference,
    Of,
    ServiceDefinition,
    differences,
    service_differences,
    view_differences,
    worst,
)
from tidegate.domain.lifecycle import Reason
from tidegate.domain.policy import Stage
from tidegate.domain.state import FeatureViewRow, ModelRow, VersionRow

#: Decides rows that the live version may not (the condition ``max_share``).
STANDS_IN = "stands in"
#: What a rollback would restore. It holds nothing: what it would return to is said, and rehearsed (P8).
WAY_BACK = "way back"
#: Who decides now, or is being tried on what is decided now.
HOLDING = (str(Stage.PROD), str(Stage.CANARY), STANDS_IN)
_ORDER = (*HOLDING, str(Stage.STAGING), WAY_BACK)
#: The action under which a refusal is recorded.
APPLY = "apply_features"


@dataclass(frozen=True)
class Consumer:
    """A version that stands somewhere: its service, what that selected (empty: not on record), the views by digest."""

    model: str
    number: int
    stage: str
    service: str
    selected: Mapping[str, Sequence[str]]
    definitions: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Say whether a change of meaning waits for it."""
        return self.stage in HOLDING

    def consumes(self, of: Of, name: str) -> bool:
        """Say whether it consumes a view or service; of whom it is not on record, every view that there was."""
        if of is Of.SERVICE:
            return name == self.service
        return name in (self.selected or self.definitions)

    def selects(self, view: str, field: str) -> bool:
        """Say whether it consumes a field of a view; of whom it is not on record, every field."""
        return not self.selected or field in self.selected.get(view, ())

    def as_dict(self) -> dict[str, object]:
        """Return the consumer as JSON has it."""
        return {"model": self.model, "version": self.number, "stage": self.stage, "service": self.service}


@dataclass(frozen=True)
class Edit:
    """A view or service that differs from what was registered last: how, who consumes it, and whom it waits for."""

    of: Of
    name: str
    before: str
    after: str
    differences: tuple[Difference, ...]
    consumers: tuple[Consumer, ...]
    held_by: tuple[Consumer, ...]

    @property
    def change(self) -> Change:
        """Return what all its differences together mean."""
        return worst(self.differences) or Change.DESCRIPTION

    @property
    def next_step(self) -> str:
        """Return how to go on where it is held."""
        beside = _beside(self.name)
        if self.of is Of.SERVICE:
            return f"restore {self.name} and define {beside} beside it; a version trained on that may take their place"
        return (
            f"restore {self.name} and define {beside} beside it, with a service of its own; "
            "a version trained on that may take their place"
        )

    def reason(self) -> Reason:
        """Return why it is held."""
        told = "; ".join(each.sentence for each in self.differences if each.change is Change.MEANING)
        sentence = (
            f"got another meaning of the {self.of} {self.name} ({told}), expected the one that "
            f"{_versions(self.held_by)} learned from, until they have left"
        )
        return Reason("held", "F1", sentence, self.next_step)

    def as_dict(self) -> dict[str, Any]:
        """Return the edit as JSON has it."""
        return {
            "kind": str(self.of),
            "name": self.name,
            "change": str(self.change),
            "applies": not self.held_by,
            "before": self.before,
            "after": self.after,
            "differences": [
                {
                    "part": each.part,
                    "change": str(each.change),
                    "before": each.before,
                    "after": each.after,
                    "sentence": each.sentence,
                }
                for each in self.differences
            ],
            "consumers": [each.as_dict() | {"holds": each in self.held_by} for each in self.consumers],
            "next": self.next_step if self.held_by else "",
        }


@dataclass(frozen=True)
class Plan:
    """All that an edit of the files changes: what they say now, and to whom that opens and closes what (F2)."""

    edits: tuple[Edit, ...]
    defined: Definitions = field(default_factory=Definitions)
    access: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[Edit, ...]:
        """Return what may not be applied."""
        return tuple(each for each in self.edits if each.held_by)

    @property
    def does(self) -> str:
        """Return what applying would come to: ``nothing``, ``apply`` or ``refuse``."""
        return "refuse" if self.held else "apply" if self.edits or self.access else "nothing"

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        return {
            "does": self.does,
            "changes": [each.as_dict() for each in self.edits],
            "access": list(self.access),
            "reasons": [each.reason().as_dict() for each in self.held],
        }


def plan(platform: Platform, state: StateReader, defined: Definitions | None = None) -> Plan:
    """Compare what the files define, or ``defined`` has, with what was registered last. Nothing is written.

    Raises:
        BadInput: the definitions do not load, or do not belong together, or a permission is none.
    """
    recorded = {row.view: row.definition for row in state.select(FeatureViewRow)}
    store, standing = platform.features, consumers(state)
    before, after = store.registered(recorded), defined or store.defined()
    before = _with_views(store, _with_services(before, standing), standing, after)
    found: dict[tuple[Of, str], list[Difference]] = {}
    for each in differences(before, after):
        found.setdefault((each.of, each.name), []).append(each)
    edits = []
    for (of, name), these in found.items():
        using = tuple(each for each in standing if each.consumes(of, name))
        held = tuple(each for each in using if each.holds and _breaks(store, before, after, of, name, each))
        edits.append(
            Edit(of, name, _digest(before, of, name), _digest(after, of, name), tuple(these), using, held)
        )
    return Plan(tuple(edits), after, tuple(changed(state, after)))


def tried(platform: Platform, state: StateReader) -> None:
    """Try the views' queries over one batch of each dataset, for their columns alone.

    Nothing is tried before something of every dataset was accepted: there is nothing to try it on.

    Raises:
        BadInput: a view's query does not run, or lacks a column that the view defines.
        DependencyFailed: a batch's file is gone or was altered.
    """
    first = {row.dataset: row.batch for row in in_force(state)}
    datasets = platform.contracts.datasets()
    if first and set(datasets) <= set(first):
        files = {dataset: [platform.batches.path(dataset, batch)] for dataset, batch in first.items()}
        declared = {name: platform.contracts.load(name).declared for name in datasets}
        platform.features.check(files, declared)


def refuse_held(platform: Platform, acting: Acting, defined: Definitions | None = None) -> Plan:
    """Refuse, and record the refusal, where a change of meaning is held (rule F1); else return the plan.

    It is about what the files define, or ``defined`` has.

    Raises:
        Refused: rule F1. BadInput: the definitions do not load, or do not belong together.
    """
    found = plan(platform, platform.ledger.state(), defined)
    if not found.held:
        return found
    reasons = [each.reason() for each in found.held]
    subject = {
        "held": [
            {
                "kind": str(each.of),
                "name": each.name,
                "definition": each.after,
                "versions": [f"{by.model}/{by.number}" for by in each.held_by],
            }
            for each in found.held
        ]
    }
    with platform.ledger.transaction() as tx:
        record_refusal(tx, acting, "features", APPLY, subject, reasons)
    raise Refused(
        "features-held",
        "; ".join(f"{reason.rule}: {reason.sentence}" for reason in reasons),
        reasons[0].next_step,
        rule="F1",
        reasons=[reason.as_dict() for reason in reasons],
    )


def consumers(state: StateReader) -> tuple[Consumer, ...]:
    """Return every version that stands in prod, canary or staging, stands in for one, or would be restored."""
    found = []
    for model in state.select(ModelRow):
        life = lifecycle(state, model.name)
        placed: dict[int, str] = {}
        if (back := life.previous()) is not None and life.in_prod() is not None:
            placed[back.number] = STANDS_IN if life.stands_in() == back else WAY_BACK
        placed |= {
            row.number: row.stage
            for row in life.versions.values()
            if row.stage in {Stage.PROD, Stage.CANARY, Stage.STAGING}
        }
        found += [_consumer(life.versions[number], stage) for number, stage in placed.items()]
    return tuple(sorted(found, key=lambda each: (_ORDER.index(each.stage), each.model, each.number)))


def _consumer(row: VersionRow, stage: str) -> Consumer:
    learned = row.facts.get("features", {})
    return Consumer(
        row.model,
        row.number,
        stage,
        learned.get("service", ""),
        learned.get("selected", {}),
        learned.get("definitions", {}),
    )


def _breaks(
    store: Features, before: Definitions, after: Definitions, of: Of, name: str, by: Consumer
) -> bool:
    """Say whether an edit changes what a consumer gets: to another meaning, and not back to what it learned from."""
    if of is Of.SERVICE:
        found = service_differences(before.services.get(name), after.services.get(name))
        learned = ServiceDefinition(name, {view: tuple(each) for view, each in by.selected.items()})
        since = service_differences(learned, after.services.get(name)) if by.selected else found
        # Aliases and the like are not on record with a version: what changes there changes for everybody.
        other = any(each.change is Change.MEANING and ":" not in each.part for each in found)
        return worst(found) is Change.MEANING and (other or worst(_about(since, by, name)) is Change.MEANING)
    now = after.views.get(name)
    found = view_differences(before.views.get(name), now)
    learned_from = store.kept({name: by.definitions[name]})[name] if name in by.definitions else None
    since = view_differences(learned_from, now) if learned_from else found
    return (
        worst(_about(found, by, name)) is Change.MEANING and worst(_about(since, by, name)) is Change.MEANING
    )


def _about(found: Sequence[Difference], by: Consumer, name: str) -> tuple[Difference, ...]:
    """Leave out the fields that a consumer does not select."""
    fields = by.selected.get(name)
    return tuple(
        each
        for each in found
        if fields is None or not each.part.startswith("field ") or each.part.removeprefix("field ") in fields
    )


def _with_services(before: Definitions, standing: Sequence[Consumer]) -> Definitions:
    """Add the services that versions consume and nothing says how they were registered, as the versions had them."""
    services = dict(before.services)
    for each in standing:
        if each.selected and each.service not in services:
            selects = {view: tuple(names) for view, names in each.selected.items()}
            services[each.service] = ServiceDefinition(each.service, selects)
    return replace(before, services=services)


def _with_views(
    store: Features, before: Definitions, standing: Sequence[Consumer], after: Definitions
) -> Definitions:
    """Add the views that versions hold and nothing says were registered: under its name another one is not new."""
    views = dict(before.views)
    for each in standing:
        for name, definition in each.definitions.items():
            if each.holds and name in after.views and name not in views and each.consumes(Of.VIEW, name):
                views[name] = store.kept({name: definition})[name]
    return replace(before, views=views)


def _digest(of_all: Definitions, of: Of, name: str) -> str:
    view = of_all.views.get(name) if of is Of.VIEW else None
    return view.digest if view else ""


def _versions(those: Sequence[Consumer]) -> str:
    """Name versions by where they stand, like ``a version 2 in prod and b version 3 in canary``."""
    names = [f"{each.model} version {each.number}{_where(each.stage)}" for each in those]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _where(stage: str) -> str:
    return f", which {STANDS_IN}," if stage == STANDS_IN else f" in {stage}"


def _beside(name: str) -> str:
    numbered = re.fullmatch(r"(.+)_v([0-9]+)", name)
    return f"{numbered[1]}_v{int(numbered[2]) + 1}" if numbered else f"{name}_v2"
