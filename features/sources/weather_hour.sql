-- One row per origin and hour of weather.
--
--   event_timestamp    the hour's end: weather of hour h can be used from h + 1 hour on
--   created_timestamp  the same: it is delivered as the hour ends
--
-- time_hour is in UTC, and so are the keys: the hour that the clocks repeat in November is two rows, the one
-- that they skip in March is none. Should a station report an hour twice, its median counts.
-- The dew point is left out: temperature and humidity say it. The wind's direction is an angle, and no order.
-- Views: weather (accepted batches).

SELECT
    origin,
    time_hour::TIMESTAMPTZ + INTERVAL 1 HOUR AS event_timestamp,
    event_timestamp AS created_timestamp,
    median(temp) AS weather_temp,
    median(humid) AS weather_humid,
    median(wind_speed) AS weather_wind_speed,
    -- Gusts are reported only where they stand out of the wind: without one, the wind is the strongest gust.
    median(coalesce(wind_gust, wind_speed)) AS weather_wind_gust,
    median(precip) AS weather_precip,
    -- Missing one time in ten, and every second time in rain: the gap says something too, and stays a gap.
    median(pressure) AS weather_pressure,
    median(visib) AS weather_visib
FROM weather
GROUP BY origin, time_hour
ORDER BY event_timestamp, origin
