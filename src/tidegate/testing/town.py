"""A ledger in which everything has happened once, in the payloads that the use cases write.

For whatever shows the record (a page, an API, an export): give it ``words`` of your own, hostile ones too,
and they stand wherever people or data bring text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tidegate.application.ports import Ledger
from tidegate.domain.canonical import digest, sha256
from tidegate.domain.events import Draft, EventType
from tidegate.domain.feature_drift import Limits, Shift, as_dict, drift, overall
from tidegate.domain.policy import Policy
from tidegate.domain.state import PromotionRow
from tidegate.domain.texts import kept

MODEL = "tides"
#: The town's other model, which predicts a number.
SWELL = "swell"
REPORT = sha256(b"a report")


class Town:
    """One model's town, on a ledger that was opened with the embedded profile's accounts.

    ``policy`` is the one in force; what its first test shows is what every sealed packet holds.
    """

    def __init__(self, ledger: Ledger, policy: Policy, words: str = "The evidence holds.") -> None:
        self.ledger, self.policy, self.words = ledger, policy, words
        self.facts: Any = policy.tests[0].facts["packet"]

    def say(
        self, kind: EventType, actor: str, payload: Mapping[str, Any], on: str = f"model/{MODEL}", **more: Any
    ) -> None:
        with self.ledger.transaction() as tx:
            tx.append(Draft(kind, on, actor, payload, **more))

    def reason(self) -> dict[str, str]:
        return {"reason": self.words}

    def with_people(self) -> Self:
        added = {"id": "p-9", "kind": "person", "subject": "p-9", "roles": ["approver"]}
        self.say(EventType.ACTOR_ADDED, "p-1", added, "actors", texts={"name": self.words})
        issued = {"id": "c-p-9", "actor": "p-9", "token_digest": "sha256:0"}
        self.say(EventType.CREDENTIAL_ISSUED, "p-1", issued, "actors")
        self.say(EventType.ROLES_CHANGED, "p-1", {"id": "p-9", "roles": ["approver", "reviewer"]}, "actors")
        self.say(EventType.CREDENTIAL_REVOKED, "p-1", {"id": "c-p-9"}, "actors")
        return self

    def with_data(self) -> Self:
        for period, stops in (
            ("2013-01", []),
            ("2013-02", [{"rule": "G1", "code": "c", "sentence": self.words}]),
        ):
            check = {
                "id": "T01",
                "severity": "warning",
                "on_row": "quarantine",
                "evaluated": 1200,
                "failing": 3,
            }
            checks = [
                {**check, "verdict": "failed", "sentence": self.words},
                {**check, "id": "T02", "verdict": "passed", "sentence": "fine"},
            ]
            report = {"contract_version": "1", "tool": self.words, "checks": checks, "stops": stops}
            self._gated(period, report)
        waived = {"id": "W-1", "dataset": "gauges", "check": "T01", "period": "2013-02", "most": 2}
        until = {"until": "2013-03-20T00:00:00Z"}
        self.say(EventType.WAIVER_GIVEN, "p-3", {**waived, **until}, "dataset/gauges", texts=self.reason())
        self.say(EventType.WAIVER_ENDED, "p-3", {"id": "W-1"}, "dataset/gauges")
        pushed: dict[str, Any] = {
            "dataset": "gauges",
            "drop": "sha256:4",
            "parts": {"2013-04": {"batch": "tg1:p", "rows": 3}},
            "verdict": "passed",
            "read": 4,
            "accepted": 3,
            "quarantined": 1,
            "quarantine_root": sha256(b"root"),
            "contract": sha256(b"contract"),
            "report": {"contract_version": "1", "tool": self.words, "checks": checks[1:], "stops": []},
        }
        self.say(EventType.PUSH_ACCEPTED, "s-1", pushed, "dataset/gauges")
        none = {"drop": "sha256:5", "parts": {}, "verdict": "failed", "accepted": 0, "quarantined": 4}
        stop = {"rule": "G7", "code": "nothing-left", "sentence": self.words}
        held = {"report": {**pushed["report"], "stops": [stop]}}
        self.say(EventType.PUSH_REFUSED, "s-1", {**pushed, **none, **held}, "dataset/gauges")
        gone = {"dataset": "gauges", "drop": "sha256:3", "period": "2013-03", "code": self.words}
        self.say(EventType.DROP_REFUSED, "s-1", gone, "dataset/gauges")
        views = {
            "hours": {
                "definition": "sha256:d",
                "source": "tg1:s",
                "rows": 97,
                "objective": {"freshness": 7200, "lag": 3888000},
            }
        }
        roles = ["ingest_service", "scoring_service", "training_service"]
        accesses = ["read_offline", "read_online", "write_offline", "write_online"]
        opened = {"works": {"views": ["hours"], "roles": roles, "opens": accesses}}
        self.say(EventType.ACCESS_DECLARED, "s-1", {"permissions": opened}, "features")
        self.say(EventType.FEATURES_BUILT, "s-1", {"views": views, "batches": []}, "features")
        at = "2013-04-01T06:00:00Z"
        online = {"until": at, "rows": {"hours": 97}, "newest": {"hours": at}}
        self.say(EventType.FEATURES_MATERIALIZED, "s-1", online, "features")
        told = {
            "verdict": "passed",
            "sampled": 97,
            "skewed": {},
            "sentence": "97 values are served as they were known",
        }
        compared = {"hours": {"source": views["hours"]["source"], "until": online["until"], **told}}
        payload = {"views": compared, "tolerances": {"double": 1e-9}, "sample": 100}
        self.say(EventType.FEATURES_COMPARED, "s-1", payload, "features")
        return self._measured({"view": "hours", "definition": "sha256:d", "source": "tg1:s"})

    def _measured(self, of: Mapping[str, str]) -> Self:
        """Read a view online, measure two months of it, and judge how far it moved between them."""
        moments = {"first": "2013-04-01T06:00:00Z", "last": "2013-04-01T06:40:00Z"}
        who = {"actor": "s-3", "on_behalf_of": "", "service": "tides", "access": "read_online"}
        line = {**who, "views": [of["view"]], "reads": 2, "rows": 9, **moments}
        reads = {"root": "sha256:r", "records": 2, **moments, "by": [line]}
        self.say(EventType.FEATURES_READ, "s-3", reads, "features")
        level = {"kind": "numeric", "row_count": 90, "null_count": 1, "mean": 3.0, "stddev": 1.0}
        for month, mean in ((1, 3.0), (2, 3.5)):
            window = {
                "window": f"2013-0{month}",
                "first": f"2013-0{month}-01T00:00:00Z",
                "until": f"2013-0{month + 1}-01T00:00:00Z",
                "figures": {"level": {**level, "mean": mean}},
            }
            self.say(EventType.FEATURES_MEASURED, "s-1", {**of, **window}, "features")
        limits = Limits("2013-01", 50, {Shift.MEAN: 0.4})
        found = drift(limits, {"level": level}, {"level": {**level, "mean": 3.5}}, {})
        said = {"limits": limits.digest, "declared": limits.as_dict(), "counts": {}, "found": as_dict(found)}
        judged = {**of, "window": "2013-02", **said, "verdict": str(overall(found))}
        self.say(EventType.FEATURES_JUDGED, "s-1", judged, "features")
        return self

    def restated(self, period: str, *versions: str) -> Self:
        """Deliver a period once more; ``versions``, like tides/1, had learned from what it replaces."""
        report = {"contract_version": "1", "tool": self.words, "checks": [], "stops": []}
        touches = {"training_sets": ["tg1:rows1"], "versions": list(versions)}
        replaced = f"tg1:{digest(period)[7:]}"
        return self._gated(period, report, revision=1, supersedes=replaced, touches=touches)

    def _gated(self, period: str, report: Mapping[str, Any], **more: Any) -> Self:
        stops = report["stops"]
        edition = f"{period}.r{more['revision']}" if more else period
        payload: dict[str, Any] = {
            "dataset": "gauges",
            "drop": sha256(edition.encode()),
            "period": period,
            "batch": "" if stops else f"tg1:{digest(edition)[7:]}",
            "verdict": "error" if stops else "passed",
            "read": 1200,
            "accepted": 0 if stops else 1197,
            "quarantined": 1200 if stops else 3,
            "quarantine_root": sha256(b"root"),
            "contract": sha256(b"contract"),
            "report": report,
            "revision": 0,
            "supersedes": "",
            "touches": {"training_sets": [], "versions": []},
            **more,
        }
        kind = EventType.BATCH_REFUSED if stops else EventType.BATCH_ACCEPTED
        self.say(kind, "s-1", payload, "dataset/gauges")
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

    def with_number(self) -> Self:
        """Register a model that predicts a number, in centimetres, and is judged by its absolute error."""
        about = {"name": SWELL, "owner": self.words, "purpose": self.words, "tier": "low"}
        on = f"model/{SWELL}"
        self.say(EventType.MODEL_REGISTERED, "s-2", {**about, "fallback": self.words}, on)
        rows = {"digest": "tg1:swell", "model": SWELL, "service": "s", "entities": "tg1:e", "rows": 8000}
        self.say(EventType.TRAINING_SET_BUILT, "s-2", {**rows, "batches": [], "windows": {}, "read": {}}, on)

        def measure(value: float, low: float, high: float) -> dict[str, Any]:
            return {"value": value, "low": low, "high": high, "n": 1640, "method": "days"}

        facts = {
            "rows": 8000,
            "prediction": "number",
            "base_rate": 31.5,
            "metrics": {
                "base_rate": measure(30.25, 24.5, 36.75),
                "calibration_gap": measure(-2.5, -6.125, 1.5),
                "mae": measure(12.34, 10.5, 14.75),
                "rmse": measure(1234.5, 1100.25, 1400.75),
                "skill": measure(0.2862, 0.1, 0.4),
            },
            "parity": {"kind": "onnx_parity", "verdict": "passed", "sentence": self.words, "values": {}},
            "code": {"commit": self.words, "changed": "false"},
        }
        version = {
            "model": SWELL,
            "number": 1,
            "artifact": sha256(b"swell"),
            "training_set": "tg1:swell",
            "trainer": "s-2",
            "registrar": "s-2",
            "on_behalf_of": "",
            "source": sha256(b"source"),
            "facts": facts,
            "links": {"run_id": "r", "uri": self.words},
        }
        self.say(EventType.VERSION_REGISTERED, "s-2", version, on)
        return self

    def with_version(self, number: int) -> Self:
        if number == 1:
            about = {"name": MODEL, "owner": self.words, "purpose": self.words, "tier": "standard"}
            self.say(EventType.MODEL_REGISTERED, "s-2", {**about, "fallback": self.words})
        moments = ["2013-01-01T06:00:00Z", "2013-03-01T06:00:00Z"]
        rows = {
            "digest": f"tg1:rows{number}",
            "model": MODEL,
            "service": "s",
            "entities": "tg1:e",
            "rows": 70644,
        }
        batch = f"tg1:{digest('2013-01')[7:]}"
        more = {"batches": [batch], "windows": {"train": moments, "known_by": moments[1]}, "read": {}}
        self.say(EventType.TRAINING_SET_BUILT, "s-2", {**rows, **more})
        auc = 0.63 + number / 100
        measure = {"value": auc, "low": auc - 0.03, "high": auc + 0.03, "n": 14289, "method": "days"}
        parity = {"kind": "onnx_parity", "verdict": "passed", "sentence": self.words, "values": {}}
        facts = {
            "rows": 70644,
            "consumers": [self.words],
            "prediction": "probability",
            "base_rate": 0.22,
            "metrics": {"roc_auc": measure, "brier": {**measure, "value": None, "low": None, "high": None}},
            "parity": parity,
            "code": {"commit": self.words, "changed": "true"},
        }
        version = {
            "model": MODEL,
            "number": number,
            "artifact": sha256(b"artifact %d" % number),
            "training_set": rows["digest"],
            "trainer": "s-2",
            "registrar": "s-2",
            "on_behalf_of": "p-2",
            "source": sha256(b"source"),
            "facts": facts,
            "links": {"run_id": "r", "uri": self.words},
        }
        self.say(EventType.VERSION_REGISTERED, "s-2", version, on_behalf_of="p-2")
        return self

    def asked(self, number: int, source: str, target: str) -> str:
        """Seal what the policy's own example shows, and ask; return the request's id."""
        body, bound = self._bound(number)
        sealed = {"digest": bound["packet"], "model": MODEL, "version": number, "body": body, "envelope": {}}
        self.say(EventType.PACKET_SEALED, "p-2", sealed)
        name = f"{MODEL}-P{len(self.ledger.state().select(PromotionRow)) + 1}"
        ask = {"id": name, "model": MODEL, "version": number, "source": source, "target": target, **bound}
        more = {"requester": "p-2", "on_behalf_of": "", "kind": "regular", "due_at": ""}
        self.say(EventType.PROMOTION_REQUESTED, "p-2", {**ask, **more})
        return name

    def decided(self, promotion: str, number: int, kind: EventType, actor: str = "p-3") -> Self:
        _, bound = self._bound(number)
        outcome = "approve" if kind is EventType.PROMOTION_APPROVED else "reject"
        said = {
            "promotion": promotion,
            "role": "approver",
            "outcome": outcome,
            "model": MODEL,
            "version": number,
            "for_whom": "",
            "conditions": {},
        }
        self.say(kind, actor, {**said, **bound}, texts=self.reason())
        return self

    def applied(self, promotion: str, *moves: tuple[int, str, str]) -> Self:
        way_back = {
            "kind": "fallback",
            "name": self.words,
            "verified": True,
            "steps": [f"tried: {self.words}"],
        }
        found = {"demand": "calibrated", "verdict": "inconclusive"}
        payload = {
            "model": MODEL,
            "promotion": promotion,
            "kind": "regular",
            "conditions": {},
            "certified_until": "",
            "moves": [{"version": each, "from": source, "to": target} for each, source, target in moves],
            "packet": "sha256:p",
            "policy": self.policy.digest,
            "preconditions": {"way_back": way_back, "asked": [], "views": {}},
            "findings": [{**found, "sentence": f"got 7; demanded: {self.words}"}],
        }
        self.say(EventType.PROMOTION_APPLIED, "p-3", payload)
        return self

    def lowered(self, kind: EventType, *moves: tuple[int, str, str]) -> Self:
        told = [{"version": each, "from": source, "to": target} for each, source, target in moves]
        self.say(kind, "p-5", {"model": MODEL, "moves": told}, texts=self.reason())
        return self

    def denied(self, stream: str, **subject: int) -> Self:
        reason = {"code": "own-work", "rule": "P4", "sentence": self.words, "next_step": self.words}
        payload = {"action": "approve", "subject": subject, "reasons": [reason]}
        self.say(EventType.ACTION_REFUSED, "p-2", payload, stream)
        return self

    def scored(self, period: str, number: int = 1, stage: str = "prod") -> Self:
        said = {
            "model": MODEL,
            "period": period,
            "version": number,
            "artifact": "sha256:a",
            "entities": "tg1:e",
        }
        more = {"rows": 50, "of": 50, "root": "sha256:r", "file": "f.parquet", "stage": stage, "read": {}}
        marks = {"freshness": {"hours": {"objective": 7200, "stale": 3, "unknown": 1}}}
        self.say(EventType.DECISIONS_SCORED, "s-3", {**said, **more, **marks})
        return self

    def analysed(
        self, period: str, number: int, verdict: str, standing: str, *, beside: int = 0, review: str = ""
    ) -> Self:
        """Compare a canary with the live version, or the fallback (0); one that waits has no label yet."""
        waits = standing == "waits"
        figures = {"n": 48, "method": "days", "finite": True}
        gain = {"value": -0.0123, "low": -0.0341, "high": 0.0087, **figures}
        facts = {
            "rows": 50,
            "labelled": 0 if waits else 48,
            "labelled_share": 0.0 if waits else 0.96,
            "days": 0 if waits else 27,
            "loss": "brier",
            "gain": None if waits else gain,
            "candidate_loss": None if waits else {"value": 0.1723, "low": 0.15, "high": 0.19, **figures},
            "baseline_loss": None if waits else {"value": 0.16, "low": 0.14, "high": 0.18, **figures},
            "calibration_gap": None,
            "rule": {"waits": "V1", "worse": "V2", "unclear": "V4"}.get(standing, "V3"),
            "asked": {"labelled_share": 0.8, "days": 20, "may_lose": 0.02},
            "decisions": "sha256:r",
            "outcomes": "tg1:o",
        }
        said = {"model": MODEL, "version": number, "period": period, "baseline": beside, "verdict": verdict}
        more = {"standing": standing, "sentence": self.words, "analysis": facts, "review": review}
        self.say(EventType.CANARY_ANALYSED, "s-6", {**said, **more})
        if review:
            about = {"model": MODEL, "period": period, "version": number, "cause": self.words}
            due = {"id": review, "kind": "finding", "role": "reviewer", "due_at": "2013-05-08T07:00:00Z"}
            self.say(EventType.REVIEW_OPENED, "s-6", {**about, **due})
        return self

    def monitored(self, period: str, review: str, verdict: str) -> Self:
        self.scored(period)
        gap = {"value": -0.0465, "low": -0.0996, "high": 0.0042, "n": 27452, "method": "days", "finite": True}
        seen = {"subject": "s", "tool": "t", "sentence": self.words}
        binding = {**seen, "kind": "calibration_gap", "verdict": verdict, "values": {"gap": gap}}
        drift = {**seen, "kind": "drift:hour", "verdict": "failed", "values": {}}
        about = {"model": MODEL, "period": period, "version": 1}
        evidence = {"tool": self.words, "binding": [binding], "information": [drift]}
        ran = {**about, "verdict": verdict, "evidence": evidence, "report": REPORT, "review": review}
        ran["outcomes"] = "tg1:o"
        self.say(EventType.MONITOR_RAN, "s-4", ran)
        if review:
            due = {
                "kind": "finding",
                "cause": self.words,
                "role": "reviewer",
                "due_at": "2013-05-08T07:00:00Z",
            }
            self.say(EventType.REVIEW_OPENED, "s-4", {"id": review, **about, **due})
        return self

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

    def with_rows_gone(self) -> Self:
        """Somebody asked for the rows about them, of which there was one in January."""
        batch = f"tg1:{digest('2013-01')[7:]}"
        left = {"kind": "batch", "place": "gauges", "digest": batch, "successor": "tg1:left", "rows": 1}
        about = {"cause": "subject", "subject": "hash:1", "dataset": "gauges", "periods": ["2013-01"]}
        told = {"keeps": {}, "rows": 1, "files": [left], "touches": {"training_sets": [], "versions": []}}
        self.say(EventType.ROWS_ERASED, "p-1", {**about, **told}, "dataset/gauges", texts=self.reason())
        return self

    def _bound(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Return a version's packet, and what a request or an approval of it binds to."""
        said = {"declared": [self.words], "found": [{"kind": "findings", "sentence": self.words}]}
        few = {"by": "line", "least_rows": 30, "count": 2, "slices": {f"line={self.words}": 3}}
        told = {"open_risks": said, "untested_slices": few}
        body = {**self.facts, "version": number, "model": MODEL, **told}
        artifact = sha256(b"artifact %d" % number)
        return body, {"artifact": artifact, "packet": digest(body), "policy": self.policy.digest}
