from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tidegate.adapters.clocks import SimulatedClock, SystemClock
from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.adapters.git_notes import GitNotes
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.testing.contracts.small import ClockContract, EntropyContract, NotesContract, SignerContract
from tidegate.testing.fakes.small import CountingEntropy, FakeNotes, FakeSigner, FixedClock, TickingClock

MOMENT = datetime(2013, 4, 1, 6, tzinfo=UTC)


class TestSystemClock(ClockContract):
    @pytest.fixture
    def subject(self):
        return SystemClock()

    def test_it_shows_the_machines_time(self, subject):
        assert abs(subject.now() - datetime.now(UTC)) < timedelta(seconds=5)
        assert subject.kind == "system"


class TestSimulatedClock(ClockContract):
    @pytest.fixture
    def subject(self):
        return SimulatedClock(MOMENT)

    def test_it_stands_still_and_only_what_is_written_down_is_real(self, subject):
        assert subject.now() == subject.now() == MOMENT
        assert abs(subject.recorded() - datetime.now(UTC)) < timedelta(seconds=5)
        assert subject.kind == "simulated"


class TestFixedClock(ClockContract):
    @pytest.fixture
    def subject(self):
        return FixedClock()


class TestTickingClock(ClockContract):
    @pytest.fixture
    def subject(self):
        return TickingClock()

    def test_no_two_readings_are_the_same(self, subject):
        assert subject.now() < subject.now()


class TestSystemEntropy(EntropyContract):
    @pytest.fixture
    def subject(self):
        return SystemEntropy()


class TestCountingEntropy(EntropyContract):
    @pytest.fixture
    def subject(self):
        return CountingEntropy()


class TestFakeSigner(SignerContract):
    @pytest.fixture
    def subject(self):
        return FakeSigner()

    @pytest.fixture
    def stranger(self):
        return FakeSigner("stranger")


class TestEd25519Signer(SignerContract):
    @pytest.fixture
    def subject(self, tmp_path):
        return Ed25519Signer(tmp_path / "keys" / "ledger.pem")

    @pytest.fixture
    def stranger(self, tmp_path):
        return Ed25519Signer(tmp_path / "elsewhere.pem")

    def test_the_key_is_made_once_and_only_its_owner_reads_it(self, tmp_path, subject):
        file = tmp_path / "keys" / "ledger.pem"
        first = subject.public_key
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert Ed25519Signer(file).public_key == first
        assert [path.name for path in file.parent.iterdir()] == ["ledger.pem"]

    def test_a_key_from_the_environment_leaves_no_file(self, tmp_path, subject):
        assert subject.public_key
        pem = (tmp_path / "keys" / "ledger.pem").read_text()
        given = Ed25519Signer(tmp_path / "never" / "ledger.pem", pem)
        assert given.public_key == subject.public_key
        assert not (tmp_path / "never").exists()

    def test_many_at_once_make_one_key(self, tmp_path):
        file = tmp_path / "keys" / "ledger.pem"
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(lambda _: Ed25519Signer(file).public_key, range(16)))
        assert len(keys) == 1

    def test_a_damaged_key_is_said_to_be_one(self, tmp_path):
        file = tmp_path / "ledger.pem"
        file.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        with pytest.raises(DependencyFailed) as caught:
            Ed25519Signer(file).sign(b"")
        assert caught.value.code == "bad-key"
        assert "restore ledger.pem" in caught.value.hint

    def test_a_key_of_another_kind_is_refused(self, tmp_path):
        file = tmp_path / "ledger.pem"
        file.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        with pytest.raises(DependencyFailed, match="expected an Ed25519 private key"):
            Ed25519Signer(file).sign(b"")

    def test_a_key_that_cannot_be_read_is_a_sentence(self, tmp_path):
        (tmp_path / "ledger.pem").mkdir()
        with pytest.raises(DependencyFailed) as caught:
            Ed25519Signer(tmp_path / "ledger.pem").sign(b"")
        assert caught.value.code == "no-key"


