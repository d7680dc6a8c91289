DROP INDEX IF EXISTS idx_nodes_deleted_organization;
DROP INDEX IF EXISTS idx_nodes_deleted_function;
DROP INDEX IF EXISTS idx_nodes_organization_tree;
DROP INDEX IF EXISTS idx_nodes_function_tree;

CREATE INDEX IF NOT EXISTS idx_nodes_function_parent ON nodes(function_parent_id);
CREATE INDEX IF NOT EXISTS idx_nodes_organization_parent ON nodes(organization_parent_id);
