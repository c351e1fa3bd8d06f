-- One row per carrier and local flight date: how late the carrier left up to the end of that day.
--
--   event_timestamp    end of the local day at the origin, in UTC
--   created_timestamp  when all of the row was known: the day is over, and what came of every departure of
--                      its 28 days has been published (15 minutes after it, or 6 hours after schedule)
--
-- Views: departures (shared/departures.sql).

WITH days AS (
    SELECT
        carrier,
        flight_date,
        max(day_end) AS day_end,
        max(published) AS published,
        count(*) AS flights,
        count(*) FILTER (departed) AS departed,
        count(*) FILTER (late) AS late,
        count(*) FILTER (cancelled) AS cancelled
    FROM departures
    GROUP BY carrier, flight_date
)

SELECT
    carrier,
    day_end AS event_timestamp,
    greatest(day_end, max(published) OVER month) AS created_timestamp,
    flights AS carrier_flights_1d,
    late / nullif(departed, 0) AS carrier_late_share_1d,
    sum(late) OVER week / nullif(sum(departed) OVER week, 0) AS carrier_late_share_7d,
    sum(late) OVER month / nullif(sum(departed) OVER month, 0) AS carrier_late_share_28d,
    sum(cancelled) OVER week / sum(flights) OVER week AS carrier_cancel_share_7d
FROM days
WINDOW
    week AS (PARTITION BY carrier ORDER BY flight_date RANGE INTERVAL 6 DAYS PRECEDING),
    month AS (PARTITION BY carrier ORDER BY flight_date RANGE INTERVAL 27 DAYS PRECEDING)
ORDER BY event_timestamp, carrier
