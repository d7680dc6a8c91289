INSERT INTO tenants (id, name, slug) VALUES ('10000000-0000-4000-8000-000000000001', 'Default', 'default')
  ON CONFLICT DO NOTHING;
INSERT INTO organizations (id, tenant_id, name, slug) VALUES
  ('20000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 'First Bank', 'first-bank'),
  ('20000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001', 'Old Mutual', 'old-mutual')
  ON CONFLICT DO NOTHING;
INSERT INTO users (id, email, name, organization_id, role) VALUES
  ('30000000-0000-4000-8000-000000000001', 'ada@first-bank.test', 'Ada', '20000000-0000-4000-8000-000000000001', 'admin'),
  ('30000000-0000-4000-8000-000000000002', 'grace@old-mutual.test', 'Grace', '20000000-0000-4000-8000-000000000002', 'developer')
  ON CONFLICT DO NOTHING;
INSERT INTO projects (id, name, organization_id, source_language, target_language, created_by) VALUES
  ('40000000-0000-4000-8000-000000000001', 'Ledger', '20000000-0000-4000-8000-000000000001', 'cobol', 'java',
   '30000000-0000-4000-8000-000000000001'),
  ('40000000-0000-4000-8000-000000000002', 'Claims', '20000000-0000-4000-8000-000000000002', 'vb6', 'csharp',
   '30000000-0000-4000-8000-000000000002')
  ON CONFLICT DO NOTHING;
INSERT INTO business_rules (id, project_id, name, description, category, source_file, source_start_line,
                            source_end_line, source_code, logic, confidence) VALUES
  ('50000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', 'interest', 'Compound interest',
   'calculation', 'INTEREST.CBL', 10, 24, 'COMPUTE WS-INT = WS-BAL * WS-RATE', 'balance * rate', 0.950)
  ON CONFLICT DO NOTHING;
