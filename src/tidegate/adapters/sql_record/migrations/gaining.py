"""How a migration gives older rows a column that they never had."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op


def gain(columns: Sequence[tuple[str, str, type[sa.types.TypeEngine[Any]], object]]) -> None:
    """Add each (table, column, type, value), fill older rows with the value, and let it be null no more."""
    for table in dict.fromkeys(table for table, *_ in columns):
        gained = [(name, kind, value) for owner, name, kind, value in columns if owner == table]
        for name, kind, value in gained:
            op.add_column(table, sa.Column(name, kind, nullable=True))
            op.execute(sa.update(sa.table(table, sa.column(name, kind))).values({name: value}))
        with op.batch_alter_table(table) as altered:
            for name, kind, _ in gained:
                altered.alter_column(name, existing_type=kind(), nullable=False)
