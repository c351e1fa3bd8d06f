"""What only an anchor finds: a cut tail, and a chain told anew."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.adapters.git_notes import GitNotes
from tidegate.adapters.sql_record import SqlLedger, tables
from tidegate.adapters.sql_record.state import put
from tidegate.application import audit
from tidegate.application.platform import Acting
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.errors import BadInput
from tidegate.domain.events import Draft
from tidegate.domain.fold import StateView, replay
from tidegate.domain.state import ActorRow, TextRow
from tidegate.testing.databases import emptied
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story


def test_an_anchored_ledger_that_only_grew_is_sound(platform, anchored):
    Story(platform.ledger).refused()
    assert audit.verify(platform, *anchored) == (len(list(platform.ledger.events())), ())


def cut(platform, keep):
    """Remove the tail and everything that tells of it: events, state, texts, head."""
    platform.attacker.unguard()
    kept = list(platform.ledger.events())[:keep]
    state = replay(kept)
    subjects = {row.subject for row in StateView(state).select(TextRow)}
    texts = {each for event in kept for each in event.payload.get("texts", {}).values()}
    platform.attacker.run(f"DELETE FROM events WHERE sequence > {keep}")
    platform.attacker.run(sa.delete(tables.texts).where(tables.texts.c.commitment.not_in(texts)))
    platform.attacker.run(sa.delete(tables.text_keys).where(tables.text_keys.c.subject.not_in(subjects)))
    with platform.ledger.engine.begin() as connection:
        for table in tables.STATE.values():
            connection.execute(sa.delete(table))
        for rows in state.tables.values():
            for row in rows.values():
                put(connection, row)
    return kept[-1]


def besides_structure(found):
    return [fault for fault in found if not fault.startswith(("trigger ", "constraint "))]


def test_a_cut_tail_is_named_by_the_head(platform):
    last = cut(platform, keep=15)
    found = besides_structure(platform.ledger.verify())
    assert any(fault.endswith("the chain says 15") for fault in found)
    assert all(fault.startswith("head: ") for fault in found), "everything else was tidied away"
    assert last.sequence == 15


def test_a_cut_tail_with_a_mended_head_is_found_by_the_anchor_alone(platform, anchored):
    length = len(list(platform.ledger.events()))
    last = cut(platform, keep=15)
    platform.attacker.run("UPDATE head SET sequence = 15, hash = :hash", hash=last.hash)
    assert besides_structure(platform.ledger.verify()) == []
    count, found = audit.verify(platform, *anchored)
    assert count == 15
    assert besides_structure(found) == [
        f"anchor anchor.json: it was signed at event {length}; the chain ends at 15: its tail was cut"
    ]


def rewrite(platform, tmp_path):
    """Tell the whole chain again with another approver of everything, every hash made anew."""
    told = [(event, platform.ledger.text) for event in platform.ledger.events()]
    drafts = []
    for event, text in told:
        payload = dict(event.payload)
        texts = {name: text(each) for name, each in payload.pop("texts", {}).items()}
        if payload.get("id") == "p-3":
            payload["roles"] = ["approver", "administrator"]
        drafts.append(
            Draft(
                event.type, event.stream, event.actor, payload, texts, event.on_behalf_of, event.correlation
            )
        )
    if platform.url.startswith("sqlite"):
        url = f"sqlite:///{tmp_path}/rewritten.db"
    else:
        platform.ledger.engine.dispose()
        url = emptied(platform.url)
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    with ledger.transaction() as tx:
        for draft in drafts:
            tx.append(draft)
    return SimpleNamespace(**{**vars(platform), "ledger": ledger})


def test_a_chain_rewritten_from_the_first_event_is_found_by_the_anchor_alone(platform, anchored, tmp_path):
    rewritten = rewrite(platform, tmp_path)
    length = len(list(rewritten.ledger.events()))
    assert rewritten.ledger.state().get(ActorRow, "p-3").roles == ("approver", "administrator")
    assert rewritten.ledger.verify() == ()
    assert audit.verify(rewritten, None, None) == (length, ())
    assert audit.verify(rewritten, *anchored) == (
        length,
        (f"anchor anchor.json: event {length} had another hash when it was signed: the chain was rewritten",),
    )


def test_an_anchor_that_the_attacker_signed_does_not_belong_to_the_key(platform, anchored, tmp_path):
    anchor, key = anchored
    rewritten = rewrite(platform, tmp_path)
    rewritten.signer = Ed25519Signer(tmp_path / "attacker.pem")
    admin = Acting(ActorRow("p-1", "person", "p-1", ("administrator",), 1))
    anchor.write_text(json.dumps(audit.anchor(rewritten, admin)))
    _, found = audit.verify(rewritten, anchor, key)
    assert found == ("anchor anchor.json: its signature does not belong to this key",)


def signed_by_the_attacker(platform, tmp_path):
    """Rebuild the chain, put another key in the place of the ledger's, and sign the new head with it."""
    rewritten = rewrite(platform, tmp_path)
    rewritten.signer = Ed25519Signer(tmp_path / "attacker.pem")
    admin = Acting(ActorRow("p-1", "person", "p-1", ("administrator",), 1))
    anchor, key = tmp_path / "theirs.json", tmp_path / "theirs.pub"
    anchor.write_text(json.dumps(audit.anchor(rewritten, admin)))
    key.write_text(rewritten.signer.public_key)
    return rewritten, anchor, key


