-- By name, not by id: the ids of the roles come from a sequence.
INSERT INTO user_roles (user_id, role_id, granted_by)
SELECT u.id, r.id, granter.id
FROM (VALUES
  ('admin@atriz.dev', 'admin', NULL),
  ('admin@atriz.dev', 'member', NULL),
  ('editor@atriz.dev', 'editor', 'admin@atriz.dev'),
  ('manager@mextrack.dev', 'fleet_manager', 'admin@atriz.dev'),
  ('driver@mextrack.dev', 'driver', 'manager@mextrack.dev'),
  ('cashier@pshop.dev', 'cashier', 'admin@atriz.dev'),
  ('member@atriz.dev', 'member', NULL)
) AS g (email, role, granted_by)
JOIN users u ON u.email = g.email
JOIN roles r ON r.name = g.role
LEFT JOIN users granter ON granter.email = g.granted_by
ON CONFLICT (user_id, role_id) DO NOTHING;
