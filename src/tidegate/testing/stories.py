"""Lives of a model, told event by event: for tests, for examples, and for trying out an adapter.

    >>> from tidegate.testing.fakes.ledger import MemoryLedger
    >>> from tidegate.testing.fakes.small import CountingEntropy, TickingClock
    >>> ledger = MemoryLedger(TickingClock(), CountingEntropy())
    >>> told = Story(ledger).opened().with_data("2020-01").with_version()
    >>> ledger.verify()
    ()

A story appends through the ledger's own drafts what the use cases would append, and decides nothing. Each
step returns the story, so that a longer one extends a shorter one; `whole_story` has every type of event. The
chapters on data and on versions are in `data_story` and `model_story`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tidegate.application.ports import Ledger
from tidegate.application.revisions import touched_by
from tidegate.domain.actors import token_digest
from tidegate.domain.events import EventType
from tidegate.domain.policy import Stage
from tidegate.domain.state import (
    BatchRow,
    ProposalRow,
    ReviewRow,
)
from tidegate.domain.texts import kept
from tidegate.testing.data_story import DataStory
from tidegate.testing.model_story import ModelStory
from tidegate.testing.teller import named

#: Who takes part: id -> (kind, role, name). Names are personal data and lie beside the ledger.
CAST: Mapping[str, tuple[str, str, str]] = {
    "p-1": ("person", "administrator", "Ada Winter"),
    "p-2": ("person", "data_scientist", "Dana Summer"),
    "p-3": ("person", "approver", "Amir Spring"),
    "p-4": ("person", "reviewer", "Rita Autumn"),
    "p-5": ("person", "operator", "Otto Noon"),
    "s-1": ("service", "ingest_service", "svc-ingest"),
    "s-2": ("service", "training_service", "svc-train"),
    "s-3": ("service", "scoring_service", "svc-score"),
    "s-4": ("service", "monitor_service", "svc-monitor"),
    "s-5": ("service", "feature_service", "svc-features"),
    "s-6": ("service", "rollout_service", "svc-rollout"),
}
POLICY = "name: harbour\nversion: {}\n"


class Story(DataStory, ModelStory):
    """The life of one model, ``model``, on one ledger."""

    # ── opening ───────────────────────────────────────────────────────────────────────────────────

    def opened(self) -> Self:
        """Genesis: the cast, a token each, and the first policy."""
        self._append(
            EventType.LEDGER_OPENED,
            "ledger",
            "p-1",
            {"clock": "simulated", "assurance": "local", "administrator": "p-1"},
        )
        for actor, (kind, role, name) in CAST.items():
            added = {"id": actor, "kind": kind, "subject": actor, "roles": [role]}
            self._append(EventType.ACTOR_ADDED, "actors", "p-1", added, {"name": name})
            issued = {"id": f"c-{actor}", "actor": actor, "token_digest": token_digest(f"token of {actor}")}
            self._append(EventType.CREDENTIAL_ISSUED, "actors", "p-1", issued)
        return self.with_policy("1")

    def with_policy(self, version: str) -> Self:
        """Put a policy in force."""
        body = POLICY.format(version)
        adopted = {"digest": named(body), "name": "harbour", "version": version, "body": body}
        return self._append(EventType.POLICY_ADOPTED, "policy", "p-1", adopted)

    def with_proposal(self, version: str) -> Self:
        """Somebody proposes another policy."""
        body = POLICY.format(version)
        name = f"C-{len(self.ledger.state().select(ProposalRow)) + 1}"
        proposed = {"id": name, "digest": named(body), "name": "harbour", "version": version, "body": body}
        texts = {"reason": "Spring tides deserve a demand of their own."}
        base = {"base": self._policy()}
        return self._append(EventType.POLICY_PROPOSED, "policy", "p-2", {**proposed, **base}, texts)

    def policy_decided(self, proposal: str, outcome: str = "approve") -> Self:
        """An approver decides on it."""
        kind = EventType.POLICY_APPROVED if outcome == "approve" else EventType.POLICY_REJECTED
        payload = {"proposal": proposal, "role": "approver", "outcome": outcome}
        return self._append(kind, "policy", "p-3", payload, {"reason": "It was tried on last year."})

    def with_role(self, actor: str, *roles: str) -> Self:
        """Give an actor these roles instead of the ones they had."""
        return self._append(EventType.ROLES_CHANGED, "actors", "p-1", {"id": actor, "roles": list(roles)})

    def with_revoked(self, actor: str) -> Self:
        """Revoke an actor's token."""
        return self._append(EventType.CREDENTIAL_REVOKED, "actors", "p-1", {"id": f"c-{actor}"})

    # ── live ──────────────────────────────────────────────────────────────────────────────────────

    def refused(self, action: str = "approve") -> Self:
        """Somebody tries what they may not."""
        reason = {"code": "own-version", "rule": "P4", "sentence": "p-2 asked for it", "next_step": "ask p-3"}
        payload = {"action": action, "subject": {"version": self.versions}, "reasons": [reason]}
        return self._append(EventType.ACTION_REFUSED, f"model/{self.model}", "p-2", payload)

    def scored(self, period: str, number: int) -> Self:
        """The version in prod decides over a period."""
        payload = {
            "model": self.model,
            "period": period,
            "version": number,
            "artifact": self.artifact(number),
            "entities": named(f"entities {period}"),
            "rows": 50,
            "of": 50,
            "root": named(f"decisions {period}"),
            "file": f"{self.model}-{period}-v{number}.parquet",
            "stage": self._version(number).stage,
            "read": {"tide_features": ["station_day", "station_hour"]},
            "freshness": {"station_hour": {"objective": 7200, "stale": 3, "unknown": 1}},
        }
        return self._append(EventType.DECISIONS_SCORED, f"model/{self.model}", "s-3", payload)

    def analysed(self, period: str, number: int, verdict: str = "passed") -> Self:
        """A canary is compared with the live version over a period."""
        payload = {
            "model": self.model,
            "version": number,
            "period": period,
            "baseline": 0,
            "verdict": verdict,
            "standing": "holds",
            "sentence": "it gains 0.01 [0.005, 0.015] on a loss of 0.2",
            "analysis": {"rows": 50, "labelled": 48, "days": 28, "loss": "brier", "rule": "V3"},
            "review": "",
        }
        return self._append(EventType.CANARY_ANALYSED, f"model/{self.model}", "s-6", payload)

    def monitored(self, period: str, number: int, verdict: str = "passed") -> Self:
        """A monitor looks at a period; anything but a pass opens a review."""
        count = len(self.ledger.state().select(ReviewRow))
        review = "" if verdict == "passed" else f"R-{count + 1}"
        about = {"model": self.model, "period": period, "version": number}
        payload = {
            **about,
            "verdict": verdict,
            "evidence": {"tool": "gauge 1.0", "binding": [{"kind": "calibration", "verdict": verdict}]},
            "report": named(f"report {period}"),
            "outcomes": named(f"outcomes {period}"),
            "review": review,
        }
        self._append(EventType.MONITOR_RAN, f"model/{self.model}", "s-4", payload)
        if review:
            due = {
                "kind": "finding",
                "cause": f"calibration {verdict}",
                "role": "reviewer",
                "due_at": "2020-06-01T00:00:00Z",
            }
            self._append(
                EventType.REVIEW_OPENED, f"model/{self.model}", "s-4", {"id": review, **about, **due}
            )
        return self

    def reviewed(self, review: str, outcome: str) -> Self:
        """The reviewer chooses an outcome, with a reason."""
        payload = {"id": review, "outcome": outcome}
        texts = {"reason": "The storm explains it."}
        return self._append(EventType.REVIEW_DECIDED, f"model/{self.model}", "p-4", payload, texts)

    def followed(self, review: str, what: str) -> Self:
        """What a review decided is done."""
        payload = {"id": review, "followed": what}
        return self._append(EventType.REVIEW_FOLLOWED, f"model/{self.model}", "s-2", payload)

    def ran(self, schedule: str, slot: str, outcome: str = "done") -> Self:
        """A schedule's slot is run."""
        payload = {"schedule": schedule, "slot": slot, "outcome": outcome, "summary": "3 drops", "covers": 0}
        return self._append(EventType.RUN_FINISHED, f"schedule/{schedule}", "s-1", payload)

    # ── the record itself ─────────────────────────────────────────────────────────────────────────

    def repaired(self) -> Self:
        """Somebody moved an alias by hand; it was found and put right."""
        payload = {
            "id": "I-1",
            "model": self.model,
            "kind": "registry",
            "facts": ["alias prod was on version 2, not 1"],
        }
        return self._append(EventType.REGISTRY_REPAIRED, f"model/{self.model}", "s-6", payload)

    def erased(self, kind: EventType = EventType.TEXT_ERASED) -> Self:
        """All texts of p-5 go, or, by retention, the oldest reason that is left; their commitments stay."""
        if kind is EventType.TEXT_ERASED:
            gone = [row.commitment for row in kept(self.ledger.state(), subject="p-5")]
            payload: dict[str, Any] = {"subject": "p-5", "commitments": gone}
            return self._append(kind, "ledger", "p-1", payload, {"reason": "They asked for it."})
        oldest = min(kept(self.ledger.state(), kind="reason"), key=lambda row: row.sequence)
        payload = {"kind": "reason", "before": "2019-01-01T00:00:00Z", "commitments": [oldest.commitment]}
        return self._append(kind, "ledger", "p-1", payload)

    def rows_erased(self, period: str, cause: str = "subject") -> Self:
        """Two rows of a period go, because somebody asked for theirs or their time is over; one was held back."""
        (row,) = self.ledger.state().select(BatchRow, dataset=self.dataset, period=period, superseded_by="")
        asked = cause == "subject"
        files = [
            {
                "kind": kind,
                "place": self.dataset,
                "digest": digest,
                "successor": f"{digest[:-4]}left",
                "rows": 1,
            }
            for kind, digest in (("batch", row.batch), ("quarantine", row.quarantine_root))
        ]
        payload = {
            "cause": cause,
            "subject": named("somebody") if asked else "",
            "dataset": self.dataset,
            "periods": [period],
            "keeps": {} if asked else {"value": 1, "unit": "day"},
            "rows": 2,
            "files": files,
            "touches": dict(touched_by(self.ledger.state(), [row.batch])),
        }
        texts = {"reason": "They asked for it."} if asked else {}
        return self._append(EventType.ROWS_ERASED, f"dataset/{self.dataset}", "p-1", payload, texts)


