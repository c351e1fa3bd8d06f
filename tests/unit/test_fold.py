from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tidegate.domain.events import EventType
from tidegate.domain.fold import StateView, changes, fingerprint, replay, take
from tidegate.domain.policy import Stage
from tidegate.domain.state import (
    ROWS,
    ActorRow,
    ApprovalRow,
    BatchRow,
    CredentialRow,
    ErasureRow,
    FeatureViewRow,
    ModelRow,
    PolicyRow,
    PromotionRow,
    ReviewRow,
    State,
    TextRow,
    VersionRow,
)
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story, whole_story

FIELDS = [(kind, each.name) for kind in ROWS for each in fields(kind)]
FIELD_IDS = [f"{kind.TABLE}.{name}" for kind, name in FIELDS]


def new_ledger():
    return MemoryLedger(TickingClock(), CountingEntropy())


@pytest.fixture(scope="module")
def events():
    ledger = new_ledger()
    whole_story(ledger)
    return list(ledger.events())


@pytest.fixture
def story():
    return Story(new_ledger()).opened().with_version()


def one(story, kind, *key):
    return story.ledger.state().get(kind, *key)


def stages(story):
    rows = story.ledger.state().select(VersionRow, model=story.model)
    return {row.number: (row.stage, bool(row.prod_sequence)) for row in rows}


def statuses(story):
    return [
        row.status for row in sorted(story.ledger.state().select(PromotionRow), key=lambda row: row.sequence)
    ]


def other(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1000
    if isinstance(value, tuple):
        return (*value, "x")
    if isinstance(value, dict):
        return {**value, "x": 1}
    return f"{value}x"


# ── the whole ─────────────────────────────────────────────────────────────────────────────────────


def test_the_whole_story_has_every_event_and_every_row(events):
    assert {event.type for event in events} == set(EventType)
    assert [kind.TABLE for kind in ROWS if not replay(events).tables[kind.TABLE]] == []


def test_the_same_events_fold_to_the_same_state(events):
    assert replay(events) == replay(events)
    assert fingerprint(replay(events)) == fingerprint(replay(iter(events)))


def test_folding_in_two_halves_is_folding_at_once(events):
    state = replay(events[:50])
    view = StateView(state)
    for event in events[50:]:
        take(state, view, event)
    assert state == replay(events)


def test_an_event_that_writes_nothing_changes_nothing(events):
    silent = {EventType.LEDGER_OPENED, EventType.DROP_REFUSED, EventType.ACTION_REFUSED}
    view = StateView(replay(events))
    assert {event.type for event in events if not changes(view, event)} == silent


def test_an_event_about_a_row_that_no_event_wrote_contradicts_the_chain(events):
    decided = next(event for event in events if event.type is EventType.REVIEW_DECIDED)
    with pytest.raises(LookupError, match="no earlier event wrote"):
        changes(StateView(State()), decided)


# ── the fingerprint ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=FIELD_IDS)
def test_the_fingerprint_ignores_volatile_fields_and_nothing_else(events, kind, name):
    state = replay(events)
    before = fingerprint(state)
    key, row = next(reversed(state.tables[kind.TABLE].items()))
    del state.tables[kind.TABLE][key]
    state.put(replace(row, **{name: other(getattr(row, name))}))
    assert (fingerprint(state) == before) is (name in kind.VOLATILE)


def test_only_what_names_one_installation_is_volatile():
    assert {(kind.TABLE, name) for kind in ROWS for name in kind.VOLATILE} == {
        ("commitments", "commitment"),
        ("credentials", "token_digest"),
        ("erased_subjects", "subject"),
        ("erasures", "commitment"),
        ("packets", "envelope"),
        ("read_segments", "root"),
        ("versions", "links"),
    }


@pytest.mark.parametrize("kind", ROWS, ids=[kind.TABLE for kind in ROWS])
def test_a_row_more_or_less_changes_the_fingerprint(events, kind):
    state = replay(events)
    before = fingerprint(state)
    _, row = state.tables[kind.TABLE].popitem()
    assert fingerprint(state) != before
    state.put(row)
    assert fingerprint(state) == before


def test_the_order_in_which_rows_were_written_changes_nothing(events):
    state = replay(events)
    turned = State({name: dict(reversed(rows.items())) for name, rows in state.tables.items()})
    assert fingerprint(turned) == fingerprint(state)


# ── what events do ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("times", "marks"),
    [
        ("", []),
        ("1", [1]),
        ("1234", [4]),
        ("1133", [4]),
        ("1912", [2, 4]),
        ("9531", [1, 2, 3, 4]),
        ("95319", [5]),
        ("9131", [1, 3, 4]),
    ],
)
def test_the_record_knows_after_which_events_all_occurred_earlier(times, marks):
    state = State()
    for sequence, hour in enumerate(times, 1):
        state.mark(sequence, f"2020-01-01T0{hour}:00:00Z")
    assert [sequence for sequence, _ in state.marks] == marks


