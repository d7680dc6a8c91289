-- user_id is users.id in atriz_shared: see packages/core/seeds/002_default_users.sql.
INSERT INTO user_profiles (id, user_id, handle, display_name, bio, time_zone, visibility, links) VALUES
  ('10000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000001',
   'admin', 'Admin', 'Keeps the lights on.', 'UTC', 'members', '[]'),
  ('10000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000002',
   'edda', 'Edda', 'Writes what you read here; it''s a living.', 'Europe/Lisbon', 'public',
   '[{"title": "Website", "url": "https://edda.example"}]'),
  ('10000000-0000-4000-8000-000000000006', '00000000-0000-4000-8000-000000000006',
   'mina', 'Mina', '', 'America/Mexico_City', 'private', '[]')
ON CONFLICT (user_id) DO NOTHING;
