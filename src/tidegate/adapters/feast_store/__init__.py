"""Feast: point-in-time joins that respect availability, and the online store."""

from tidegate.adapters.feast_store.store import FeastStore

__all__ = ["FeastStore"]
