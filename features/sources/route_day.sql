-- One row per route (origin, dest) and local flight date: how late flights left on it, 28 days up to then.
--
--   event_timestamp    end of the local day at the origin, in UTC
--   created_timestamp  when all of the row was known: the day is over, and what came of every departure of
--                      its 28 days has been published (15 minutes after it, or 6 hours after schedule)
--
-- Views: departures (shared/departures.sql).

WITH days AS (
    SELECT
        origin,
        dest,
        flight_date,
        max(day_end) AS day_end,
        max(published) AS published,
        count(*) AS flights,
        count(*) FILTER (departed) AS departed,
        count(*) FILTER (late) AS late,
        coalesce(sum(dep_delay), 0) AS delay
    FROM departures
    GROUP BY origin, dest, flight_date
)

SELECT
    origin,
    dest,
    day_end AS event_timestamp,
    greatest(day_end, max(published) OVER month) AS created_timestamp,
    (sum(flights) OVER month)::BIGINT AS route_flights_28d,
    sum(late) OVER month / nullif(sum(departed) OVER month, 0) AS route_late_share_28d,
    sum(delay) OVER month / nullif(sum(departed) OVER month, 0) AS route_mean_dep_delay_28d
FROM days
WINDOW
    month AS (PARTITION BY origin, dest ORDER BY flight_date RANGE INTERVAL 27 DAYS PRECEDING)
ORDER BY event_timestamp, origin, dest
