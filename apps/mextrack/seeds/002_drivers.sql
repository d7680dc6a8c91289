INSERT INTO drivers (id, user_id, full_name, license_number, license_expires_on) VALUES
  ('21000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000004',
   'Dora Driver', 'LIC-000-001', '2028-06-30'),
  ('21000000-0000-4000-8000-000000000002', NULL,
   'Tomás Temporary', 'LIC-000-002', '2026-01-31')
ON CONFLICT (license_number) DO NOTHING;

-- The trigger on this table sets vehicles.current_assignment_id.
INSERT INTO driver_assignments (vehicle_id, driver_id, started_at, ended_at)
SELECT a.vehicle_id::uuid, a.driver_id::uuid, a.started_at::timestamptz, a.ended_at::timestamptz
FROM (VALUES
  ('20000000-0000-4000-8000-000000000001', '21000000-0000-4000-8000-000000000002',
   '2025-10-01 06:00:00+00', '2025-10-19 18:00:00+00'),
  ('20000000-0000-4000-8000-000000000001', '21000000-0000-4000-8000-000000000001',
   '2025-10-20 06:00:00+00', NULL)
) AS a (vehicle_id, driver_id, started_at, ended_at)
WHERE NOT EXISTS (
  SELECT 1 FROM driver_assignments d
  WHERE d.vehicle_id = a.vehicle_id::uuid AND d.started_at = a.started_at::timestamptz
);
