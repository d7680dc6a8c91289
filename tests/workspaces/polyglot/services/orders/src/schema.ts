import { bigint, index, pgEnum, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';

export const orderStatus = pgEnum('order_status', ['open', 'paid', 'shipped']);

export const orders = pgTable(
  'orders',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    // users.id of identity and products.sku of catalog: no foreign key can span databases.
    userId: uuid('user_id').notNull(),
    sku: text('sku').notNull(),
    status: orderStatus('status').notNull().default('open'),
    totalCents: bigint('total_cents', { mode: 'number' }).notNull(),
    placedAt: timestamp('placed_at', { withTimezone: true }).defaultNow().notNull(),
  },
  (table) => [index('orders_user_id_idx').on(table.userId)],
);
