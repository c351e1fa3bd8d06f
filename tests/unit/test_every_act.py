"""Every act writes exactly one event of its kind, beside what it causes, with the payload the catalogue shows."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate import application
from tidegate.application import (
    access,
    audit,
    bundle,
    canary,
    change_policy,
    collect,
    delegate,
    erase,
    erase_rows,
    feature_drift,
    features,
    follow,
    held,
    identity,
    ingest,
    monitor,
    online,
    outbox,
    parity,
    projection,
    promote,
    push,
    reading,
    reconcile,
    replay,
    resolve,
    retention,
    review,
    runs,
    score,
    statistics,
    tend,
    train,
    waive,
)
from tidegate.application import lower as lowering
from tidegate.application.ports import Answer, Marks, Materialized, MonitorResult
from tidegate.domain.access import Access
from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Evidence, Verdict
from tidegate.domain.feature_change import Definitions, ServiceDefinition, ViewDefinition
from tidegate.domain.feature_drift import Limits
from tidegate.domain.keeping import Term
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Deadline, Policy, Stage, Tier
from tidegate.domain.schedule import Outcome
from tidegate.domain.state import ReviewRow
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate
from tidegate.testing.fakes.ledger import MemoryLedger, Store
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities, StatedMonitors
from tidegate.testing.fakes.sinks import FakeSink
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.fakes.views import open_to_all
from tidegate.testing.looking import later
from tidegate.testing.stories import whole_story

E = EventType
WHY = "Evidence looks sound to me."
JANUARY = "2024-01"
DAY = timedelta(days=1)


def the_policy() -> Policy:
    """Return a policy under which people have time, and approvals a term."""
    policy = a_policy()
    gate = policy.gates[Tier.STANDARD][Stage.PROD]
    deadline = Deadline(due=10, remind_after=5, escalate_to="risk_officer", lapse_after=20)
    policy = with_gate(policy, replace(gate, deadline=deadline))
    return replace(policy, certification={Tier.STANDARD: Certification(100, 14, "approver")})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world with version 2 live in the place of version 1, and version 3 in canary."""
    world = FakePlatform(tmp_path, the_policy())
    world.accept()
    world.entities = StatedEntities(tmp_path / "entities")
    for version in (1, 2, 3):
        world.register(on_behalf_of="p-2")
        promote.climb(world, world.acting("p-2"), MODEL, version)
        if version < 3:
            promote.request(world, world.acting("p-2"), MODEL, version)
            approved(world, version)
    view = {"definition": "sha256:d", "source": "tg1:s", "rows": 1, "objective": {}}
    world.open_views("stops")
    world.write(E.FEATURES_BUILT, {"views": {"stops": view}, "batches": []}, "s-5", "features")
    frame = a_frame(tmp_path, "tg1:joined")
    store = SimpleNamespace(
        training_frame=lambda *_, **__: frame,
        marks=lambda *_: Marks(),
        verify=lambda _: None,
        reread=lambda digest: digest,
        build=lambda *given: {"stops": frame} | (given[-1]() or {}),  # it is ready at once
        apply=lambda _: {"stops": "sha256:d"},
        defined=lambda: Definitions(
            {"stops": ViewDefinition("stops", "sha256:d")}, permissions=(open_to_all(["stops"]),)
        ),
        registered=lambda recorded: Definitions({n: ViewDefinition(n, d) for n, d in recorded.items()}),
        materialize=lambda *_: Materialized({"stops": 1}, ("stops",)),
        windows=dict,
        streams=lambda: {"stops": frozenset({"loads"})},
        derived=lambda *_: {"stops": 1},
        push=lambda _: {"stops": 1},
        forget=lambda *_: 0,
    )
    monkeypatch.setitem(world.__dict__, "features", store)
    monkeypatch.setattr(world.trainer, "train", lambda *_: world._trained({})[0])
    segment = SimpleNamespace(records=1000, root="sha256:root", path=tmp_path / "decisions.parquet")
    world.scorer = SimpleNamespace(score=lambda *_: segment)  # type: ignore[assignment]
    return world


