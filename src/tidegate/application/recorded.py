"""The decisions about promotions that are on record, each with what it was decided on.

Left out are refusals for who asked (A1, A2), moves that no rule knows (P1), and what was refused before anything was
sealed: no policy decided there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from tidegate.application.as_if import PASSED, REFUSED, TRIED, WAITED
from tidegate.application.ports import Ledger
from tidegate.application.promote import ASKED_AS
from tidegate.application.standing import lifecycle
from tidegate.application.weighing import next_stage
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView, take
from tidegate.domain.lifecycle import Act, Lifecycle, WayBack
from tidegate.domain.policy import Stage
from tidegate.domain.state import ApprovalRow, PacketRow, PromotionRow, State

_ACTIONS = {str(action): action for action in ASKED_AS.values()}


@dataclass(frozen=True)
class Recorded:
    """A decision as it was taken: on which life of the model, act, sealed packet and approvals, with which outcome.

    ``promotion`` is empty where it was refused before there was a request.
    """

    event: Event
    life: Lifecycle
    act: Act
    target: Stage
    packet: PacketRow
    outcome: str
    way_back: WayBack
    promotion: str = ""
    approvals: Sequence[ApprovalRow] = ()


class Decisions:
    """Walks the record. ``view`` is the state before the event that was yielded last."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._state = State()
        self.view = StateView(self._state)

    def walk(self) -> Iterator[tuple[Event, Recorded | None]]:
        """Yield every event in turn, with the decision that it records, if it is one."""
        for event, after in pairwise(chain[Event | None](self._ledger.events(), (None,))):
            if event is None:
                continue
            yield event, self._decision(event, after)
            take(self._state, self.view, event)

    def _decision(self, event: Event, after: Event | None) -> Recorded | None:
        if event.type is EventType.PROMOTION_APPLIED:
            return self._applied(event)
        if event.type is EventType.PROMOTION_REQUESTED:
            return self._waited(event, after)
        if event.type is EventType.ACTION_REFUSED and event.payload["action"] in _ACTIONS:
            return self._refused(event)
        return None

    def _applied(self, event: Event) -> Recorded | None:
        asked = self.view.get(PromotionRow, event.payload["promotion"])
        if asked is None:
            return None
        life = lifecycle(self.view, asked.model, asked.version)
        act = Act(ASKED_AS[asked.kind], asked.version, Stage(asked.target))
        way, back = event.payload["preconditions"]["way_back"], TRIED
        if way:
            back = WayBack(way["kind"], way["name"], way["verified"] is True, at=way.get("at", ""))
        given = self.view.select(ApprovalRow, promotion=asked.id)
        return self._on(event, life, act, asked.packet, PASSED, back, asked.id, given)

    def _waited(self, event: Event, after: Event | None) -> Recorded | None:
        """What passed at once was asked for and applied in one transaction: one event after the other."""
        said = event.payload
        if after and after.type is EventType.PROMOTION_APPLIED and after.payload["promotion"] == said["id"]:
            return None
        life = replace(lifecycle(self.view, said["model"], said["version"]), promotion=None)
        act = Act(ASKED_AS[said["kind"]], said["version"], Stage(said["target"]))
        return self._on(event, life, act, said["packet"], WAITED, TRIED, said["id"])

    def _refused(self, event: Event) -> Recorded | None:
        about, reasons = event.payload["subject"], event.payload["reasons"]
        if any(reason["rule"] in {"A1", "A2"} for reason in reasons) or "packet" not in about:
            return None
        model, action = event.stream.removeprefix("model/"), _ACTIONS[event.payload["action"]]
        life = lifecycle(self.view, model, about["version"])
        target = next_stage(life, about["version"], action)
        if target is None:
            return None
        asked = life.promotion
        same = asked is not None and ASKED_AS[asked.kind] is action
        given = self.view.select(ApprovalRow, promotion=asked.id) if asked and same else ()
        untried = any(reason["code"] == "no-way-back" for reason in reasons)
        back = replace(TRIED, verified=not untried)
        act = Act(action, about["version"], target)
        return self._on(event, life, act, about["packet"], REFUSED, back, "", given)

    def _on(
        self,
        event: Event,
        life: Lifecycle,
        act: Act,
        packet: str,
        outcome: str,
        way_back: WayBack,
        promotion: str,
        approvals: Sequence[ApprovalRow] = (),
    ) -> Recorded | None:
        """Return the decision if its packet was sealed. A way back was tried when it was asked, if nothing is said."""
        row = self.view.get(PacketRow, packet)
        if row is None or act.to is None:
            return None
        tried = replace(way_back, at=way_back.at or event.occurred_at)
        return Recorded(event, life, act, act.to, row, outcome, tried, promotion, approvals)