def whole_story(ledger: Ledger) -> Story:
    """Tell a life with every type of event and a row in every table of state."""
    story = Story(ledger).opened().with_data("2020-01").with_refused_data("2020-02")
    story.waived("T01", "2020-02").waiver_ended("W-1").waived("T01", most=3)
    story.with_push("2020-04").with_push("2020-04", bad=3)
    story.with_restated_data("2020-01").ran("collect", "2020-03-01T05:30:00Z")
    story.with_unreadable_drop("2020-03").with_access()
    story.with_features("2020-03-01T00:00:00Z").compared().read().measured().judged()
    story.with_version().refused().in_prod(1)
    story.scored("2020-03", 1).monitored("2020-03", 1)
    story.scored("2020-04", 1).monitored("2020-04", 1, "failed").reviewed("R-1", "retrain")
    story.followed("R-1", "version 2 trained")
    story.with_version().in_prod(2).rolled_back(2, to=1)
    story.with_version().promoted(3, Stage.STAGING).promoted(3, Stage.CANARY)
    story.scored("2020-04", 3).analysed("2020-04", 3, "failed").demoted(3, Stage.STAGING)
    story.broke_glass(3, Stage.CANARY).rejected(3).requested(3, Stage.CANARY).approved(3).revoked(3)
    story.chased(3, EventType.PROMOTION_REMINDED).chased(3, EventType.PROMOTION_ESCALATED)
    story.chased(3, EventType.PROMOTION_LAPSED).retired(3)
    story.certificate_lapsed(1).recertified(1).stopped(1).repaired()
    story.with_role("p-4", "reviewer", "approver").delegated().delegation_ended("D-1").with_revoked("p-5")
    story.with_proposal("1b").policy_decided("C-1", "reject").with_proposal("2").policy_decided("C-2")
    story.with_policy("2").erased().erased(EventType.RETENTION_APPLIED)
    story.with_data("2020-04").rows_erased("2020-01").rows_erased("2020-04", "retention")
    # What is still open at the end, so that a table of state holds every kind of row.
    return (
        story.in_prod(1)
        .scored("2020-05", 1)
        .monitored("2020-05", 1, "inconclusive")
        .requested(2, Stage.STAGING)
    )
