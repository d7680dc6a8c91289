-- Migration: Create sales and their lines
-- Created: 2025-11-06

-- Up Migration
CREATE SEQUENCE receipt_number_seq AS BIGINT START WITH 1000;

CREATE TABLE sales (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  receipt_number BIGINT NOT NULL DEFAULT nextval('receipt_number_seq'),
  location_id UUID NOT NULL REFERENCES locations (id) ON DELETE RESTRICT,
  cashier_id UUID NOT NULL, -- users.id in atriz_shared
  customer_id UUID, -- users.id in atriz_shared; NULL: paid without an account
  sold_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  voided_at TIMESTAMPTZ,
  CONSTRAINT sales_receipt_number_key UNIQUE (receipt_number),
  CONSTRAINT sales_voided_later CHECK (voided_at >= sold_at)
);

ALTER SEQUENCE receipt_number_seq OWNED BY sales.receipt_number;

CREATE INDEX idx_sales_location_id ON sales (location_id, sold_at DESC);
CREATE INDEX idx_sales_customer_id ON sales (customer_id) WHERE customer_id IS NOT NULL;

CREATE TABLE sale_items (
  sale_id UUID NOT NULL REFERENCES sales (id) ON DELETE CASCADE,
  line SMALLINT NOT NULL,
  product_id UUID NOT NULL REFERENCES products (id) ON DELETE RESTRICT,
  quantity INTEGER NOT NULL,
  unit_price_cents INTEGER NOT NULL,
  total_cents INTEGER NOT NULL GENERATED ALWAYS AS (quantity * unit_price_cents) STORED,
  PRIMARY KEY (sale_id, line),
  CONSTRAINT sale_items_line_positive CHECK (line > 0),
  CONSTRAINT sale_items_quantity_positive CHECK (quantity > 0),
  CONSTRAINT sale_items_price_not_negative CHECK (unit_price_cents >= 0)
);

CREATE INDEX idx_sale_items_product_id ON sale_items (product_id);

ALTER TABLE inventory_movements
  ADD COLUMN sale_id UUID REFERENCES sales (id) ON DELETE RESTRICT,
  ADD CONSTRAINT inventory_movements_sales_name_theirs CHECK ((reason = 'sale') = (sale_id IS NOT NULL));

CREATE INDEX idx_inventory_movements_sale_id ON inventory_movements (sale_id) WHERE sale_id IS NOT NULL;

CREATE FUNCTION take_sold_item() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO inventory_movements (location_id, product_id, delta, reason, user_id, moved_at, sale_id)
  SELECT s.location_id, NEW.product_id, -NEW.quantity, 'sale', s.cashier_id, s.sold_at, s.id
  FROM sales s
  WHERE s.id = NEW.sale_id;
  RETURN NULL;
END;
$$;

CREATE TRIGGER sale_items_take
  AFTER INSERT ON sale_items
  FOR EACH ROW EXECUTE FUNCTION take_sold_item();

COMMENT ON TABLE sales IS 'Receipts';
COMMENT ON COLUMN sales.receipt_number IS 'Printed on the receipt; may have gaps, starts at 1000';
COMMENT ON TABLE sale_items IS 'Lines of a receipt; inserting one takes the goods out of the inventory';
COMMENT ON COLUMN sale_items.unit_price_cents IS 'As sold: products.price_cents may have changed since';
COMMENT ON COLUMN inventory_movements.sale_id IS 'The sale that moved the goods';

-- Down Migration
ALTER TABLE inventory_movements
  DROP CONSTRAINT inventory_movements_sales_name_theirs,
  DROP COLUMN sale_id;
DROP TABLE sale_items;
DROP FUNCTION take_sold_item();
DROP TABLE sales;
