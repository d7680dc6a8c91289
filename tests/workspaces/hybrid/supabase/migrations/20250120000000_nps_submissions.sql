CREATE TABLE IF NOT EXISTS public.nps_submissions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  score integer NOT NULL CHECK (score BETWEEN 0 AND 10),
  comment text,
  submitted_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS nps_submissions_submitted_at_idx ON public.nps_submissions (submitted_at);
ALTER TABLE public.nps_submissions ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON public.nps_submissions TO authenticated;
DROP POLICY IF EXISTS own_rows ON public.nps_submissions;
CREATE POLICY own_rows ON public.nps_submissions TO authenticated USING (user_id = auth.uid());
-- end of file
