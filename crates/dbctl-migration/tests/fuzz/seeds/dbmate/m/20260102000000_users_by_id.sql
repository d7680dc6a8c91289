-- dbctl:lock-timeout 2s
-- migrate:up transaction:false
create index concurrently a on users (id);

-- migrate:down
drop index a;
