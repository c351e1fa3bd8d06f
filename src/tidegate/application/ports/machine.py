"""Time, chance and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol


class Clock(Protocol):
    """The one clock. A simulated clock stands still until it is set."""

    @property
    def kind(self) -> Literal["system", "simulated"]: ...

    def now(self) -> datetime:
        """Return the time things happen at (may be simulated)."""
        ...

    def recorded(self) -> datetime:
        """Return the time they are written down (never simulated)."""
        ...


class Entropy(Protocol):
    """The one source of secrets: tokens and salts. Everything else is named by content or by count."""

    def token(self) -> str:
        """Return a new bearer token of at least 256 random bits."""
        ...

    def salt(self) -> str:
        """Return a new salt of at least 128 random bits, in hex."""
        ...


class Verifier(Protocol):
    """Verifies Ed25519 signatures; needs no key of its own."""

    def verify(self, data: bytes, signature: str, public_key: str) -> bool:
        """Say whether ``signature`` over ``data`` was made by the holder of ``public_key``.

        Raises:
            BadInput: ``public_key`` is no Ed25519 public key in PEM.
        """
        ...


class Signer(Verifier, Protocol):
    """Signs and verifies with Ed25519."""

    @property
    def public_key(self) -> str:
        """Return the public key as PEM text."""
        ...

    def sign(self, data: bytes) -> str:
        """Return the signature of ``data`` in base64."""
        ...
