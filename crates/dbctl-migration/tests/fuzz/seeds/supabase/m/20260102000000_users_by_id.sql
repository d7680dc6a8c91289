-- pg-delta: transaction=false
create index concurrently a on users (id);
