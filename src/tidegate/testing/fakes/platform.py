"""Every port without the outside: use cases run for real, against a world that a test can spoil at will.

The world starts with a policy in force and the accounts of `cases.ACTORS`. Its attributes are the ports,
and every one may be replaced; its methods are what has happened before a test begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tidegate.application import ports
from tidegate.application.platform import Acting
from tidegate.application.ports import Frame, ModelSpec, Trained
from tidegate.application.train import version_facts
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.evidence import Evidence, Measure, Verdict
from tidegate.domain.policy import Policy
from tidegate.domain.state import ActorRow, ModelRow, TrainingSetRow
from tidegate.testing.cases import ACTORS, MODEL, a_policy
from tidegate.testing.fakes.batches import FakeBatches
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import FakeDataGate
from tidegate.testing.fakes.entities import FakeEntities
from tidegate.testing.fakes.expressions import FakeExpressions
from tidegate.testing.fakes.ledger import MemoryLedger, Store
from tidegate.testing.fakes.models import FakeModels
from tidegate.testing.fakes.monitors import FakeMonitors
from tidegate.testing.fakes.policies import FakePolicies
from tidegate.testing.fakes.registry import FakeRegistry
from tidegate.testing.fakes.scorer import FakeScorer
from tidegate.testing.fakes.small import CountingEntropy, FakeSigner, FixedClock
from tidegate.testing.fakes.trainer import FakeTrainer
from tidegate.testing.material import model_spec


class StatedTrainer(FakeTrainer):
    """A trainer whose comparison with the champion says what the test states in ``gain``."""

    gain = Measure(0.01, 1000, 0.005, 0.015, "stated")

    def compare(self, model: ModelSpec, reference: Frame, champion: Path, champion_digest: str) -> Measure:
        return self.gain


class FakePlatform:
    """Keeps its few files below ``home``. Two platforms on one ``store`` share a ledger, as processes do."""

    assurance = "local"

    def __init__(self, home: Path, policy: Policy | None = None, store: Store | None = None) -> None:
        self.frames = home
        self.clock: ports.Clock = FixedClock()
        self.entropy: ports.Entropy = CountingEntropy()
        self.signer: ports.Signer = FakeSigner()
        self.ledger = MemoryLedger(self.clock, self.entropy, store)
        self.contracts: ports.Contracts = FakeContracts()
        self.gate: ports.DataGate = FakeDataGate({})
        self.batches: ports.Batches = FakeBatches(home)
        self.models = FakeModels(replace(model_spec(home), tier="standard"))
        self.entities: ports.Entities = FakeEntities(home / "entities")
        self.trainer = StatedTrainer(home / "artifacts")
        self.registry = FakeRegistry()
        self.scorer: ports.Scorer = FakeScorer()
        self.monitors: ports.Monitors = FakeMonitors(home / "reports")
        self.expressions: ports.Expressions = FakeExpressions()
        self._policies: tuple[Policy, ...] = ()
        if store is None:
            self.write(
                EventType.LEDGER_OPENED, {"clock": "simulated", "assurance": "local", "administrator": "p-1"}
            )
            for name, roles in ACTORS:
                self.add_actor(name, *roles)
            self.adopt(policy or a_policy())

    @property
    def policies(self) -> FakePolicies:
        """Return all policies that were ever adopted; the last one lies on disk."""
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
            return tx.append(Draft(kind, stream, actor, payload))

    def add_actor(self, name: str, *roles: str, subject: str = "") -> None:
        """Make an account; its kind is the first letter of its id."""
        kind = "person" if name.startswith("p") else "service"
        payload = {"id": name, "kind": kind, "subject": subject or name, "roles": list(roles)}
        self.write(EventType.ACTOR_ADDED, payload, stream="actors")

    def change_roles(self, name: str, *roles: str) -> None:
        """Give an account other roles."""
        self.write(EventType.ROLES_CHANGED, {"id": name, "roles": list(roles)}, stream="actors")

    def adopt(self, policy: Policy) -> None:
        """Put a policy in force."""
        if policy not in self._policies:
            self._policies = (*self._policies, policy)
        payload = {
            "digest": policy.digest,
            "name": policy.name,
            "version": policy.version,
            "body": policy.body,
        }
        self.write(EventType.POLICY_ADOPTED, payload, stream="policy")

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
            more = {"rows": frame.rows, "batches": [], "windows": {}}
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

    def _trained(self, measured: Mapping[str, Measure]) -> tuple[Trained, Frame]:
        metrics = {"calibration_gap": Measure(0.01, 1000, -0.02, 0.04, "stated"), **measured}
        count = sum(1 for _ in self.ledger.events())
        body = canonical({"rate": 0.2, "after": count})
        artifact = self.frames / "artifacts" / f"{sha256(body)[7:]}.json"
        artifact.parent.mkdir(parents=True, exist_ok=True)
        artifact.write_bytes(body)
        difference = {"max_abs_difference": Measure(0.0, 1000)}
        parity = Evidence("onnx_parity", "artifact", Verdict.PASSED, "the same", "fake", difference)
        judged = self.trainer.keep([{"trip": 0, "score": 0.2}], sha256(body))
        trained = Trained(artifact, sha256(body), metrics, {}, parity, {"scheduled": 1000}, {}, {}, judged)
        return trained, Frame(sha256(b"rows"), artifact, 1000)
