"""Ed25519 signatures (RFC 8032), by ``cryptography``."""

from __future__ import annotations

import base64
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.shared.key_files import read_or_make
from tidegate.domain.errors import BadInput, DependencyFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Ed25519Verifier:
    """Verifies signatures, by a public key that the caller holds."""

    def verify(self, data: bytes, signature: str, public_key: str) -> bool:
        """Say whether ``signature`` over ``data`` was made by the holder of ``public_key``.

        Raises:
            BadInput: ``public_key`` is no Ed25519 public key in PEM.
        """
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = serialization.load_pem_public_key(public_key.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadInput(
                "bad-key", "got a file that is no PEM, expected an Ed25519 public key", "name it"
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise BadInput(
                "bad-key", f"got a {type(key).__name__}, expected an Ed25519 public key", "name it"
            )
        try:
            key.verify(base64.b64decode(signature, validate=True), data)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Signer(Ed25519Verifier):
    """Signs with a private key kept in a file of mode 0600, made on first use, or given as PEM text."""

    def __init__(self, key_file: Path, key_pem: str | None = None) -> None:
        self._file = key_file
        self._pem = key_pem

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        pem = self._pem.encode() if self._pem else read_or_make(self._file, "signing", self._made)
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise DependencyFailed(
                "bad-key",
                "got a signing key that is no unencrypted PEM, expected an Ed25519 private key",
                f"restore {self._file.name} from its backup",
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise DependencyFailed(
                "bad-key",
                f"got a {type(key).__name__}, expected an Ed25519 private key",
                "restore the right key",
            )
        return key

    def _made(self) -> bytes:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public_key(self) -> str:
        """Return the public key as PEM text."""
        from cryptography.hazmat.primitives import serialization

        return (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def sign(self, data: bytes) -> str:
        """Return the signature of ``data`` in base64."""
        return base64.b64encode(self._key.sign(data)).decode()
