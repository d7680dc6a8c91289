create table users (id bigint);
create function f() returns int language sql begin atomic select 1; end;
do $$ begin perform 1; end $$;
