-- One row per route (origin, dest) and local flight date: how late it ran over the 28 days up to then.
--
--   event_timestamp    end of the local day at the origin, in UTC
--   created_timestamp  when all of the row was known: the day is over, and the outcome of every flight
--                      of its 28 days has been published
--
-- Views: flights, airports (accepted batches), airports_zones (zones the contract declares).
-- The first three steps are the same in carrier_day.sql: a source reads on its own.

WITH zones AS (
    -- A name that is no zone ('\N' in airports) counts as unknown.
    SELECT faa, min(tzone) AS tzone
    FROM (SELECT faa, tzone FROM airports UNION ALL SELECT faa, tzone FROM airports_zones)
    WHERE tzone IN (SELECT name FROM pg_timezone_names())
    GROUP BY faa
),

scheduled AS (
    -- Departure needs no zone: time_hour is the scheduled hour in UTC. Arrival is a wall-clock time at the
    -- destination, the first one after departure. Where the destination's zone is unknown it is taken to
    -- be 24 hours after departure, the latest it can be: the flight counts, and is known too late rather
    -- than too early. Where the origin's is unknown the day ends where it ends last on earth.
    SELECT
        flights.*,
        make_date(year, month, day) AS flight_date,
        timezone(coalesce(home.tzone, 'Etc/GMT+12'), (make_date(year, month, day) + 1)::TIMESTAMP) AS day_end,
        time_hour::TIMESTAMPTZ + to_minutes(minute::BIGINT) AS departs,
        timezone(away.tzone, departs) AS local_departure,
        date_trunc('day', local_departure)
            + to_minutes((sched_arr_time // 100 * 60 + sched_arr_time % 100)::BIGINT) AS clock,
        coalesce(
            timezone(away.tzone, CASE WHEN clock > local_departure THEN clock ELSE clock + INTERVAL 1 DAY END),
            departs + INTERVAL 24 HOURS
        ) AS arrives
    FROM flights
    LEFT JOIN zones AS home ON home.faa = flights.origin
    LEFT JOIN zones AS away ON away.faa = flights.dest
),

outcomes AS (
    -- Published 6 hours after the actual arrival. A flight that never arrived (cancelled, diverted) is
    -- given up 6 hours after the scheduled one, and published 6 hours after that.
    SELECT
        *,
        arr_delay IS NOT NULL AS arrived,
        arr_delay > 15 AS late,
        dep_time IS NULL AS cancelled,
        arrives + to_minutes(coalesce(arr_delay, 6 * 60)::BIGINT) + INTERVAL 6 HOURS AS published
    FROM scheduled
),

days AS (
    SELECT
        origin,
        dest,
        flight_date,
        max(day_end) AS day_end,
        max(published) AS published,
        count(*) AS flights,
        count(*) FILTER (arrived) AS arrived,
        count(*) FILTER (late) AS late,
        coalesce(sum(arr_delay), 0)::BIGINT AS arr_delay
    FROM outcomes
    GROUP BY origin, dest, flight_date
)

SELECT
    origin,
    dest,
    day_end AS event_timestamp,
    greatest(day_end, max(published) OVER month) AS created_timestamp,
    (sum(flights) OVER month)::BIGINT AS route_flights_28d,
    sum(late) OVER month / nullif(sum(arrived) OVER month, 0) AS route_late_share_28d,
    sum(arr_delay) OVER month / nullif(sum(arrived) OVER month, 0) AS route_mean_arr_delay_28d
FROM days
WINDOW
    month AS (PARTITION BY origin, dest ORDER BY flight_date RANGE INTERVAL 27 DAYS PRECEDING)
ORDER BY event_timestamp, origin, dest
