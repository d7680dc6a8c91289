-- Up Migration
-- dbctl:no-transaction
create table roles (id int);
-- Down Migration
