DROP TRIGGER IF EXISTS nodes_fts_update;
DROP TRIGGER IF EXISTS nodes_fts_delete;
DROP TRIGGER IF EXISTS nodes_fts_insert;
DROP TABLE IF EXISTS nodes_fts;

DROP INDEX IF EXISTS idx_nodes_is_deleted;
DROP INDEX IF EXISTS idx_nodes_source_domain;
DROP INDEX IF EXISTS idx_nodes_organization_parent;
DROP INDEX IF EXISTS idx_nodes_function_parent;

DROP TABLE IF EXISTS organizations;
DROP TABLE IF EXISTS segments;
DROP TABLE IF EXISTS key_concepts;
DROP TABLE IF EXISTS nodes;
