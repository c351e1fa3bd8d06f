"""What the feature store serves. Plain Feast: `feast -c features apply` reads this file too.

Each view's rows are computed by ``sources/<view>.sql`` from accepted batches, into the Parquet file named
here. ``event_timestamp`` is the moment a row speaks of, ``created_timestamp`` is when all of it was known.
"""

import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

# Absolute, because Feast's own stores resolve a relative path against the folder they are started in.
HOME = Path(__file__).resolve().parent.parent / os.environ.get("TIDEGATE_HOME", ".tidegate")


def history(view: str) -> FileSource:
    """Return the source that ``sources/<view>.sql`` fills."""
    return FileSource(
        name=f"{view}_history",
        path=str(HOME / "features" / f"{view}.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


# A pattern to start from: one entity, one view over it, one service that models ask for. Rename, and write
# sources/place_day.sql, which yields place, event_timestamp, created_timestamp and the fields below.
#
# place = Entity(
#     name="place", join_keys=["place"], value_type=ValueType.STRING, description="Where it was counted"
# )
#
# place_day = FeatureView(
#     name="place_day",
#     description="What a place saw up to the end of a day",
#     entities=[place],
#     ttl=timedelta(days=14),  # how old a value may be before it says nothing about now
#     # Older than `freshness` marks a decision; newest data older than `lag` hold back a version that would go live.
#     tags={"freshness": "2d", "lag": "45d"},
#     schema=[
#         Field(name="place_rows_1d", dtype=Int64, description="Rows that day"),
#         Field(name="place_mean_28d", dtype=Float64, description="Mean over 28 days"),
#     ],
#     source=history("place_day"),
# )
#
# place_model = FeatureService(
#     name="place_model", description="What is known of a place at any moment", features=[place_day]
# )
