"""The part of a town that is about models: versions, their way up and down, and what the live ones decide."""

from __future__ import annotations

from typing import Any, Self

from tidegate.domain.canonical import digest, sha256
from tidegate.domain.events import EventType
from tidegate.domain.state import PromotionRow
from tidegate.testing.crier import MODEL, Crier

#: The town's other model, which predicts a number.
SWELL = "swell"
REPORT = sha256(b"a report")


class ModelTown(Crier):
    """One model, whose every version has a story, and another beside it."""

    # ── versions ──────────────────────────────────────────────────────────────────────────────────

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

    # ── live ──────────────────────────────────────────────────────────────────────────────────────

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

    def _bound(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Return a version's packet, and what a request or an approval of it binds to."""
        said = {"declared": [self.words], "found": [{"kind": "findings", "sentence": self.words}]}
        few = {"by": "line", "least_rows": 30, "count": 2, "slices": {f"line={self.words}": 3}}
        told = {"open_risks": said, "untested_slices": few}
        body = {**self.facts, "version": number, "model": MODEL, **told}
        artifact = sha256(b"artifact %d" % number)
        return body, {"artifact": artifact, "packet": digest(body), "policy": self.policy.digest}
