"""Lives of a model, told event by event: for tests, for examples, and for trying out an adapter.

    >>> from tidegate.testing.fakes.ledger import MemoryLedger
    >>> from tidegate.testing.fakes.small import CountingEntropy, TickingClock
    >>> ledger = MemoryLedger(TickingClock(), CountingEntropy())
    >>> told = Story(ledger).opened().with_data("2020-01").with_version()
    >>> ledger.verify()
    ()

A story appends through the ledger's own drafts what the use cases would append, and decides nothing. Each
step returns the story, so that a longer one extends a shorter one; `whole_story` has every type of event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tidegate.application.ports import Ledger
from tidegate.application.revisions import touched_by
from tidegate.domain.actors import token_digest
from tidegate.domain.canonical import digest, sha256
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.feature_drift import Limits, Shift, as_dict, drift, overall
from tidegate.domain.policy import Stage
from tidegate.domain.state import (
    BatchRow,
    DelegationRow,
    PolicyRow,
    PromotionRow,
    ProposalRow,
    PushRow,
    ReviewRow,
    StatisticsRow,
    VersionRow,
    WaiverRow,
)
from tidegate.domain.texts import kept

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


def named(text: str) -> str:
    """Return a digest that stands for some content."""
    return sha256(text.encode())


class Story:
    """The life of one model, ``model``, on one ledger."""

    def __init__(self, ledger: Ledger, model: str = "tides", dataset: str = "gauges") -> None:
        self.ledger = ledger
        self.model = model
        self.dataset = dataset
        self.versions = 0

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

    # ── data and features ─────────────────────────────────────────────────────────────────────────

    def with_data(self, period: str, read: int = 100, bad: int = 3) -> Self:
        """A drop comes, and its batch is accepted."""
        return self._gate(EventType.BATCH_ACCEPTED, period, read, bad)

    def with_restated_data(self, period: str, read: int = 100, bad: int = 3) -> Self:
        """The period's drop comes again, corrected: its batch replaces the one in force."""
        (before,) = self.ledger.state().select(
            BatchRow, dataset=self.dataset, period=period, superseded_by=""
        )
        return self._gate(EventType.BATCH_ACCEPTED, period, read, bad, before)

    def with_refused_data(self, period: str, read: int = 100) -> Self:
        """A drop comes, and all of it is held back."""
        return self._gate(EventType.BATCH_REFUSED, period, read, read)

    def with_push(self, period: str, rows: int = 3, bad: int = 0) -> Self:
        """Rows of a period are pushed before its drop comes; those that are not bad are accepted."""
        name = f"{self.dataset} {period} pushed {len(self.ledger.state().select(PushRow))}"
        part = {period: {"batch": named(f"batch {name}"), "rows": rows - bad}}
        stop = {"rule": "G7", "code": "nothing-left", "sentence": f"none of its {rows} rows may go on"}
        payload = {
            "dataset": self.dataset,
            "drop": named(f"push {name}"),
            "parts": part if rows > bad else {},
            "verdict": "passed" if rows > bad else "failed",
            "read": rows,
            "accepted": rows - bad,
            "quarantined": bad,
            "quarantine_root": named(f"quarantine {name}"),
            "contract": named("contract"),
            "report": {
                "tool": "gauge 1.0",
                "checks": [{"id": "T02", "evaluated": rows, "failing": bad}],
                "stops": [] if rows > bad else [stop],
            },
        }
        kind = EventType.PUSH_ACCEPTED if rows > bad else EventType.PUSH_REFUSED
        return self._append(kind, f"dataset/{self.dataset}", "s-1", payload)

    def waived(self, check: str, period: str = "", most: int = 1) -> Self:
        """The approver lets a check not count for a while."""
        name = f"W-{len(self.ledger.state().select(WaiverRow)) + 1}"
        given = {"id": name, "dataset": self.dataset, "check": check, "period": period}
        until = {"until": "2020-01-20T00:00:00Z", "most": most}
        texts = {"reason": "The gauge at the lock was replaced that week."}
        stream = f"dataset/{self.dataset}"
        return self._append(EventType.WAIVER_GIVEN, stream, "p-3", {**given, **until}, texts)

    def waiver_ended(self, name: str) -> Self:
        """...and no longer."""
        return self._append(EventType.WAIVER_ENDED, f"dataset/{self.dataset}", "p-3", {"id": name})

    def with_unreadable_drop(self, period: str) -> Self:
        """A drop comes that cannot be read."""
        drop = named(f"unreadable {self.dataset} {period}")
        payload = {"dataset": self.dataset, "drop": drop, "period": period, "code": "truncated"}
        return self._append(EventType.DROP_REFUSED, f"dataset/{self.dataset}", "s-1", payload, key=drop)

    def with_access(self) -> Self:
        """It is declared who may read and write which view."""
        opened = {
            "views": ["station_day", "station_hour"],
            "roles": ["feature_service", "scoring_service", "training_service"],
            "opens": ["read_offline", "read_online", "write_offline", "write_online"],
        }
        payload = {"permissions": {"works": opened}}
        return self._append(EventType.ACCESS_DECLARED, "features", "s-5", payload)

    def with_features(self, until: str) -> Self:
        """Two views are built, and brought online as of ``until``."""
        views = {
            name: {
                "definition": named(f"def {name}"),
                "source": named(f"{name} {until}"),
                "rows": 97,
                "objective": {"freshness": 7200} if name == "station_hour" else {},
            }
            for name in ("station_day", "station_hour")
        }
        self._append(
            EventType.FEATURES_BUILT,
            "features",
            "s-5",
            {"views": views, "batches": [named(f"batch {self.dataset}")]},
        )
        online = {"until": until, "rows": dict.fromkeys(views, 97), "newest": dict.fromkeys(views, until)}
        return self._append(EventType.FEATURES_MATERIALIZED, "features", "s-5", online)

    def compared(self, verdict: str = "passed") -> Self:
        """What is online of a view is compared with what was known."""
        said = {
            "source": named("station_day"),
            "until": "2020-03-01T00:00:00Z",
            "verdict": verdict,
            "sampled": 97,
            "skewed": {} if verdict == "passed" else {"level": 2},
            "sentence": "97 values of 97 keys are served as they were known",
        }
        payload = {"views": {"station_day": said}, "tolerances": {"double": 1e-9}, "sample": 100}
        return self._append(EventType.FEATURES_COMPARED, "features", "s-5", payload)

    def read(self, count: int = 3) -> Self:
        """Features are read online, and the segment of these reads is sealed."""
        moments = {"first": "2020-03-01T06:00:00Z", "last": "2020-03-01T06:40:00Z"}
        who = {"actor": "s-3", "on_behalf_of": "", "service": "tide_features", "access": "read_online"}
        line = {**who, "views": ["station_day"], "reads": count, "rows": 7, **moments}
        payload = {"root": named(f"reads {count}"), "records": count, **moments, "by": [line]}
        return self._append(EventType.FEATURES_READ, "features", "s-3", payload)

    def measured(self) -> Self:
        """The statistics of a view's features are taken over a month."""
        figures = {"level": {"kind": "numeric", "row_count": 97, "null_count": 2, "mean": 3.5}}
        window = {"window": "2020-02", "first": "2020-02-01T00:00:00Z", "until": "2020-03-01T00:00:00Z"}
        of = {"view": "station_day", "definition": named("def station_day"), "source": named("station_day")}
        payload = {**of, **window, "figures": figures}
        return self._append(EventType.FEATURES_MEASURED, "features", "s-5", payload)

    def judged(self) -> Self:
        """The drift of a view's features is judged, after both periods are measured."""
        figures = {"level": {"kind": "numeric", "row_count": 90, "null_count": 1, "mean": 3.0, "stddev": 1.0}}
        of = {"view": "station_day", "definition": named("def station_day"), "source": named("station_day")}
        window = {"window": "2020-01", "first": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z"}
        self._append(EventType.FEATURES_MEASURED, "features", "s-5", {**of, **window, "figures": figures})
        limits = Limits("2020-01", 50, {Shift.MEAN: 0.4})
        now = self.ledger.state().get(StatisticsRow, "station_day", "2020-02", of["source"], of["definition"])
        assert now is not None, "`measured` comes first"
        found = drift(limits, figures, now.figures, {})
        said = {"limits": limits.digest, "declared": limits.as_dict(), "counts": {}, "found": as_dict(found)}
        payload = {**of, "window": "2020-02", **said, "verdict": str(overall(found))}
        return self._append(EventType.FEATURES_JUDGED, "features", "s-5", payload)

    def ran(self, schedule: str, slot: str, outcome: str = "done") -> Self:
        """A schedule's slot is run."""
        payload = {"schedule": schedule, "slot": slot, "outcome": outcome, "summary": "3 drops", "covers": 0}
        return self._append(EventType.RUN_FINISHED, f"schedule/{schedule}", "s-1", payload)

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

    # ── ──────────────────────────────────────────────────────────────────────────────────────────

    def artifact(self, number: int) -> str:
        """Return the digest of a version's artifact."""
        return named(f"artifact {self.model} {number}")

    def _gate(
        self, kind: EventType, period: str, read: int, bad: int, before: BatchRow | None = None
    ) -> Self:
        taken = kind is EventType.BATCH_ACCEPTED
        revision = before.revision + 1 if before else 0
        edition = f"{self.dataset} {period}" + (f" r{revision}" if revision else "")
        payload = {
            "dataset": self.dataset,
            "drop": named(f"drop {edition}"),
            "period": period,
            "batch": named(f"batch {edition}") if taken else "",
            "revision": revision,
            "supersedes": before.batch if before else "",
            "touches": {"training_sets": [], "versions": []},
            "verdict": "passed" if taken else "failed",
            "read": read,
            "accepted": read - bad,
            "quarantined": bad,
            "quarantine_root": named(f"quarantine {period}"),
            "contract": named("contract"),
            "report": {
                "tool": "gauge 1.0",
                "checks": [{"id": "T01", "evaluated": read, "failing": bad}],
                "stops": [] if taken else [{"rule": "G1", "code": "all-bad", "sentence": "no row is good"}],
            },
        }
        return self._append(kind, f"dataset/{self.dataset}", "s-1", payload)

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

    def _version(self, number: int) -> VersionRow:
        row = self.ledger.state().get(VersionRow, self.model, number)
        assert row is not None, f"the story has no version {number} of {self.model} yet"
        return row

    def _open(self, number: int) -> PromotionRow:
        (row,) = self.ledger.state().select(PromotionRow, model=self.model, version=number, status="open")
        return row

    def _policy(self) -> str:
        (row,) = self.ledger.state().select(PolicyRow, in_force=True)
        return row.digest

    def _append(
        self,
        kind: EventType,
        stream: str,
        actor: str,
        payload: Mapping[str, Any],
        texts: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        causation: int | None = None,
        on_behalf_of: str | None = None,
    ) -> Self:
        told = Draft(
            kind, stream, actor, payload, texts or {}, on_behalf_of, idempotency_key=key, causation=causation
        )
        with self.ledger.transaction() as tx:
            self.last: Event = tx.append(told)
        return self


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
