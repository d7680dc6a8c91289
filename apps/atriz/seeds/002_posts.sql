INSERT INTO posts (id, author_id, slug, title, body, status, published_at, is_featured) VALUES
  ('11000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000002',
   'hello-atriz', 'Hello, Atriz', 'One account for every app: sign in once, use them all.',
   'published', '2025-10-27 09:00:00+00', true),
  ('11000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000002',
   'one-database-per-app', 'One database per app', 'What an app owns, it keeps; what all share, core keeps.',
   'published', '2025-10-28 09:00:00+00', false),
  ('11000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000002',
   'roadmap', 'Roadmap', 'To be written.', 'draft', NULL, false)
ON CONFLICT (slug) DO NOTHING;

INSERT INTO tags (name)
SELECT wanted.name
FROM (VALUES ('announcement'), ('architecture')) AS wanted (name)
WHERE NOT EXISTS (SELECT 1 FROM tags t WHERE t.name = wanted.name);

INSERT INTO post_tags (post_id, tag_id)
SELECT p.id, t.id
FROM (VALUES
  ('hello-atriz', 'announcement'),
  ('one-database-per-app', 'architecture'),
  ('roadmap', 'announcement')
) AS filed (slug, tag)
JOIN posts p ON p.slug = filed.slug
JOIN tags t ON t.name = filed.tag
ON CONFLICT DO NOTHING;
