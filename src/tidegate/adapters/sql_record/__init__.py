"""The record on SQLite and PostgreSQL, through SQLAlchemy."""

from tidegate.adapters.sql_record.ledger import SqlLedger, resumable

__all__ = ["SqlLedger", "resumable"]
