-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY audit_log_default_actor ON audit_log_default (actor);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY audit_log_default_actor;
