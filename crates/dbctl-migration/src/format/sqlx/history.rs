//! The table `_sqlx_migrations`, as sqlx makes and reads it.

use super::{super::sqlite::microseconds, config::Config, description};
use crate::{
    Dialect, History, KeyedBy, Migration, Recording, SourceOptions, Statement, TableName, Value, quote_ident,
};

/// What the tool multiplies the CRC of the database's name by.
const LOCK_FACTOR: i64 = 0x3d32_ad9e;

/// A row that was deleted and written again has another time.
const ROW: &str = "pg_catalog.to_jsonb(installed_on AT TIME ZONE 'UTC') #>> '{}'";
const ROW_ON_SQLITE: &str = "CAST(installed_on AS text)";

/// One row per version with the SHA-384 of its file; `success` is false of one that was begun outside a transaction.
#[derive(Clone)]
pub(super) struct SqlxMigrations {
    table: TableName,
    /// Whether somebody has said in which schema.
    placed: bool,
    dialect: Dialect,
}

impl SqlxMigrations {
    /// The manifest has the last word, then `sqlx.toml`.
    pub(super) fn new(options: &SourceOptions, config: &Config) -> Self {
        let or = |set: &Option<String>, other: &Option<String>, default: &str| {
            set.as_ref().or(other.as_ref()).map_or_else(|| default.to_owned(), Clone::clone)
        };
        Self {
            table: TableName::new(
                or(&options.schema, &config.schema, options.dialect.default_schema()),
                or(&options.table, &config.table, "_sqlx_migrations"),
            ),
            placed: options.schema.is_some() || config.schema.is_some(),
            dialect: options.dialect,
        }
    }

    /// A parameter that is a version.
    fn version(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => "$1::text::bigint",
            Dialect::Sqlite => "CAST(?1 AS integer)",
        }
    }

    fn insert(&self, migration: &Migration, success: bool, nanoseconds: i64) -> Statement {
        let values = match self.dialect {
            Dialect::Postgres => {
                format!(
                    "$1::text::bigint, $2::text, {success}, pg_catalog.decode($3::text, 'hex'), $4::bigint"
                )
            }
            Dialect::Sqlite => format!("CAST(?1 AS integer), ?2, {success}, unhex(?3), ?4"),
        };
        Statement {
            sql: format!(
                "INSERT INTO {} (version, description, success, checksum, execution_time) VALUES ({values})",
                self.table
            ),
            params: vec![
                Value::Text(migration.version.to_string()),
                Value::Text(description(&migration.name)),
                Value::Text(checksum(migration)),
                Value::Int(nanoseconds),
            ],
        }
    }
}

/// In hex, as it is read as well.
fn checksum(migration: &Migration) -> String {
    migration.tool_checksum.as_ref().map_or_else(String::new, |tool| tool.recorded().to_string())
}

