INSERT INTO segments (code, name) VALUES ('AI', 'Artificial intelligence'), ('FIN', 'Finance')
ON CONFLICT (code) DO NOTHING;
INSERT INTO organizations (code, name) VALUES ('ACME', 'Acme Inc.') ON CONFLICT (code) DO NOTHING;
