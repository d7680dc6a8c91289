-- dbctl:requires core@1_init
create table users (id bigint);
