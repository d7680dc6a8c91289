-- Migration: Create users
-- Created: 2025-10-19

-- Up Migration
CREATE TABLE users (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  email VARCHAR(255) NOT NULL,
  password_hash VARCHAR(255) NOT NULL,
  name VARCHAR(255) NOT NULL,
  email_verified BOOLEAN NOT NULL DEFAULT false,
  is_active BOOLEAN NOT NULL DEFAULT true,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT users_email_key UNIQUE (email),
  CONSTRAINT users_email_shape CHECK (position('@' IN email) > 1),
  CONSTRAINT users_name_not_blank CHECK (btrim(name) <> '')
);

-- users_email_key is what ON CONFLICT (email) names; this one also stops a second spelling of the same address.
CREATE UNIQUE INDEX users_lower_email_key ON users (lower(email));
CREATE INDEX idx_users_unverified ON users (created_at) WHERE NOT email_verified;

CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := CURRENT_TIMESTAMP;
  RETURN NEW;
END;
$$;

CREATE TRIGGER users_set_updated_at
  BEFORE UPDATE ON users
  FOR EACH ROW
  WHEN (OLD.* IS DISTINCT FROM NEW.*)
  EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE users IS 'Everyone who can sign in, to any of the apps';
COMMENT ON COLUMN users.id IS 'What the apps store as user_id; no foreign key can span databases';
COMMENT ON COLUMN users.password_hash IS 'bcrypt; never sent to a client';
COMMENT ON COLUMN users.is_active IS 'A closed account keeps its row: the apps still refer to it';
COMMENT ON FUNCTION set_updated_at() IS 'Trigger: updated_at follows every change of a row';

-- Down Migration
DROP TABLE users;
DROP FUNCTION set_updated_at();
