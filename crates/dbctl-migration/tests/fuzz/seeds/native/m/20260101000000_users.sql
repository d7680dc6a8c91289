-- dbctl:lock-timeout 2s
-- dbctl:requires core@20260101000000
create table users (id bigint primary key, name text default E'a\'b;');
create function f() returns int language plpgsql as $body$ begin return 1; end; $body$;
