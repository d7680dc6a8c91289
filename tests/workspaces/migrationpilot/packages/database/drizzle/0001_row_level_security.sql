-- Who asks: the application sets `app.user_id` on its connection.
CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT nullif(current_setting('app.user_id', true), '')::uuid
$$;
--> statement-breakpoint
-- Reads `users` as its owner, so that a policy on `users` may call it.
CREATE FUNCTION current_organization_id() RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
  SELECT organization_id FROM users WHERE id = current_user_id()
$$;
--> statement-breakpoint
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'migrationpilot_api') THEN
    CREATE ROLE migrationpilot_api NOLOGIN;
  END IF;
END
$$;
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO migrationpilot_api;
--> statement-breakpoint
ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY projects_isolation ON projects
  USING (organization_id = current_organization_id());
--> statement-breakpoint
ALTER TABLE business_rules ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY business_rules_isolation ON business_rules
  USING (project_id IN (SELECT id FROM projects WHERE organization_id = current_organization_id()));
--> statement-breakpoint
ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY audit_logs_isolation ON audit_logs
  USING (organization_id = current_organization_id());
