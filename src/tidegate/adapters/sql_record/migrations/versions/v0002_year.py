"""Restatements, canaries, scheduled runs and what was done about reviews.

What older events do not say is filled as their upcasters say it.
"""

import json

import rfc8785
import sqlalchemy as sa
from alembic import op

from tidegate.adapters.sql_record.migrations.gaining import gain

revision = "0002"
down_revision = "0001"

#: Columns that older rows gain: (table, column, type, what older events mean by saying nothing).
GAINED = (
    ("batches", "revision", sa.BigInteger, 0),
    ("batches", "supersedes", sa.Text, ""),
    ("batches", "touches", sa.Text, '{"training_sets":[],"versions":[]}'),
    ("batches", "superseded_by", sa.Text, ""),
    ("scorings", "stage", sa.Text, "prod"),
    ("monitor_runs", "outcomes", sa.Text, ""),
    ("reviews", "followed", sa.Text, ""),
)


def upgrade() -> None:
    """Add what a year needs."""
    gain(GAINED)
    _versions_say_what_they_predict()
    op.create_table(
        "canary_analyses",
        sa.Column("model", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("period", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("baseline", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("analysis", sa.Text, nullable=False),
        sa.Column("review", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("schedule", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("slot", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("covers", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )


def _versions_say_what_they_predict() -> None:
    """Before regression every version predicted a probability: its facts gain what their upcaster says."""
    versions = sa.table("versions", *map(sa.column, ("model", "number", "facts")))
    connection = op.get_bind()
    for model, number, body in connection.execute(sa.select(*versions.c)).all():
        facts = json.loads(body)
        rate = facts.get("metrics", {}).get("base_rate", {}).get("value")
        facts = rfc8785.dumps({**facts, "prediction": "probability", "base_rate": rate}).decode()
        place = (versions.c.model == model) & (versions.c.number == number)
        connection.execute(sa.update(versions).where(place).values(facts=facts))
