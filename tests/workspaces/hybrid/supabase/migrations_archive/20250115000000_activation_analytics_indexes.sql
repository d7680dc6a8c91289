-- Archived; kept for reference.
DO $$ BEGIN RAISE EXCEPTION 'an archived migration ran: 20250115000000_activation_analytics_indexes'; END $$;
