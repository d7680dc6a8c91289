//! The table `pgmigrations`, as `runner.ts` makes and reads it.

use crate::{History, KeyedBy, Recording, SourceOptions, Statement, TableName, Value, quote_ident};

/// `PG_MIGRATE_LOCK_ID` of the tool, for `pg_try_advisory_lock`.
const LOCK_KEY: i64 = 7_241_865_325_823_964;

/// A table that was made anew begins its numbers anew, and so the time is part of it.
const ROW: &str = "id::text || ' ' || (pg_catalog.to_jsonb(run_on) #>> '{}')";

/// One row per applied file, `id`, `name` and `run_on`; no checksum and no trace of a failure.
pub(super) struct PgMigrations {
    table: TableName,
}

impl PgMigrations {
    pub(super) fn new(options: &SourceOptions) -> Self {
        let or = |set: &Option<String>, default: &str| set.clone().unwrap_or_else(|| default.to_owned());
        Self { table: TableName::new(or(&options.schema, "public"), or(&options.table, "pgmigrations")) }
    }
}

impl History for PgMigrations {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let table = format!(
            "CREATE TABLE IF NOT EXISTS {} (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, \
             run_on timestamp NOT NULL)",
            self.table
        );
        // `public` is there, and asking for it needs the right to create schemas all the same.
        if self.table.schema == "public" {
            return vec![table];
        }
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.table.schema)), table]
    }

    /// `run_on` has no time zone; it is taken to be in the session's, as `NOW()` wrote it in some session's.
    fn read(&self) -> String {
        format!(
            "SELECT COALESCE(SUBSTRING(name FROM '^[0-9]+'), '')::text AS version, name::text AS name, \
             NULL::text AS checksum, CASE WHEN pg_catalog.isfinite(run_on) THEN (EXTRACT(EPOCH FROM run_on AT TIME \
             ZONE pg_catalog.current_setting('TimeZone')) * 1000000)::bigint END AS applied_at_us, \
             NULL::bigint AS elapsed_ms, NULL::boolean AS failed, {ROW} AS tool_row FROM {} ORDER BY run_on, id",
            self.table
        )
    }

    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let sql = format!(
            "SELECT {ROW} FROM {} WHERE name = ${number}::text ORDER BY run_on DESC, id DESC LIMIT 1",
            self.table
        );
        (sql, Value::Text(key.to_owned()))
    }

    /// `NOW()`, as the tool writes it, but never before the last row: `run_on` has no time zone, so a session in
    /// another zone than the tool's, or a clock that went back, would put the row before older ones, at which the
    /// tool's `checkOrder` fails.
    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        vec![Statement {
            sql: format!(
                "INSERT INTO {table} (name, run_on) SELECT $1::text, \
                 GREATEST(pg_catalog.now()::timestamp, pg_catalog.max(run_on)) FROM {table}",
                table = self.table
            ),
            params: vec![Value::Text(recording.migration.name.clone())],
        }]
    }

    fn forget(&self, key: &str) -> Vec<Statement> {
        vec![Statement {
            sql: format!("DELETE FROM {} WHERE name = $1::text", self.table),
            params: vec![Value::Text(key.to_owned())],
        }]
    }

    fn lock_key(&self, _database: &str) -> Option<i64> {
        Some(LOCK_KEY)
    }

    fn keyed_by(&self) -> KeyedBy {
        KeyedBy::Name
    }

    /// Its `checkOrder` compares files and rows one by one, and fails at the first that differs.
    fn refuses_out_of_order(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{RunStamp, test_support::migration};

    fn history(schema: Option<&str>, table: Option<&str>) -> PgMigrations {
        let options = SourceOptions {
            schema: schema.map(str::to_owned),
            table: table.map(str::to_owned),
            ..Default::default()
        };
        PgMigrations::new(&options)
    }

    #[test]
    fn the_table_is_the_tools_own() {
        let columns = "(id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)";
        assert_eq!(
            history(None, None).create(),
            [format!(r#"CREATE TABLE IF NOT EXISTS "public"."pgmigrations" {columns}"#)]
        );
        assert_eq!(
            history(Some("my \"s\""), Some("done")).create(),
            [
                r#"CREATE SCHEMA IF NOT EXISTS "my ""s""""#.to_owned(),
                format!(r#"CREATE TABLE IF NOT EXISTS "my ""s"""."done" {columns}"#)
            ]
        );
    }

    #[test]
    fn rows_are_written_as_the_tool_writes_them() {
        let one = migration("1700000000000_it's");
        let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        let recording = Recording { migration: &one, elapsed: Duration::ZERO, stamp: &stamp };
        let history = history(None, None);
        let params = vec![Value::Text("1700000000000_it's".to_owned())];
        assert_eq!(
            history.record(&recording),
            [Statement {
                sql: r#"INSERT INTO "public"."pgmigrations" (name, run_on) SELECT $1::text, "#.to_owned()
                    + r#"GREATEST(pg_catalog.now()::timestamp, pg_catalog.max(run_on)) FROM "public"."pgmigrations""#,
                params: params.clone()
            }]
        );
        assert_eq!(
            history.forget(&one.name),
            [Statement {
                sql: r#"DELETE FROM "public"."pgmigrations" WHERE name = $1::text"#.to_owned(),
                params
            }]
        );
        assert!(history.read().ends_with(r#"FROM "public"."pgmigrations" ORDER BY run_on, id"#));
        assert_eq!(history.table(), &TableName::new("public", "pgmigrations"));
        assert_eq!(history.lock_key("any"), Some(7_241_865_325_823_964));
        assert_eq!(history.keyed_by(), KeyedBy::Name);
        assert!(history.refuses_out_of_order());
    }
}
