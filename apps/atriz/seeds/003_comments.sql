-- Comments have no natural key: the same words below the same post are the same comment.
INSERT INTO comments (post_id, author_id, body, created_at)
SELECT p.id, a.id, 'Does my old password still work?', '2025-10-27 10:00:00+00'
FROM posts p, user_profiles a
WHERE p.slug = 'hello-atriz' AND a.handle = 'mina'
  AND NOT EXISTS (SELECT 1 FROM comments c WHERE c.post_id = p.id AND c.body = 'Does my old password still work?');

INSERT INTO comments (post_id, parent_id, author_id, body, created_at)
SELECT asked.post_id, asked.id, a.id, 'It does.', '2025-10-27 10:05:00+00'
FROM comments asked, user_profiles a
WHERE asked.body = 'Does my old password still work?' AND a.handle = 'edda'
  AND NOT EXISTS (SELECT 1 FROM comments c WHERE c.parent_id = asked.id AND c.body = 'It does.');