def a_frame(folder: Path, digest: str) -> Any:
    return SimpleNamespace(digest=digest, path=folder / "rows.parquet", rows=1000, columns=())


def approved(world: FakePlatform, version: int) -> None:
    resolve.resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, WHY)


# ── what is tried ─────────────────────────────────────────────────────────────────────────────────

Act = Callable[[], object]
CASES: dict[str, tuple[str, Callable[[FakePlatform], Act], EventType | None, tuple[EventType, ...]]] = {}


def case(function: str, kind: EventType | None, *beside: EventType) -> Callable[[Any], Any]:
    """Say that what follows prepares a call of ``function``, which writes one ``kind`` and what it causes."""

    def take(prepare: Callable[[FakePlatform], Act]) -> Callable[[FakePlatform], Act]:
        CASES[prepare.__name__] = (function, prepare, kind, beside)
        return prepare

    return take


@case("identity.open_ledger", E.LEDGER_OPENED, E.ACTOR_ADDED, E.CREDENTIAL_ISSUED, E.POLICY_ADOPTED)
def opening(world: FakePlatform) -> Act:
    world.ledger = MemoryLedger(world.clock, world.entropy, Store())
    ada = identity.Account("Ada", "person", ("administrator",))
    return lambda: identity.open_ledger(world, [ada], lambda *_: None)


@case("identity.add_account", E.ACTOR_ADDED, E.CREDENTIAL_ISSUED)
def adding_an_account(world: FakePlatform) -> Act:
    zoe = identity.Account("Zoe", "person", ("reviewer",))
    return lambda: identity.add_account(world, world.acting("p-1"), zoe)


@case("identity.add_account", E.ACTOR_ADDED, E.CREDENTIAL_ISSUED)
def adding_another_account_of_a_person(world: FakePlatform) -> Act:
    twin = identity.Account("Zoe", "person", ("reviewer",), same_as="p-3")
    return lambda: identity.add_account(world, world.acting("p-1"), twin)


@case("identity.change_roles", E.ROLES_CHANGED)
def changing_roles(world: FakePlatform) -> Act:
    return lambda: identity.change_roles(world, world.acting("p-1"), "p-6", ("reviewer", "auditor"))


@case("identity.revoke", E.CREDENTIAL_REVOKED)
def revoking_tokens(world: FakePlatform) -> Act:
    adding_an_account(world)()
    return lambda: identity.revoke(world, world.acting("p-1"), "p-7")


@case("change_policy.propose", E.POLICY_PROPOSED)
def proposing_a_policy(world: FakePlatform) -> Act:
    world.with_tokens()  # who has none counts as nobody
    other = world.knows(a_policy("2"))
    return lambda: change_policy.propose(world, world.acting("p-4"), other, WHY)


@case("change_policy.decide_change", E.POLICY_APPROVED, E.POLICY_ADOPTED)
def approving_a_policy(world: FakePlatform) -> Act:
    proposing_a_policy(world)()
    return lambda: change_policy.decide_change(world, world.acting("p-3"), "C-1", Action.APPROVE, WHY)


@case("change_policy.decide_change", E.POLICY_REJECTED)
def rejecting_a_policy(world: FakePlatform) -> Act:
    proposing_a_policy(world)()
    return lambda: change_policy.decide_change(world, world.acting("p-3"), "C-1", Action.REJECT, WHY)


@case("reconcile.reconcile", E.REGISTRY_REPAIRED)
def reconciling_what_a_hand_moved(world: FakePlatform) -> Act:
    projection.drain(world, world.acting("p-5"))
    world.registry.point(MODEL, "prod", 1)
    return lambda: reconcile.reconcile(world, world.acting("p-5"))


@case("projection.drain", None)
def projecting_what_was_decided(world: FakePlatform) -> Act:
    return lambda: projection.drain(world, world.acting("p-5"))


