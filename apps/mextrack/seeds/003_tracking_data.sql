-- An hour of driving a day, one position a minute, in two partitions; the last row's clock is wrong on purpose.
INSERT INTO tracking_data
  (vehicle_id, recorded_at, received_at, latitude, longitude, speed_kmh, heading_degrees, ignition)
SELECT '20000000-0000-4000-8000-000000000001',
       day + minute * INTERVAL '1 minute',
       day + minute * INTERVAL '1 minute' + INTERVAL '2 seconds',
       round((19.432600 + 0.0012 * minute)::numeric, 6),
       round((-99.133200 + 0.0009 * minute)::numeric, 6),
       round((32 + 18 * sin(minute / 7.0))::numeric, 1),
       37,
       minute < 59
FROM (VALUES (TIMESTAMPTZ '2025-10-31 14:00:00+00'), (TIMESTAMPTZ '2025-11-03 14:00:00+00')) AS days (day)
CROSS JOIN generate_series(0, 59) AS minutes (minute)
ON CONFLICT (vehicle_id, recorded_at) DO NOTHING;

INSERT INTO tracking_data (vehicle_id, recorded_at, received_at, latitude, longitude, raw) VALUES
  ('20000000-0000-4000-8000-000000000002', '1980-01-06 00:00:00+00', '2025-11-03 15:00:00+00',
   20.659700, -103.349600, '{"fix": false, "satellites": 0}')
ON CONFLICT (vehicle_id, recorded_at) DO NOTHING;
