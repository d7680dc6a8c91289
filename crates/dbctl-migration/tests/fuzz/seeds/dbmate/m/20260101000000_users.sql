-- migrate:up
create table users (id bigint);

-- migrate:down
-- dbctl:no-transaction
drop table users;
