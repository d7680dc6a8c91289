INSERT INTO categories (name)
SELECT wanted.name
FROM (VALUES ('Drinks'), ('Household')) AS wanted (name)
WHERE NOT EXISTS (SELECT 1 FROM categories c WHERE c.name = wanted.name);

INSERT INTO categories (parent_id, name)
SELECT drinks.id, 'Coffee'
FROM categories drinks
WHERE drinks.name = 'Drinks' AND NOT EXISTS (SELECT 1 FROM categories c WHERE c.name = 'Coffee');

INSERT INTO products (id, category_id, sku, barcode, name, price_cents, attributes, is_active)
SELECT p.id::uuid, c.id, p.sku, p.barcode, p.name, p.price_cents, p.attributes::jsonb, p.active
FROM (VALUES
  ('30000000-0000-4000-8000-000000000001', 'Coffee', 'COF-ARA-500', '7501000000011',
   'Arabica beans, 500 g', 18900, '{"weight_g": 500, "roast": "medium"}', true),
  ('30000000-0000-4000-8000-000000000002', 'Coffee', 'COF-DEC-250', '7501000000028',
   'Decaf, ground, 250 g', 11500, '{"weight_g": 250}', true),
  ('30000000-0000-4000-8000-000000000003', 'Household', 'HOU-FIL-100', '7501000000035',
   'Paper filters, 100 pieces', 4500, '{}', true),
  ('30000000-0000-4000-8000-000000000004', 'Household', 'HOU-MUG-OLD', NULL,
   'Mug, last year''s print', 9900, '{}', false)
) AS p (id, category, sku, barcode, name, price_cents, attributes, active)
JOIN categories c ON c.name = p.category
ON CONFLICT (sku) DO NOTHING;
