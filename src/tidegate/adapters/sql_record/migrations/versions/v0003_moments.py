"""When a monitor and a scheduled run were recorded: what was, on a clock ahead of a later one, is told by it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = ("monitor_runs", "runs")


def upgrade() -> None:
    """Add the moment of the event that wrote each row, as it stands on the chain."""
    events = sa.table("events", sa.column("sequence"), sa.column("occurred_at"))
    for name in TABLES:
        op.add_column(name, sa.Column("occurred_at", sa.Text, nullable=True))
        table = sa.table(name, sa.column("sequence"), sa.column("occurred_at"))
        moment = sa.select(events.c.occurred_at).where(events.c.sequence == table.c.sequence)
        op.execute(sa.update(table).values(occurred_at=moment.scalar_subquery()))
        with op.batch_alter_table(name) as altered:
            altered.alter_column("occurred_at", existing_type=sa.Text(), nullable=False)
