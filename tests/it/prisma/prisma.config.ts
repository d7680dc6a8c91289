import { defineConfig } from 'prisma/config';
import { PrismaPg } from '@prisma/adapter-pg';

// The engine leaves the time limit of its lock running, ten seconds for which nobody has to wait: with nothing else to
// wait for, it is done.
let idle = 0;
setInterval(() => {
  const waits = process.getActiveResourcesInfo().some((kind) => !['PipeWrap', 'TTYWrap', 'Timeout'].includes(kind));
  idle = waits ? 0 : idle + 1;
  if (idle === 3) process.exit();
}, 50).unref();

// The adapter has no name for PostgreSQL's type `name` (19), in which the engine asks for tables: text (25) will do.
const readable = (adapter: any) => {
  const performIO = adapter.performIO.bind(adapter);
  adapter.performIO = async (query: unknown) => {
    const result = await performIO(query);
    for (const field of result.fields ?? []) {
      if (field.dataTypeID === 19) field.dataTypeID = 25;
    }
    return result;
  };
  // As the native engine sends it: the adapter would cut it at every `;`, inside of functions, too.
  adapter.executeScript = async (script: string) => {
    await adapter.client.query(script).catch((error: unknown) => adapter.onError(error));
  };
  return adapter;
};

export default defineConfig({
  experimental: { adapter: true },
  engine: 'js',
  schema: './schema.prisma',
  migrations: { path: process.env.JUDGED_MIGRATIONS ?? './migrations' },
  adapter: async () => {
    const schema = process.env.JUDGED_IN_SCHEMA;
    const factory: any = new PrismaPg({ connectionString: process.env.DATABASE_URL, idleTimeoutMillis: 50 }, schema ? { schema } : undefined);
    const connect = factory.connect.bind(factory);
    factory.connect = async () => readable(await connect());
    return factory;
  },
});
