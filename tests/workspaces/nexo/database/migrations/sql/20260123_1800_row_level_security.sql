-- The services connect as nexo_app and say whose request they serve:
--   SET app.current_account_id = '<uuid>'
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nexo_app') THEN
    CREATE ROLE nexo_app NOLOGIN;
  END IF;
END
$$;

CREATE FUNCTION app_account_id() RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT nullif(current_setting('app.current_account_id', true), '')::uuid
$$;

GRANT USAGE ON SCHEMA public TO nexo_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON users, companies, contacts, deals, activities, notes, api_keys TO nexo_app;

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE companies ENABLE ROW LEVEL SECURITY;
ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE deals ENABLE ROW LEVEL SECURITY;
ALTER TABLE activities ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY users_account_isolation ON users
  USING (account_id = app_account_id()) WITH CHECK (account_id = app_account_id());
CREATE POLICY companies_account_isolation ON companies
  USING (account_id = app_account_id()) WITH CHECK (account_id = app_account_id());
CREATE POLICY contacts_account_isolation ON contacts
  USING (account_id = app_account_id()) WITH CHECK (account_id = app_account_id());
CREATE POLICY deals_account_isolation ON deals
  USING (account_id = app_account_id()) WITH CHECK (account_id = app_account_id());
CREATE POLICY activities_account_isolation ON activities
  USING (account_id = app_account_id()) WITH CHECK (account_id = app_account_id());
CREATE POLICY notes_account_isolation ON notes
  USING (account_id = app_account_id()) WITH CHECK (account_id = app_account_id());
CREATE POLICY api_keys_account_isolation ON api_keys
  USING (account_id = app_account_id()) WITH CHECK (account_id = app_account_id());
