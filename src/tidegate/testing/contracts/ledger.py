"""What everybody may expect of `ports.Ledger`; what it keeps beside the chain is in `beside_the_chain`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event as Signal

import pytest

from tidegate.application.ports import Clock, Ledger
from tidegate.domain.canonical import NO_DIGEST, canonical, sha256
from tidegate.domain.errors import DependencyFailed, Refused
from tidegate.domain.events import Draft, EventType, Head
from tidegate.domain.fold import fingerprint, replay
from tidegate.domain.policy import Stage
from tidegate.domain.state import (
    ROWS,
    ActorRow,
    CredentialRow,
    PolicyRow,
    PromotionRow,
    TrainingSetRow,
    VersionRow,
)
from tidegate.testing.contracts.beside_the_chain import BesideTheChain
from tidegate.testing.drafts import actor, note
from tidegate.testing.fakes.small import FixedClock, TickingClock
from tidegate.testing.stories import Story, whole_story

#: Another ledger on the same contents, as another process would open it, given a clock and how many seconds
#: it waits for the write lock.
Opener = Callable[[Clock, float], Ledger]


class LedgerContract(BesideTheChain):
    """Subclass it, give it an ``opener`` of empty contents, and it runs."""

    @pytest.fixture
    def opener(self) -> Opener:
        raise NotImplementedError

    @pytest.fixture
    def subject(self, opener: Opener) -> Ledger:
        return opener(TickingClock(), 30.0)

    # ── the chain ─────────────────────────────────────────────────────────────────────────────────

    def test_an_empty_ledger_is_sound(self, subject: Ledger) -> None:
        assert list(subject.events()) == []
        assert subject.state().select(ActorRow) == ()
        assert subject.verify() == ()

    def test_events_follow_each_other_without_a_gap(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            first, second = tx.append(note("a")), tx.append(note("b"))
        with subject.transaction() as tx:
            third = tx.append(note("a"))
        assert [event.sequence for event in (first, second, third)] == [1, 2, 3]
        assert [event.previous for event in (first, second, third)] == [NO_DIGEST, first.hash, second.hash]
        assert [event.stream_sequence for event in (first, second, third)] == [1, 1, 2]

    def test_what_is_hashed_is_what_is_read_back(self, subject: Ledger) -> None:
        whole_story(subject)
        for event in subject.events():
            assert event.hash == sha256(event.body.encode())
        with subject.transaction() as tx:
            appended = tx.append(note("a"))
        assert list(subject.events())[-1] == appended

    def test_events_can_be_read_from_anywhere_and_by_stream(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            for stream in "abab":
                tx.append(note(stream))
        assert [event.sequence for event in subject.events(after=2)] == [3, 4]
        assert [event.sequence for event in subject.events(stream="b")] == [2, 4]
        assert [event.sequence for event in subject.events(after=2, stream="a")] == [3]
        assert list(subject.events(after=4)) == list(subject.events(stream="c")) == []

    def test_an_event_says_when_it_happened_and_when_it_was_written(self, opener: Opener) -> None:
        clock = FixedClock(moment=TickingClock().now().replace(year=1999))
        with opener(clock, 30.0).transaction() as tx:
            event = tx.append(note("a"))
        assert event.occurred_at == "1999-01-01T00:00:00Z"
        assert event.recorded_at == "2020-01-01T00:00:00Z"
        assert event.clock == "simulated"

    def test_an_event_names_the_policy_in_force_before_it(self, subject: Ledger) -> None:
        story = Story(subject).opened()
        assert story.last.policy is None
        first = subject.state().select(PolicyRow, in_force=True)[0].digest
        assert story.with_policy("2").last.policy == first
        assert (
            story.refused().last.policy == subject.state().select(PolicyRow, in_force=True)[0].digest != first
        )

    def test_it_knows_after_which_events_all_occurred_earlier(self, opener: Opener) -> None:
        clock = FixedClock()
        subject, noon = opener(clock, 30.0), clock.moment
        assert subject.state().marks() == ()
        for hours, marks in (
            (0, [1]),
            (9, [2]),
            (1, [2, 3]),
            (1, [2, 4]),
            (5, [2, 5]),
            (2, [2, 5, 6]),
            (9, [7]),
        ):
            clock.moment = noon + timedelta(hours=hours)
            with subject.transaction() as tx:
                event = tx.append(note("a"))
                inside = tx.marks()
            assert [sequence for sequence, _ in inside] == marks
            assert inside[-1] == (event.sequence, event.occurred_at)
            assert subject.state().marks() == inside

    def test_an_event_that_starts_a_story_is_its_own_correlation(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            first = tx.append(note("a"))
            second = tx.append(Draft(EventType.ACTION_REFUSED, "b", "p-1", {}, correlation=first.correlation))
        assert (first.correlation, second.correlation) == ("a#1", "a#1")

    def test_what_has_no_canonical_form_is_not_written(self, subject: Ledger) -> None:
        bad = Draft(EventType.ACTION_REFUSED, "a", "p-1", {"share": float("nan")})
        with pytest.raises(Exception, match="no canonical JSON form"), subject.transaction() as tx:
            tx.append(bad)
        assert list(subject.events()) == []

    def test_payloads_are_canonical(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            event = tx.append(Draft(EventType.ACTION_REFUSED, "a", "p-1", {"b": 1.0, "a": ["é", None, True]}))
        assert '"payload":{"a":["é",null,true],"b":1}' in event.body
        assert canonical(event.payload).decode() in event.body

    def test_the_head_is_where_the_chain_ends(self, subject: Ledger) -> None:
        assert subject.head() == Head()
        with subject.transaction() as tx:
            tx.append(note("a"))
            last = tx.append(note("b"))
            assert subject.head() == Head(), "not before it is committed"
        assert subject.head() == Head(2, last.hash)

    # ── one unit of work ──────────────────────────────────────────────────────────────────────────

    def test_state_follows_at_once_inside_and_outside_after_the_commit(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            tx.append(actor())
            assert tx.get(ActorRow, "p-1") is not None
            assert subject.state().get(ActorRow, "p-1") is None
            assert list(subject.events()) == []
        assert subject.state().get(ActorRow, "p-1") == ActorRow("p-1", "person", "p-1", ("approver",), 1)

    def test_an_exception_undoes_events_state_and_texts(self, subject: Ledger) -> None:
        kept: list[str] = []

        def fail_after_two() -> None:
            with subject.transaction() as tx:
                kept.append(tx.append(actor("1")).payload["texts"]["name"])
                tx.append(actor("2"))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail_after_two()
        assert list(subject.events()) == []
        assert subject.state().select(ActorRow) == ()
        assert subject.text(kept[0]) is None
        assert subject.verify() == ()
        with subject.transaction() as tx:
            assert tx.append(actor("1")).sequence == 1

    def test_half_an_append_is_never_committed_even_where_its_error_is_swallowed(
        self, subject: Ledger
    ) -> None:
        lost = Draft(EventType.ROLES_CHANGED, "actors", "p-1", {"id": "nobody", "roles": ["approver"]})

        def swallow() -> None:
            with subject.transaction() as tx:
                tx.append(actor())
                try:
                    tx.append(lost)
                except LookupError:
                    return

        with pytest.raises(RuntimeError, match="nothing is committed"):
            swallow()
        assert list(subject.events()) == []
        assert subject.verify() == ()

    def test_a_key_is_used_once_and_finds_its_event(self, subject: Ledger) -> None:
        with subject.transaction() as tx:
            assert tx.recorded("k") is None
            first = tx.append(note("a", key="k"))
            assert tx.recorded("k") == first
        with subject.transaction() as tx:
            assert tx.recorded("k") == first
        with pytest.raises(DependencyFailed) as caught, subject.transaction() as tx:
            tx.append(note("b", key="k"))
        assert caught.value.code == "ledger-unusable"
        assert list(subject.events()) == [first]

    def test_another_kind_of_clock_is_refused(self, subject: Ledger, opener: Opener) -> None:
        with subject.transaction() as tx:
            tx.append(note("a"))
        other = opener(FixedClock(kind="system"), 30.0)
        with pytest.raises(Refused) as caught, other.transaction() as tx:
            tx.append(note("a"))
        assert caught.value.code == "clock-kind"
        assert "expected the simulated one" in caught.value.sentence
        assert len(list(other.events())) == 1

    def test_a_second_writer_waits_and_then_says_that_it_is_locked(
        self, subject: Ledger, opener: Opener
    ) -> None:
        impatient = opener(TickingClock(), 0.2)
        with (
            subject.transaction(),
            pytest.raises(DependencyFailed) as caught,
            impatient.transaction() as tx,
        ):
            tx.append(note("a"))
        assert caught.value.code == "ledger-locked"
        with impatient.transaction() as tx:
            assert tx.append(note("a")).sequence == 1

    def test_a_second_writer_goes_on_behind_the_first(self, subject: Ledger) -> None:
        inside = Signal()

        def second() -> int:
            inside.wait()
            with subject.transaction() as tx:
                return tx.append(note("b")).sequence

        with ThreadPoolExecutor(1) as pool:
            with subject.transaction() as tx:
                waiting = pool.submit(second)
                inside.set()
                tx.append(note("a"))
                tx.append(note("a"))
            assert waiting.result(timeout=30) == 3
        assert subject.verify() == ()

    # ── state ─────────────────────────────────────────────────────────────────────────────────────

    def test_state_is_the_fold_of_the_events(self, subject: Ledger) -> None:
        whole_story(subject)
        folded = replay(subject.events())
        for kind in ROWS:
            rows = subject.state().select(kind)
            assert rows, f"the story writes no {kind.TABLE}"
            assert {row.key: row for row in rows} == folded.tables[kind.TABLE]
        assert subject.verify() == ()

    def test_the_same_story_has_the_same_fingerprint(self, subject: Ledger, opener: Opener) -> None:
        whole_story(subject)
        again = opener(TickingClock(), 30.0)
        assert fingerprint(replay(subject.events())) == fingerprint(replay(again.events()))

    def test_rows_come_in_the_order_of_their_keys_whatever_the_database_thinks_of_it(
        self, subject: Ledger
    ) -> None:
        ids = ["p-10", "p-2", "p_1", "pA", "pa", "p", "é", "z", "Z"]
        with subject.transaction() as tx:
            for name in ids:
                added = {"id": name, "kind": "person", "subject": name, "roles": ["approver"]}
                tx.append(Draft(EventType.ACTOR_ADDED, "actors", "p-1", added))
        assert [row.id for row in subject.state().select(ActorRow)] == sorted(ids)

    def test_rows_are_found_by_any_value(self, subject: Ledger) -> None:
        whole_story(subject)
        state = subject.state()
        assert [row.number for row in state.select(VersionRow, model="tides", stage=Stage.PROD)] == [1]
        assert [row.id for row in state.select(CredentialRow, revoked=True)] == ["c-p-5"]
        assert [row.id for row in state.select(ActorRow, roles=("reviewer", "approver"))] == ["p-4"]
        assert [row.id for row in state.select(PromotionRow, version=2, status="open")] == ["tides-P14"]
        (rows,) = state.select(TrainingSetRow, digest=state.select(TrainingSetRow)[0].digest)
        assert state.select(TrainingSetRow, windows=rows.windows, batches=rows.batches)
        assert state.select(VersionRow, model="nothing") == ()

    def test_a_row_is_got_by_its_whole_key(self, subject: Ledger) -> None:
        whole_story(subject)
        found = subject.state().get(VersionRow, "tides", 2)
        assert found is not None
        assert (found.model, found.number) == ("tides", 2)
        assert subject.state().get(VersionRow, "tides", 9) is None

    def test_never_two_versions_in_prod(self, subject: Ledger) -> None:
        Story(subject).opened().with_version().in_prod(1).with_version()
        skip = {"model": "tides", "moves": [{"version": 2, "from": "candidate", "to": "prod"}]}
        before = len(list(subject.events()))
        with pytest.raises(DependencyFailed) as caught, subject.transaction() as tx:
            tx.append(Draft(EventType.MODEL_ROLLED_BACK, "model/tides", "p-5", skip))
        assert caught.value.code == "ledger-unusable"
        assert len(list(subject.events())) == before
        assert [row.number for row in subject.state().select(VersionRow, stage="prod")] == [1]
