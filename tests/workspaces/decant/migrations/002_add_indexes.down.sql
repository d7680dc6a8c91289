DROP INDEX IF EXISTS idx_key_concepts_node_concept;
DROP INDEX IF EXISTS idx_nodes_company;
DROP INDEX IF EXISTS idx_nodes_segment_organization;
DROP INDEX IF EXISTS idx_nodes_date_added;
