from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tidegate.application import audit
from tidegate.application.platform import Acting
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Draft, EventType
from tidegate.domain.fold import fingerprint, replay
from tidegate.domain.state import ActorRow
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.small import CountingEntropy, FakeNotes, FakeSigner, TickingClock
from tidegate.testing.stories import Story, whole_story

ACCOUNTS = {"auditor": "p-71", "operator": "p-72", "reviewer": "p-73"}


@pytest.fixture
def platform():
    clock = TickingClock()
    ledger = MemoryLedger(clock, CountingEntropy())
    Story(ledger).opened().with_data("2020-01")
    staff(ledger)
    return SimpleNamespace(clock=clock, ledger=ledger, signer=FakeSigner(), assurance="local")


def staff(ledger):
    with ledger.transaction() as tx:
        for role, name in ACCOUNTS.items():
            added = {"id": name, "kind": "person", "subject": name, "roles": [role]}
            tx.append(Draft(EventType.ACTOR_ADDED, "actors", "p-1", added, {"name": name}))


def actor(role):
    return Acting(ActorRow(ACCOUNTS[role], "person", ACCOUNTS[role], (role,), 1))


@pytest.fixture
def files(platform, tmp_path):
    anchor, key = tmp_path / "anchor.json", tmp_path / "ledger.pub"
    anchor.write_text(json.dumps(audit.anchor(platform, actor("auditor"))))
    key.write_text(platform.signer.public_key)
    return anchor, key


def length(platform):
    return len(list(platform.ledger.events()))


def test_an_anchor_states_where_the_chain_ends_and_how_far_it_is_trusted(platform):
    signed = audit.anchor(platform, actor("operator"))
    last = list(platform.ledger.events())[-1]
    statement = signed["statement"]
    assert (statement["schema"], statement["sequence"], statement["hash"], statement["assurance"]) == (
        "tg.anchor/1",
        last.sequence,
        last.hash,
        "local",
    )
    assert statement["recorded_at"].endswith("Z")


def test_whoever_may_not_anchor_is_refused_and_the_refusal_recorded(platform):
    with pytest.raises(Refused) as caught:
        audit.anchor(platform, actor("reviewer"))
    assert caught.value.data["rule"] == "A1"
    last = list(platform.ledger.events())[-1]
    assert (last.type, last.payload["action"]) == (EventType.ACTION_REFUSED, "ledger:head:anchor")


def test_a_sound_ledger_has_no_fault_with_or_without_an_anchor(platform, files):
    assert audit.verify(platform, None, None) == (length(platform), ())
    assert audit.verify(platform, *files) == (length(platform), ())
    Story(platform.ledger).refused()
    assert audit.verify(platform, *files) == (length(platform), ()), "growing is what a ledger does"


def test_a_ledger_that_was_cut_is_found(platform, files):
    contents = platform.ledger.store.contents
    signed_at = length(platform)
    del contents.events[5:]
    contents.state = replay(contents.events)
    kept = {each for event in contents.events for each in event.payload.get("texts", {}).values()}
    contents.texts = {name: text for name, text in contents.texts.items() if name in kept}
    assert audit.verify(platform, None, None) == (5, ())
    assert audit.verify(platform, *files) == (
        5,
        (f"anchor anchor.json: it was signed at event {signed_at}; the chain ends at 5: its tail was cut",),
    )


def test_another_ledger_of_the_same_length_is_found(platform, files):
    other = MemoryLedger(TickingClock(), CountingEntropy(count=1000))
    Story(other).opened().with_data("2020-01")
    staff(other)
    platform.ledger = other
    (fault,) = audit.verify(platform, *files)[1]
    assert fault.endswith("had another hash when it was signed: the chain was rewritten")


@pytest.mark.parametrize("name", ["sequence", "hash", "assurance", "recorded_at"])
def test_an_altered_statement_does_not_belong_to_the_key(platform, files, name):
    signed = json.loads(files[0].read_text())
    value = signed["statement"][name]
    signed["statement"][name] = value - 1 if isinstance(value, int) else f"{value}x"
    files[0].write_text(json.dumps(signed))
    assert audit.verify(platform, *files)[1] == (
        "anchor anchor.json: its signature does not belong to this key",
    )


def test_another_key_is_told_apart(platform, files):
    files[1].write_text(FakeSigner("somebody else").public_key)
    (fault,) = audit.verify(platform, *files)[1]
    assert "does not belong to this key" in fault


def test_faults_of_the_ledger_come_with_those_of_the_anchor(platform, files):
    del platform.ledger.store.contents.events[5:]
    found = audit.verify(platform, *files)[1]
    assert any(fault.startswith("batches: ") for fault in found)
    assert found[-1].endswith("its tail was cut")


