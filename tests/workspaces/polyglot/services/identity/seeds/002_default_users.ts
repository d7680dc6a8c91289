import { Pool } from 'pg';
import { SeedFunction } from '@polyglot/database';

const seed: SeedFunction = async (pool: Pool) => {
  if (process.env.NODE_ENV === 'production') {
    console.warn('Skipping seed in production');
    return;
  }
  const { rows } = await pool.query<{ id: string }>(
    `INSERT INTO users (email, name) VALUES ($1, $2)
     ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING id`,
    ['admin@polyglot.test', 'Admin User'],
  );
  await pool.query('INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    rows[0].id,
    'admin',
  ]);
};

export default seed;
