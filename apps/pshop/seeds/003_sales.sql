-- cashier_id and customer_id are users.id in atriz_shared: see packages/core/seeds/002_default_users.sql.
-- WHERE NOT EXISTS instead of ON CONFLICT: a second run draws no receipt numbers.
INSERT INTO sales (id, location_id, cashier_id, customer_id, sold_at)
SELECT s.id::uuid, '31000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000005',
       s.customer_id::uuid, s.sold_at::timestamptz
FROM (VALUES
  ('33000000-0000-4000-8000-000000000001', NULL, '2025-11-06 10:15:00+00'),
  ('33000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000006', '2025-11-06 11:40:00+00'),
  ('33000000-0000-4000-8000-000000000003', NULL, '2025-11-07 09:05:00+00')
) AS s (id, customer_id, sold_at)
WHERE NOT EXISTS (SELECT 1 FROM sales known WHERE known.id = s.id::uuid)
ORDER BY s.sold_at;

INSERT INTO sale_items (sale_id, line, product_id, quantity, unit_price_cents) VALUES
  ('33000000-0000-4000-8000-000000000001', 1, '30000000-0000-4000-8000-000000000001', 2, 18900),
  ('33000000-0000-4000-8000-000000000001', 2, '30000000-0000-4000-8000-000000000003', 1, 4500),
  ('33000000-0000-4000-8000-000000000002', 1, '30000000-0000-4000-8000-000000000002', 1, 11500),
  ('33000000-0000-4000-8000-000000000003', 1, '30000000-0000-4000-8000-000000000001', 1, 17900)
ON CONFLICT (sale_id, line) DO NOTHING;

REFRESH MATERIALIZED VIEW daily_sales;