def test_roles_are_replaced_and_tokens_revoked(story):
    story.with_role("p-3", "reviewer").with_revoked("p-3")
    assert one(story, ActorRow, "p-3").roles == ("reviewer",)
    gone, good = one(story, CredentialRow, "c-p-3"), one(story, CredentialRow, "c-p-1")
    assert (gone.revoked, gone.revoked_at) == (True, story.last.occurred_at)
    assert (good.revoked, good.revoked_at) == (False, "")


def test_a_name_is_about_whom_it_names_and_a_reason_about_who_gave_it(story):
    story.requested(1, Stage.STAGING).approved(1)
    rows = {row.commitment: row for row in story.ledger.state().select(TextRow)}
    added = next(event for event in story.ledger.events() if event.payload.get("id") == "p-3")
    assert rows[added.payload["texts"]["name"]] == TextRow(
        added.payload["texts"]["name"], "p-3", "name", added.occurred_at, added.sequence
    )
    said = story.last
    assert rows[said.payload["texts"]["reason"]].subject == "p-3"


def test_what_a_service_writes_for_a_person_and_under_a_second_account_is_about_that_person(story):
    second = {"id": "p-9", "kind": "person", "subject": "p-3", "roles": ["reviewer"]}
    story._append(EventType.ACTOR_ADDED, "actors", "p-1", second, {"name": "Amir again"})
    note = {"action": "approve", "subject": {}, "reasons": []}
    for actor, behind in (("p-9", None), ("s-2", "p-9"), ("s-2", None), ("p-77", None)):
        story._append(EventType.ACTION_REFUSED, "n", actor, note, {"reason": "so"}, on_behalf_of=behind)
    told = sorted(story.ledger.state().select(TextRow), key=lambda row: row.sequence)[-5:]
    assert [row.subject for row in told] == ["p-3", "p-3", "p-3", "s-2", "p-77"]


def test_an_erasure_keeps_what_was_committed_to_and_says_why_it_went(story):
    story.with_revoked("p-5").erased()
    (name,) = (row for row in story.ledger.state().select(TextRow, subject="p-5"))
    (gone,) = story.ledger.state().select(ErasureRow)
    assert gone == ErasureRow(name.commitment, "subject", story.last.sequence)
    story.requested(1, Stage.STAGING).approved(1).erased(EventType.RETENTION_APPLIED)
    assert [row.cause for row in story.ledger.state().select(ErasureRow)].count("retention") == 1


def test_one_policy_is_in_force_and_an_earlier_one_can_return(story):
    for version, in_force in (("2", "2"), ("3", "3"), ("1", "1")):
        story.with_policy(version)
        rows = story.ledger.state().select(PolicyRow)
        assert [row.version for row in rows if row.in_force] == [in_force]
    assert len(rows) == 3


def test_a_refused_batch_is_a_row_without_a_batch(story):
    story.with_data("2020-01").with_refused_data("2020-02")
    rows = {row.period: row for row in story.ledger.state().select(BatchRow)}
    assert (rows["2020-01"].verdict, bool(rows["2020-01"].batch)) == ("passed", True)
    assert (rows["2020-02"].verdict, rows["2020-02"].batch, rows["2020-02"].accepted) == ("failed", "", 0)


