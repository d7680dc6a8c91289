-- Migration: Create the reports on stock and sales
-- Created: 2025-11-07

-- Up Migration
CREATE VIEW low_stock AS
SELECT l.name AS location, p.sku, p.name AS product, i.quantity, i.reorder_level
FROM inventory i
JOIN locations l ON l.id = i.location_id
JOIN products p ON p.id = i.product_id
WHERE i.quantity <= i.reorder_level AND p.is_active;

-- Stock has to be true now; yesterday's turnover may wait for the nightly refresh.
CREATE MATERIALIZED VIEW daily_sales AS
SELECT (s.sold_at AT TIME ZONE 'UTC')::date AS day,
       s.location_id,
       count(DISTINCT s.id) AS receipts,
       sum(i.quantity) AS items,
       sum(i.total_cents) AS total_cents
FROM sales s
JOIN sale_items i ON i.sale_id = s.id
WHERE s.voided_at IS NULL
GROUP BY 1, 2;

-- REFRESH MATERIALIZED VIEW CONCURRENTLY needs a unique index over all rows.
CREATE UNIQUE INDEX daily_sales_day_location_id_key ON daily_sales (day, location_id);

COMMENT ON VIEW low_stock IS 'What to order again';
COMMENT ON MATERIALIZED VIEW daily_sales IS 'Turnover by day (UTC) and location, as of the last refresh';

-- Down Migration
DROP MATERIALIZED VIEW daily_sales;
DROP VIEW low_stock;
