-- dbctl:no-transaction
select 1;
