-- Custom SQL migration file, put your code below! --
ALTER TYPE "order_status" ADD VALUE IF NOT EXISTS 'refunded';
--> statement-breakpoint
CREATE VIEW "paid_orders" AS SELECT "id", "user_id", "total_cents" FROM "orders" WHERE "status" = 'paid';
