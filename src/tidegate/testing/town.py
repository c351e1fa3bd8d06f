"""A ledger in which everything has happened once, in the payloads that the use cases write.

For whatever shows the record (a page, an API, an export): give it ``words`` of your own, hostile ones too,
and they stand wherever people or data bring text. What happens to data and to models is in `data_town` and
`model_town`.
"""

from __future__ import annotations

from typing import Self

from tidegate.domain.canonical import sha256
from tidegate.domain.events import EventType
from tidegate.domain.texts import kept
from tidegate.testing.crier import MODEL
from tidegate.testing.data_town import DataTown
from tidegate.testing.model_town import ModelTown


class Town(DataTown, ModelTown):
    """The town of one model, ``MODEL``, and of everybody around it."""

    def lived(self) -> Self:
        """Everything that can happen; a promotion and a review are left open."""
        self.with_people().with_data().with_version(1)
        for source, target in (("candidate", "staging"), ("staging", "canary"), ("canary", "prod")):
            asked = self.asked(1, source, target)
            if target == "prod":
                self.denied(f"model/{MODEL}", version=1).decided(asked, 1, EventType.PROMOTION_APPROVED)
            self.applied(asked, (1, source, target))
        self.denied("dataset/gauges")
        self.monitored("2013-03", "R-1", "failed")
        self.ran("collect", "2013-04-01T05:30:00Z", covers=2).ran(
            "monitor", "2013-04-04T07:00:00Z", "refused"
        )
        self.say(EventType.REVIEW_DECIDED, "p-4", {"id": "R-1", "outcome": "retrain"}, texts=self.reason())
        self.with_version(2)
        followed = {"id": "R-1", "followed": self.words}
        self.say(EventType.REVIEW_FOLLOWED, "s-2", followed, on_behalf_of="p-4")
        self.decided(self.asked(2, "candidate", "staging"), 2, EventType.PROMOTION_REJECTED)
        for source, target in (("candidate", "staging"), ("staging", "canary")):
            self.applied(self.asked(2, source, target), (2, source, target))
        self.scored("2013-02", 2, "canary").analysed("2013-02", 2, "failed", "worse", beside=1, review="R-0")
        self.lowered(EventType.VERSION_DEMOTED, (2, "canary", "staging"))
        self.say(EventType.REVIEW_DECIDED, "p-4", {"id": "R-0", "outcome": "roll_back"}, texts=self.reason())
        self.applied(self.asked(2, "staging", "canary"), (2, "staging", "canary"))
        self.applied(self.asked(2, "canary", "prod"), (1, "prod", "retired"), (2, "canary", "prod"))
        self.lowered(EventType.MODEL_ROLLED_BACK, (2, "prod", "candidate"), (1, "retired", "prod"))
        self.with_version(3).lowered(EventType.VERSION_RETIRED, (3, "candidate", "retired"))
        self.with_version(4)
        for source, target in (("candidate", "staging"), ("staging", "canary")):
            self.applied(self.asked(4, source, target), (4, source, target))
        self.lowered(EventType.MODEL_STOPPED, (1, "prod", "candidate"))
        for period in ("2013-04", "2013-05", "2013-06"):
            self.scored(period, 4, "canary")
        self.analysed("2013-04", 4, "inconclusive", "unclear").analysed("2013-05", 4, "inconclusive", "waits")
        self.with_delegates().out_of_time(4).with_proposals().with_texts_gone()
        self.asked(4, "canary", "prod")
        incident = {"id": "I-1", "model": MODEL, "kind": "registry", "facts": [self.words]}
        self.say(EventType.REGISTRY_REPAIRED, "s-6", incident)
        self.restated("2013-01", f"{MODEL}/1", f"{MODEL}/2").with_rows_gone().with_number()
        return self.monitored("2013-04", "R-2", "inconclusive")

    def with_people(self) -> Self:
        added = {"id": "p-9", "kind": "person", "subject": "p-9", "roles": ["approver"]}
        self.say(EventType.ACTOR_ADDED, "p-1", added, "actors", texts={"name": self.words})
        issued = {"id": "c-p-9", "actor": "p-9", "token_digest": "sha256:0"}
        self.say(EventType.CREDENTIAL_ISSUED, "p-1", issued, "actors")
        self.say(EventType.ROLES_CHANGED, "p-1", {"id": "p-9", "roles": ["approver", "reviewer"]}, "actors")
        self.say(EventType.CREDENTIAL_REVOKED, "p-1", {"id": "c-p-9"}, "actors")
        return self

    def with_delegates(self) -> Self:
        """Somebody decides in another's place, and no longer does; a live version was looked at again."""
        given = {"id": "D-1", "principal": "p-3", "delegate": "p-9", "role": "approver", "model": MODEL}
        until = {"until": "2013-06-01T00:00:00Z"}
        self.say(EventType.APPROVAL_DELEGATED, "p-3", {**given, **until}, "approvals", texts=self.reason())
        self.say(EventType.DELEGATION_ENDED, "p-3", {"id": "D-1"}, "approvals")
        about = {"model": MODEL, "version": 1}
        lapsed = {**about, "because": "age", "since": "2013-05-01T00:00:00Z"}
        self.say(EventType.CERTIFICATION_LAPSED, "s-6", lapsed)
        bound = {"role": "approver", "artifact": "sha256:a", "packet": "sha256:p", "policy": "sha256:x"}
        again = {**about, **bound, "until": "2013-11-01T00:00:00Z"}
        self.say(EventType.VERSION_RECERTIFIED, "p-3", again, texts=self.reason())
        return self

    def out_of_time(self, number: int) -> Self:
        """Ask for prod; the one approval is taken back, nobody else decides, and the request lapses."""
        asked = self.asked(number, "canary", "prod")
        self.decided(asked, number, EventType.PROMOTION_APPROVED)
        about = {"promotion": asked, "model": MODEL, "version": number}
        revoked = {**about, "approver": "p-3", "moves": []}
        self.say(EventType.APPROVAL_REVOKED, "p-3", revoked, texts=self.reason())
        self.say(EventType.PROMOTION_REMINDED, "s-6", about)
        self.say(EventType.PROMOTION_ESCALATED, "s-6", {**about, "role": "risk_officer"})
        self.say(EventType.PROMOTION_LAPSED, "s-6", about)
        return self

    def with_proposals(self) -> Self:
        """Two other policies are asked for: one is rejected, the other has an approval and waits for more."""
        for number, kind in ((1, EventType.POLICY_REJECTED), (2, EventType.POLICY_APPROVED)):
            named = {"id": f"C-{number}", "digest": sha256(b"policy %d" % number), "name": self.words}
            told = {"version": str(number), "body": "policy: x", "base": self.policy.digest}
            self.say(EventType.POLICY_PROPOSED, "p-2", {**named, **told}, "policy", texts=self.reason())
            outcome = "reject" if kind is EventType.POLICY_REJECTED else "approve"
            said = {"proposal": f"C-{number}", "role": "approver", "outcome": outcome}
            self.say(kind, "p-3", said, "policy", texts=self.reason())
        return self

    def with_texts_gone(self) -> Self:
        """Somebody came and left, and their texts with them; the reason of a delegation grew too old."""
        added = {"id": "p-10", "kind": "person", "subject": "p-10", "roles": ["auditor"]}
        self.say(EventType.ACTOR_ADDED, "p-1", added, "actors", texts={"name": self.words})
        state = self.ledger.state()
        gone = [row.commitment for row in kept(state, subject="p-10")]
        self.say(
            EventType.TEXT_ERASED,
            "p-1",
            {"subject": "p-10", "commitments": gone},
            "ledger",
            texts=self.reason(),
        )
        (given,) = [each for each in self.ledger.events() if each.type is EventType.APPROVAL_DELEGATED]
        old = {"kind": "reason", "before": "2013-01-01T00:00:00Z"}
        commitments = list(given.payload["texts"].values())
        self.say(EventType.RETENTION_APPLIED, "p-1", {**old, "commitments": commitments}, "ledger")
        return self

    def ran(self, schedule: str, slot: str, outcome: str = "done", covers: int = 0) -> Self:
        """Have a schedule's slot run."""
        payload = {
            "schedule": schedule,
            "slot": slot,
            "outcome": outcome,
            "summary": self.words,
            "covers": covers,
        }
        self.say(EventType.RUN_FINISHED, "s-1", payload, f"schedule/{schedule}")
        return self
