"""Delegation, conditions, terms, policies, waivers, pushes, incidents, erasures, parity, access; texts are encrypted.

What older events do not say is filled as their upcasters say it. A text that no event commits to is left out:
nobody can say whom it is about.
"""

import base64
import json
import secrets

import sqlalchemy as sa
from alembic import op

from tidegate.adapters.sql_record.migrations.gaining import gain

revision = "0004"
down_revision = "0003"

#: Columns that older rows gain: (table, column, type, what older events mean by saying nothing).
GAINED = (
    ("credentials", "revoked_at", sa.Text, ""),
    ("versions", "conditions", sa.Text, "{}"),
    ("versions", "certified_until", sa.Text, ""),
    ("versions", "certified_sequence", sa.BigInteger, 0),
    ("feature_views", "batches", sa.Text, "[]"),
    ("feature_views", "objective", sa.Text, "{}"),
    ("feature_views", "newest", sa.Text, ""),
    ("packets", "envelope", sa.Text, "{}"),
    ("promotions", "kind", sa.Text, "regular"),
    ("promotions", "due_at", sa.Text, ""),
    ("promotions", "chased", sa.Text, ""),
    ("promotions", "escalated_to", sa.Text, ""),
    ("approvals", "for_whom", sa.Text, ""),
    ("approvals", "conditions", sa.Text, "{}"),
    ("approvals", "revoked", sa.Boolean, False),
    ("reviews", "kind", sa.Text, "finding"),
    ("scorings", "of", sa.BigInteger, 0),
    ("scorings", "freshness", sa.Text, "{}"),
    ("batches", "erased", sa.BigInteger, 0),
    ("cursors", "failures", sa.BigInteger, 0),
    ("cursors", "error", sa.Text, ""),
    ("cursors", "retry_at", sa.Text, ""),
)

#: Tables that are new: their key's columns, then the others.
MADE = {
    "policy_proposals": (("id",), ("digest", "name", "version", "body", "base", "proposer", "status")),
    "policy_decisions": (("proposal", "actor"), ("role", "outcome")),
    "feature_access": (("view", "access"), ("roles",)),
    "read_segments": (("root",), ("records", "first", "last")),
    "feature_statistics": (("view", "window", "source", "definition"), ("first", "until", "figures")),
    "feature_drifts": (
        ("view", "window", "source", "definition", "limits"),
        ("declared", "counts", "found", "verdict"),
    ),
    "parities": (("view",), ("source", "until", "verdict", "sentence")),
    "delegations": (("id",), ("principal", "delegate", "role", "model", "until", "ended")),
    "waivers": (
        ("id",),
        ("dataset", "check", "period", "given_by", "until", "ended", "most", "uses", "rows"),
    ),
    "pushes": (
        ("dataset", "drop"),
        (
            "parts",
            "verdict",
            "read",
            "accepted",
            "quarantined",
            "erased",
            "quarantine_root",
            "contract",
            "report",
            "occurred_at",
        ),
    ),
    "incidents": (("id",), ("model", "kind", "facts", "occurred_at")),
    "commitments": (("commitment",), ("subject", "kind", "occurred_at")),
    "erasures": (("commitment",), ("cause",)),
    "erased_files": (("kind", "place", "digest"), ("successor", "rows")),
    "erased_subjects": (("dataset", "subject"), ()),
}
_TYPES = {
    "ended": sa.Boolean,
    **dict.fromkeys(
        ("most", "uses", "rows", "records", "read", "accepted", "quarantined", "erased"), sa.BigInteger
    ),
}


def upgrade() -> None:
    """Add what trusted promotion needs."""
    gain(GAINED)
    op.create_index("events_by_time", "events", ["occurred_at", "sequence"])
    scorings = sa.table("scorings", sa.column("rows"), sa.column("of"))
    op.execute(sa.update(scorings).values(of=scorings.c.rows))  # until now each decided all rows
    for table, (keys, others) in MADE.items():
        op.create_table(
            table,
            *(
                sa.Column(name, sa.Text, nullable=False, primary_key=True, autoincrement=False)
                for name in keys
            ),
            *(sa.Column(name, _TYPES.get(name, sa.Text), nullable=False) for name in others),
            sa.Column("sequence", sa.BigInteger, nullable=False),
        )
    versions = sa.table("versions", sa.column("prod_sequence"), sa.column("certified_sequence"))
    # Until now only the approval itself certified.
    op.execute(sa.update(versions).values(certified_sequence=versions.c.prod_sequence))
    _texts_are_sealed(_committed())


def _committed() -> dict[str, str]:
    """Say of each committed text whom it is about, and of each revoked token since when; return the first."""
    events, actors = sa.table("events", sa.column("sequence"), sa.column("body")), dict[str, str]()
    commitments = sa.table(
        "commitments", *map(sa.column, ("commitment", "subject", "kind", "occurred_at", "sequence"))
    )
    credentials = sa.table("credentials", sa.column("id"), sa.column("revoked_at"))
    connection, subjects = op.get_bind(), dict[str, str]()
    for body in connection.scalars(sa.select(events.c.body).order_by(events.c.sequence)).all():
        event = json.loads(body)
        payload, happened = event["payload"], event["occurred_at"]
        if event["type"] == "credential.revoked":
            gone = sa.update(credentials).where(credentials.c.id == payload["id"])
            connection.execute(gone.values(revoked_at=happened))
        author = event["on_behalf_of"] or event["actor"]
        subject = actors.get(author, author)
        if event["type"] == "actor.added":
            subject = actors[payload["id"]] = payload["subject"]
        for kind, commitment in payload.get("texts", {}).items():
            row = {"commitment": commitment, "subject": subject, "kind": kind, "occurred_at": happened}
            connection.execute(sa.insert(commitments).values({**row, "sequence": event["sequence"]}))
            subjects[commitment] = subject
    return subjects


def _texts_are_sealed(subjects: dict[str, str]) -> None:
    """Encrypt every text under a new key of its subject: AES-256-GCM, the salt with it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    connection, old = op.get_bind(), sa.table("texts", *map(sa.column, ("commitment", "salt", "body")))
    kept = connection.execute(sa.select(*old.c)).all()
    op.drop_table("texts")
    for table, key, value in (("texts", "commitment", "sealed"), ("text_keys", "subject", "key")):
        op.create_table(
            table,
            sa.Column(key, sa.Text, nullable=False, primary_key=True, autoincrement=False),
            sa.Column(value, sa.Text, nullable=False),
        )
    texts, keys = sa.table("texts", sa.column("commitment"), sa.column("sealed")), dict[str, str]()
    for commitment, salt, body in kept:
        if commitment not in subjects:
            continue
        secret = bytes.fromhex(keys.setdefault(subjects[commitment], secrets.token_hex(32)))
        nonce = bytes.fromhex(commitment.removeprefix("sha256:"))[:12]
        sealed = base64.b64encode(
            AESGCM(secret).encrypt(nonce, f"{salt}\0{body}".encode(), commitment.encode())
        ).decode()
        connection.execute(sa.insert(texts).values(commitment=commitment, sealed=sealed))
    text_keys = sa.table("text_keys", sa.column("subject"), sa.column("key"))
    for subject, made in keys.items():
        connection.execute(sa.insert(text_keys).values(subject=subject, key=made))
