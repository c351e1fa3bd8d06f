"""Classified columns treated on Arrow, each distinct value once, before anything else sees them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.arrow_batches.delimited import arrow_type
from tidegate.adapters.shared.key_files import read_or_make
from tidegate.domain.contract import Column, Contract
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.masking import TOKEN, Mask, generalised, keyed_hash, plain

if TYPE_CHECKING:
    import pyarrow as pa

_BYTES = 32


class MaskingKey:
    """The key of hashes and tokens: 64 hex digits in a file of mode 0600, made on first use, or given as text."""

    def __init__(self, file: Path, given: str | None = None) -> None:
        self._file, self._given = file, given

    @cached_property
    def _key(self) -> bytes:
        text = self._given or read_or_make(self._file, "masking", _made).decode(errors="replace")
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != _BYTES:
            raise DependencyFailed(
                "bad-key",
                f"got a masking key that is not {2 * _BYTES} hex digits, expected the one that earlier batches were "
                "masked with",
                f"restore {self._file.name} from its backup, or set TIDEGATE_MASKING_KEY",
            )
        return key

    def hashed(self, value: object) -> str:
        """Return a value's keyed hash."""
        return keyed_hash(self._derived("hash"), value)

    def token(self, value: object) -> str:
        """Return a value's token, which is the same each time and which `value` turns back."""
        return TOKEN + base64.urlsafe_b64encode(self._siv().encrypt(plain(value).encode(), None)).decode()

    def mark(self, text: str) -> str:
        """Return a keyed hash that says who was erased, by a key of its own."""
        return keyed_hash(self._derived("erasure"), text)

    def value(self, token: str) -> str:
        """Return the text behind a token.

        Raises:
            DependencyFailed: this key did not make it.
        """
        from cryptography.exceptions import InvalidTag

        try:
            sealed = base64.urlsafe_b64decode(token.removeprefix(TOKEN).encode())
            return str(self._siv().decrypt(sealed, None), "utf-8")
        except (InvalidTag, ValueError) as error:
            raise DependencyFailed(
                "bad-token", "got a token that this key did not make, expected one of its own", "name its key"
            ) from error

    def _siv(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(self._derived("token"))

    def _derived(self, purpose: str) -> bytes:
        """Return the key of one purpose (HKDF, RFC 5869): no hash says anything of a token."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = f"tidegate masking {purpose}".encode()
        return HKDF(SHA256(), 2 * _BYTES if purpose == "token" else _BYTES, None, info).derive(self._key)


def masked(table: pa.Table, contract: Contract, key: MaskingKey) -> pa.Table:
    """Return a table of the delivered columns as the contract keeps them."""
    import pyarrow as pa

    delivered = {column.name: column for column in contract.delivered}
    columns = {
        column.name: _treated(table.column(column.name), delivered[column.name], column, key)
        for column in contract.columns
    }
    return pa.table(columns)


def _treated(
    values: pa.ChunkedArray, column: Column, kept: Column, key: MaskingKey
) -> pa.Array | pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if (treatment := column.treatment) is None:
        return values
    by: Mapping[Mask, Callable[[object], object]] = {
        Mask.HASH: key.hashed,
        Mask.TOKEN: key.token,
        Mask.GENERALISE: partial(generalised, to=treatment.to),
    }
    coded = pc.dictionary_encode(values.combine_chunks())
    distinct = map(by[treatment.mask], coded.dictionary.to_pylist())
    treated = pa.array(list(distinct), arrow_type(kept.type))
    return treated.take(coded.indices)


def _made() -> bytes:
    return secrets.token_hex(_BYTES).encode()
