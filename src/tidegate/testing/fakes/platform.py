"""Every port without the outside: use cases run for real, against a world that a test can spoil at will.

The world starts with a policy in force and the accounts of `cases.ACTORS`. Its attributes are the ports,
and every one may be replaced; its methods are what has happened before a test begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tidegate.application import ports
from tidegate.application.platform import Acting
from tidegate.application.ports import Comparison, Frame, Gains, ModelSpec, Segment, Trained
from tidegate.application.train import version_facts
from tidegate.domain.access import checked
from tidegate.domain.actors import token_digest
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.evidence import Evidence, Measure, Verdict
from tidegate.domain.policy import Policy
from tidegate.domain.state import ActorRow, CredentialRow, ModelRow, TrainingSetRow, VersionRow
from tidegate.testing.cases import ACTORS, MODEL, a_policy
from tidegate.testing.fakes.batches import FakeBatches
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.copies import FakeCopies
from tidegate.testing.fakes.data_gate import FakeDataGate
from tidegate.testing.fakes.entities import FakeEntities
from tidegate.testing.fakes.expressions import FakeExpressions
from tidegate.testing.fakes.ledger import MemoryLedger, Store
from tidegate.testing.fakes.models import FakeModels
from tidegate.testing.fakes.monitors import FakeMonitors
from tidegate.testing.fakes.policies import FakePolicies
from tidegate.testing.fakes.read_log import FakeReadLog
from tidegate.testing.fakes.registry import FakeRegistry
from tidegate.testing.fakes.running import FakeSchedules, FakeTurns
from tidegate.testing.fakes.scorer import FakeScorer
from tidegate.testing.fakes.small import CountingEntropy, FakeSigner, FixedClock
from tidegate.testing.fakes.trainer import FakeTrainer
from tidegate.testing.material import model_spec


class StatedTrainer(FakeTrainer):
    """A trainer whose comparison with the champion says what the test states in ``gain`` and ``slices``."""

    gain = Measure(0.01, 1000, 0.005, 0.015, "stated")
    slices: Mapping[str, Measure] = MappingProxyType({})

    def compare(self, model: ModelSpec, reference: Frame, champion: Path, champion_digest: str) -> Gains:
        return Gains(self.gain, self.slices)


class StatedMonitors(FakeMonitors):
    """A monitor whose comparison of two versions says what the test states in ``found``.

    ``compared`` keeps what it was asked to compare: the candidate's segment, and the live version's or the
    fallback's value. ``meanwhile`` happens while it compares.
    """

    found = Comparison(1000, 0, 0, "brier", None, None, None, None)

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.compared: list[tuple[Segment, Segment | float]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def states(
        self, value: float, low: float, high: float, *, live: float = 0.2, labelled: int = 900
    ) -> None:
        """State a gain with its interval, over the rows of twenty days, of a live version that loses ``live``."""
        gain, loss = (
            Measure(value, labelled, low, high, "stated"),
            Measure(live, labelled, live, live, "stated"),
        )
        own = Measure(live - value, labelled, live - value, live - value, "stated")
        self.found = Comparison(1000, labelled, 20, "brier", gain, own, loss, Measure(0.0, labelled))

    def compare(
        self,
        model: ModelSpec,
        candidate: Segment,
        baseline: Segment | float,
        outcomes: Frame,
        known_by: datetime,
        *,
        within: bool = False,
    ) -> Comparison:
        self.compared.append((candidate, baseline))
        self.meanwhile()
        return self.found


class StatedEntities(FakeEntities):
    """Entities that nobody reads: only what names them counts, and a test may say that they changed."""

    digest = "tg1:outcomes"

    def frame(
        self, model: ModelSpec, batches: object, declared: object, window: tuple[datetime, datetime]
    ) -> Frame:
        return Frame(self.digest, Path("outcomes.parquet"), 1)

    def outcomes(
        self,
        model: ModelSpec,
        batches: object,
        declared: object,
        window: tuple[datetime, datetime],
        known_by: datetime,
    ) -> Frame:
        return self.frame(model, batches, declared, window)


class FakePlatform:
    """Keeps its few files below ``home``. Two platforms on one ``store`` share a ledger, as processes do.

    ``ledger`` may be another one, still empty: then use cases run on fakes around a real record.
    """

    assurance = "local"

    def __init__(
        self, home: Path, policy: Policy | None = None, store: Store | None = None, ledger: Any = None
    ) -> None:
        self.frames = home
        self.clock: ports.Clock = FixedClock()
        self.entropy: ports.Entropy = CountingEntropy()
        self.signer: ports.Signer = FakeSigner()
        self.ledger: Any = ledger or MemoryLedger(self.clock, self.entropy, store)
        self.contracts: ports.Contracts = FakeContracts()
        self.gate: ports.DataGate = FakeDataGate({})
        self.batches: ports.Batches = FakeBatches(home)
        self.copies: ports.Copies = FakeCopies()
        self.models = FakeModels(replace(model_spec(home), tier="standard"))
        self.entities: ports.Entities = FakeEntities(home / "entities")
        self.trainer = StatedTrainer(home / "artifacts")
        self.registry = FakeRegistry()
        self.scorer: ports.Scorer = FakeScorer()
        self.monitors: ports.Monitors = StatedMonitors(home / "reports")
        self.read_log = FakeReadLog()
        self.expressions: ports.Expressions = FakeExpressions()
        self.schedules: ports.Schedules = FakeSchedules()
        self.turns: ports.Turns = FakeTurns()
        self.sinks: tuple[ports.Sink, ...] = ()
        self._policies: tuple[Policy, ...] = ()
        if store is None:
            opening = {"clock": "simulated", "assurance": "local", "administrator": "p-1"}
            self.write(EventType.LEDGER_OPENED, opening, stream="ledger")
            for name, roles in ACTORS:
                self.add_actor(name, *roles)
            self.adopt(policy or a_policy())

    @property
    def policies(self) -> FakePolicies:
        """Return all policies that can be read; the last one lies on disk."""
        return FakePolicies(*self._policies)

    @cached_property
    def features(self) -> ports.Features:
        """Return a feature store without a view."""
        from tidegate.testing.fakes.features import FakeFeatures

        return FakeFeatures(self.frames, {}, {})

    def code(self) -> Mapping[str, str]:
        return {"commit": "0000000", "changed": "false", "lock": "unknown"}

    # ── what has happened before ─────────────────────────────────────────────────────────────────

    def write(
        self, kind: EventType, payload: Mapping[str, Any], actor: str = "p-1", stream: str = "world"
    ) -> Event:
        """Append an event that no use case under test writes."""
        with self.ledger.transaction() as tx:
            event: Event = tx.append(Draft(kind, stream, actor, payload))
        return event

    def add_actor(self, name: str, *roles: str, subject: str = "") -> None:
        """Make an account; its kind is the first letter of its id."""
        kind = "person" if name.startswith("p") else "service"
        payload = {"id": name, "kind": kind, "subject": subject or name, "roles": list(roles)}
        self.write(EventType.ACTOR_ADDED, payload, stream="actors")

    def with_tokens(self) -> None:
        """Issue every account that has none a token, as an administrator would have."""
        state = self.ledger.state()
        served = {row.actor for row in state.select(CredentialRow)}
        for row in state.select(ActorRow):
            if row.id not in served:
                issued = {"id": f"c-{row.id}", "actor": row.id, "token_digest": token_digest(row.id)}
                self.write(EventType.CREDENTIAL_ISSUED, issued, stream="actors")

    def revoke(self, name: str) -> None:
        """Revoke the token of an account."""
        self.write(EventType.CREDENTIAL_REVOKED, {"id": f"c-{name}"}, stream="actors")

    def change_roles(self, name: str, *roles: str, by: str = "p-1") -> None:
        """Give an account other roles."""
        self.write(EventType.ROLES_CHANGED, {"id": name, "roles": list(roles)}, by, stream="actors")

    def knows(self, policy: Policy) -> Policy:
        """Let a policy be read back from its body, as a file that somebody wrote; return it."""
        if policy not in self._policies:
            self._policies = (*self._policies, policy)
        return policy

    def adopt(self, policy: Policy) -> None:
        """Put a policy in force, past everybody."""
        self.knows(policy)
        payload = {
            "digest": policy.digest,
            "name": policy.name,
            "version": policy.version,
            "body": policy.body,
        }
        self.write(EventType.POLICY_ADOPTED, payload, stream="policy")

    def open_views(self, *views: str) -> None:
        """Open views to every role that works with features."""
        from tidegate.testing.fakes.views import open_to_all

        permissions = checked([open_to_all(views)])
        self.write(EventType.ACCESS_DECLARED, {"permissions": permissions}, "s-5", "features")

    def acting(self, name: str, key: str | None = None, on_behalf_of: str | None = None) -> Acting:
        """Return an authenticated actor."""
        row = self.ledger.state().get(ActorRow, name)
        assert row is not None, f"no actor {name} in this world"
        return Acting(row, on_behalf_of, None, key)

    def register(self, trainer: str = "s-1", on_behalf_of: str = "", **measured: Measure) -> int:
        """Register a version of the one model; ``measured`` replaces metrics. Return its number."""
        spec = self.models.spec(MODEL)
        trained, frame = self._trained(measured)
        key = sha256(trained.artifact_digest.encode())
        registered = self.registry.register(spec, trained, key, {})
        about = {name: getattr(spec, name) for name in ("name", "owner", "purpose", "tier", "fallback")}
        row = self.ledger.state().get(ModelRow, MODEL)
        if row is None or any(getattr(row, name) != value for name, value in about.items()):
            self.write(EventType.MODEL_REGISTERED, about, trainer, f"model/{MODEL}")
        if self.ledger.state().get(TrainingSetRow, frame.digest) is None:
            rows = {"digest": frame.digest, "model": MODEL, "service": spec.service, "entities": frame.digest}
            more = {"rows": frame.rows, "batches": [], "windows": {}, "read": {}}
            self.write(EventType.TRAINING_SET_BUILT, {**rows, **more}, trainer, f"model/{MODEL}")
        payload = {
            "model": MODEL,
            "number": registered.number,
            "artifact": trained.artifact_digest,
            "training_set": frame.digest,
            "trainer": trainer,
            "registrar": trainer,
            "on_behalf_of": on_behalf_of,
            "source": spec.source_digest,
            "facts": version_facts(self, spec, trained, frame, key, ()),
            "links": {"run_id": registered.run_id, "uri": registered.uri},
        }
        self.write(EventType.VERSION_REGISTERED, payload, trainer, f"model/{MODEL}")
        return registered.number

    def accept(self, period: str = "2024-01", **more: Any) -> str:
        """Accept a batch of a few bytes, for the model's first dataset if no other is named; return its digest."""
        dataset = str(more.setdefault("dataset", self.models.spec(MODEL).datasets[0]))
        body = canonical({"period": period, **more}) + b"\n"
        batch = f"tg1:{sha256(body)[7:]}"
        path = self.frames / "batches" / dataset / f"{batch[4:]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        payload = {
            "drop": sha256(b"drop of " + body),
            "period": period,
            "batch": batch,
            "verdict": "passed",
            "read": 1,
            "accepted": 1,
            "quarantined": 0,
            "quarantine_root": "",
            "contract": "",
            "report": {"checks": [], "stops": []},
            "revision": 0,
            "supersedes": "",
            "touches": {"training_sets": [], "versions": []},
        }
        self.write(EventType.BATCH_ACCEPTED, {**payload, **more}, "s-3", f"dataset/{dataset}")
        return batch

    def scored(
        self,
        version: int = 1,
        period: str = "2024-01",
        stage: str = "prod",
        entities: str = "tg1:rows",
        rows: int = 1000,
    ) -> None:
        """Have a version decide ``rows`` of a period's thousand, where it says that it stands."""
        row = self.ledger.state().get(VersionRow, MODEL, version)
        payload: dict[str, Any] = {
            "model": MODEL,
            "period": period,
            "version": version,
            "artifact": row.artifact if row else "",
            "entities": entities,
            "rows": rows,
            "of": 1000,
            "root": f"sha256:{period}-{version}",
            "file": f"{period}-{version}.parquet",
            "stage": stage,
            "read": {},
            "freshness": {},
        }
        self.write(EventType.DECISIONS_SCORED, payload, "s-6", f"model/{MODEL}")

    def _trained(self, measured: Mapping[str, Measure]) -> tuple[Trained, Frame]:
        gap, loss = Measure(0.01, 1000, -0.02, 0.04, "stated"), Measure(0.15, 1000, 0.13, 0.17, "stated")
        metrics = {"brier": loss, "calibration_gap": gap, **measured}
        count = sum(1 for _ in self.ledger.events())
        body = canonical({"rate": 0.2, "after": count})
        artifact = self.frames / "artifacts" / f"{sha256(body)[7:]}.json"
        artifact.parent.mkdir(parents=True, exist_ok=True)
        artifact.write_bytes(body)
        difference = {"max_abs_difference": Measure(0.0, 1000)}
        parity = Evidence("onnx_parity", "artifact", Verdict.PASSED, "the same", "fake", difference)
        judged = self.trainer.keep([{"trip": 0, "score": 0.2}], sha256(body))
        trained = Trained(
            artifact, sha256(body), metrics, {}, parity, {"scheduled": 1000}, {}, {}, judged, base_rate=0.2
        )
        return trained, self.learned()

    def learned(self) -> Frame:
        """Return the thousand rows that every version of this world learned from, kept where they are found."""
        import pyarrow as pa

        from tidegate.adapters.shared.sql import write_frame

        return write_frame(pa.table({"trip": list(range(1000))}), self.frames / "frames")
