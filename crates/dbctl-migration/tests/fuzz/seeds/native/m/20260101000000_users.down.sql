drop function f(); /* back */
drop table users;
