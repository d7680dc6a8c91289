CREATE TABLE "users" ("id" serial PRIMARY KEY);
--> statement-breakpoint
CREATE INDEX "a" ON "users" ("id");
