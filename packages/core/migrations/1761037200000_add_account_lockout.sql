-- Migration: Lock an account after repeated failed logins
-- Created: 2025-10-21

-- Up Migration
ALTER TABLE users
  ADD COLUMN last_login_at TIMESTAMPTZ,
  ADD COLUMN failed_logins SMALLINT NOT NULL DEFAULT 0,
  ADD COLUMN locked_until TIMESTAMPTZ,
  ADD CONSTRAINT users_failed_logins_not_negative CHECK (failed_logins >= 0);

CREATE INDEX idx_users_locked ON users (locked_until) WHERE locked_until IS NOT NULL;

CREATE TABLE login_attempts (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  succeeded BOOLEAN NOT NULL,
  ip_address INET,
  attempted_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_login_attempts_user_id ON login_attempts (user_id, attempted_at DESC);

CREATE FUNCTION note_login_attempt() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.succeeded THEN
    UPDATE users
    SET last_login_at = NEW.attempted_at, failed_logins = 0, locked_until = NULL
    WHERE id = NEW.user_id;
  ELSE
    -- The fifth failure in a row locks; every further one starts the quarter of an hour anew.
    UPDATE users
    SET failed_logins = least(failed_logins + 1, 100),
        locked_until = CASE WHEN failed_logins >= 4 THEN NEW.attempted_at + INTERVAL '15 minutes' END
    WHERE id = NEW.user_id;
  END IF;
  RETURN NULL;
END;
$$;

CREATE TRIGGER login_attempts_note
  AFTER INSERT ON login_attempts
  FOR EACH ROW EXECUTE FUNCTION note_login_attempt();

COMMENT ON TABLE login_attempts IS 'Who tried to sign in, from where; locks accounts through a trigger';
COMMENT ON COLUMN users.failed_logins IS 'Failures since the last login that worked';
COMMENT ON COLUMN users.locked_until IS 'Logins are refused until then';

-- Down Migration
DROP TABLE login_attempts;
DROP FUNCTION note_login_attempt();
ALTER TABLE users
  DROP COLUMN locked_until,
  DROP COLUMN failed_logins,
  DROP COLUMN last_login_at;