@case("outbox.replay", None)
def telling_a_sink_again(world: FakePlatform) -> Act:
    world.sinks = (FakeSink("pager"),)
    outbox.tell(world)
    return lambda: outbox.replay(world, world.acting("p-5"), "pager", 1)


@case("bundle.export", None)
def exporting_a_bundle(world: FakePlatform) -> Act:
    world.change_roles("p-6", "auditor")
    return lambda: bundle.export(world, world.acting("p-6"), MODEL, 2)


@case("erase.erase", E.TEXT_ERASED)
def erasing_a_person(world: FakePlatform) -> Act:
    revoking_tokens(world)()
    return lambda: erase.erase(world, world.acting("p-1"), "p-7", WHY)


@case("retention.retention", E.RETENTION_APPLIED)
def letting_texts_go(world: FakePlatform) -> Act:
    later(world, 3650)
    return lambda: retention.retention(world, world.acting("p-1"))


@case("erase_rows.erase_subject", E.ROWS_ERASED)
def erasing_a_subjects_rows(world: FakePlatform) -> Act:
    ingesting(world)()
    world.contracts = FakeContracts(replace(world.contracts.load("loads"), subject="trip"))
    return lambda: erase_rows.erase_subject(world, world.acting("p-1"), "loads", "1", WHY)


@case("erase_rows.let_go", E.ROWS_ERASED)
def letting_rows_go(world: FakePlatform) -> Act:
    ingesting(world)()
    world.contracts = FakeContracts(replace(world.contracts.load("loads"), keeps=Term(1, "year")))
    later(world, 400)
    return lambda: erase_rows.let_go(world, world.acting("p-1"))


@case("audit.anchor", None)
def anchoring(world: FakePlatform) -> Act:
    return lambda: audit.anchor(world, world.acting("p-5"))


@case("audit.anchor", E.ACTION_REFUSED)
def trying_what_one_may_not(world: FakePlatform) -> Act:
    return lambda: audit.anchor(world, world.acting("p-2"))


def a_drop(world: FakePlatform, text: str) -> Path:
    check = Check(
        "T01", "expect_column_values_to_be_between", Severity.CRITICAL, OnRow.QUARANTINE, True, "0 to 1"
    )
    columns = (Column("trip", "integer", required=True), Column("load", "number"))
    contract = Contract(
        dataset="loads", version="1", owner="operations", columns=columns, key=("trip",), checks=(check,),
        min_rows=1, max_rows=9, max_age=None, quarantine_limit=0.5, digest="sha256:c",
    )  # fmt: skip
    world.contracts = FakeContracts(contract)
    world.gate = FakeDataGate({"T01": EachValue("load", lambda load: 0 <= load <= 1)})
    later(world, 1500)
    path = world.frames / "landing" / "loads" / f"loads-{JANUARY}.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


@case("ingest.ingest", E.BATCH_ACCEPTED)
def ingesting(world: FakePlatform) -> Act:
    path = a_drop(world, "trip,load\n1,0.5\n")
    return lambda: ingest.ingest(world, world.acting("s-3"), "loads", path)


@case("ingest.ingest", E.BATCH_REFUSED)
def ingesting_what_is_bad(world: FakePlatform) -> Act:
    path = a_drop(world, "trip,load\n1,7\n")
    return lambda: ingest.ingest(world, world.acting("s-3"), "loads", path)


@case("ingest.ingest", E.DROP_REFUSED)
def ingesting_what_cannot_be_read(world: FakePlatform) -> Act:
    path = a_drop(world, "")
    return lambda: ingest.ingest(world, world.acting("s-3"), "loads", path)


def held_back(world: FakePlatform, load: float) -> Act:
    """Return putting back the bad one of two rows, with another load."""
    ingest.ingest(world, world.acting("s-3"), "loads", a_drop(world, "trip,load\n1,0.5\n2,7\n"))
    file = world.frames / "mended.csv"
    file.write_text(f"_period,_revision,_row,_reasons,trip,load\n{JANUARY},0,1,T01,2,{load}\n")
    return lambda: replay.replay(world, world.acting("s-3"), "loads", file)


