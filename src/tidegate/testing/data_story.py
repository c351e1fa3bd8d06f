"""The part of a story that is about data: drops, pushes and waivers, features built and read."""

from __future__ import annotations

from typing import Self

from tidegate.domain.events import EventType
from tidegate.domain.feature_drift import Limits, Shift, as_dict, drift, overall
from tidegate.domain.state import BatchRow, PushRow, StatisticsRow, WaiverRow
from tidegate.testing.teller import Teller, named


class DataStory(Teller):
    """What comes of a dataset, and of the features that are built from it."""

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
        stop = {"rule": "G7", "code": "nothing-left", "sentence": f"nothing of its {rows} rows may go on"}
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
            "sentence": "served as it was known: 97 values of 97 keys",
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

    def measured(self) -> Self:
        """The statistics of a view's features are taken over a month."""
        figures = {"level": {"kind": "numeric", "row_count": 97, "null_count": 2, "mean": 3.5}}
        window = {"window": "2020-02", "first": "2020-02-01T00:00:00Z", "until": "2020-03-01T00:00:00Z"}
        of = {"view": "station_day", "definition": named("def station_day"), "source": named("station_day")}
        payload = {**of, **window, "figures": figures}
        return self._append(EventType.FEATURES_MEASURED, "features", "s-5", payload)

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
