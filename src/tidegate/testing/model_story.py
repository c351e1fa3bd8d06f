"""The part of a story that is about versions: trained, asked for, approved, live, and on their way down."""

from __future__ import annotations

from typing import Self

from tidegate.domain.canonical import digest
from tidegate.domain.events import EventType
from tidegate.domain.policy import Stage
from tidegate.domain.state import DelegationRow, PromotionRow, ReviewRow, VersionRow
from tidegate.testing.teller import Teller, named


class ModelStory(Teller):
    """The stages of a model's versions, and who moves them."""

    # ── a version and its way up ──────────────────────────────────────────────────────────────────

    def with_version(self) -> Self:
        """A version is trained by a service on a person's behalf."""
        self.versions += 1
        stream, number = f"model/{self.model}", self.versions
        about = {"name": self.model, "owner": "harbour-office", "purpose": "Say how high the water comes."}
        if number == 1:
            model = {**about, "tier": "standard", "fallback": "tide table"}
            self._append(EventType.MODEL_REGISTERED, stream, "s-2", model)
        rows = {
            "digest": named(f"rows {self.model} {number}"),
            "model": self.model,
            "service": "tide_features",
            "entities": named(f"entities {number}"),
            "rows": 97,
            "batches": [named(f"batch {self.dataset}")],
            "windows": {"train": ["2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z"]},
            "read": {"tide_features": ["station_day", "station_hour"]},
        }
        self._append(EventType.TRAINING_SET_BUILT, stream, "s-2", rows)
        version = {
            "model": self.model,
            "number": number,
            "artifact": self.artifact(number),
            "training_set": rows["digest"],
            "trainer": "s-2",
            "registrar": "s-2",
            "on_behalf_of": "p-2",
            "source": named("source"),
            "facts": {
                "rows": 97,
                "prediction": "probability",
                "base_rate": 0.25,
                "metrics": {"auc": {"value": 0.6875, "n": 97, "low": 0.65, "high": 0.72}},
            },
            "links": {"run_id": f"run-{number}", "uri": f"models:/{self.model}/{number}"},
        }
        return self._append(EventType.VERSION_REGISTERED, stream, "s-2", version, on_behalf_of="p-2")

    def broke_glass(self, number: int, to: Stage) -> Self:
        """In an emergency the operator asks for the smaller policy, with a reason."""
        return self.requested(number, to, "p-5", kind="break_glass", due_at="")

    def requested(self, number: int, to: Stage, who: str = "p-2", **more: str) -> Self:
        """The packet is sealed, and promotion into ``to`` asked for."""
        row = self._version(number)
        body = {"schema": "tg.packet/1", "version": number, "artifact": row.artifact, "to": str(to)}
        sealed = {
            "digest": digest(body),
            "model": self.model,
            "version": number,
            "body": body,
            "envelope": {},
        }
        if row.packet != sealed["digest"]:
            self._append(EventType.PACKET_SEALED, f"model/{self.model}", who, sealed)
        asked = {
            "id": f"{self.model}-P{len(self.ledger.state().select(PromotionRow, model=self.model)) + 1}",
            "model": self.model,
            "version": number,
            "source": row.stage,
            "target": str(to),
            "requester": who,
            "on_behalf_of": "",
            "artifact": row.artifact,
            "packet": sealed["digest"],
            "policy": self._policy(),
            "kind": "regular",
            "due_at": "2020-06-01T00:00:00Z",
            **more,
        }
        texts = {"reason": "The live one burns."} if more else {}
        return self._append(EventType.PROMOTION_REQUESTED, f"model/{self.model}", who, asked, texts)

    def approved(self, number: int) -> Self:
        """The approver says yes, with a reason."""
        return self._decided(EventType.PROMOTION_APPROVED, number, "approve", "The evidence holds.")

    def rejected(self, number: int) -> Self:
        """The approver says no, with a reason."""
        return self._decided(EventType.PROMOTION_REJECTED, number, "reject", "Spring tides are missing.")

    def applied(self, number: int) -> Self:
        """The promotion that is open happens; whoever leaves prod leaves first."""
        asked = self._open(number)
        moves = [self._move(number, Stage(asked.target))]
        if asked.target == Stage.PROD:
            leaving = self.ledger.state().select(VersionRow, model=self.model, stage=str(Stage.PROD))
            moves = [*(self._move(row.number, Stage.RETIRED) for row in leaving), *moves]
        payload = {
            "model": self.model,
            "promotion": asked.id,
            "kind": "regular",
            "moves": moves,
            "packet": asked.packet,
            "policy": asked.policy,
            "conditions": {"review_in_days": 14},
            "certified_until": "2020-09-01T00:00:00Z",
            "preconditions": {
                "way_back": {"kind": "fallback", "name": "tide table", "verified": True},
                "views": {},
            },
            "findings": [{"demand": "D1", "verdict": "passed", "sentence": "auc.low 0.65 >= 0.6"}],
        }
        return self._append(
            EventType.PROMOTION_APPLIED, f"model/{self.model}", "p-3", payload, causation=asked.sequence
        )

    def promoted(self, number: int, to: Stage) -> Self:
        """Ask, approve, apply: one stage up."""
        return self.requested(number, to).approved(number).applied(number)

    def delegated(self, to: str = "p-4") -> Self:
        """The approver lets somebody else decide for a while."""
        name = f"D-{len(self.ledger.state().select(DelegationRow)) + 1}"
        given = {
            "principal": "p-3",
            "delegate": to,
            "role": "approver",
            "model": "",
            "until": "2020-07-01T00:00:00Z",
        }
        texts = {"reason": "I am away in June."}
        return self._append(EventType.APPROVAL_DELEGATED, "approvals", "p-3", {"id": name, **given}, texts)

    def delegation_ended(self, name: str) -> Self:
        """...and no longer."""
        return self._append(EventType.DELEGATION_ENDED, "approvals", "p-3", {"id": name})

    def chased(self, number: int, kind: EventType) -> Self:
        """Time passes, and nobody has decided."""
        asked = self._open(number)
        about = {"promotion": asked.id, "model": self.model, "version": number}
        role = {"role": "risk_officer"} if kind is EventType.PROMOTION_ESCALATED else {}
        return self._append(kind, f"model/{self.model}", "s-6", {**about, **role})

    def revoked(self, number: int) -> Self:
        """The approver takes the approval of the open request back."""
        asked = self._open(number)
        about = {
            "promotion": asked.id,
            "approver": "p-3",
            "model": self.model,
            "version": number,
            "moves": [],
        }
        texts = {"reason": "The gauge was replaced."}
        return self._append(EventType.APPROVAL_REVOKED, f"model/{self.model}", "p-3", about, texts)

    def certificate_lapsed(self, number: int) -> Self:
        """A live version's approval is over, and somebody must look at it."""
        about = {"model": self.model, "version": number}
        lapsed = {**about, "because": "age", "since": "2020-09-01T00:00:00Z"}
        self._append(EventType.CERTIFICATION_LAPSED, f"model/{self.model}", "s-6", lapsed)
        name = f"R-{len(self.ledger.state().select(ReviewRow)) + 1}"
        due = {
            "kind": "recertification",
            "cause": "it is old",
            "role": "approver",
            "due_at": "2020-10-01T00:00:00Z",
        }
        opened = {"id": name, **about, "period": "", **due}
        return self._append(EventType.REVIEW_OPENED, f"model/{self.model}", "s-6", opened)

    def recertified(self, number: int) -> Self:
        """An approver says that it still holds."""
        row = self._version(number)
        payload = {
            "model": self.model,
            "version": number,
            "role": "approver",
            "artifact": row.artifact,
            "packet": row.packet,
            "policy": self._policy(),
            "until": "2021-03-01T00:00:00Z",
        }
        texts = {"reason": "It still tells high water."}
        return self._append(EventType.VERSION_RECERTIFIED, f"model/{self.model}", "p-3", payload, texts)

    def in_prod(self, number: int) -> Self:
        """All the way up from candidate."""
        for stage in (Stage.STAGING, Stage.CANARY, Stage.PROD):
            self.promoted(number, stage)
        return self

    # ── down and out ──────────────────────────────────────────────────────────────────────────────

    def rolled_back(self, number: int, to: int) -> Self:
        """``number`` leaves prod, and ``to`` is restored."""
        moves = [self._move(number, Stage.CANDIDATE), self._move(to, Stage.PROD)]
        return self._down(EventType.MODEL_ROLLED_BACK, moves)

    def stopped(self, number: int) -> Self:
        """``number`` leaves prod, and nothing replaces it."""
        return self._down(EventType.MODEL_STOPPED, [self._move(number, Stage.CANDIDATE)])

    def demoted(self, number: int, to: Stage) -> Self:
        """Down to a lower stage."""
        return self._down(EventType.VERSION_DEMOTED, [self._move(number, to)])

    def retired(self, number: int) -> Self:
        """Out."""
        return self._down(EventType.VERSION_RETIRED, [self._move(number, Stage.RETIRED)])

    # ── ──────────────────────────────────────────────────────────────────────────────────────────

    def _decided(self, kind: EventType, number: int, outcome: str, reason: str) -> Self:
        asked = self._open(number)
        bound = {
            "version": number,
            "artifact": asked.artifact,
            "packet": asked.packet,
            "policy": asked.policy,
        }
        payload = {
            "promotion": asked.id,
            "role": "approver",
            "outcome": outcome,
            "model": self.model,
            **bound,
            "for_whom": "",
            "conditions": {"review_in_days": 14} if outcome == "approve" else {},
        }
        texts = {"reason": reason}
        return self._append(
            kind, f"model/{self.model}", "p-3", payload, texts, key=f"p-3:{outcome}:{asked.id}",
            causation=asked.sequence,
        )  # fmt: skip

    def _down(self, kind: EventType, moves: list[dict[str, object]]) -> Self:
        payload = {"model": self.model, "moves": moves}
        return self._append(kind, f"model/{self.model}", "p-5", payload, {"reason": "The gauge was moved."})

    def _move(self, number: int, to: Stage) -> dict[str, object]:
        return {"version": number, "from": self._version(number).stage, "to": str(to)}

    def _open(self, number: int) -> PromotionRow:
        (row,) = self.ledger.state().select(PromotionRow, model=self.model, version=number, status="open")
        return row
