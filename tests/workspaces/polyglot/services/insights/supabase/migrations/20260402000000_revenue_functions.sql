CREATE FUNCTION public.add_revenue(in_day date, in_cents bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.daily_revenue (day, revenue_cents) VALUES (in_day, in_cents)
  ON CONFLICT (day) DO UPDATE SET revenue_cents = daily_revenue.revenue_cents + excluded.revenue_cents;
END;
$$;
