INSERT INTO nodes (id, title, url, source_domain, short_description, segment_code)
VALUES ('n1', 'Vector search in SQLite', 'https://example.com/vectors', 'example.com', 'How to find what is alike', 'AI')
ON CONFLICT (id) DO NOTHING;
INSERT INTO key_concepts (id, node_id, concept) VALUES (1, 'n1', 'embedding') ON CONFLICT (id) DO NOTHING;
