-- The ids are fixed: the seeds of the apps refer to these users by them.
-- Everybody's password is atriz-dev; workspace.yaml skips the seeds in production.
INSERT INTO users (id, email, password_hash, name, email_verified, is_active)
SELECT u.id::uuid, u.email, '$2a$10$MBMtuAonIuFUL2Jwwahn/e1Yg3JCiS1SRj3Zl9eQIGtFqaerRhbki', u.name, u.verified, u.active
FROM (VALUES
  ('00000000-0000-4000-8000-000000000001', 'admin@atriz.dev', 'Admin User', true, true),
  ('00000000-0000-4000-8000-000000000002', 'editor@atriz.dev', 'Edda Editor', true, true),
  ('00000000-0000-4000-8000-000000000003', 'manager@mextrack.dev', 'Mauro Manager', true, true),
  ('00000000-0000-4000-8000-000000000004', 'driver@mextrack.dev', 'Dora Driver', true, true),
  ('00000000-0000-4000-8000-000000000005', 'cashier@pshop.dev', 'Casey Cashier', true, true),
  ('00000000-0000-4000-8000-000000000006', 'member@atriz.dev', 'Mina Member', false, true),
  ('00000000-0000-4000-8000-000000000007', 'former@atriz.dev', 'Fred Former', true, false)
) AS u (id, email, name, verified, active)
ON CONFLICT (email) DO NOTHING;
