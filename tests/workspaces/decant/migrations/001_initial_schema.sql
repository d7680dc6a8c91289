-- What a page was about: nodes, and what hangs on them.

CREATE TABLE IF NOT EXISTS nodes (
  id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(16)))),
  title TEXT NOT NULL,
  url TEXT UNIQUE NOT NULL,
  source_domain TEXT NOT NULL,
  short_description TEXT,
  author TEXT,
  company TEXT,
  function_parent_id TEXT REFERENCES nodes(id) ON DELETE SET NULL,
  organization_parent_id TEXT REFERENCES nodes(id) ON DELETE SET NULL,
  segment_code TEXT,
  organization_code TEXT,
  extracted_fields TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(extracted_fields)),
  date_added TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  is_deleted INTEGER NOT NULL DEFAULT 0 CHECK (is_deleted IN (0, 1))
);

CREATE TABLE IF NOT EXISTS key_concepts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  node_id TEXT NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,
  concept TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS segments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  code TEXT UNIQUE NOT NULL,
  name TEXT NOT NULL,
  description TEXT
);

CREATE TABLE IF NOT EXISTS organizations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  code TEXT UNIQUE NOT NULL,
  name TEXT NOT NULL,
  description TEXT
);

CREATE INDEX IF NOT EXISTS idx_nodes_function_parent ON nodes(function_parent_id);
CREATE INDEX IF NOT EXISTS idx_nodes_organization_parent ON nodes(organization_parent_id);
CREATE INDEX IF NOT EXISTS idx_nodes_source_domain ON nodes(source_domain);
CREATE INDEX IF NOT EXISTS idx_nodes_is_deleted ON nodes(is_deleted);

CREATE VIRTUAL TABLE IF NOT EXISTS nodes_fts USING fts5(
  title,
  short_description,
  content = 'nodes',
  content_rowid = 'rowid'
);

-- The words that are searched follow the nodes.
CREATE TRIGGER IF NOT EXISTS nodes_fts_insert AFTER INSERT ON nodes BEGIN
  INSERT INTO nodes_fts(rowid, title, short_description)
  VALUES (new.rowid, new.title, new.short_description);
END;

CREATE TRIGGER IF NOT EXISTS nodes_fts_delete AFTER DELETE ON nodes BEGIN
  INSERT INTO nodes_fts(nodes_fts, rowid, title, short_description)
  VALUES ('delete', old.rowid, old.title, old.short_description);
END;

CREATE TRIGGER IF NOT EXISTS nodes_fts_update AFTER UPDATE ON nodes BEGIN
  INSERT INTO nodes_fts(nodes_fts, rowid, title, short_description)
  VALUES ('delete', old.rowid, old.title, old.short_description);
  INSERT INTO nodes_fts(rowid, title, short_description)
  VALUES (new.rowid, new.title, new.short_description);
END;
