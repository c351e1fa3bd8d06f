"""The small ports without the outside: a clock to hold still or let tick, counted entropy, an HMAC signer, notes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from tidegate.domain.errors import BadInput

START = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class FixedClock:
    """Shows ``moment`` until somebody sets another; what is written down carries ``written``."""

    moment: datetime = START
    written: datetime = START
    kind: Literal["system", "simulated"] = "simulated"

    def now(self) -> datetime:
        """Return the moment."""
        return self.moment

    def recorded(self) -> datetime:
        """Return when it is written down."""
        return self.written


@dataclass
class TickingClock(FixedClock):
    """Moves on by ``step`` whenever it is read, so that no two readings are the same."""

    step: timedelta = timedelta(seconds=1)

    def now(self) -> datetime:
        """Return the moment, and move on."""
        self.moment += self.step
        return self.moment - self.step

    def recorded(self) -> datetime:
        """Return when it is written down, and move on."""
        self.written += self.step
        return self.written - self.step


@dataclass
class CountingEntropy:
    """Tokens, salts and keys by count: never twice the same, and the same in every run. Secret from nobody."""

    count: int = 0

    def token(self) -> str:
        """Return the next token."""
        self.count += 1
        return f"tg_{hashlib.sha256(f'token {self.count}'.encode()).hexdigest()}"

    def salt(self) -> str:
        """Return the next salt."""
        self.count += 1
        return hashlib.sha256(f"salt {self.count}".encode()).hexdigest()[:32]

    def key(self) -> str:
        """Return the next key."""
        self.count += 1
        return hashlib.sha256(f"key {self.count}".encode()).hexdigest()


@dataclass(frozen=True)
class FakeSigner:
    """Signs by HMAC with a key that its "public key" gives away: good for stories, worth nothing else."""

    name: str = "fake"
    _head: str = field(default="-----BEGIN PUBLIC KEY-----", init=False)
    _foot: str = field(default="-----END PUBLIC KEY-----", init=False)

    @property
    def public_key(self) -> str:
        """Return the key, dressed as PEM."""
        secret = base64.b64encode(hashlib.sha256(self.name.encode()).digest()).decode()
        return f"{self._head}\n{secret}\n{self._foot}\n"

    def sign(self, data: bytes) -> str:
        """Return the signature of ``data`` in base64."""
        return base64.b64encode(self._mac(self.public_key, data)).decode()

    def verify(self, data: bytes, signature: str, public_key: str) -> bool:
        """Say whether ``signature`` over ``data`` was made with ``public_key``.

        Raises:
            BadInput: ``public_key`` is none of ours.
        """
        lines = public_key.strip().splitlines()
        if (lines[:1], lines[-1:]) != ([self._head], [self._foot]):
            raise BadInput("bad-key", "got a file that is no PEM, expected a public key", "name the key file")
        try:
            given = base64.b64decode(signature, validate=True)
        except ValueError:
            return False
        return hmac.compare_digest(given, self._mac(public_key, data))

    @staticmethod
    def _mac(key: str, data: bytes) -> bytes:
        return hmac.digest(key.strip().encode(), data, "sha512")


class FakeNotes:
    """Notes beside commits that a test makes with ``commit``."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._commits: list[str] = []
        self._lines: dict[str, tuple[str, ...]] = {}

    def commit(self) -> str:
        """Make a commit."""
        self._commits.append(
            hashlib.sha1(f"{len(self._commits)}".encode(), usedforsecurity=False).hexdigest()
        )
        return self._commits[-1]

    def append(self, line: str) -> str:
        """Add a line to the note of the newest commit, and return that commit."""
        if not self._commits:
            raise BadInput("no-commit", "got a repository without a commit, expected one", "commit first")
        newest = self._commits[-1]
        self._lines[newest] = (*self._lines.get(newest, ()), line)
        return newest

    def lines(self) -> Mapping[str, tuple[str, ...]]:
        """Return the lines noted, by commit."""
        return dict(self._lines)
