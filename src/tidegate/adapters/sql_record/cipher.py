"""How a personal text is kept: encrypted under its subject's key, so that without the key no copy of it reads.

    text_keys.key   256 random bits, in hex; one key a subject, replaced whenever a text of theirs is erased
    texts.sealed    base64 of AES-256-GCM over the salt, a zero byte and the text, with its tag of 16 bytes
    nonce           the first 12 bytes of the commitment's digest: salted, so no two texts share it
    bound to        the commitment: a sealed text cannot stand in another's place

The salt is sealed with the text: a commitment whose salt is gone can no longer be tried against guesses.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def sealed(key: str, commitment: str, salt: str, text: str) -> str:
    """Return a text and its salt, encrypted for the commitment that they make."""
    plain = salt.encode() + b"\x00" + text.encode()
    return b64encode(_cipher(key).encrypt(_nonce(commitment), plain, commitment.encode())).decode()


def opened(key: object, commitment: str, kept: object) -> tuple[str, str]:
    """Return the salt and the text that were sealed for a commitment.

    Raises:
        ValueError: another key or commitment, or not what was sealed, to the letter. TypeError: no text at all.
    """
    from cryptography.exceptions import InvalidTag

    if not isinstance(key, str) or not isinstance(kept, str):
        raise TypeError("a key and a sealed text are text")
    secret = b64decode(kept, validate=True)
    if b64encode(secret).decode() != kept:
        raise ValueError("this is another spelling of what was sealed")
    try:
        plain = _cipher(key).decrypt(_nonce(commitment), secret, commitment.encode())
    except InvalidTag as error:
        raise ValueError("this key does not open this text") from error
    salt, _, text = plain.partition(b"\x00")
    return salt.decode(), text.decode()


def _cipher(key: str) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    secret = bytes.fromhex(key)
    if len(secret) != 32 or secret.hex() != key:  # noqa: PLR2004  # AES-256
        raise ValueError("a key is 64 hex digits")
    return AESGCM(secret)


def _nonce(commitment: str) -> bytes:
    return bytes.fromhex(commitment.removeprefix("sha256:"))[:12]
