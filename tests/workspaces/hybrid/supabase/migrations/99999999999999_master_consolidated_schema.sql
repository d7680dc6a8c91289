-- Master migration: brings a fresh database to the state after 20250115000000.
-- Idempotent: every object is created only where it is missing.

-- ---------------------------------------------------------------- roles
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
  END LOOP;
END
$$;

CREATE SCHEMA IF NOT EXISTS auth;

-- As Supabase's own auth.uid(), where that is not there already.
DO $do$
BEGIN
  IF to_regprocedure('auth.uid()') IS NULL THEN
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
      SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid
    $$;
  END IF;
END
$do$;

GRANT USAGE ON SCHEMA public, auth TO anon, authenticated, service_role;

-- ---------------------------------------------------------------- users and authentication
CREATE TABLE IF NOT EXISTS public.users (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.sessions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  token text NOT NULL UNIQUE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_user_id_idx ON public.sessions (user_id);

CREATE TABLE IF NOT EXISTS public.mfa_enforced_sessions (
  session_id uuid PRIMARY KEY REFERENCES public.sessions (id) ON DELETE CASCADE,
  enforced_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------- file tracking
CREATE TABLE IF NOT EXISTS public.events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  file_path text NOT NULL,
  "timestamp" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS events_user_id_timestamp_idx ON public.events (user_id, "timestamp");
CREATE INDEX IF NOT EXISTS events_file_path_idx ON public.events (file_path);

CREATE TABLE IF NOT EXISTS public.patterns (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  file_extension text NOT NULL,
  uses integer NOT NULL DEFAULT 0,
  UNIQUE (user_id, file_extension)
);

CREATE TABLE IF NOT EXISTS public.relationships (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  from_path text NOT NULL,
  to_path text NOT NULL,
  weight numeric(6, 4) NOT NULL DEFAULT 0
);

-- ---------------------------------------------------------------- organizations and workflows
CREATE TABLE IF NOT EXISTS public.organizations (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL
);

CREATE TABLE IF NOT EXISTS public.organization_members (
  organization_id uuid NOT NULL REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
  PRIMARY KEY (organization_id, user_id)
);

CREATE TABLE IF NOT EXISTS public.workflows (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  organization_id uuid REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL,
  is_active boolean NOT NULL DEFAULT true
);
CREATE INDEX IF NOT EXISTS workflows_user_id_idx ON public.workflows (user_id);
CREATE INDEX IF NOT EXISTS workflows_organization_id_idx ON public.workflows (organization_id);
CREATE INDEX IF NOT EXISTS workflows_is_active_idx ON public.workflows (is_active);

CREATE TABLE IF NOT EXISTS public.workflow_versions (
  workflow_id uuid NOT NULL REFERENCES public.workflows (id) ON DELETE CASCADE,
  version integer NOT NULL,
  definition jsonb NOT NULL,
  PRIMARY KEY (workflow_id, version)
);

CREATE TABLE IF NOT EXISTS public.workflow_executions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  workflow_id uuid NOT NULL REFERENCES public.workflows (id) ON DELETE CASCADE,
  status text NOT NULL DEFAULT 'queued'
);
CREATE INDEX IF NOT EXISTS workflow_executions_workflow_id_idx ON public.workflow_executions (workflow_id);
CREATE INDEX IF NOT EXISTS workflow_executions_status_idx ON public.workflow_executions (status);

-- ---------------------------------------------------------------- privacy and compliance
CREATE TABLE IF NOT EXISTS public.privacy_prefs (
  user_id uuid PRIMARY KEY REFERENCES public.users (id) ON DELETE CASCADE,
  telemetry boolean NOT NULL DEFAULT false
);

CREATE TABLE IF NOT EXISTS public.telemetry_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  app_id text NOT NULL,
  "timestamp" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS telemetry_events_user_id_timestamp_idx ON public.telemetry_events (user_id, "timestamp");
CREATE INDEX IF NOT EXISTS telemetry_events_app_id_idx ON public.telemetry_events (app_id);

CREATE TABLE IF NOT EXISTS public.audit_logs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  actor uuid,
  action text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------- billing and analytics
CREATE TABLE IF NOT EXISTS public.subscriptions (
  user_id uuid PRIMARY KEY REFERENCES public.users (id) ON DELETE CASCADE,
  plan text NOT NULL DEFAULT 'free'
);

CREATE TABLE IF NOT EXISTS public.feature_flags (
  name text PRIMARY KEY,
  enabled boolean NOT NULL DEFAULT false
);

CREATE TABLE IF NOT EXISTS public.metrics_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  value double precision NOT NULL
);

-- ---------------------------------------------------------------- functions
CREATE OR REPLACE FUNCTION public.upsert_pattern(in_extension text) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  -- A semicolon in a string; and one in this comment;
  INSERT INTO public.patterns (user_id, file_extension, uses)
  VALUES (auth.uid(), coalesce(in_extension, ';'), 1)
  ON CONFLICT (user_id, file_extension) DO UPDATE SET uses = patterns.uses + 1;
END;
$function$;

-- ---------------------------------------------------------------- row level security
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['sessions', 'events', 'patterns', 'relationships', 'workflows', 'privacy_prefs',
                              'telemetry_events', 'subscriptions'] LOOP
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO authenticated', name);
    IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'public' AND tablename = name AND policyname = 'own_rows') THEN
      EXECUTE format('CREATE POLICY own_rows ON public.%I TO authenticated USING (user_id = auth.uid())', name);
    END IF;
  END LOOP;
END
$$;

ALTER TABLE public.feature_flags ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON public.feature_flags TO anon, authenticated;
DROP POLICY IF EXISTS everybody_reads ON public.feature_flags;
CREATE POLICY everybody_reads ON public.feature_flags FOR SELECT TO anon, authenticated USING (true);
