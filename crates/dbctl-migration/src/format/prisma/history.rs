//! The table `_prisma_migrations`, as the schema engine makes and reads it.

use crate::{
    History, KeyedBy, Migration, Recording, SourceOptions, Statement, TableName, Value, quote_ident,
};

/// What the schema engine takes with `pg_advisory_lock`.
const LOCK_KEY: i64 = 72_707_369;

/// A random UUID of version 4 as text: servers before 13 have no `gen_random_uuid()`.
const UUID: &str = "pg_catalog.overlay(pg_catalog.overlay(pg_catalog.md5(pg_catalog.random()::text || \
                    pg_catalog.clock_timestamp()::text || pg_catalog.random()::text), '4', 13), \
                    pg_catalog.substr('89ab', 1 + pg_catalog.floor(pg_catalog.random() * 4)::int, 1), \
                    17)::uuid::text";

/// One row per attempt: unfinished ones have failed, and those that were rolled back do not count.
#[derive(Clone)]
pub(super) struct PrismaMigrations {
    table: TableName,
    /// Whether somebody has said in which schema.
    placed: bool,
}

impl PrismaMigrations {
    pub(super) fn new(options: &SourceOptions) -> Self {
        let or = |set: &Option<String>, default: &str| set.clone().unwrap_or_else(|| default.to_owned());
        Self {
            table: TableName::new(or(&options.schema, "public"), or(&options.table, "_prisma_migrations")),
            placed: options.schema.is_some(),
        }
    }

    fn insert(&self, migration: &Migration, finished: &str, steps: u8) -> Statement {
        Statement {
            sql: format!(
                "INSERT INTO {} (id, checksum, finished_at, migration_name, started_at, applied_steps_count) VALUES \
                 ({UUID}, $1::text, {finished}, $2::text, pg_catalog.now(), {steps})",
                self.table
            ),
            params: vec![Value::Text(checksum(migration)), Value::Text(migration.name.clone())],
        }
    }
}

fn checksum(migration: &Migration) -> String {
    migration.tool_checksum.as_ref().map_or_else(String::new, |tool| tool.recorded().to_string())
}

impl History for PrismaMigrations {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let table = format!(
            "CREATE TABLE IF NOT EXISTS {} (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             TIMESTAMPTZ,
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          TIMESTAMPTZ,
    started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count     INTEGER NOT NULL DEFAULT 0
)",
            self.table
        );
        // `public` is there, and asking for it needs the right to create schemas all the same.
        if self.table.schema == "public" {
            return vec![table];
        }
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.table.schema)), table]
    }

    /// An attempt that was rolled back is none; of several others one that was not finished counts: the tool does nothing then (P3009).
    fn read(&self) -> String {
        format!(
            "SELECT COALESCE(pg_catalog.substring(migration_name, '^[0-9]+'), migration_name)::text AS version, \
             migration_name::text AS name, checksum::text AS checksum, CASE WHEN pg_catalog.isfinite(finished_at) THEN \
             (EXTRACT(EPOCH FROM finished_at) * 1000000)::bigint END AS applied_at_us, CASE WHEN finished_at >= \
             started_at AND pg_catalog.isfinite(finished_at) THEN (EXTRACT(EPOCH FROM finished_at - started_at) * \
             1000)::bigint END AS elapsed_ms, finished_at IS NULL AS failed, id::text AS tool_row FROM {} AS done WHERE rolled_back_at IS \
             NULL ORDER BY finished_at NULLS LAST, started_at, migration_name COLLATE \"C\"",
            self.table
        )
    }

    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let sql = format!(
            "SELECT id::text FROM {} WHERE migration_name = ${number}::text AND finished_at IS NOT NULL AND rolled_back_at \
             IS NULL ORDER BY finished_at DESC LIMIT 1",
            self.table
        );
        (sql, Value::Text(key.to_owned()))
    }

    /// The row that [`Self::start`] wrote is finished, else there is a new one.
    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        let migration = recording.migration;
        let started = Statement {
            sql: format!(
                "DELETE FROM {} WHERE migration_name = $1::text AND finished_at IS NULL AND rolled_back_at IS NULL",
                self.table
            ),
            params: vec![Value::Text(migration.name.clone())],
        };
        vec![started, self.insert(migration, "pg_catalog.clock_timestamp()", 1)]
    }

    /// An attempt that failed is marked, as `prisma migrate resolve --rolled-back` does it. One that was finished is
    /// removed: the tool takes it for applied even where it is marked.
    fn forget(&self, key: &str) -> Vec<Statement> {
        let of_that_name = "migration_name = $1::text AND rolled_back_at IS NULL AND finished_at IS";
        let sql = [
            format!("DELETE FROM {} WHERE {of_that_name} NOT NULL", self.table),
            format!("UPDATE {} SET rolled_back_at = pg_catalog.now() WHERE {of_that_name} NULL", self.table),
        ];
        sql.map(|sql| Statement { sql, params: vec![Value::Text(key.to_owned())] }).to_vec()
    }

    fn lock_key(&self, _database: &str) -> Option<i64> {
        Some(LOCK_KEY)
    }

    fn keyed_by(&self) -> KeyedBy {
        KeyedBy::Name
    }

    fn within(&self, schema: &str) -> Option<Box<dyn History>> {
        let table = TableName::new(schema, &self.table.name);
        (!self.placed).then(|| Box::new(Self { table, ..self.clone() }) as Box<dyn History>)
    }

    fn within_urls(&self, schema: &str) -> Option<Box<dyn History>> {
        let table = TableName::new(schema, &self.table.name);
        (!self.placed).then(|| Box::new(Self { table, placed: true }) as Box<dyn History>)
    }

    /// `?schema=` of its URLs is where its table is, and where its files work.
    fn search_path(&self) -> Option<&str> {
        (self.placed && self.table.schema != "public").then_some(self.table.schema.as_str())
    }

    /// The tool calls an unfinished row failed (P3009) and does nothing until it is resolved.
    fn start(&self, migration: &Migration) -> Vec<Statement> {
        vec![self.insert(migration, "NULL", 0)]
    }

    fn repair(&self, migration: &Migration) -> Vec<Statement> {
        vec![Statement {
            sql: format!(
                "UPDATE {} SET checksum = $2::text WHERE migration_name = $1::text AND rolled_back_at IS NULL",
                self.table
            ),
            params: vec![Value::Text(migration.name.clone()), Value::Text(checksum(migration))],
        }]
    }
}
