-- One row per airport and hour with scheduled departures, at the hour's start.
-- Views: flights (accepted batches).
--
-- `delay` is the mean departure delay, in minutes, of the flights due in that hour that left: early ones count
-- as negative, cancelled ones have no delay and do not count. An hour in which nobody left has no label.
WITH hours AS (
    SELECT
        origin,
        -- The full hour of the scheduled departure, in UTC: no zone, and no change of clocks, comes in.
        time_hour::TIMESTAMPTZ AS starts,
        min(make_date(year, month, day)) AS local_day,
        min(hour) AS hour,
        count(*) AS origin_scheduled,
        count(dep_delay) AS departed,
        avg(dep_delay) AS delay,
        -- A flight that never leaves is given up six hours after schedule; one that leaves later still is waited for.
        max(minute + coalesce(dep_delay, 6 * 60)) AS last_minute
    FROM flights
    GROUP BY origin, time_hour
)
SELECT
    starts AS event_timestamp,
    origin,
    hour,
    isodow(local_day) AS weekday,
    origin_scheduled,
    CASE WHEN departed = origin_scheduled THEN 'all_left' WHEN departed > 0 THEN 'some_left' ELSE 'none_left' END AS status,
    delay,
    -- Known 15 minutes after the last of them left or was given up, and never before the hour is over.
    CASE WHEN delay IS NOT NULL
        THEN starts + greatest(INTERVAL 1 HOUR, to_minutes((last_minute + 15)::BIGINT))
    END AS label_time
FROM hours
