-- Migration: Create locations, inventory and its movements
-- Created: 2025-11-05

-- Up Migration
CREATE TABLE locations (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  name VARCHAR(100) NOT NULL,
  is_store BOOLEAN NOT NULL DEFAULT true,
  CONSTRAINT locations_name_key UNIQUE (name)
);

CREATE TABLE inventory (
  location_id UUID NOT NULL REFERENCES locations (id) ON DELETE RESTRICT,
  product_id UUID NOT NULL REFERENCES products (id) ON DELETE RESTRICT,
  quantity INTEGER NOT NULL DEFAULT 0,
  reorder_level INTEGER NOT NULL DEFAULT 0,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (location_id, product_id),
  CONSTRAINT inventory_quantity_not_negative CHECK (quantity >= 0),
  CONSTRAINT inventory_reorder_level_not_negative CHECK (reorder_level >= 0)
);

CREATE INDEX idx_inventory_product_id ON inventory (product_id);
CREATE INDEX idx_inventory_low ON inventory (location_id) WHERE quantity <= reorder_level;

CREATE TRIGGER inventory_set_updated_at
  BEFORE UPDATE ON inventory
  FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TYPE movement_reason AS ENUM ('purchase', 'sale', 'return', 'transfer', 'count', 'loss');

CREATE TABLE inventory_movements (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  location_id UUID NOT NULL REFERENCES locations (id) ON DELETE RESTRICT,
  product_id UUID NOT NULL REFERENCES products (id) ON DELETE RESTRICT,
  delta INTEGER NOT NULL,
  reason movement_reason NOT NULL,
  user_id UUID, -- users.id in atriz_shared; NULL: by the system
  moved_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT inventory_movements_move_something CHECK (delta <> 0)
);

CREATE INDEX idx_inventory_movements_product_id ON inventory_movements (product_id, moved_at DESC);
CREATE INDEX idx_inventory_movements_location_id ON inventory_movements (location_id, moved_at DESC);

CREATE FUNCTION apply_inventory_movement() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  -- No INSERT … ON CONFLICT: a negative delta would fail the CHECK before the conflict is seen.
  UPDATE inventory
  SET quantity = quantity + NEW.delta
  WHERE location_id = NEW.location_id AND product_id = NEW.product_id;

  IF NOT FOUND THEN
    INSERT INTO inventory (location_id, product_id, quantity)
    VALUES (NEW.location_id, NEW.product_id, NEW.delta);
  END IF;
  RETURN NULL;
END;
$$;

CREATE TRIGGER inventory_movements_apply
  AFTER INSERT ON inventory_movements
  FOR EACH ROW EXECUTE FUNCTION apply_inventory_movement();

CREATE FUNCTION refuse_movement_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'movement % is history: insert one that undoes it', OLD.id
    USING ERRCODE = 'restrict_violation';
END;
$$;

CREATE TRIGGER inventory_movements_are_history
  BEFORE UPDATE OR DELETE ON inventory_movements
  FOR EACH ROW EXECUTE FUNCTION refuse_movement_change();

COMMENT ON TABLE locations IS 'Stores and warehouses';
COMMENT ON TABLE inventory IS 'How much of each product is where; follows inventory_movements';
COMMENT ON COLUMN inventory.reorder_level IS 'At or below this, the product shows up in low_stock';
COMMENT ON TABLE inventory_movements IS 'Every change of stock and its reason; append-only';

-- Down Migration
DROP TABLE inventory_movements;
DROP FUNCTION refuse_movement_change();
DROP FUNCTION apply_inventory_movement();
DROP TYPE movement_reason;
DROP TABLE inventory;
DROP TABLE locations;
