"""Tokens, salts and keys from the operating system."""

from __future__ import annotations

import secrets


class SystemEntropy:
    """Random from the operating system's source."""

    def token(self) -> str:
        """Return a bearer token of 256 random bits, recognisable by its prefix."""
        return "tg_" + secrets.token_urlsafe(32)

    def salt(self) -> str:
        """Return a salt of 128 random bits, in hex."""
        return secrets.token_hex(16)

    def key(self) -> str:
        """Return a key of 256 random bits, in hex."""
        return secrets.token_hex(32)
