-- Archived; kept for reference.
DO $$ BEGIN RAISE EXCEPTION 'an archived migration ran: 20240101000002_enhanced_policies'; END $$;
