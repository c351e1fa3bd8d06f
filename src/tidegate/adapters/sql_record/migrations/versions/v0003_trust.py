"""Delegation, conditions, terms, policy changes, incidents and erasures.

What older events do not say is filled as their upcasters say it.
"""

import sqlalchemy as sa
from alembic import op

from tidegate.adapters.sql_record.migrations.gaining import gain

revision = "0003"
down_revision = "0002"

#: Columns that older rows gain: (table, column, type, what older events mean by saying nothing).
GAINED = (
    ("versions", "conditions", sa.Text, "{}"),
    ("versions", "certified_until", sa.Text, ""),
    ("packets", "envelope", sa.Text, "{}"),
    ("promotions", "kind", sa.Text, "regular"),
    ("promotions", "due_at", sa.Text, ""),
    ("promotions", "chased", sa.Text, ""),
    ("promotions", "escalated_to", sa.Text, ""),
    ("approvals", "for_whom", sa.Text, ""),
    ("approvals", "conditions", sa.Text, "{}"),
    ("approvals", "revoked", sa.Boolean, False),
    ("reviews", "kind", sa.Text, "finding"),
    ("cursors", "failures", sa.BigInteger, 0),
    ("cursors", "error", sa.Text, ""),
    ("cursors", "retry_at", sa.Text, ""),
)

#: Tables that are new: their key's columns, then the others.
MADE = {
    "policy_proposals": (("id",), ("digest", "name", "version", "body", "base", "proposer", "status")),
    "policy_decisions": (("proposal", "actor"), ("role", "outcome")),
    "delegations": (("id",), ("principal", "delegate", "role", "model", "until", "ended")),
    "incidents": (("id",), ("model", "kind", "facts", "occurred_at")),
    "erasures": (("commitment",), ("cause",)),
}
_FLAGS = {"ended"}


def upgrade() -> None:
    """Add what trusted promotion needs."""
    gain(GAINED)
    for table, (keys, others) in MADE.items():
        op.create_table(
            table,
            *(
                sa.Column(name, sa.Text, nullable=False, primary_key=True, autoincrement=False)
                for name in keys
            ),
            *(sa.Column(name, sa.Boolean if name in _FLAGS else sa.Text, nullable=False) for name in others),
            sa.Column("sequence", sa.BigInteger, nullable=False),
        )
