"""The part of a town that is about data: drops, pushes and a waiver, features built and read, rows erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from tidegate.domain.canonical import digest, sha256
from tidegate.domain.events import EventType
from tidegate.domain.feature_drift import Limits, Shift, as_dict, drift, overall
from tidegate.testing.crier import Crier


class DataTown(Crier):
    """What comes to the gauges, and the features that are made of it."""

    def with_data(self) -> Self:
        """Drops of three months come, and a push; what they hold becomes features that are served and measured."""
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
        self._pushed(checks[1:])
        gone = {"dataset": "gauges", "drop": "sha256:3", "period": "2013-03", "code": self.words}
        self.say(EventType.DROP_REFUSED, "s-1", gone, "dataset/gauges")
        return self._featured()

    def restated(self, period: str, *versions: str) -> Self:
        """Deliver a period once more; ``versions``, like tides/1, had learned from what it replaces."""
        report = {"contract_version": "1", "tool": self.words, "checks": [], "stops": []}
        touches = {"training_sets": ["tg1:rows1"], "versions": list(versions)}
        replaced = f"tg1:{digest(period)[7:]}"
        return self._gated(period, report, revision=1, supersedes=replaced, touches=touches)

    def with_rows_gone(self) -> Self:
        """Somebody asked for the rows about them, of which there was one in January."""
        batch = f"tg1:{digest('2013-01')[7:]}"
        left = {"kind": "batch", "place": "gauges", "digest": batch, "successor": "tg1:left", "rows": 1}
        about = {"cause": "subject", "subject": "hash:1", "dataset": "gauges", "periods": ["2013-01"]}
        told = {"keeps": {}, "rows": 1, "files": [left], "touches": {"training_sets": [], "versions": []}}
        self.say(EventType.ROWS_ERASED, "p-1", {**about, **told}, "dataset/gauges", texts=self.reason())
        return self

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

    def _pushed(self, checks: Sequence[Mapping[str, Any]]) -> None:
        """Push rows twice: some are accepted, then none."""
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
            "report": {"contract_version": "1", "tool": self.words, "checks": checks, "stops": []},
        }
        self.say(EventType.PUSH_ACCEPTED, "s-1", pushed, "dataset/gauges")
        none = {"drop": "sha256:5", "parts": {}, "verdict": "failed", "accepted": 0, "quarantined": 4}
        stop = {"rule": "G7", "code": "nothing-left", "sentence": self.words}
        held = {"report": {**pushed["report"], "stops": [stop]}}
        self.say(EventType.PUSH_REFUSED, "s-1", {**pushed, **none, **held}, "dataset/gauges")

    def _featured(self) -> Self:
        """Build a view that is open to those who need it, bring it online, and compare the two."""
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
