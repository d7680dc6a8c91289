CREATE INDEX IF NOT EXISTS idx_nodes_date_added ON nodes(date_added DESC);
CREATE INDEX IF NOT EXISTS idx_nodes_segment_organization ON nodes(segment_code, organization_code);
CREATE INDEX IF NOT EXISTS idx_nodes_company ON nodes(company) WHERE company IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_key_concepts_node_concept ON key_concepts(node_id, concept);
