"""What the feature store serves: views over departures and weather, and the services that models ask for.

Each view's rows are computed by ``sources/<view>.sql`` from accepted batches, into the Parquet file named
here. ``event_timestamp`` is the end of the day or hour a row describes, ``created_timestamp`` is when all of
it was known. The offline store joins nothing before that; with a store of Feast's own, ask with
``filter_by_created_timestamp=True``, or the row of a day whose last flight had not left yet leaks into that
flight's own prediction.

A view's tags say how fresh it must be: ``freshness``, how old its value may be when a decision rests on it (the
decision is marked where it is older, or not there), and ``lag``, how far its newest data may lie behind the clock when
a version goes live. The feeds come by the month, and a month's drop may be a fortnight late.

No feature rests on arrivals. They are delivered days later, so they would be there in training and not
when a period is scored. "Late" is a departure more than 15 minutes after schedule.
"""

import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64

# Absolute, because Feast's own stores resolve a relative path against the folder they are started in.
HOME = Path(__file__).resolve().parent.parent / os.environ.get("TIDEGATE_HOME", ".tidegate")
LAG = "45d"


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
    description="How late a carrier left up to the end of a local day",
    entities=[carrier],
    # A small carrier may pause for days; after a week its last days say little about today.
    ttl=timedelta(days=7),
    schema=[
        Field(name="carrier_flights_1d", dtype=Int64, description="Flights scheduled that day"),
        Field(name="carrier_late_share_1d", dtype=Float64, description="Share late, of departed, that day"),
        Field(name="carrier_late_share_7d", dtype=Float64, description="Share late, of departed, 7 days"),
        Field(name="carrier_late_share_28d", dtype=Float64, description="Share late, of departed, 28 days"),
        Field(name="carrier_cancel_share_7d", dtype=Float64, description="Share cancelled, 7 days"),
    ],
    source=history("carrier_day"),
    # A day is known some hours after it is over; where a whole one is missing, the carrier paused or the feed did.
    tags={"freshness": "2d", "lag": LAG},
)

route_day = FeatureView(
    name="route_day",
    description="How late flights left on a route over the 28 days up to the end of a local day",
    entities=[origin, dest],
    # Some routes fly on Saturdays only, and the values are monthly: two weeks old is still this month.
    ttl=timedelta(days=14),
    schema=[
        Field(name="route_flights_28d", dtype=Int64, description="Flights scheduled, 28 days"),
        Field(name="route_late_share_28d", dtype=Float64, description="Share late, of departed, 28 days"),
        Field(name="route_mean_dep_delay_28d", dtype=Float64, description="Mean departure delay, minutes"),
    ],
    source=history("route_day"),
    # A route that is flown once a week has a value a week old; an older one is of a season that is over.
    tags={"freshness": "8d", "lag": LAG},
)

origin_day = FeatureView(
    name="origin_day",
    description="How late flights left an airport up to the end of a local day",
    entities=[origin],
    # The airports never pause: a row older than a week means that the feed is broken.
    ttl=timedelta(days=7),
    schema=[
        Field(name="origin_late_share_1d", dtype=Float64, description="Share late, of departed, that day"),
        Field(name="origin_late_share_7d", dtype=Float64, description="Share late, of departed, 7 days"),
        Field(name="origin_mean_delay_7d", dtype=Float64, description="Mean departure delay, minutes"),
        Field(name="origin_cancel_share_1d", dtype=Float64, description="Share cancelled, that day"),
    ],
    source=history("origin_day"),
    tags={"freshness": "2d", "lag": LAG},
)

origin_hour = FeatureView(
    name="origin_hour",
    description="How flights due in the three hours before a full hour were leaving, as seen at that hour",
    entities=[origin],
    # Three hours that ended more than three hours ago are another part of the day.
    ttl=timedelta(hours=3),
    schema=[
        Field(name="origin_flights_3h", dtype=Int64, description="Flights scheduled in the three hours"),
        Field(name="origin_late_share_3h", dtype=Float64, description="Share late, left or still waiting"),
        Field(name="origin_mean_delay_3h", dtype=Float64, description="Mean delay up to then, minutes"),
    ],
    source=history("origin_hour"),
    # No freshness is stated: an hour without a row says that nobody was due, and so does every early morning.
    tags={"lag": LAG},
)

weather_hour = FeatureView(
    name="weather_hour",
    description="The weather of the last full hour at an airport",
    entities=[origin],
    # One or two missing hours are bridged, and marked. A feed that stands still for longer is unknown, not good
    # weather.
    ttl=timedelta(hours=3),
    schema=[
        Field(name="weather_temp", dtype=Float64, description="Temperature, degrees Fahrenheit"),
        Field(name="weather_humid", dtype=Float64, description="Relative humidity, per cent"),
        Field(name="weather_wind_speed", dtype=Float64, description="Wind speed, miles per hour"),
        Field(name="weather_wind_gust", dtype=Float64, description="Strongest gust, or the wind speed, mph"),
        Field(name="weather_precip", dtype=Float64, description="Precipitation, inches"),
        Field(name="weather_pressure", dtype=Float64, description="Sea level pressure, millibars"),
        Field(name="weather_visib", dtype=Float64, description="Visibility, miles"),
    ],
    # An hour's observation may be pushed: it is served at once, and the month's drop has the last word.
    source=PushSource(name="weather_hour_push", batch_source=history("weather_hour")),
    tags={"freshness": "1h", "lag": LAG},
)

flight_delay = FeatureService(
    name="flight_delay",
    description="What is known of carrier, route, airport and weather when a flight is due to depart",
    features=[carrier_day, route_day, origin_hour, weather_hour],
)

origin_delay = FeatureService(
    name="origin_delay",
    description="What is known of an airport and its weather at an hour",
    features=[origin_day, origin_hour, weather_hour],
)
