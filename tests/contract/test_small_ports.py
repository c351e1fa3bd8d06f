from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tidegate.adapters.clocks import SimulatedClock, SystemClock
from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.domain.errors import DependencyFailed
from tidegate.testing.contracts.small import ClockContract, EntropyContract, SignerContract
from tidegate.testing.fakes.small import CountingEntropy, FakeSigner, FixedClock, TickingClock

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
