"""The first schema: chain, head, texts, cursors, and the folded state.

Written out in full: a migration that followed the code's tables would change when they do.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

#: The events of the chain are never changed and never removed: the database itself refuses.
GUARDS = {
    "sqlite": (
        """
        CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
        """,
        """
        CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
        """,
        # INSERT OR REPLACE removes rows without the trigger above: here it finds that they are there.
        """
        CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events WHEN EXISTS (
            SELECT 1 FROM events WHERE sequence = NEW.sequence OR hash = NEW.hash OR previous = NEW.previous
            OR idempotency_key = NEW.idempotency_key
            OR (stream = NEW.stream AND stream_sequence = NEW.stream_sequence)
        )
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
        """,
    ),
    "postgresql": (
        """
        CREATE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$
        """,
        """
        CREATE TRIGGER events_refuse_change BEFORE UPDATE OR DELETE ON events
        FOR EACH ROW EXECUTE FUNCTION events_refuse()
        """,
        """
        CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION events_refuse()
        """,
    ),
}


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "events",
        sa.Column("sequence", sa.BigInteger, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("stream_sequence", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=True),
        sa.Column("occurred_at", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("hash"),
        sa.UniqueConstraint("idempotency_key"),
        sa.UniqueConstraint("previous"),
        sa.UniqueConstraint("stream", "stream_sequence"),
    )
    op.create_table(
        "head",
        sa.Column("id", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("clock", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name="one_head"),
    )
    head = sa.table("head", *map(sa.column, ("id", "sequence", "hash", "clock")))
    op.execute(sa.insert(head).values(id=1, sequence=0, hash="sha256:" + "0" * 64, clock=""))
    op.create_table(
        "texts",
        sa.Column("commitment", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "cursors",
        sa.Column("sink", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "actors",
        sa.Column("id", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("token_digest", sa.Text, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("digest", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("in_force", sa.Boolean, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "batches",
        sa.Column("dataset", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("drop", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("read", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("quarantine_root", sa.Text, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "feature_views",
        sa.Column("view", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("online_until", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "training_sets",
        sa.Column("digest", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("entities", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("batches", sa.Text, nullable=False),
        sa.Column("windows", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("fallback", sa.Text, nullable=False),
        sa.Column("promotions", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("model", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("artifact", sa.Text, nullable=False),
        sa.Column("training_set", sa.Text, nullable=False),
        sa.Column("trainer", sa.Text, nullable=False),
        sa.Column("registrar", sa.Text, nullable=False),
        sa.Column("on_behalf_of", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("packet", sa.Text, nullable=False),
        sa.Column("prod_sequence", sa.BigInteger, nullable=False),
        sa.Column("links", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "packets",
        sa.Column("digest", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("on_behalf_of", sa.Text, nullable=False),
        sa.Column("artifact", sa.Text, nullable=False),
        sa.Column("packet", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "approvals",
        sa.Column("promotion", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("actor", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("artifact", sa.Text, nullable=False),
        sa.Column("packet", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "scorings",
        sa.Column("model", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("period", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("artifact", sa.Text, nullable=False),
        sa.Column("entities", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "monitor_runs",
        sa.Column("model", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("period", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("review", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Text, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("due_at", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_index("events_by_stream", "events", ["stream", "sequence"])
    where = sa.text("in_force")
    op.create_index(
        "one_policy_in_force",
        "policies",
        ["in_force"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
    where = sa.text("stage = 'prod'")
    op.create_index(
        "one_prod_version", "versions", ["model"], unique=True, sqlite_where=where, postgresql_where=where
    )
    where = sa.text("status = 'open'")
    op.create_index(
        "one_open_promotion",
        "promotions",
        ["model", "version"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
    for guard in GUARDS[op.get_bind().dialect.name]:
        op.execute(sa.text(guard))
