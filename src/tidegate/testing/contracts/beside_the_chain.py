"""What every ledger keeps beside its chain: texts that can be erased, and cursors. A part of `LedgerContract`."""

from __future__ import annotations

import pytest

from tidegate.application.ports import Delivery, Ledger
from tidegate.domain.canonical import sha256
from tidegate.domain.events import Draft, EventType, commitment
from tidegate.domain.state import ErasureRow, TextRow
from tidegate.testing.drafts import actor, erasing, letting_go, note, spoken


class BesideTheChain:
    """The payload commits to a text; how far somebody has come is no event."""

    # ── texts ─────────────────────────────────────────────────────────────────────────────────────

    def test_texts_lie_beside_the_chain_and_the_payload_commits_to_them(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            event = tx.append(actor("7"))
            again = tx.append(actor("7"))
        committed = event.payload["texts"]["name"]
        assert subject.text(committed) == "Somebody 7"
        assert "Somebody" not in event.body
        assert committed != again.payload["texts"]["name"], "a salt is never used twice"
        assert committed != commitment("", "Somebody 7")
        assert subject.text(sha256(b"nothing")) is None

    def test_with_its_salt_a_text_can_be_held_against_its_commitment(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            committed = tx.append(actor("7")).payload["texts"]["name"]
        kept = subject.salted(committed)
        assert kept is not None
        assert kept[1] == "Somebody 7"
        assert commitment(*kept) == committed
        assert subject.salted(sha256(b"nothing")) is None

    def test_texts_of_every_script_come_back_as_they_were(self, subject: Ledger) -> None:
        text = "Zoë 'O\"Neil' 山田 🌊\nsecond line"
        with subject.transaction() as tx:
            event = tx.append(Draft(EventType.ACTION_REFUSED, "a", "p-1", {"said": text}, {"reason": text}))
        assert subject.text(event.payload["texts"]["reason"]) == text
        assert next(iter(subject.events())).payload["said"] == text
        assert subject.verify() == ()

    def test_what_is_erased_is_gone_and_the_rest_is_read_as_before(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            name = tx.append(actor("7")).payload["texts"]["name"]
            said = tx.append(spoken("p-7", "Because.")).payload["texts"]["reason"]
            others = tx.append(actor("8")).payload["texts"]["name"]
        with subject.transaction() as tx:
            gone = tx.append(erasing("p-7", name, said))
        assert (subject.text(name), subject.text(said)) == (None, None)
        assert subject.text(others) == "Somebody 8"
        assert subject.text(gone.payload["texts"]["reason"]) == "They asked for it."
        assert {row.commitment for row in subject.state().select(ErasureRow)} == {name, said}
        assert {row.commitment for row in subject.state().select(TextRow, subject="p-7")} == {name, said}
        assert subject.verify() == ()

    def test_a_person_of_whom_one_text_is_erased_keeps_the_others(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            said = [tx.append(spoken("p-7", f"{number}.")).payload["texts"]["reason"] for number in range(3)]
            tx.append(letting_go(said[1]))
            more = tx.append(spoken("p-7", "And more.")).payload["texts"]["reason"]
        assert [subject.text(each) for each in (*said, more)] == ["0.", None, "2.", "And more."]
        assert subject.verify() == ()
        with subject.transaction() as tx:
            tx.append(letting_go(said[0], said[2], more))
        assert [subject.text(each) for each in (*said, more)] == [None] * 4
        with subject.transaction() as tx:
            late = tx.append(spoken("p-7", "One day later.")).payload["texts"]["reason"]
        assert subject.text(late) == "One day later."
        assert subject.verify() == ()

    def test_an_erasure_that_is_not_committed_erased_nothing(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            said = [tx.append(spoken("p-7", text)).payload["texts"]["reason"] for text in ("One.", "Two.")]

        def fail() -> None:
            with subject.transaction() as tx:
                tx.append(letting_go(said[0]))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert [subject.text(each) for each in said] == ["One.", "Two."]
        assert subject.verify() == ()

    # ── cursors ───────────────────────────────────────────────────────────────────────────────────

    def test_a_cursor_starts_at_nothing_and_never_moves_back(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            for _ in range(5):
                tx.append(note("a"))
        assert subject.cursor("aliases") == 0
        for step in (3, 2, 0):
            subject.advance("aliases", step)
            assert subject.cursor("aliases") == 3
        subject.advance("aliases", 5)
        assert (subject.cursor("aliases"), subject.cursor("other")) == (5, 0)
        assert subject.verify() == ()

    def test_what_went_wrong_is_kept_with_the_cursor_until_it_moves_on(self, subject: Ledger) -> None:
        assert subject.delivery("webhook") == Delivery()
        with subject.transaction() as tx:
            for _ in range(5):
                tx.append(note("a"))
        subject.failed("webhook", "got no answer", "2020-01-01T00:00:10Z")
        subject.failed("webhook", "got status 503", "2020-01-01T00:01:00Z")
        assert subject.delivery("webhook") == Delivery(0, 2, "got status 503", "2020-01-01T00:01:00Z")
        assert subject.delivery("other") == Delivery()
        subject.advance("webhook", 3)
        assert subject.delivery("webhook") == Delivery(3)
        subject.failed("webhook", "got status 503", "")
        subject.advance("webhook", 3)
        assert subject.delivery("webhook") == Delivery(3, 1, "got status 503", "")
        assert subject.verify() == ()

    def test_only_a_rewind_moves_a_cursor_back_and_it_never_moves_one_on(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            for _ in range(5):
                tx.append(note("a"))
        subject.advance("webhook", 4)
        subject.failed("webhook", "got status 503", "2020-01-01T00:01:00Z")
        subject.rewind("webhook", 5)
        assert subject.delivery("webhook") == Delivery(4, 1, "got status 503", "2020-01-01T00:01:00Z")
        subject.rewind("webhook", 2)
        assert subject.delivery("webhook") == Delivery(2)
        subject.rewind("other", 2)
        assert subject.delivery("other") == Delivery()
        subject.advance("webhook", 5)
        assert subject.cursor("webhook") == 5
        assert subject.verify() == ()
