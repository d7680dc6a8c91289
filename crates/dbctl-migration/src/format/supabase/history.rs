//! The table `supabase_migrations.schema_migrations`, as the tool makes and reads it.

use super::{split, statements::statements};
use crate::{
    History, KeyedBy, Migration, Recording, Statement, TableName, Upgrade, Value, history::with_writer,
    quote_ident,
};

/// The columns that its first versions did not have, as it adds them.
const LATER_COLUMNS: [(&str, &str); 2] = [("statements", "text[]"), ("name", "text")];

/// One row per version, with the statements that were run.
pub(super) struct SchemaMigrations {
    table: TableName,
}

impl SchemaMigrations {
    /// The tool knows one name for it.
    pub(super) fn new() -> Self {
        Self { table: TableName::new("supabase_migrations", "schema_migrations") }
    }

    fn columns(&self) -> impl Iterator<Item = String> {
        LATER_COLUMNS
            .iter()
            .map(|(name, kind)| format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {name} {kind}", self.table))
    }
}

impl History for SchemaMigrations {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let mut statements = vec![
            format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.table.schema)),
            format!("CREATE TABLE IF NOT EXISTS {} (version text NOT NULL PRIMARY KEY)", self.table),
        ];
        statements.extend(self.columns());
        statements
    }

    /// In the order of the versions as text, as the tool compares them. A table of its first versions has no names.
    fn read(&self) -> String {
        format!(
            "SELECT version::text AS version, COALESCE(version || '_' || (pg_catalog.to_jsonb(rows) ->> 'name'), '') AS \
             name, NULL::text AS checksum, NULL::bigint AS applied_at_us, NULL::bigint AS elapsed_ms, NULL::boolean AS \
             failed, dbctl_writer AS tool_row FROM {} ORDER BY rows.version COLLATE \"C\"",
            with_writer(&self.table, "rows")
        )
    }

    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let rows = with_writer(&self.table, "rows");
        (
            format!("SELECT dbctl_writer FROM {rows} WHERE version = ${number}::text LIMIT 1"),
            Value::Text(key.to_owned()),
        )
    }

    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        let migration = recording.migration;
        let file_name = format!("{}.sql", migration.name);
        let name = split(&file_name).map_or("", |(_, name)| name);
        vec![Statement {
            sql: format!(
                "INSERT INTO {} (version, name, statements) VALUES ($1::text, $2::text, $3::text[])",
                self.table
            ),
            params: vec![
                Value::Text(migration.version.to_string()),
                Value::Text(name.to_owned()),
                Value::Texts(statements(&migration.up.sql)),
            ],
        }]
    }

    fn forget(&self, key: &str) -> Vec<Statement> {
        vec![Statement {
            sql: format!("DELETE FROM {} WHERE version = $1::text", self.table),
            params: vec![Value::Text(key.to_owned())],
        }]
    }

    /// The tool takes none.
    fn lock_key(&self, _database: &str) -> Option<i64> {
        None
    }

    fn keyed_by(&self) -> KeyedBy {
        KeyedBy::Version
    }

    fn upgrade(&self, _local: &[Migration]) -> Option<Upgrade> {
        let needed = Statement {
            sql: "SELECT pg_catalog.count(*) < pg_catalog.array_length($3::text[], 1) AS needed, NULL::text AS refused \
                  FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN \
                  pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = \
                  $2::text AND a.attname = ANY ($3::text[]) AND a.attnum > 0 AND NOT a.attisdropped"
                .to_owned(),
            params: vec![
                Value::Text(self.table.schema.clone()),
                Value::Text(self.table.name.clone()),
                Value::Texts(LATER_COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect()),
            ],
        };
        let statements = self.columns().map(|sql| Statement { sql, params: Vec::new() }).collect();
        Some(Upgrade { needed, statements })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{RunStamp, test_support::migration};

    #[test]
    fn the_table_is_the_tools_own() {
        let table = r#""supabase_migrations"."schema_migrations""#;
        assert_eq!(
            SchemaMigrations::new().create(),
            [
                r#"CREATE SCHEMA IF NOT EXISTS "supabase_migrations""#.to_owned(),
                format!("CREATE TABLE IF NOT EXISTS {table} (version text NOT NULL PRIMARY KEY)"),
                format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS statements text[]"),
                format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS name text"),
            ]
        );
    }

    #[test]
    fn rows_are_written_as_the_tool_writes_them() {
        let mut one = migration("007_it's");
        one.up.sql = "-- a\nselect 1;\n\nselect ';' ;;\n-- end\n".to_owned();
        let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        let recording = Recording { migration: &one, elapsed: Duration::ZERO, stamp: &stamp };
        let history = SchemaMigrations::new();
        let texts = ["-- a\nselect 1", "select ';'", "-- end"].map(str::to_owned).to_vec();
        assert_eq!(
            history.record(&recording),
            [Statement {
                sql: "INSERT INTO \"supabase_migrations\".\"schema_migrations\" (version, name, statements) VALUES \
                      ($1::text, $2::text, $3::text[])"
                    .to_owned(),
                params: vec![
                    Value::Text("007".to_owned()),
                    Value::Text("it's".to_owned()),
                    Value::Texts(texts)
                ]
            }]
        );
        assert_eq!((history.lock_key("any"), history.keyed_by()), (None, KeyedBy::Version));
        assert!(!history.refuses_out_of_order());
    }
}
