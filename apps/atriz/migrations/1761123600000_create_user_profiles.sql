-- Migration: Create user profiles
-- Created: 2025-10-22

-- Up Migration
CREATE TYPE profile_visibility AS ENUM ('public', 'members', 'private');

CREATE TABLE user_profiles (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL, -- users.id in atriz_shared
  handle VARCHAR(40) NOT NULL,
  display_name VARCHAR(100) NOT NULL,
  bio TEXT NOT NULL DEFAULT '',
  avatar_url VARCHAR(500),
  time_zone VARCHAR(64) NOT NULL DEFAULT 'UTC',
  visibility profile_visibility NOT NULL DEFAULT 'members',
  links JSONB NOT NULL DEFAULT '[]',
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT user_profiles_user_id_key UNIQUE (user_id),
  CONSTRAINT user_profiles_handle_shape CHECK (handle ~ '^[A-Za-z0-9](-?[A-Za-z0-9])*$'),
  CONSTRAINT user_profiles_avatar_is_https CHECK (avatar_url LIKE 'https://%'),
  CONSTRAINT user_profiles_links_are_a_list CHECK (jsonb_typeof(links) = 'array')
);

CREATE UNIQUE INDEX user_profiles_lower_handle_key ON user_profiles (lower(handle));
CREATE INDEX idx_user_profiles_public ON user_profiles (created_at DESC) WHERE visibility = 'public';

CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := CURRENT_TIMESTAMP;
  RETURN NEW;
END;
$$;

CREATE TRIGGER user_profiles_set_updated_at
  BEFORE UPDATE ON user_profiles
  FOR EACH ROW
  WHEN (OLD.* IS DISTINCT FROM NEW.*)
  EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE user_profiles IS 'How a user appears on the Atriz website';
COMMENT ON COLUMN user_profiles.user_id IS 'users.id in atriz_shared; the application keeps it true';
COMMENT ON COLUMN user_profiles.links IS 'List of {"title": …, "url": …}';

-- Down Migration
DROP TABLE user_profiles;
DROP FUNCTION set_updated_at();
DROP TYPE profile_visibility;
