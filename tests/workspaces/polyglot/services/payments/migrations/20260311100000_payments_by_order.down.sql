-- no-transaction
DROP INDEX CONCURRENTLY payments_order_id_idx;
