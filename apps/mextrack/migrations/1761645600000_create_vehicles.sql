-- Migration: Create vehicles
-- Created: 2025-10-28

-- Up Migration
CREATE TYPE vehicle_type AS ENUM ('car', 'van', 'truck', 'motorcycle', 'trailer');

CREATE TABLE vehicles (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL, -- users.id in atriz_shared
  vehicle_name VARCHAR(255) NOT NULL,
  vehicle_type vehicle_type NOT NULL DEFAULT 'car',
  license_plate VARCHAR(16) NOT NULL,
  vin CHAR(17),
  odometer_km NUMERIC(9, 1) NOT NULL DEFAULT 0,
  is_active BOOLEAN NOT NULL DEFAULT true,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT vehicles_vin_key UNIQUE (vin),
  CONSTRAINT vehicles_vin_shape CHECK (vin ~ '^[A-HJ-NPR-Z0-9]{17}$'),
  CONSTRAINT vehicles_odometer_not_negative CHECK (odometer_km >= 0)
);

-- A plate moves on to another vehicle once the old one is out of service.
CREATE UNIQUE INDEX vehicles_active_plate_key ON vehicles (upper(license_plate)) WHERE is_active;
CREATE INDEX idx_vehicles_user_id ON vehicles (user_id);

CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := CURRENT_TIMESTAMP;
  RETURN NEW;
END;
$$;

CREATE TRIGGER vehicles_set_updated_at
  BEFORE UPDATE ON vehicles
  FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE vehicles IS 'Everything that carries a tracker';
COMMENT ON COLUMN vehicles.user_id IS 'The fleet manager: users.id in atriz_shared; the application keeps it true';
COMMENT ON COLUMN vehicles.vin IS 'ISO 3779: 17 characters without I, O and Q';

-- Down Migration
DROP TABLE vehicles;
DROP FUNCTION set_updated_at();
DROP TYPE vehicle_type;
