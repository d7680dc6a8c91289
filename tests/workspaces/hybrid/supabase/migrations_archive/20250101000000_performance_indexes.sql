-- Archived; kept for reference.
DO $$ BEGIN RAISE EXCEPTION 'an archived migration ran: 20250101000000_performance_indexes'; END $$;
