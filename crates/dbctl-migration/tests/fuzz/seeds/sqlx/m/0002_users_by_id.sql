-- no-transaction
create index concurrently a on users (id);