@case("replay.replay", E.BATCH_ACCEPTED)
def putting_back(world: FakePlatform) -> Act:
    return held_back(world, 0.7)


@case("replay.replay", E.DROP_REFUSED)
def putting_back_what_is_not_mended(world: FakePlatform) -> Act:
    return held_back(world, 8)


def pushed(world: FakePlatform, load: float) -> Act:
    """Return pushing one row of a dataset that may be pushed."""
    a_drop(world, "")
    contract = world.contracts.load("loads")
    year = Column("year", "integer", required=True)
    columns = (*contract.columns, year)
    world.contracts = FakeContracts(replace(contract, columns=columns, period_columns=("year",), push=(1, 9)))
    file = world.frames / "rows.jsonl"
    file.write_text(f'{{"trip": 1, "load": {load}, "year": 2024}}')
    return lambda: push.push(world, world.acting("s-3"), "loads", file)


@case("push.push", E.PUSH_ACCEPTED)
def pushing(world: FakePlatform) -> Act:
    return pushed(world, 0.5)


@case("push.push", E.PUSH_REFUSED)
def pushing_what_is_bad(world: FakePlatform) -> Act:
    return pushed(world, 7)


@case("waive.waive", E.WAIVER_GIVEN)
def waiving_a_check(world: FakePlatform) -> Act:
    a_drop(world, "trip,load\n1,7\n")
    until = world.clock.now() + 10 * DAY
    return lambda: waive.waive(world, world.acting("p-3"), "loads", "T01", until, WHY, JANUARY)


@case("waive.end_waiver", E.WAIVER_ENDED)
def ending_a_waiver(world: FakePlatform) -> Act:
    waiving_a_check(world)()
    return lambda: waive.end_waiver(world, world.acting("p-3"), "W-1")


@case("collect.collect", E.BATCH_ACCEPTED)
def collecting(world: FakePlatform) -> Act:
    path = a_drop(world, "trip,load\n1,0.5\n")
    return lambda: collect.collect(world, world.acting("s-3"), path.parents[1])


@case("features.materialize", E.FEATURES_MATERIALIZED, E.FEATURES_BUILT)
def materializing(world: FakePlatform) -> Act:
    return lambda: features.materialize(world, world.acting("s-5"))


@case("access.admit", E.ACTION_REFUSED)
def reading_what_is_closed(world: FakePlatform) -> Act:
    return lambda: access.admit(world, world.acting("s-2"), "features", ["stops"], Access.READ_ONLINE)


@case("access.declare", E.ACCESS_DECLARED)
def closing_what_was_open(world: FakePlatform) -> Act:
    declared = Definitions(permissions=(replace(open_to_all(["stops"]), roles=("feature_service",)),))
    world.features.defined = lambda: declared  # type: ignore[method-assign]
    return lambda: access.declare(world, world.acting("s-5"))


@case("reading.note", None)
def noting_a_read(world: FakePlatform) -> Act:
    return lambda: reading.note(world, world.acting("s-6"), "stops", ["stops"], Access.READ_ONLINE, 1)


@case("reading.seal", E.FEATURES_READ)
def sealing_what_was_read(world: FakePlatform) -> Act:
    noting_a_read(world)()
    return lambda: reading.seal(world, world.acting("s-6"))


@case("online.online", None)
def reading_online(world: FakePlatform) -> Act:
    world.features.answers = lambda *_: [Answer({"a": 1}, {})]  # type: ignore[method-assign]
    return lambda: online.online(world, world.acting("s-6"), "stops", [{"stop": "1"}])


@case("statistics.statistics", E.FEATURES_MEASURED)
def measuring_features(world: FakePlatform) -> Act:
    world.features.statistics = lambda *_: {"a": {"kind": "numeric", "mean": 0.5}}  # type: ignore[method-assign]
    return lambda: statistics.statistics(world, world.acting("s-5"), "stops", JANUARY)


