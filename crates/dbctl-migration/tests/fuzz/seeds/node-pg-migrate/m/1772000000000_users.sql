-- dbctl:lock-timeout 500ms
-- Up Migration
create table users (id int);

-- Down Migration
drop table users;
