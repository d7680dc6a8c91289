-- Archived; kept for reference.
DO $$ BEGIN RAISE EXCEPTION 'an archived migration ran: 20251105_crux_hardening'; END $$;
