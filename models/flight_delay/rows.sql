-- One row per scheduled flight, cancelled and diverted ones included: at scheduled departure nobody knows.
-- Views: flights, arrivals, airports (accepted batches), airports_zones (faa, tzone: declared in the contract).
--
-- Inputs use the schedule alone. What came of the flight appears in status, late and label_time only;
-- tailnum, dep_time and arr_time are facts of the flight that flew and stay out.
--
-- Arrivals are delivered days after departures. Until then a flight that departed is pending: it is scored, and
-- it has no label. A cancelled or diverted flight never gets one, whatever is delivered later.
WITH zones AS (
    SELECT faa, tzone FROM airports WHERE faa NOT IN (SELECT faa FROM airports_zones)
    UNION ALL
    SELECT faa, tzone FROM airports_zones
),
scheduled AS (
    SELECT
        f.carrier, f.flight, f.origin, f.dest, f.hour, f.distance,
        -- How busy the airport is meant to be: cancelled flights were on the schedule too.
        count(*) OVER (PARTITION BY f.origin, f.time_hour) AS origin_scheduled,
        CASE
            WHEN f.dep_time IS NULL THEN 'cancelled'
            WHEN a.flight IS NULL THEN 'pending'
            WHEN a.arr_delay IS NULL THEN 'diverted'
            ELSE 'arrived'
        END AS status,
        a.arr_delay,
        -- time_hour is the full hour of the scheduled departure, in UTC
        f.time_hour::TIMESTAMPTZ + to_minutes(f.minute::BIGINT) AS departs,
        make_timestamp(f.year, f.month, f.day, 0, 0, 0) AS local_day,
        to_minutes((f.sched_arr_time::BIGINT // 100) * 60 + f.sched_arr_time::BIGINT % 100) AS local_arrival,
        z.tzone
    FROM flights AS f
    LEFT JOIN arrivals AS a USING (year, month, day, origin, carrier, flight)
    LEFT JOIN zones AS z ON z.faa = f.dest
    -- Whole hours, so that every hour is counted in full. It only saves work: what leaves outside is dropped anyway.
    WHERE f.time_hour::TIMESTAMPTZ >= $since::TIMESTAMPTZ - INTERVAL 1 HOUR
        AND f.time_hour::TIMESTAMPTZ < $until::TIMESTAMPTZ
),
timed AS (
    SELECT
        *,
        -- The schedule gives a time of day in the destination's zone: its first occurrence after departure.
        CASE
            WHEN timezone(tzone, local_day + local_arrival) > departs
                THEN timezone(tzone, local_day + local_arrival)
            ELSE timezone(tzone, local_day + INTERVAL 1 DAY + local_arrival)
        END AS arrives
    FROM scheduled
)
SELECT
    departs AS event_timestamp,
    carrier, flight, origin, dest,
    isodow(local_day) AS weekday,
    hour,
    distance,
    date_diff('minute', departs, arrives) AS block_minutes,
    origin_scheduled,
    status,
    CASE WHEN status = 'arrived' THEN arr_delay > 15 END AS late,
    -- Actual arrival plus the six hours until arrivals are published.
    CASE WHEN status = 'arrived'
        THEN arrives + to_minutes(arr_delay::BIGINT) + INTERVAL 6 HOUR
    END AS label_time
FROM timed