def test_an_event_that_cannot_be_read_ends_the_count_and_not_the_search(platform, files):
    class Damaged:
        state = platform.ledger.state

        def verify(self):
            return ("event 4: its body cannot be read",)

        def events(self):
            for event in platform.ledger.events():
                if event.sequence == 4:
                    raise DependencyFailed("damaged-event", "got an event …", "")
                yield event

    damaged = SimpleNamespace(**{**vars(platform), "ledger": Damaged()})
    count, found = audit.verify(damaged, *files)
    assert count == 3
    assert found[0] == "event 4: its body cannot be read"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "bad-anchor"),
        ("not json", "bad-anchor"),
        ("[]", "bad-anchor"),
        ("{}", "bad-anchor"),
        ('{"statement": 5, "signature": ""}', "bad-anchor"),
        ('{"statement": {"schema": "tg.anchor/9", "sequence": 1}, "signature": ""}', "bad-anchor"),
        ('{"statement": {"schema": "tg.anchor/1", "sequence": "1"}, "signature": ""}', "bad-anchor"),
        ('{"statement": {"schema": "tg.anchor/1"}, "signature": ""}', "bad-anchor"),
        (" " * 70_000, "too-large"),
    ],
)
def test_what_is_no_anchor_is_bad_input(platform, files, content, code):
    files[0].write_text(content)
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, *files)
    assert caught.value.code == code
    assert "anchor.json" in caught.value.sentence


def test_what_is_no_key_is_bad_input(platform, files):
    files[1].write_bytes(b"\xff\xfe no key")
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, *files)
    assert caught.value.code == "bad-key"


@pytest.mark.parametrize("missing", [0, 1])
def test_a_file_that_is_not_there_is_bad_input(platform, files, missing):
    files[missing].unlink()
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, *files)
    assert caught.value.code == "no-such-file"


def test_an_anchor_without_a_key_is_bad_input(platform, files):
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, files[0], None)
    assert caught.value.code == "no-key"


# ── heads noted on commits ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def notes(platform, tmp_path):
    """Two heads noted on one commit, and a third on the next."""
    noted = FakeNotes(tmp_path)
    for lines in (2, 1):
        noted.commit()
        for _ in range(lines):
            Story(platform.ledger).refused()
            noted.append(json.dumps(audit.anchor(platform, actor("auditor"))))
    return noted


def test_every_head_that_was_noted_is_held_against_the_chain(platform, files, notes):
    kept = audit.anchors(files[0], notes.lines())
    end = length(platform)
    assert [each.sequence for each in kept] == [end - 3, end - 2, end - 1, end]
    assert audit.verify(platform, None, files[1], notes.lines()) == (end, ())
    contents = platform.ledger.store.contents
    del contents.events[-2:]
    commits = list(notes.lines())
    cut = f"the chain ends at {end - 2}: its tail was cut"
    assert audit.verify(platform, *files, notes.lines())[1] == (
        f"anchor in the note on {commits[0][:10]}: it was signed at event {end - 1}; {cut}",
        f"anchor in the note on {commits[1][:10]}: it was signed at event {end}; {cut}",
    )


def test_a_note_that_is_no_anchor_is_bad_input_and_names_its_commit(platform, files, notes):
    notes.append("reviewed by Dana")
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, None, files[1], notes.lines())
    assert caught.value.code == "bad-anchor"
    assert f"got in the note on {list(notes.lines())[-1][:10]}" in caught.value.sentence


def test_notes_without_a_key_are_bad_input(platform, notes):
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, None, None, notes.lines())
    assert caught.value.code == "no-key"


def test_the_head_of_an_empty_ledger_can_be_anchored_and_says_nothing_of_what_follows(platform, files):
    full, platform.ledger = platform.ledger, MemoryLedger(TickingClock(), CountingEntropy())
    staff(platform.ledger)
    del platform.ledger.store.contents.events[:]
    signed = audit.anchor(platform, actor("auditor"))
    assert (signed["statement"]["sequence"], signed["statement"]["hash"]) == (0, "")
    files[0].write_text(json.dumps(signed))
    platform.ledger = full
    assert audit.verify(platform, *files) == (length(platform), ())


def test_the_fingerprint_is_of_the_state_refolded(platform):
    whole_story(other := MemoryLedger(TickingClock(), CountingEntropy()))
    platform.ledger = other
    assert audit.fingerprint_now(platform) == fingerprint(replay(other.events()))
    other.store.contents.state.tables["actors"].clear()
    assert audit.fingerprint_now(platform) == fingerprint(replay(other.events())), "not of the tables"