@case("feature_drift.feature_drift", E.FEATURES_JUDGED)
def judging_drift(world: FakePlatform) -> Act:
    told = {"kind": "numeric", "row_count": 9, "null_count": 0, "mean": 0.5, "stddev": 0.1}
    world.features.statistics = lambda *_: {"a": told}  # type: ignore[method-assign]
    world.monitors.limits = lambda _: Limits("2023-12", 5, {"mean_shift": 0.5})  # type: ignore[method-assign]
    for period in (JANUARY, "2023-12"):
        statistics.statistics(world, world.acting("s-5"), "stops", period)
    return lambda: feature_drift.feature_drift(world, world.acting("s-5"), "stops", JANUARY)


@case("held.refuse_held", E.ACTION_REFUSED)
def applying_what_is_held(world: FakePlatform) -> Act:
    service = world.models.spec(MODEL).service
    there = Definitions(services={service: ServiceDefinition(service, {"stops": ("a",)})})
    world.features.registered = lambda _: there  # type: ignore[method-assign]
    return lambda: held.refuse_held(world, world.acting("s-5"))


@case("parity.parity", E.FEATURES_COMPARED)
def comparing_what_is_online(world: FakePlatform) -> Act:
    features.materialize(world, world.acting("s-5"))
    return lambda: parity.parity(world, world.acting("s-5"))


@case("train.train", E.VERSION_REGISTERED, E.TRAINING_SET_BUILT)
def training(world: FakePlatform) -> Act:
    return lambda: train.train(world, world.acting("s-1", on_behalf_of="p-2"), MODEL)


@case("train.train", E.VERSION_REGISTERED, E.TRAINING_SET_BUILT, E.MODEL_REGISTERED)
def training_what_has_another_owner_now(world: FakePlatform) -> Act:
    world.models.put(replace(world.models.spec(MODEL), owner="somebody else"))
    return training(world)


@case("promote.request", E.PROMOTION_REQUESTED)
def requesting(world: FakePlatform) -> Act:
    return lambda: promote.request(world, world.acting("p-2"), MODEL, 3)


@case("promote.request", E.PROMOTION_REQUESTED, E.PACKET_SEALED, E.PROMOTION_APPLIED)
def requesting_what_needs_nobody(world: FakePlatform) -> Act:
    world.register(on_behalf_of="p-2")
    return lambda: promote.request(world, world.acting("p-2"), MODEL, 4)


@case("promote.request", E.PROMOTION_REQUESTED)
def breaking_the_glass(world: FakePlatform) -> Act:
    return lambda: promote.request(
        world, world.acting("p-5"), MODEL, 3, action=Action.BREAK_GLASS, reason="Version 2 burns."
    )


@case("promote.climb", E.PROMOTION_REQUESTED, E.PACKET_SEALED, E.PROMOTION_APPLIED)
def climbing_one_stage(world: FakePlatform) -> Act:
    world.register(on_behalf_of="p-2")
    return lambda: promote.climb(world, world.acting("p-2"), MODEL, 4, Stage.STAGING)


@case("resolve.resolve", E.PROMOTION_APPROVED, E.PROMOTION_APPLIED)
def approving(world: FakePlatform) -> Act:
    requesting(world)()
    return lambda: approved(world, 3)


@case("resolve.resolve", E.PROMOTION_APPROVED, E.PROMOTION_APPLIED, E.REVIEW_OPENED)
def approving_that_the_glass_is_broken(world: FakePlatform) -> Act:
    breaking_the_glass(world)()
    return lambda: approved(world, 3)


@case("resolve.resolve", E.PROMOTION_REJECTED)
def rejecting(world: FakePlatform) -> Act:
    requesting(world)()
    return lambda: resolve.resolve(world, world.acting("p-3"), MODEL, 3, Action.REJECT, WHY)


@case("resolve.revoke", E.APPROVAL_REVOKED)
def taking_an_approval_back(world: FakePlatform) -> Act:
    return lambda: resolve.revoke(world, world.acting("p-3"), MODEL, 2, WHY)


@case("lower.lower", E.MODEL_ROLLED_BACK)
def rolling_back(world: FakePlatform) -> Act:
    return lambda: lowering.lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, WHY)


