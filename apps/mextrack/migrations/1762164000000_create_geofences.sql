-- Migration: Create geofences and the map's view
-- Created: 2025-11-03

-- Up Migration
CREATE TABLE geofences (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL, -- users.id in atriz_shared
  name VARCHAR(100) NOT NULL,
  latitude NUMERIC(8, 6) NOT NULL,
  longitude NUMERIC(9, 6) NOT NULL,
  radius_m INTEGER NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT geofences_user_id_name_key UNIQUE (user_id, name),
  CONSTRAINT geofences_center CHECK (latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180),
  CONSTRAINT geofences_radius_range CHECK (radius_m BETWEEN 10 AND 100000)
);

CREATE TRIGGER geofences_set_updated_at
  BEFORE UPDATE ON geofences
  FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE geofence_vehicles (
  geofence_id UUID NOT NULL REFERENCES geofences (id) ON DELETE CASCADE,
  vehicle_id UUID NOT NULL REFERENCES vehicles (id) ON DELETE CASCADE,
  alert_on_enter BOOLEAN NOT NULL DEFAULT true,
  alert_on_leave BOOLEAN NOT NULL DEFAULT true,
  PRIMARY KEY (geofence_id, vehicle_id),
  CONSTRAINT geofence_vehicles_alert_on_something CHECK (alert_on_enter OR alert_on_leave)
);

CREATE INDEX idx_geofence_vehicles_vehicle_id ON geofence_vehicles (vehicle_id);

CREATE VIEW vehicle_positions AS
SELECT v.id AS vehicle_id, v.user_id, v.vehicle_name, v.license_plate, d.full_name AS driver,
       t.recorded_at, t.latitude, t.longitude, t.speed_kmh
FROM vehicles v
LEFT JOIN driver_assignments a ON a.id = v.current_assignment_id
LEFT JOIN drivers d ON d.id = a.driver_id
LEFT JOIN LATERAL (
  SELECT recorded_at, latitude, longitude, speed_kmh
  FROM tracking_data
  WHERE vehicle_id = v.id
  ORDER BY recorded_at DESC
  LIMIT 1
) t ON true
WHERE v.is_active;

COMMENT ON TABLE geofences IS 'Circles on the map that raise an alert';
COMMENT ON TABLE geofence_vehicles IS 'Which vehicles a circle watches';
COMMENT ON VIEW vehicle_positions IS 'Where every active vehicle was last seen, and who drives it';

-- Down Migration
DROP VIEW vehicle_positions;
DROP TABLE geofence_vehicles;
DROP TABLE geofences;
