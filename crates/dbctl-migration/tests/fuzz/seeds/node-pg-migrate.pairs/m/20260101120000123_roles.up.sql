create table roles (id int);
