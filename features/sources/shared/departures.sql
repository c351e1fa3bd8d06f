-- One row per scheduled flight: when it was due, what came of its departure, and when that was known.
-- Every source that names `departures` sees this query as a view.
--
-- Views: flights, airports (accepted batches), airports_zones (zones the contract declares).
-- Nothing here rests on arrivals: those of a period are not there yet when its flights are scored.
--
-- A departure is published 15 minutes after it happened. A flight that never departs is given up 6 hours
-- after schedule and published then; one that leaves later still is known when its departure is.

WITH zones AS (
    -- A name that is no zone ('\N' in airports) counts as unknown.
    SELECT faa, min(tzone) AS tzone
    FROM (SELECT faa, tzone FROM airports UNION ALL SELECT faa, tzone FROM airports_zones)
    WHERE tzone IN (SELECT name FROM pg_timezone_names())
    GROUP BY faa
)

SELECT
    carrier,
    origin,
    dest,
    make_date(year, month, day) AS flight_date,
    -- Where the origin's zone is unknown the day ends where it ends last on earth: late rather than early.
    timezone(coalesce(tzone, 'Etc/GMT+12'), (flight_date + 1)::TIMESTAMP) AS day_end,
    dep_delay,
    dep_delay IS NOT NULL AS departed,
    dep_delay > 15 AS late,
    dep_time IS NULL AS cancelled,
    -- time_hour is the scheduled hour in UTC: no zone, and no change of clocks, comes in.
    time_hour::TIMESTAMPTZ + to_minutes((minute + coalesce(dep_delay + 15, 6 * 60))::BIGINT) AS published
FROM flights
LEFT JOIN zones ON zones.faa = flights.origin
