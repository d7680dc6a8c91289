//! History tables as data: what to create, read, record and forget, never how to reach a database.

use std::time::Duration;

use crate::{Applied, Migration, TableName};

/// One SQL statement with its bound values. Every parameter carries a cast in the SQL (`$1::text`), so that the
/// driver never guesses a type. To SQLite, which takes that for a name, it is the number that counts; there it may be
/// `?1` as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// A single statement, schema-qualified, with `$1` … (or `?1` …) for `params`.
    pub sql: String,
    /// Values in the order of their numbers.
    pub params: Vec<Value>,
}

/// A value bound to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Bound as `text`.
    Text(String),
    /// Bound as `bigint`.
    Int(i64),
    /// Bound as `bytea`.
    Bytes(Vec<u8>),
    /// Bound as `text[]`; on SQLite as text, a JSON array.
    Texts(Vec<String>),
    /// Bound as `text`, NULL.
    Null,
}

/// What identifies a row: Prisma and node-pg-migrate record whole names, others versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyedBy {
    /// [`Migration::version`].
    Version,
    /// [`Migration::name`].
    Name,
}

impl KeyedBy {
    /// The key of a migration on disk.
    pub fn of(self, migration: &Migration) -> &str {
        match self {
            Self::Version => migration.version.as_str(),
            Self::Name => &migration.name,
        }
    }

    /// The key of an applied migration.
    pub fn of_applied(self, applied: &crate::Applied) -> &str {
        match self {
            Self::Version => applied.version.as_str(),
            Self::Name => &applied.name,
        }
    }
}

/// Who applies, for the rows that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStamp {
    /// The run's id.
    pub run: String,
    /// dbctl's own version.
    pub dbctl_version: String,
}

/// What is known when a migration is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Recording<'a> {
    /// The migration that was applied.
    pub migration: &'a Migration,
    /// How long its SQL ran.
    pub elapsed: Duration,
    /// Who applied it.
    pub stamp: &'a RunStamp,
}

/// A foreign tool's history table: its name, shape and lock, as that tool would have made them.
///
/// The rows that [`History::read`] selects have exactly these columns, in this order, each nullable: `version text,
/// name text, checksum text, applied_at_us bigint` (microseconds since 1970 UTC), `elapsed_ms bigint, failed boolean,
/// tool_row text` (what tells the row from a later one of the same migration, which the session's settings do not change;
/// NULL where nothing does).
/// Where versions of the tool differ in a column, `to_jsonb(row) ->> 'column'` reads it whether or not it is there. On
/// SQLite numbers and texts are those, and `failed` is 0 or 1.
pub trait History: Send + Sync {
    /// The table, for `to_regclass` and for `clean`'s list.
    fn table(&self) -> &TableName;
    /// The tool's exact DDL, in order, each statement safe to run again.
    fn create(&self) -> Vec<String>;
    /// Selects all rows in the order in which the tool would read them.
    fn read(&self) -> String;
    /// Selects `tool_row`, as [`Self::read`] does, of the row last written of a migration: a query whose one parameter has
    /// that number, and its value. `key` is what [`Self::keyed_by`] says.
    fn find(&self, key: &str, number: usize) -> (String, Value);
    /// Records a migration as applied, the way the tool does.
    fn record(&self, recording: &Recording<'_>) -> Vec<Statement>;
    /// Removes the record of a migration that was reverted, the way the tool does. `key` is what [`Self::keyed_by`]
    /// says.
    fn forget(&self, key: &str) -> Vec<Statement>;
    /// The key of the tool's own advisory lock, for the database of that name; `None` where the tool takes none.
    fn lock_key(&self, database: &str) -> Option<i64>;
    /// What identifies a row.
    fn keyed_by(&self) -> KeyedBy;
    /// Whether the tool itself fails when a file is applied out of order.
    fn refuses_out_of_order(&self) -> bool {
        false
    }
    /// The schema in which its files expect to work, where that is not the session's own.
    fn search_path(&self) -> Option<&str> {
        None
    }
    /// The same history in that schema, where the tool names its table without one, so that the connection's
    /// `search_path` says where it is; `None` where the schema is said.
    fn within(&self, _schema: &str) -> Option<Box<dyn History>> {
        None
    }
    /// The same history in the schema that the connection's URL names, `?schema=`, where that is where the tool keeps its
    /// table and runs its files; `None` where the schema is said, or the tool knows no such parameter.
    fn within_urls(&self, _schema: &str) -> Option<Box<dyn History>> {
        None
    }
    /// Whether the tool itself makes the first schema of a `search_path` that its connection settings name.
    fn makes_schema(&self) -> bool {
        false
    }
    /// Says that a migration outside a transaction has begun, where the tool would; [`Self::record`] then finishes that
    /// row, and [`Self::forget`] removes it.
    fn start(&self, _migration: &Migration) -> Vec<Statement> {
        Vec::new()
    }
    /// Puts the file's present checksum into the row of an applied migration, where the tool keeps one.
    fn repair(&self, _migration: &Migration) -> Vec<Statement> {
        Vec::new()
    }
    /// Fills in what rows of an older version of the tool do not say; `local` is what is on disk.
    fn identify(&self, rows: Vec<Applied>, _local: &[Migration]) -> Vec<Applied> {
        rows
    }
    /// What makes a table of an older version of the tool one of the version whose files are on disk, as that version
    /// does it itself before it writes; `None` where its versions do not differ.
    fn upgrade(&self, _local: &[Migration]) -> Option<Upgrade> {
        None
    }
}

/// A table's rows under that name, each with a `dbctl_writer`: the transaction that wrote it, for tables without a column that
/// tells a row from another that says the same. What writes rows anew, be it `ALTER TABLE`, makes others of them. A view has
/// no such column, and there it is NULL.
pub(crate) fn with_writer(table: &TableName, rows: &str) -> String {
    format!(
        "(SELECT NULL::xid AS xmin) AS no_table CROSS JOIN LATERAL (SELECT *, '{WRITTEN_BY}' || xmin::text AS \
         dbctl_writer FROM {table} AS kept) AS {rows}"
    )
}

/// What a `tool_row` begins with that names a transaction.
pub(crate) const WRITTEN_BY: &str = "xmin ";

/// How a history table is brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// A query of one row with the columns `needed boolean, refused text`: whether the table is of an older version, and
    /// why it must not be touched, NULL where it may. Not asked where there is no table.
    pub needed: Statement,
    /// What is then done, in one transaction.
    pub statements: Vec<Statement>,
}
