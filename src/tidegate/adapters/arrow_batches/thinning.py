"""Batches and held-back rows without a subject's: which rows are theirs, and what is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.arrow_batches.masks import MaskingKey
from tidegate.application.ports import Whose
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.masking import Mask, plain

if TYPE_CHECKING:
    import pyarrow as pa

_MOST = 500  # characters of a name


def whose(contract: Contract, name: str, key: MaskingKey) -> Whose:
    """Return how a subject is written in a dataset; ``name`` is as a drop has it, and is not repeated.

    Raises:
        BadInput: no column names a subject, or this cannot stand in it.
    """
    if not contract.subject:
        raise BadInput(
            "no-subject",
            f"got {contract.dataset}, whose contract names no subject, expected a column with it",
            "mark it in the contract: customProperties: [{property: subject, value: true}]",
        )
    columns = {column.name: column for column in contract.delivered or contract.columns}
    column = columns[contract.subject]
    if not name.strip() or len(name) > _MOST or not name.isprintable():
        raise _cannot_stand(contract, column.type)
    value: object = name
    if column.type == "integer":
        try:
            value = int(name)
        except ValueError:
            raise _cannot_stand(contract, column.type) from None
    told = {Mask.HASH: key.hashed, Mask.TOKEN: key.token}
    treated = told[column.treatment.mask](value) if column.treatment else plain(value)
    texts = tuple(
        dict.fromkeys((treated, plain(value)))
    )  # batches from before it was treated have it as it came
    return Whose(contract.subject, texts, anywhere=column.type == "string")


def _cannot_stand(contract: Contract, kind: str) -> BadInput:
    return BadInput(
        "bad-subject",
        f"got a subject that cannot stand in `{contract.subject}` of {contract.dataset}, expected one of type {kind}",
        "name it as a drop does",
    )


def theirs(table: pa.Table, who: Whose | None) -> pa.Array | pa.ChunkedArray:
    """Return for each row whether it is a subject's; with nobody named each row is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if who is None or who.column not in table.column_names:
        return pa.array([who is None] * table.num_rows, pa.bool_())
    return pc.is_in(table.column(who.column).cast(pa.string()), value_set=pa.array(who.texts, pa.string()))


def spared(
    table: pa.Table, contract: Contract, marks: Collection[str], mark: Callable[[str], str]
) -> pa.Table:
    """Return a table without the rows of subjects that have one of these marks; each distinct one is asked once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = table.column(contract.subject).cast(pa.string())
    gone = [each for each in texts.unique().to_pylist() if each is not None and mark(each) in marks]
    return table.filter(pc.invert(pc.is_in(texts, value_set=pa.array(gone, pa.string())))) if gone else table


def lines_left(path: Path, who: Whose | None) -> Iterator[bytes]:
    """Yield the lines of a file of held-back rows that are not a subject's."""
    with path.open("rb") as file:
        for line in file:
            body = line.removesuffix(b"\n")
            value = json.loads(body)["values"].get(who.column) if who else None
            if who is not None and (value is None or plain(value) not in who.texts):
                yield body