class TestFakeNotes(NotesContract):
    @pytest.fixture
    def subject(self, tmp_path):
        return FakeNotes(tmp_path)

    @pytest.fixture
    def commit(self, subject):
        return subject.commit


def git(folder, *words):
    who = ("-c", "user.name=Dana", "-c", "user.email=dana@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class TestGitNotes(NotesContract):
    @pytest.fixture
    def repository(self, tmp_path):
        folder = tmp_path / "a repository"
        folder.mkdir()
        git(folder, "init", "-q")
        return folder

    @pytest.fixture
    def subject(self, repository):
        return GitNotes(repository)

    @pytest.fixture
    def commit(self, repository):
        def make():
            git(repository, "commit", "-q", "--allow-empty", "-m", "work")
            return git(repository, "rev-parse", "HEAD")

        return make

    def test_they_lie_under_a_ref_of_their_own_and_the_work_is_as_it_was(self, subject, repository, commit):
        made = commit()
        subject.append("one")
        assert git(repository, "rev-parse", "HEAD") == made
        assert git(repository, "status", "--porcelain") == ""
        assert git(repository, "notes", "--ref=tidegate", "show", made) == "one"
        assert git(repository, "log", "-1", "--format=%an <%ae>", "refs/notes/tidegate") == (
            "tidegate <tidegate@localhost>"
        ), "whoever's machine it is"

    def test_they_travel_by_push_and_are_read_from_a_bare_repository(
        self, subject, repository, commit, tmp_path
    ):
        made = commit()
        subject.append("one")
        git(tmp_path, "init", "-q", "--bare", "there")
        git(repository, "push", "-q", str(tmp_path / "there"), "HEAD:main", "refs/notes/tidegate")
        assert GitNotes(tmp_path / "there").lines() == {made: ("one",)}

    def test_a_worktree_keeps_them_where_its_repository_is(self, repository, commit, tmp_path):
        commit()
        git(repository, "worktree", "add", "-q", str(tmp_path / "beside"))
        assert GitNotes(tmp_path / "beside").place == (repository / ".git").resolve()

    def test_a_repository_named_by_the_environment_is_not_taken_for_it(
        self, subject, commit, tmp_path, monkeypatch
    ):
        commit()
        subject.append("one")
        git(tmp_path, "init", "-q", "other")
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
        assert len(subject.lines()) == 1

    def test_no_hook_of_the_repository_runs(self, subject, repository, commit, tmp_path):
        commit()
        hook = repository / ".git" / "hooks" / "reference-transaction"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
        hook.chmod(0o755)
        subject.append("one")
        assert not (tmp_path / "ran").exists()

    def test_a_folder_that_is_no_repository_is_bad_input(self, tmp_path):
        for folder in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(BadInput) as caught:
                GitNotes(folder)
            assert caught.value.code == "no-repository"

    def test_a_machine_without_git_is_a_sentence(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(DependencyFailed) as caught:
            GitNotes(tmp_path)
        assert caught.value.code == "no-git"

    def test_a_note_whose_object_is_gone_is_a_sentence(self, subject, repository, commit):
        made = commit()
        subject.append("one")
        note = git(repository, "notes", "--ref=tidegate", "list", made)
        (repository / ".git" / "objects" / note[:2] / note[2:]).unlink()
        with pytest.raises(DependencyFailed) as caught:
            subject.lines()
        assert caught.value.code == "git-failed"

    def test_a_ref_that_somebody_else_holds_is_a_sentence(self, subject, repository, commit):
        commit()
        (repository / ".git" / "refs" / "notes").mkdir()
        (repository / ".git" / "refs" / "notes" / "tidegate.lock").touch()
        with pytest.raises(DependencyFailed) as caught:
            subject.append("one")
        assert caught.value.code == "git-failed"
        assert subject.lines() == {}
