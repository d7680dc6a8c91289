-- dbctl:no-transaction
CREATE INDEX CONCURRENTLY "a" ON "User" ("id");
