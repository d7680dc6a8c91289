-- dbctl:requires orders@20260301090000_orders
BEGIN;
CREATE TABLE public.daily_revenue (
  day date PRIMARY KEY,
  revenue_cents bigint NOT NULL DEFAULT 0
);
COMMIT;
