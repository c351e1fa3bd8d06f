-- One row per origin and hour: how flights were leaving over the three hours before its end, t.
--
--   event_timestamp    t, in UTC
--   created_timestamp  t plus 15 minutes: by then every departure up to t has been published
--
-- Why nothing leaks: a flight counts by its schedule, which is known beforehand, and at t it counts with
-- least(its delay, the minutes from its schedule to t). Where it had left by t, that is its delay; where it
-- had not, that is how long it has been due, and any later departure, or none at all, gives the same
-- number. So a cancelled flight looks at t like one that has not left, as it did on the day.
--
-- An hour after three hours without a scheduled flight has no row: nobody was there to be late.
-- Views: flights (accepted batches).

WITH due AS (
    -- Scheduled at minute m of an hour, a flight lies in the three hours before each of the next three full
    -- hours. `least` passes over the missing delay of a flight that never left.
    SELECT
        origin,
        time_hour::TIMESTAMPTZ + to_hours(hours) AS t,
        least(dep_delay, hours * 60 - minute) AS delay
    FROM flights
    CROSS JOIN range(1, 4) AS ahead (hours)
)

SELECT
    origin,
    t AS event_timestamp,
    t + INTERVAL 15 MINUTES AS created_timestamp,
    count(*) AS origin_flights_3h,
    count(*) FILTER (delay > 15) / count(*) AS origin_late_share_3h,
    sum(delay) / count(*) AS origin_mean_delay_3h
FROM due
GROUP BY origin, t
ORDER BY event_timestamp, origin
