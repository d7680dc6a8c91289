-- The roles of migrations/1760950800000_create_roles.sql, for when the table was cleaned.
INSERT INTO roles (name, description) VALUES
  ('admin', 'Everything, in every app'),
  ('member', 'A signed-in user'),
  ('editor', 'Atriz: writes and publishes posts'),
  ('fleet_manager', 'Mextrack: owns vehicles and assigns drivers'),
  ('driver', 'Mextrack: sees the own vehicle only'),
  ('cashier', 'PShop: sells and counts stock')
ON CONFLICT (name) DO UPDATE
  SET description = EXCLUDED.description
  WHERE roles.description <> EXCLUDED.description;