@case("lower.lower", E.MODEL_STOPPED)
def stopping(world: FakePlatform) -> Act:
    return lambda: lowering.lower(world, world.acting("p-5"), MODEL, Action.STOP, WHY)


@case("lower.lower", E.VERSION_DEMOTED)
def demoting(world: FakePlatform) -> Act:
    demote = (MODEL, Action.DEMOTE, WHY, 3, Stage.STAGING)
    return lambda: lowering.lower(world, world.acting("p-5"), *demote)


@case("lower.lower", E.VERSION_RETIRED)
def retiring(world: FakePlatform) -> Act:
    return lambda: lowering.lower(world, world.acting("p-5"), MODEL, Action.RETIRE, WHY, 3)


@case("delegate.delegate", E.APPROVAL_DELEGATED)
def delegating(world: FakePlatform) -> Act:
    until = world.clock.now() + 10 * DAY
    return lambda: delegate.delegate(world, world.acting("p-3"), "p-6", "approver", until, WHY)


@case("delegate.end_delegation", E.DELEGATION_ENDED)
def ending_a_delegation(world: FakePlatform) -> Act:
    delegating(world)()
    return lambda: delegate.end_delegation(world, world.acting("p-3"), "D-1")


def tending(world: FakePlatform, days: int) -> Act:
    requesting(world)()
    later(world, days)
    return lambda: tend.tend(world, world.acting("s-4"))


@case("tend.tend", E.PROMOTION_REMINDED)
def reminding(world: FakePlatform) -> Act:
    return tending(world, 5)


@case("tend.tend", E.PROMOTION_ESCALATED)
def escalating(world: FakePlatform) -> Act:
    return tending(world, 10)


@case("tend.tend", E.PROMOTION_LAPSED)
def letting_a_request_lapse(world: FakePlatform) -> Act:
    return tending(world, 20)


@case("tend.tend", E.CERTIFICATION_LAPSED, E.REVIEW_OPENED)
def finding_a_certificate_over(world: FakePlatform) -> Act:
    later(world, 100)
    return lambda: tend.tend(world, world.acting("s-4"))


@case("tend.recertify", E.VERSION_RECERTIFIED)
def certifying_again(world: FakePlatform) -> Act:
    finding_a_certificate_over(world)()
    return lambda: tend.recertify(world, world.acting("p-4"), MODEL, 2, WHY)


@case("score.score", E.DECISIONS_SCORED)
def scoring(world: FakePlatform) -> Act:
    retiring(world)()
    return lambda: score.score(world, world.acting("s-6"), MODEL, JANUARY)


def in_canary(world: FakePlatform, value: float, low: float, high: float) -> Act:
    world.scored(2, JANUARY, "prod")
    world.scored(3, JANUARY, "canary")
    assert isinstance(world.monitors, StatedMonitors)
    world.monitors.states(value, low, high)
    return lambda: canary.analyse(world, world.acting("s-4"), MODEL)


@case("canary.analyse", E.CANARY_ANALYSED, E.PACKET_SEALED, E.PROMOTION_REQUESTED)
def analysing_a_canary_that_held(world: FakePlatform) -> Act:
    return in_canary(world, 0.01, 0.005, 0.015)


@case("canary.analyse", E.CANARY_ANALYSED, E.VERSION_DEMOTED, E.REVIEW_OPENED)
def analysing_a_canary_that_failed(world: FakePlatform) -> Act:
    return in_canary(world, -0.05, -0.06, -0.04)


def watching(world: FakePlatform, verdict: Verdict) -> Act:
    found = Evidence("calibration", "decisions", verdict, f"got {verdict}", "told 1")
    result = MonitorResult((found,), (), world.frames / "report.html", "sha256:report")
    world.monitors = SimpleNamespace(run=lambda *_: result, tool="told 1")  # type: ignore[assignment]
    world.scored(2, JANUARY)
    later(world, 1500)
    return lambda: monitor.monitor(world, world.acting("s-2"), MODEL, JANUARY)


