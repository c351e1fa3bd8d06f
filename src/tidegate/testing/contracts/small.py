"""What everybody may expect of `ports.Clock`, `ports.Entropy`, `ports.Signer` and `ports.Notes`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest

from tidegate.application.ports import Clock, Entropy, Notes, Signer
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.errors import BadInput


class ClockContract:
    """Subclass it, give it a ``subject``, and it runs."""

    @pytest.fixture
    def subject(self) -> Clock:
        raise NotImplementedError

    def test_both_times_carry_their_zone(self, subject: Clock) -> None:
        for moment in (subject.now(), subject.recorded()):
            assert moment.utcoffset() == timedelta(0)
            assert utc_time(utc_text(moment)) == moment

    def test_its_kind_is_one_of_two(self, subject: Clock) -> None:
        assert subject.kind in {"system", "simulated"}

    def test_time_never_runs_backwards(self, subject: Clock) -> None:
        first, second = subject.now(), subject.now()
        assert first <= second
        first, second = subject.recorded(), subject.recorded()
        assert first <= second


class EntropyContract:
    """Subclass it, give it a ``subject``, and it runs."""

    @pytest.fixture
    def subject(self) -> Entropy:
        raise NotImplementedError

    def test_tokens_are_long_plain_and_never_twice_the_same(self, subject: Entropy) -> None:
        tokens = [subject.token() for _ in range(1000)]
        assert len(set(tokens)) == 1000
        for token in tokens:
            assert token.startswith("tg_")
            assert len(token) >= 43, "256 bits are 43 characters of base64"
            assert token.isascii()
            assert token.isprintable()
            assert " " not in token

    def test_salts_are_hex_of_128_bits_and_never_twice_the_same(self, subject: Entropy) -> None:
        salts = [subject.salt() for _ in range(1000)]
        assert len(set(salts)) == 1000
        for salt in salts:
            assert len(bytes.fromhex(salt)) >= 16
            assert salt == salt.lower()

    def test_keys_are_hex_of_256_bits_and_never_twice_the_same(self, subject: Entropy) -> None:
        keys = [subject.key() for _ in range(1000)]
        assert len(set(keys)) == 1000
        for key in keys:
            assert len(bytes.fromhex(key)) == 32
            assert key == key.lower()


class SignerContract:
    """Subclass it, give it a ``subject`` and a ``stranger``, and it runs."""

    @pytest.fixture
    def subject(self) -> Signer:
        raise NotImplementedError

    @pytest.fixture
    def stranger(self) -> Signer:
        raise NotImplementedError

    def test_what_it_signs_verifies_with_its_public_key(self, subject: Signer, stranger: Signer) -> None:
        signature = subject.sign(b"the head")
        assert len(base64.b64decode(signature, validate=True)) == 64
        assert subject.verify(b"the head", signature, subject.public_key)
        assert stranger.verify(b"the head", signature, subject.public_key), "any verifier can tell"

    def test_other_bytes_another_key_or_another_signature_do_not_verify(
        self, subject: Signer, stranger: Signer
    ) -> None:
        signature = subject.sign(b"the head")
        assert not subject.verify(b"the heaD", signature, subject.public_key)
        assert not subject.verify(b"the head", signature, stranger.public_key)
        assert not subject.verify(b"the head", stranger.sign(b"the head"), subject.public_key)

    @pytest.mark.parametrize("signature", ["", "not base64!", "c2hvcnQ=", "é"])
    def test_what_is_no_signature_does_not_verify(self, subject: Signer, signature: str) -> None:
        assert not subject.verify(b"the head", signature, subject.public_key)

    @pytest.mark.parametrize(
        "key", ["", "a password", "-----BEGIN NOTHING-----\nAA==\n-----END NOTHING-----"]
    )
    def test_what_is_no_key_is_bad_input(self, subject: Signer, key: str) -> None:
        with pytest.raises(BadInput) as caught:
            subject.verify(b"the head", subject.sign(b"the head"), key)
        assert caught.value.code == "bad-key"

    def test_its_public_key_is_text_that_stays(self, subject: Signer) -> None:
        assert subject.public_key == subject.public_key
        assert subject.public_key.startswith("-----BEGIN PUBLIC KEY-----")
        assert "PRIVATE" not in subject.public_key


class NotesContract:
    """Subclass it, give it a ``subject`` without a commit, and what makes a ``commit``, and it runs."""

    @pytest.fixture
    def subject(self) -> Notes:
        raise NotImplementedError

    @pytest.fixture
    def commit(self, subject: Notes) -> Callable[[], str]:
        raise NotImplementedError

    def test_where_nobody_noted_anything_there_is_nothing(
        self, subject: Notes, commit: Callable[[], str]
    ) -> None:
        assert subject.lines() == {}
        commit()
        assert subject.lines() == {}

    def test_without_a_commit_there_is_nothing_to_note_on(self, subject: Notes) -> None:
        with pytest.raises(BadInput) as caught:
            subject.append("one")
        assert caught.value.code == "no-commit"
        assert subject.lines() == {}

    def test_lines_are_noted_on_the_newest_commit_and_stay_on_the_older(
        self, subject: Notes, commit: Callable[[], str]
    ) -> None:
        first = commit()
        assert [subject.append(line) for line in ('{"a":1}', "-F é 🌊")] == [first, first]
        second = commit()
        assert subject.append("three") == second
        assert subject.lines() == {first: ('{"a":1}', "-F é 🌊"), second: ("three",)}

    def test_they_are_kept_in_a_folder(self, subject: Notes) -> None:
        assert subject.place.is_dir()
        assert subject.place.is_absolute()
