// Runs one seed file: its default export is called with a pool on the database that dbctl names.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Pool } from 'pg';

async function main(): Promise<void> {
  const file = process.argv[2];
  if (file === undefined) {
    throw new Error('usage: run-seed.ts FILE');
  }
  const loaded = await import(pathToFileURL(resolve(file)).href);
  // Under CommonJS the module's own default stands inside of another.
  const seed = loaded.default?.default ?? loaded.default;
  if (typeof seed !== 'function') {
    throw new Error(`${file} has no default export that could be called`);
  }
  const pool = new Pool({ connectionString: process.env.DATABASE_URL });
  try {
    await seed(pool);
  } finally {
    await pool.end();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
