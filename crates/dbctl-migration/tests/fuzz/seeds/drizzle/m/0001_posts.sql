-- dbctl:no-transaction
CREATE TABLE "posts" ("id" serial PRIMARY KEY);