@case("monitor.monitor", E.MONITOR_RAN)
def monitoring(world: FakePlatform) -> Act:
    return watching(world, Verdict.PASSED)


@case("monitor.monitor", E.MONITOR_RAN, E.REVIEW_OPENED)
def monitoring_what_fails(world: FakePlatform) -> Act:
    return watching(world, Verdict.FAILED)


def reviewing(world: FakePlatform, outcome: review.ReviewOutcome) -> Act:
    monitoring_what_fails(world)()
    return lambda: review.decide_review(world, world.acting("p-6"), "R-1", outcome, WHY)


@case("review.decide_review", E.REVIEW_DECIDED)
def deciding_a_review(world: FakePlatform) -> Act:
    return reviewing(world, review.ReviewOutcome.BENIGN)


@case("follow.follow", E.REVIEW_FOLLOWED, E.MODEL_ROLLED_BACK)
def following_a_review(world: FakePlatform) -> Act:
    reviewing(world, review.ReviewOutcome.ROLL_BACK)()
    (row,) = world.ledger.state().select(ReviewRow)
    return lambda: follow.follow(world, world.acting("s-4"), row)


@case("runs.finish", E.RUN_FINISHED)
def recording_a_run(world: FakePlatform) -> Act:
    slot = world.clock.now()
    return lambda: runs.finish(world, world.acting("s-6"), "score", slot, Outcome.DONE, "one period")


# ── what holds for all of them ────────────────────────────────────────────────────────────────────


def public_acts() -> Iterator[str]:
    """Every public function of the application that somebody calls to act, and the one that makes the actors."""
    for module in pkgutil.iter_modules(application.__path__):
        found = importlib.import_module(f"{application.__name__}.{module.name}")
        for name, function in inspect.getmembers(found, inspect.isfunction):
            own = function.__module__ == found.__name__ and not name.startswith("_")
            if own and list(inspect.signature(function).parameters)[:2] == ["platform", "acting"]:
                yield f"{module.name}.{name}"
    yield "identity.open_ledger"


def test_every_act_of_the_application_is_tried_here() -> None:
    # `permit` is the first line of most of them, and refuses: `trying_what_one_may_not` tries it.
    assert {function for function, *_ in CASES.values()} == set(public_acts()) - {"recording.permit"}


def test_every_event_is_written_by_some_act() -> None:
    written = {each for _, _, kind, beside in CASES.values() for each in (kind, *beside) if each}
    assert set(EventType) == written


def emitted(world: FakePlatform, name: str) -> list[Event]:
    """Prepare an act, do it, and return what it wrote."""
    act = CASES[name][1](world)
    before = world.ledger.head().sequence
    with suppress(Refused, BadInput):  # what is expected is what it writes, refused or not
        act()
    return list(world.ledger.events(after=before))


@pytest.mark.parametrize("name", CASES)
def test_it_writes_one_event_of_its_kind_and_what_it_causes(world: FakePlatform, name: str) -> None:
    _, _, kind, beside = CASES[name]
    types = [event.type for event in emitted(world, name)]
    assert sorted(types) == sorted([*([kind] if kind else []), *beside])
    assert kind is None or types.count(kind) == 1


@pytest.fixture(scope="module")
def shown() -> dict[EventType, set[frozenset[str]]]:
    """Return the payload fields of each type's examples, as docs/events.md shows them."""
    ledger = MemoryLedger(TickingClock(), CountingEntropy())
    whole_story(ledger)
    fields: dict[EventType, set[frozenset[str]]] = {}
    for event in ledger.events():
        fields.setdefault(event.type, set()).add(frozenset(event.payload))
    return fields


@pytest.mark.parametrize("name", CASES)
def test_its_payload_is_the_one_the_catalogue_shows(
    world: FakePlatform, name: str, shown: dict[EventType, set[frozenset[str]]]
) -> None:
    for event in emitted(world, name):
        assert frozenset(event.payload) in shown[event.type], f"{event.type}: {sorted(event.payload)}"
