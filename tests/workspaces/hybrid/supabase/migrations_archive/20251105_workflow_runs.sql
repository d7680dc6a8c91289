-- Archived; kept for reference.
DO $$ BEGIN RAISE EXCEPTION 'an archived migration ran: 20251105_workflow_runs'; END $$;
