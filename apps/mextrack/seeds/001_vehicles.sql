-- user_id is users.id in atriz_shared: see packages/core/seeds/002_default_users.sql.
INSERT INTO vehicles (id, user_id, vehicle_name, vehicle_type, license_plate, vin, odometer_km, is_active) VALUES
  ('20000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000003',
   'Delivery van 1', 'van', 'MX-101-A', '3VWFE21C04M000001', 48210.5, true),
  ('20000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000003',
   'Box truck', 'truck', 'MX-202-B', '1FDXE45S83H000002', 120034.0, true),
  ('20000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000003',
   'Old van', 'van', 'MX-101-A', NULL, 310500.0, false)
ON CONFLICT (id) DO NOTHING;
