import type { Pool } from 'pg';

/** What a seed file exports as its default. */
export type SeedFunction = (pool: Pool) => Promise<void>;