def test_a_view_built_again_keeps_how_far_it_is_online(story):
    story.with_features("2020-02-01T00:00:00Z")
    built = {
        "views": {"station_day": {"definition": "d2", "source": "s2", "rows": 5, "objective": {}}},
        "batches": ["tg1:b"],
    }
    story._append(EventType.FEATURES_BUILT, "features", "s-1", built)
    row = one(story, FeatureViewRow, "station_day")
    assert (row.definition, row.rows, row.online_until) == ("d2", 5, "2020-02-01T00:00:00Z")
    assert row.batches == ("tg1:b",)


def test_a_version_begins_as_a_candidate(story):
    assert stages(story) == {1: ("candidate", False)}


def test_promotion_goes_up_and_marks_who_was_approved_into_prod(story):
    story.promoted(1, Stage.STAGING).promoted(1, Stage.CANARY)
    assert stages(story) == {1: ("canary", False)}
    story.promoted(1, Stage.PROD)
    assert stages(story) == {1: ("prod", True)}
    assert one(story, VersionRow, "tides", 1).prod_sequence == story.last.sequence
    assert statuses(story) == ["applied"] * 3


def test_who_leaves_prod_for_a_successor_can_be_restored(story):
    story.in_prod(1).with_version().in_prod(2)
    assert stages(story) == {1: ("retired", True), 2: ("prod", True)}


def test_who_is_rolled_back_is_never_restored_without_a_new_approval(story):
    story.in_prod(1)
    approved = one(story, VersionRow, "tides", 1).prod_sequence
    story.with_version().in_prod(2).rolled_back(2, to=1)
    assert stages(story) == {1: ("prod", True), 2: ("candidate", False)}
    assert one(story, VersionRow, "tides", 1).prod_sequence == approved, "by the approval it had"


def test_a_stop_leaves_nothing_in_prod(story):
    story.in_prod(1).stopped(1)
    assert stages(story) == {1: ("candidate", False)}


def test_a_new_request_supersedes_the_open_one_of_that_version_only(story):
    story.with_version().requested(1, Stage.STAGING).requested(2, Stage.STAGING).requested(1, Stage.STAGING)
    assert statuses(story) == ["superseded", "open", "open"]
    assert one(story, ModelRow, "tides").promotions == 3


def test_an_approval_is_bound_and_moves_nothing(story):
    story.requested(1, Stage.STAGING).approved(1)
    (row,) = story.ledger.state().select(ApprovalRow)
    asked = one(story, PromotionRow, "tides-P1")
    assert (row.actor, row.outcome) == ("p-3", "approve")
    assert (row.version, row.artifact, row.packet, row.policy) == (
        1,
        asked.artifact,
        asked.packet,
        asked.policy,
    )
    assert (statuses(story), stages(story)) == (["open"], {1: ("candidate", False)})


def test_a_rejection_closes_the_request(story):
    story.requested(1, Stage.STAGING).rejected(1)
    assert statuses(story) == ["rejected"]


def test_a_move_down_leaves_no_request_open(story):
    story.promoted(1, Stage.STAGING).requested(1, Stage.CANARY).demoted(1, Stage.CANDIDATE)
    assert statuses(story) == ["applied", "superseded"]
    story.requested(1, Stage.STAGING).retired(1)
    assert statuses(story)[-1] == "superseded"
    assert stages(story) == {1: ("retired", False)}


def test_a_model_registered_again_keeps_its_count_of_requests(story):
    story.requested(1, Stage.STAGING)
    about = {"name": "tides", "owner": "port", "purpose": "p", "tier": "high", "fallback": "f"}
    story._append(EventType.MODEL_REGISTERED, "model/tides", "s-2", about)
    row = one(story, ModelRow, "tides")
    assert (row.owner, row.tier, row.promotions) == ("port", "high", 1)


def test_a_review_is_open_until_it_is_decided(story):
    story.in_prod(1).scored("2020-04", 1).monitored("2020-04", 1, "failed")
    row = one(story, ReviewRow, "R-1")
    assert (row.status, row.outcome, row.decided_by) == ("open", "", "")
    row = one(story.reviewed("R-1", "benign"), ReviewRow, "R-1")
    assert (row.status, row.outcome, row.decided_by) == ("decided", "benign", "p-4")
