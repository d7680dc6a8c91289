//! The table `schema_migrations`, as dbmate makes and reads it.

use crate::{
    Dialect, History, KeyedBy, Recording, SourceOptions, Statement, TableName, Value, history::with_writer,
    quote_ident,
};

/// One row per version and nothing else.
#[derive(Clone)]
pub(super) struct SchemaMigrations {
    table: TableName,
    /// Whether somebody has said in which schema.
    placed: bool,
    dialect: Dialect,
}

impl SchemaMigrations {
    pub(super) fn new(options: &SourceOptions) -> Self {
        let or = |set: &Option<String>, default: &str| set.clone().unwrap_or_else(|| default.to_owned());
        Self {
            table: TableName::new(
                or(&options.schema, options.dialect.default_schema()),
                or(&options.table, "schema_migrations"),
            ),
            placed: options.schema.is_some(),
            dialect: options.dialect,
        }
    }
}

impl History for SchemaMigrations {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let (columns, schema) = match self.dialect {
            Dialect::Postgres => ("(version varchar PRIMARY KEY)", &*self.table.schema),
            Dialect::Sqlite => ("(version varchar(128) primary key)", "public"),
        };
        let table = format!("CREATE TABLE IF NOT EXISTS {} {columns}", self.table);
        // `public` is there, and asking for it needs the right to create schemas all the same.
        if schema == "public" {
            return vec![table];
        }
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(schema)), table]
    }

    /// In the order in which files of such versions apply.
    fn read(&self) -> String {
        match self.dialect {
            Dialect::Postgres => format!(
                "SELECT version::text AS version, ''::text AS name, NULL::text AS checksum, NULL::bigint AS \
                 applied_at_us, NULL::bigint AS elapsed_ms, NULL::boolean AS failed, dbctl_writer AS tool_row FROM {} \
                 ORDER BY rows.version COLLATE \"C\"",
                with_writer(&self.table, "rows")
            ),
            Dialect::Sqlite => format!(
                "SELECT CAST(version AS text) AS version, '' AS name, NULL AS checksum, NULL AS applied_at_us, NULL AS \
                 elapsed_ms, NULL AS failed, NULL AS tool_row FROM {} AS done ORDER BY done.version COLLATE BINARY",
                self.table
            ),
        }
    }

    /// On SQLite a row that takes another's place is like that one.
    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let sql = match self.dialect {
            Dialect::Postgres => {
                let rows = with_writer(&self.table, "rows");
                format!("SELECT dbctl_writer FROM {rows} WHERE version = ${number}::text LIMIT 1")
            }
            Dialect::Sqlite => format!("SELECT NULL WHERE ${number}::text IS NULL"),
        };
        (sql, Value::Text(key.to_owned()))
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

    use rusqlite::Connection;

    use super::*;
    use crate::{RunStamp, format::sqlite::tests as sqlite, test_support::migration};

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

    #[test]
    fn on_sqlite_it_is_the_tools_own_as_well() {
        let connection = Connection::open_in_memory().unwrap();
        let history =
            SchemaMigrations::new(&SourceOptions { dialect: Dialect::Sqlite, ..SourceOptions::default() });
        sqlite::create(&connection, &history);
        let sql: String =
            connection.query_row("SELECT sql FROM sqlite_schema LIMIT 1", [], |row| row.get(0)).unwrap();
        assert_eq!(sql, "CREATE TABLE \"schema_migrations\" (version varchar(128) primary key)");
        let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        for name in ["20_b", "100_c", "003x"] {
            let one = migration(name);
            let recording = Recording { migration: &one, elapsed: Duration::ZERO, stamp: &stamp };
            sqlite::run(&connection, &history.record(&recording));
        }
        assert_eq!(sqlite::read(&connection, &history), ["003x|||||", "100|||||", "20|||||"]);
        sqlite::run(&connection, &history.forget("100"));
        assert_eq!(sqlite::read(&connection, &history), ["003x|||||", "20|||||"]);
    }
}
