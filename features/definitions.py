"""What the feature store serves: two views over the flights' history, and the service that models ask for.

Each view's rows are computed by ``sources/<view>.sql`` from accepted batches, into the Parquet file named
here. ``event_timestamp`` is the end of the day a row describes, ``created_timestamp`` is when all of it
was known: ask with ``filter_by_created_timestamp=True``, or the row of a day whose last flight was still
in the air leaks into that flight's own prediction.
"""

import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

# Absolute, because Feast's DuckDB store resolves a relative path against the folder it is started in.
HOME = Path(__file__).resolve().parent.parent / os.environ.get("TIDEGATE_HOME", ".tidegate")


def history(view: str) -> FileSource:
    """Return the source that ``sources/<view>.sql`` fills."""
    return FileSource(
        name=f"{view}_history",
        path=str(HOME / "features" / f"{view}.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


carrier = Entity(
    name="carrier", join_keys=["carrier"], value_type=ValueType.STRING, description="Airline, two-letter code"
)
origin = Entity(
    name="origin", join_keys=["origin"], value_type=ValueType.STRING, description="Airport of departure"
)
dest = Entity(name="dest", join_keys=["dest"], value_type=ValueType.STRING, description="Airport of arrival")

carrier_day = FeatureView(
    name="carrier_day",
    description="How late a carrier ran up to the end of a local day",
    entities=[carrier],
    # A small carrier may pause for days; after a week its last days say little about today.
    ttl=timedelta(days=7),
    schema=[
        Field(name="carrier_flights_1d", dtype=Int64, description="Flights scheduled that day"),
        Field(name="carrier_late_share_1d", dtype=Float64, description="Share late, of arrived, that day"),
        Field(name="carrier_late_share_7d", dtype=Float64, description="Share late, of arrived, 7 days"),
        Field(name="carrier_late_share_28d", dtype=Float64, description="Share late, of arrived, 28 days"),
        Field(name="carrier_cancel_share_7d", dtype=Float64, description="Share cancelled, 7 days"),
    ],
    source=history("carrier_day"),
)

route_day = FeatureView(
    name="route_day",
    description="How late a route ran over the 28 days up to the end of a local day",
    entities=[origin, dest],
    # Some routes fly on Saturdays only, and the values are monthly: two weeks old is still this month.
    ttl=timedelta(days=14),
    schema=[
        Field(name="route_flights_28d", dtype=Int64, description="Flights scheduled, 28 days"),
        Field(name="route_late_share_28d", dtype=Float64, description="Share late, of arrived, 28 days"),
        Field(name="route_mean_arr_delay_28d", dtype=Float64, description="Mean arrival delay, minutes"),
    ],
    source=history("route_day"),
)

flight_delay = FeatureService(
    name="flight_delay",
    description="What is known of carrier and route when a flight is due to depart",
    features=[carrier_day, route_day],
)
