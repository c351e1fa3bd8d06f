-- One row per scheduled flight, cancelled and diverted ones included: at scheduled departure nobody knows.
-- Views: flights, airports (accepted batches), airports_zones (faa, tzone: declared in the contract).
--
-- Inputs use the schedule alone. What came of the flight appears in status, late and label_time only;
-- tailnum, dep_time and arr_time are facts of the flight that flew and stay out.
WITH zones AS (
    SELECT faa, tzone FROM airports WHERE faa NOT IN (SELECT faa FROM airports_zones)
    UNION ALL
    SELECT faa, tzone FROM airports_zones
),
scheduled AS (
    SELECT
        f.carrier, f.flight, f.origin, f.dest, f.month, f.hour, f.distance, f.dep_time, f.arr_delay,
        -- time_hour is the full hour of the scheduled departure, in UTC
        f.time_hour::TIMESTAMPTZ + to_minutes(f.minute::BIGINT) AS departs,
        make_timestamp(f.year, f.month, f.day, 0, 0, 0) AS local_day,
        to_minutes((f.sched_arr_time::BIGINT // 100) * 60 + f.sched_arr_time::BIGINT % 100) AS local_arrival,
        z.tzone
    FROM flights AS f
    LEFT JOIN zones AS z ON z.faa = f.dest
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
    month,
    isodow(local_day) AS weekday,
    hour,
    distance,
    date_diff('minute', departs, arrives) AS block_minutes,
    CASE
        WHEN dep_time IS NULL THEN 'cancelled'
        WHEN arr_delay IS NULL THEN 'diverted'
        ELSE 'arrived'
    END AS status,
    CASE WHEN dep_time IS NOT NULL THEN arr_delay > 15 END AS late,
    -- Actual arrival plus the six hours until arrivals are published.
    CASE WHEN dep_time IS NOT NULL
        THEN arrives + to_minutes(arr_delay::BIGINT) + INTERVAL 6 HOUR
    END AS label_time
FROM timed