def test_a_rewrite_signed_anew_is_found_by_whoever_holds_only_the_anchor_and_the_key(
    platform, anchored, tmp_path
):
    anchor, key = anchored
    rewritten, theirs, their_key = signed_by_the_attacker(platform, tmp_path)
    length = rewritten.ledger.head().sequence
    assert audit.verify(rewritten, theirs, their_key) == (length, ()), "to whom takes both from the server"
    assert audit.verify(rewritten, anchor, key)[1] == (
        f"anchor anchor.json: event {length} had another hash when it was signed: the chain was rewritten",
    )
    assert audit.verify(rewritten, theirs, key)[1] == (
        "anchor theirs.json: its signature does not belong to this key",
    )


@pytest.fixture
def noted(platform, anchored, tmp_path):
    """The same anchor, noted on a commit of a repository that the attacker does not have."""
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "work"]):
        who = ["-c", "user.name=Aude", "-c", "user.email=aude@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True)
    notes = GitNotes(tmp_path)
    commit = notes.append(canonical(json.loads(anchored[0].read_text())).decode())
    return notes, anchored[1], f"anchor in the note on {commit[:10]}"


def test_a_rewrite_signed_anew_is_found_by_the_note_on_a_commit(platform, noted, tmp_path):
    notes, key, name = noted
    assert audit.verify(platform, None, key, notes.lines())[1] == ()
    rewritten, theirs, _ = signed_by_the_attacker(platform, tmp_path)
    length = rewritten.ledger.head().sequence
    notes.append(theirs.read_text())  # and noted, behind the first
    assert audit.verify(rewritten, None, key, notes.lines())[1] == (
        f"{name}: event {length} had another hash when it was signed: the chain was rewritten",
        f"{name}: its signature does not belong to this key",
    )


def edited(platform, _):
    platform.attacker.unguard()
    victim = list(platform.ledger.events())[9]
    body = canonical({**json.loads(victim.body), "actor": "p-9"}).decode()
    platform.attacker.run("UPDATE events SET body = :body WHERE sequence = 10", body=body)
    return platform


def inserted(platform, _):
    last = list(platform.ledger.events())[-1]
    forged = canonical(
        {**json.loads(last.body), "sequence": last.sequence + 1, "previous": last.hash}
    ).decode()
    platform.attacker.run(
        "INSERT INTO events SELECT sequence + 1, stream, stream_sequence + 1, type, actor, NULL, "
        "occurred_at, :previous, :hash, :body FROM events WHERE sequence = :last",
        previous=last.hash, hash=sha256(forged.encode()), body=forged, last=last.sequence,
    )  # fmt: skip
    return platform


def deleted(platform, _):
    platform.attacker.unguard()
    platform.attacker.run("DELETE FROM events WHERE sequence = 10")
    return platform


def tail_cut(platform, _):
    last = cut(platform, keep=15)
    platform.attacker.run("UPDATE head SET sequence = 15, hash = :hash", hash=last.hash)
    return platform


ATTACKS = {
    "edit": (edited, "event 10: its bytes no longer have the hash they were recorded with"),
    "insert": (inserted, "head: column sequence says 29, the chain says 30"),
    "delete from the middle": (deleted, "event 11: expected sequence 10; events are missing or out of order"),
    "cut the tail": (tail_cut, "it was signed at event 29; the chain ends at 15: its tail was cut"),
    "rewrite all": (rewrite, "event 29 had another hash when it was signed: the chain was rewritten"),
}


@pytest.mark.parametrize("how", ATTACKS)
def test_every_way_to_falsify_the_record_is_named_to_whoever_holds_anchor_and_key(
    platform, anchored, noted, tmp_path, how
):
    attack, said = ATTACKS[how]
    assert platform.ledger.head().sequence == 29
    notes, key, _ = noted
    attacked = attack(platform, tmp_path)
    for kept in ((anchored[0], key), (None, key, notes.lines())):
        _, found = audit.verify(attacked, *kept)
        assert any(fault.endswith(said) for fault in found), found


def test_an_anchor_without_a_key_proves_nothing_and_is_refused(platform, anchored):
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, anchored[0], None)
    assert caught.value.code == "no-key"
