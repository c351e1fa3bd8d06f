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
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.masking import TOKEN, Mask, Treatment, generalised, hashed_already, keyed_hash, plain

if TYPE_CHECKING:
    import pyarrow as pa

_BYTES = 32


class MaskingKey:
    """The key of hashes and tokens: 64 hex digits in a file of mode 0600, made on first use, or given as text.

    ``mark`` is a file beside what was masked, which says by a fingerprint with which key that was: hashes of another
    one would join with none of it, and nobody would notice.
    """

    def __init__(self, file: Path, given: str | None = None, mark: Path | None = None) -> None:
        self._file, self._given, self._mark = file, given, mark

    @cached_property
    def _key(self) -> bytes:
        if self._mark is not None and self._mark.exists() and not self._given and not self._file.exists():
            raise self._another(self._mark)  # and no new one is made, where a backup will be put
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
        if self._mark is not None:
            own = keyed_hash(key, "fingerprint").encode()
            if read_or_make(self._mark, "masking", lambda: own) != own:
                raise self._another(self._mark)
        return key

    def _another(self, mark: Path) -> DependencyFailed:
        return DependencyFailed(
            "another-key",
            "got another masking key than earlier batches were masked with, expected that one: no hash or token "
            "would be equal to theirs",
            f"restore {self._file.name} from its backup, or set TIDEGATE_MASKING_KEY; if another key is meant from now "
            f"on, remove {mark.parent.name}/{mark.name}",
        )

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
        if (text := self._behind(token)) is None:
            raise DependencyFailed(
                "bad-token", "got a token that this key did not make, expected one of its own", "name its key"
            )
        return text

    def made(self, text: str) -> bool:
        """Say whether a text is a token of this key."""
        return text.startswith(TOKEN) and self._behind(text) is not None

    def _behind(self, token: str) -> str | None:
        from cryptography.exceptions import InvalidTag

        try:
            sealed = base64.urlsafe_b64decode(token.removeprefix(TOKEN).encode())
            return str(self._siv().decrypt(sealed, None), "utf-8")
        except (InvalidTag, ValueError):
            return None

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
    columns = {}
    for column in contract.columns:
        values, treatment = table.column(column.name), delivered[column.name].treatment
        columns[column.name] = values if treatment is None else _each(values, column, _by(treatment, key))
    return pa.table(columns)


def masked_again(table: pa.Table, contract: Contract, key: MaskingKey) -> pa.Table:
    """Return rows that somebody mended as the contract keeps them: what they typed into a treated column is treated.

    What was masked already stays as it is.

    Raises:
        BadInput: what was typed is no value of the column's type.
    """
    delivered = {column.name: column for column in contract.delivered}
    for place, column in enumerate(contract.columns):
        came = delivered[column.name]
        if came.treatment is not None:
            by = partial(_again, column=came, treatment=came.treatment, key=key)
            table = table.set_column(place, column.name, _each(table.column(place), column, by))
    return table


def _by(treatment: Treatment, key: MaskingKey) -> Callable[[object], object]:
    ways: Mapping[Mask, Callable[[object], object]] = {
        Mask.HASH: key.hashed,
        Mask.TOKEN: key.token,
        Mask.GENERALISE: partial(generalised, to=treatment.to),
    }
    return ways[treatment.mask]


def _each(values: pa.ChunkedArray, kept: Column, by: Callable[[object], object]) -> pa.Array:
    """Return what becomes of the values, each distinct one asked once.

    Raises:
        BadInput: the lower bound of a number's band is none that its type holds.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(values.combine_chunks())
    try:
        treated = pa.array([by(value) for value in coded.dictionary.to_pylist()], arrow_type(kept.type))
    except (OverflowError, pa.ArrowInvalid):  # whose texts quote the value
        treated = None
    if treated is None:
        raise BadInput(
            "mistyped-column",
            f"got a value in `{kept.name}` whose band begins below every {kept.type}, expected a larger one",
            "have the drop corrected, or change the band in the contract",
            column=kept.name,
        )
    return treated.take(coded.indices)


def _again(value: object, column: Column, treatment: Treatment, key: MaskingKey) -> object:
    import pyarrow as pa

    if treatment.mask is Mask.GENERALISE:
        return generalised(value, treatment.to)
    text = str(value)
    if hashed_already(text) if treatment.mask is Mask.HASH else key.made(text):
        return text
    try:
        typed = pa.scalar(text).cast(arrow_type(column.type)).as_py()
    except pa.ArrowException:
        typed = None
    if typed is None:
        raise BadInput(
            "mistyped-column",
            f"got a value in `{column.name}` that is neither masked nor of type {column.type}, expected one of both",
            "leave it as it was exported, or write the value: it is masked before it is kept",
            column=column.name,
        )
    return _by(treatment, key)(typed)


def _made() -> bytes:
    return secrets.token_hex(_BYTES).encode()