impl History for SqlxMigrations {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let columns = match self.dialect {
            Dialect::Postgres => {
                "(version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), \
                 success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)"
            }
            Dialect::Sqlite => {
                "(\n    version BIGINT PRIMARY KEY,\n    description TEXT NOT NULL,\n    \
                 installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,\n    success BOOLEAN NOT NULL,\n    \
                 checksum BLOB NOT NULL,\n    execution_time BIGINT NOT NULL\n)"
            }
        };
        let table = format!("CREATE TABLE IF NOT EXISTS {} {columns}", self.table);
        // `public` is there, and asking for it needs the right to create schemas all the same.
        if self.dialect == Dialect::Sqlite || self.table.schema == "public" {
            return vec![table];
        }
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.table.schema)), table]
    }

    /// In the order of the versions: the tool looks at them as a set.
    fn read(&self) -> String {
        match self.dialect {
            Dialect::Postgres => format!(
                "SELECT version::text AS version, version::text || '_' || pg_catalog.replace(description, ' ', '_') AS \
                 name, pg_catalog.encode(checksum, 'hex') AS checksum, CASE WHEN pg_catalog.isfinite(installed_on) THEN \
                 (EXTRACT(EPOCH FROM installed_on) * 1000000)::bigint END AS applied_at_us, CASE WHEN execution_time >= 0 \
                 THEN execution_time / 1000000 END AS elapsed_ms, NOT success AS failed, {ROW} AS tool_row FROM {} \
                 AS done ORDER BY done.version",
                self.table
            ),
            Dialect::Sqlite => format!(
                "SELECT CAST(version AS text) AS version, version || '_' || replace(description, ' ', '_') AS name, \
                 lower(hex(checksum)) AS checksum, {at} AS applied_at_us, CASE WHEN execution_time >= 0 THEN execution_time \
                 / 1000000 END AS elapsed_ms, NOT success AS failed, {ROW_ON_SQLITE} AS tool_row FROM {table} AS done ORDER BY \
                 done.version",
                at = microseconds("installed_on"),
                table = self.table
            ),
        }
    }

    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let (row, version) = match self.dialect {
            Dialect::Postgres => (ROW, format!("${number}::text::bigint")),
            Dialect::Sqlite => (ROW_ON_SQLITE, format!("CAST(${number}::text AS integer)")),
        };
        let sql = format!("SELECT {row} FROM {} WHERE version = {version} LIMIT 1", self.table);
        (sql, Value::Text(key.to_owned()))
    }

    /// A row that [`Self::start`] wrote makes way; one that the tool has written meanwhile is in the way, as it should.
    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        let migration = recording.migration;
        let started = Statement {
            sql: format!("DELETE FROM {} WHERE version = {} AND NOT success", self.table, self.version()),
            params: vec![Value::Text(migration.version.to_string())],
        };
        let nanoseconds = i64::try_from(recording.elapsed.as_nanos()).unwrap_or(i64::MAX);
        vec![started, self.insert(migration, true, nanoseconds)]
    }

    fn forget(&self, key: &str) -> Vec<Statement> {
        vec![Statement {
            sql: format!("DELETE FROM {} WHERE version = {}", self.table, self.version()),
            params: vec![Value::Text(key.to_owned())],
        }]
    }

    /// What its library takes; its command line tool takes none, nor does anything on SQLite.
    fn lock_key(&self, database: &str) -> Option<i64> {
        match self.dialect {
            Dialect::Postgres => Some(LOCK_FACTOR * i64::from(crc32fast::hash(database.as_bytes()))),
            Dialect::Sqlite => None,
        }
    }

    fn keyed_by(&self) -> KeyedBy {
        KeyedBy::Version
    }

    fn within(&self, schema: &str) -> Option<Box<dyn History>> {
        let table = TableName::new(schema, &self.table.name);
        (!self.placed).then(|| Box::new(Self { table, ..self.clone() }) as Box<dyn History>)
    }

    /// The tool then calls the database dirty and does nothing with it.
    fn start(&self, migration: &Migration) -> Vec<Statement> {
        vec![self.insert(migration, false, -1)]
    }

    fn repair(&self, migration: &Migration) -> Vec<Statement> {
        let decoded = match self.dialect {
            Dialect::Postgres => "pg_catalog.decode($2::text, 'hex')",
            Dialect::Sqlite => "unhex(?2)",
        };
        vec![Statement {
            sql: format!("UPDATE {} SET checksum = {decoded} WHERE version = {}", self.table, self.version()),
            params: vec![Value::Text(migration.version.to_string()), Value::Text(checksum(migration))],
        }]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;
    use crate::{RunStamp, ToolChecksum, format::sqlite::tests as sqlite, test_support::migration};

    #[test]
    fn the_table_is_the_tools_own() {
        let columns = "(version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL \
                       DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)";
        let options = |schema: Option<&str>, table: Option<&str>| SourceOptions {
            schema: schema.map(str::to_owned),
            table: table.map(str::to_owned),
            ..SourceOptions::default()
        };
        let config =
            Config { schema: Some("s".to_owned()), table: Some("t".to_owned()), ..Config::default() };
        let create = |options, config: &Config| SqlxMigrations::new(&options, config).create();
        let table = |name: &str| format!("CREATE TABLE IF NOT EXISTS {name} {columns}");
        let schema = "CREATE SCHEMA IF NOT EXISTS \"s\"".to_owned();
        assert_eq!(
            create(options(None, None), &Config::default()),
            [table(r#""public"."_sqlx_migrations""#)]
        );
        assert_eq!(create(options(None, None), &config), [schema.clone(), table(r#""s"."t""#)]);
        assert_eq!(create(options(Some("public"), None), &config), [table(r#""public"."t""#)]);
        assert_eq!(create(options(None, Some("u")), &config), [schema, table(r#""s"."u""#)]);
    }

    /// By `crc32("atriz_db") * 0x3d32ad9e`.
    #[test]
    fn the_lock_is_the_librarys() {
        let history = SqlxMigrations::new(&SourceOptions::default(), &Config::default());
        assert_eq!(history.lock_key("atriz_db"), Some(1_976_897_954_085_104_064));
        assert_eq!(history.lock_key(""), Some(0));
        assert_eq!(history.keyed_by(), KeyedBy::Version);
        assert!(!history.refuses_out_of_order());
    }

    #[test]
    fn on_sqlite_it_is_the_tools_own_as_well() {
        let connection = Connection::open_in_memory().unwrap();
        let options = SourceOptions { dialect: Dialect::Sqlite, ..SourceOptions::default() };
        let history = SqlxMigrations::new(&options, &Config::default());
        sqlite::create(&connection, &history);
        let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        let with = |name: &str, hash: &'static str| {
            let tool_checksum = Some(ToolChecksum::of(b"", |_| hash.to_owned()));
            Migration { tool_checksum, ..migration(name) }
        };
        let elapsed = Duration::from_millis(12);
        let (first, second) = (with("10_add_users", "00ab"), with("9_a", "cd"));
        sqlite::run(&connection, &history.start(&second));
        let migration = &first;
        sqlite::run(&connection, &history.record(&Recording { migration, elapsed, stamp: &stamp }));
        connection.execute_batch("UPDATE _sqlx_migrations SET installed_on = '2024-01-15 10:30:22'").unwrap();
        let at = "1705314622000000";
        assert_eq!(
            sqlite::read(&connection, &history),
            [format!("9|9_a|cd|{at}||1"), format!("10|10_add_users|00ab|{at}|12|0")]
        );
        // What the tool itself selects.
        let types: String = connection
            .query_row(
                "SELECT group_concat(typeof(version) || typeof(checksum) || typeof(success)) FROM _sqlx_migrations \
                 WHERE success = true",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(types, "integerblobinteger");
        let migration = &second;
        sqlite::run(&connection, &history.record(&Recording { migration, elapsed, stamp: &stamp }));
        sqlite::run(&connection, &history.repair(&with("10_add_users", "ff")));
        sqlite::run(&connection, &history.forget("9"));
        assert_eq!(sqlite::read(&connection, &history), [format!("10|10_add_users|ff|{at}|12|0")]);
        assert_eq!(history.lock_key("main"), None);
    }
}
