-- Migration: Feature one post on the front page
-- Created: 2025-10-27

-- Up Migration
ALTER TABLE posts
  ADD COLUMN is_featured BOOLEAN NOT NULL DEFAULT false,
  ADD CONSTRAINT posts_featured_are_published CHECK (NOT is_featured OR status = 'published');

-- A unique index over a constant: at most one row can be in it.
CREATE UNIQUE INDEX posts_one_featured ON posts ((true)) WHERE is_featured;

CREATE VIEW front_page AS
SELECT p.id, p.slug, p.title, p.published_at, p.is_featured, a.handle, a.display_name,
       (SELECT count(*) FROM comments c WHERE c.post_id = p.id AND NOT c.is_hidden) AS comment_count
FROM posts p
JOIN user_profiles a ON a.id = p.author_id
WHERE p.status = 'published'
ORDER BY p.is_featured DESC, p.published_at DESC;

COMMENT ON COLUMN posts.is_featured IS 'Shown first; one post at most';
COMMENT ON VIEW front_page IS 'Published posts in the order in which the website lists them';

-- Down Migration
DROP VIEW front_page;
ALTER TABLE posts DROP COLUMN is_featured;
