-- The simple indexes of the two trees become composite ones, which also order the children.
DROP INDEX IF EXISTS idx_nodes_function_parent;
DROP INDEX IF EXISTS idx_nodes_organization_parent;

CREATE INDEX IF NOT EXISTS idx_nodes_function_tree ON nodes(function_parent_id, title);
CREATE INDEX IF NOT EXISTS idx_nodes_organization_tree ON nodes(organization_parent_id, title);
CREATE INDEX IF NOT EXISTS idx_nodes_deleted_function ON nodes(is_deleted, function_parent_id);
CREATE INDEX IF NOT EXISTS idx_nodes_deleted_organization ON nodes(is_deleted, organization_parent_id);
