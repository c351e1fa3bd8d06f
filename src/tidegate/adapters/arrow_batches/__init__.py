"""Drops as they arrive and batches as they are kept, on Arrow and Parquet."""

from tidegate.adapters.arrow_batches.batches import ArrowBatches

__all__ = ["ArrowBatches"]
