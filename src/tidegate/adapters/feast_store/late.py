"""What every retrieval of ours is to Feast: a query that runs when its rows are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feast.infra.offline_stores.offline_store import RetrievalJob


class LateJob(RetrievalJob):  # type: ignore[misc] # Feast has no types
    """Subclass it and say how the rows are had, described and kept."""

    def __init__(self, on_demand: Sequence[Any], full_feature_names: bool) -> None:
        super().__init__()
        self._on_demand, self._full_names = list(on_demand), full_feature_names

    @property
    def full_feature_names(self) -> bool:
        """Return whether features carry their view's name."""
        return self._full_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """Return the views that Feast computes from the joined rows."""
        return self._on_demand

    def _to_df_internal(self, timeout: int | None = None) -> Any:
        return self._to_arrow_internal(timeout).to_pandas()
