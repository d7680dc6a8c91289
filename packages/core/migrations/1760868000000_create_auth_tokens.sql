-- Migration: Create auth tokens
-- Created: 2025-10-19

-- Up Migration
CREATE TYPE auth_token_type AS ENUM ('refresh', 'email_verification', 'password_reset', 'api');

CREATE TABLE auth_tokens (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  token_type auth_token_type NOT NULL,
  token_hash CHAR(64) NOT NULL,
  user_agent TEXT,
  ip_address INET,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  expires_at TIMESTAMPTZ NOT NULL,
  revoked_at TIMESTAMPTZ,
  CONSTRAINT auth_tokens_token_hash_key UNIQUE (token_hash),
  CONSTRAINT auth_tokens_token_hash_hex CHECK (token_hash ~ '^[0-9a-f]{64}$'),
  CONSTRAINT auth_tokens_expire_later CHECK (expires_at > created_at)
);

CREATE INDEX idx_auth_tokens_live ON auth_tokens (user_id, token_type) WHERE revoked_at IS NULL;
CREATE INDEX idx_auth_tokens_expires_at ON auth_tokens (expires_at);

-- For the nightly job: returns how many tokens it removed.
CREATE FUNCTION purge_auth_tokens(older_than INTERVAL DEFAULT '30 days') RETURNS BIGINT
LANGUAGE plpgsql AS $$
DECLARE
  removed BIGINT;
BEGIN
  DELETE FROM auth_tokens
  WHERE expires_at < CURRENT_TIMESTAMP - older_than
     OR revoked_at < CURRENT_TIMESTAMP - older_than;
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN removed;
END;
$$;

COMMENT ON TABLE auth_tokens IS 'Tokens that were handed out, so that they can be revoked before they expire';
COMMENT ON COLUMN auth_tokens.token_hash IS 'SHA-256 of the token in hex; the token itself is not stored';
COMMENT ON COLUMN auth_tokens.revoked_at IS 'Set on sign-out, on a password change and when a refresh token is used';
COMMENT ON FUNCTION purge_auth_tokens(INTERVAL) IS 'Deletes tokens that ended longer ago than the interval';

-- Down Migration
DROP FUNCTION purge_auth_tokens(INTERVAL);
DROP TABLE auth_tokens;
DROP TYPE auth_token_type;
