import { Pool } from 'pg';
import { SeedFunction } from '@polyglot/database';

const seed: SeedFunction = async (pool: Pool) => {
  console.log('Seeding roles...');
  for (const name of ['admin', 'customer']) {
    await pool.query('INSERT INTO roles (name) VALUES ($1) ON CONFLICT DO NOTHING', [name]);
  }
  console.log('✓ Seeded roles');
};

export default seed;
