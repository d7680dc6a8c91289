-- Archived; kept for reference.
DO $$ BEGIN RAISE EXCEPTION 'an archived migration ran: 20250106000000_metrics_log'; END $$;
