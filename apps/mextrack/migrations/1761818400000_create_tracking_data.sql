-- Migration: Create tracking data, one partition a month
-- Created: 2025-10-30

-- Up Migration
CREATE TABLE tracking_data (
  vehicle_id UUID NOT NULL REFERENCES vehicles (id) ON DELETE CASCADE,
  recorded_at TIMESTAMPTZ NOT NULL,
  received_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  latitude NUMERIC(8, 6) NOT NULL,
  longitude NUMERIC(9, 6) NOT NULL,
  speed_kmh NUMERIC(5, 1),
  heading_degrees SMALLINT,
  ignition BOOLEAN,
  raw JSONB,
  -- The key of a partitioned table holds the column it is partitioned by.
  PRIMARY KEY (vehicle_id, recorded_at),
  CONSTRAINT tracking_data_latitude_range CHECK (latitude BETWEEN -90 AND 90),
  CONSTRAINT tracking_data_longitude_range CHECK (longitude BETWEEN -180 AND 180),
  CONSTRAINT tracking_data_speed_range CHECK (speed_kmh >= 0),
  CONSTRAINT tracking_data_heading_range CHECK (heading_degrees BETWEEN 0 AND 359)
) PARTITION BY RANGE (recorded_at);

-- Trackers send in order, so a few pages of a BRIN index stand in for a B-tree as large as the data.
CREATE INDEX idx_tracking_data_recorded_at ON tracking_data USING brin (recorded_at);

CREATE FUNCTION create_tracking_partition(month DATE) RETURNS TEXT
LANGUAGE plpgsql AS $function$
DECLARE
  first_day DATE := date_trunc('month', month);
  partition_name TEXT := 'tracking_data_' || to_char(first_day, 'YYYY_MM');
BEGIN
  EXECUTE format(
    $ddl$CREATE TABLE IF NOT EXISTS %I PARTITION OF tracking_data FOR VALUES FROM (%L) TO (%L)$ddl$,
    partition_name,
    first_day || ' 00:00:00+00',
    (first_day + INTERVAL '1 month')::date || ' 00:00:00+00'
  );
  RETURN partition_name;
END;
$function$;

SELECT create_tracking_partition('2025-10-01');
SELECT create_tracking_partition('2025-11-01');
SELECT create_tracking_partition('2025-12-01');

-- A tracker with a wrong clock must not lose its data.
CREATE TABLE tracking_data_default PARTITION OF tracking_data DEFAULT;

COMMENT ON TABLE tracking_data IS 'Positions as the trackers report them; partitioned by month (UTC)';
COMMENT ON COLUMN tracking_data.recorded_at IS 'By the tracker''s clock';
COMMENT ON COLUMN tracking_data.raw IS 'What the tracker sent and no column holds';
COMMENT ON TABLE tracking_data_default IS 'Positions of months without a partition: should be empty';
COMMENT ON FUNCTION create_tracking_partition(DATE) IS 'For the monthly job; returns the name of the partition';

-- Down Migration
DROP FUNCTION create_tracking_partition(DATE);
DROP TABLE tracking_data;
