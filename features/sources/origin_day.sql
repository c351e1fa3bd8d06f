-- One row per origin and local flight date: how late flights left the airport up to the end of that day.
--
--   event_timestamp    end of the local day at the origin, in UTC
--   created_timestamp  when all of the row was known: the day is over, and what came of every departure of
--                      its 7 days has been published (15 minutes after it, or 6 hours after schedule)
--
-- Views: departures (shared/departures.sql).

WITH days AS (
    SELECT
        origin,
        flight_date,
        max(day_end) AS day_end,
        max(published) AS published,
        count(*) AS flights,
        count(*) FILTER (departed) AS departed,
        count(*) FILTER (late) AS late,
        count(*) FILTER (cancelled) AS cancelled,
        coalesce(sum(dep_delay), 0) AS delay
    FROM departures
    GROUP BY origin, flight_date
)

SELECT
    origin,
    day_end AS event_timestamp,
    greatest(day_end, max(published) OVER week) AS created_timestamp,
    late / nullif(departed, 0) AS origin_late_share_1d,
    sum(late) OVER week / nullif(sum(departed) OVER week, 0) AS origin_late_share_7d,
    sum(delay) OVER week / nullif(sum(departed) OVER week, 0) AS origin_mean_delay_7d,
    cancelled / flights AS origin_cancel_share_1d
FROM days
WINDOW
    week AS (PARTITION BY origin ORDER BY flight_date RANGE INTERVAL 6 DAYS PRECEDING)
ORDER BY event_timestamp, origin
