-- dbctl:requires identity@1772000000000
-- dbctl:requires catalog@20260201080000_products
CREATE TYPE "order_status" AS ENUM('open', 'paid', 'shipped');--> statement-breakpoint
CREATE TABLE "orders" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"user_id" uuid NOT NULL,
	"sku" text NOT NULL,
	"status" "order_status" DEFAULT 'open'::"order_status" NOT NULL,
	"total_cents" bigint NOT NULL,
	"placed_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE INDEX "orders_user_id_idx" ON "orders" ("user_id");