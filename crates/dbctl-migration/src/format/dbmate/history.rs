//! The table `schema_migrations`, as dbmate makes and reads it.

use crate::{
    History, KeyedBy, Recording, SourceOptions, Statement, TableName, Value, history::with_writer,
    quote_ident,
};

/// One row per version and nothing else.
#[derive(Clone)]
pub(super) struct SchemaMigrations {
    table: TableName,
    /// Whether somebody has said in which schema.
    placed: bool,
}

impl SchemaMigrations {
    pub(super) fn new(options: &SourceOptions) -> Self {
        let or = |set: &Option<String>, default: &str| set.clone().unwrap_or_else(|| default.to_owned());
        Self {
            table: TableName::new(or(&options.schema, "public"), or(&options.table, "schema_migrations")),
            placed: options.schema.is_some(),
        }
    }
}

impl History for SchemaMigrations {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let table = format!("CREATE TABLE IF NOT EXISTS {} (version varchar PRIMARY KEY)", self.table);
        // `public` is there, and asking for it needs the right to create schemas all the same.
        if self.table.schema == "public" {
            return vec![table];
        }
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.table.schema)), table]
    }

    /// In the order in which files of such versions apply.
    fn read(&self) -> String {
        format!(
            "SELECT version::text AS version, ''::text AS name, NULL::text AS checksum, NULL::bigint AS \
             applied_at_us, NULL::bigint AS elapsed_ms, NULL::boolean AS failed, dbctl_writer AS tool_row FROM {} ORDER BY \
             rows.version COLLATE \"C\"",
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
        vec![Statement {
            sql: format!("INSERT INTO {} (version) VALUES ($1::text)", self.table),
            params: vec![Value::Text(recording.migration.version.to_string())],
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

    fn within(&self, schema: &str) -> Option<Box<dyn History>> {
        let table = TableName::new(schema, &self.table.name);
        (!self.placed).then(|| Box::new(Self { table, ..self.clone() }) as Box<dyn History>)
    }

    fn makes_schema(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{RunStamp, test_support::migration};

    #[test]
    fn the_table_is_the_tools_own() {
        let create = |schema: Option<&str>, table: Option<&str>| {
            let options = SourceOptions {
                schema: schema.map(str::to_owned),
                table: table.map(str::to_owned),
                ..SourceOptions::default()
            };
            SchemaMigrations::new(&options).create()
        };
        let table = |name: &str| format!("CREATE TABLE IF NOT EXISTS {name} (version varchar PRIMARY KEY)");
        assert_eq!(create(None, None), [table(r#""public"."schema_migrations""#)]);
        assert_eq!(
            create(Some("my \"s\""), Some("done")),
            [r#"CREATE SCHEMA IF NOT EXISTS "my ""s""""#.to_owned(), table(r#""my ""s"""."done""#)]
        );
    }

    #[test]
    fn rows_are_versions() {
        let one = migration("007_it's");
        let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        let recording = Recording { migration: &one, elapsed: Duration::ZERO, stamp: &stamp };
        let history = SchemaMigrations::new(&SourceOptions::default());
        let params = vec![Value::Text("007".to_owned())];
        assert_eq!(
            history.record(&recording),
            [Statement {
                sql: r#"INSERT INTO "public"."schema_migrations" (version) VALUES ($1::text)"#.to_owned(),
                params: params.clone()
            }]
        );
        assert_eq!(
            history.forget("007"),
            [Statement {
                sql: r#"DELETE FROM "public"."schema_migrations" WHERE version = $1::text"#.to_owned(),
                params
            }]
        );
        assert_eq!((history.lock_key("any"), history.keyed_by()), (None, KeyedBy::Version));
        assert!(!history.refuses_out_of_order());
    }
}
