-- Part of the master schema: fresh databases have it from there, older ones ran it at the time.
DO $$
BEGIN
  IF to_regclass('public.feature_flags') IS NULL THEN
    RAISE EXCEPTION 'needs the schema of 2024';
  END IF;
  RAISE EXCEPTION 'this ran long ago and must not run again';
END
$$;
