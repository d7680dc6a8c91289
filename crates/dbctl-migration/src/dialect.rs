//! Whose SQL: what differs between the servers in dbctl's own statements.

use crate::TableName;

/// Whose SQL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// PostgreSQL, 12 and later.
    #[default]
    Postgres,
    /// SQLite, 3.42 and later.
    Sqlite,
}

impl Dialect {
    /// The schema in which tables are that name none.
    pub fn default_schema(self) -> &'static str {
        match self {
            Self::Postgres => "public",
            Self::Sqlite => "main",
        }
    }

    /// A table of dbctl's own: in a schema of its own where there are schemas, else by a name of its own.
    pub fn own_table(self, name: &str) -> TableName {
        match self {
            Self::Postgres => TableName::new("dbctl", name),
            Self::Sqlite => TableName::new(self.default_schema(), format!("dbctl_{name}")),
        }
    }

    /// The type of a column that holds a moment.
    pub(crate) fn moment(self) -> &'static str {
        match self {
            Self::Postgres => "timestamptz",
            Self::Sqlite => "text",
        }
    }

    /// The moment in which it is asked for, not that in which the transaction began.
    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Postgres => "pg_catalog.clock_timestamp()",
            Self::Sqlite => "(strftime('%Y-%m-%d %H:%M:%fZ', 'now'))",
        }
    }

    /// A moment in microseconds since 1970.
    pub(crate) fn microseconds(self, column: &str) -> String {
        match self {
            Self::Postgres => format!("(EXTRACT(EPOCH FROM {column}) * 1000000)::bigint"),
            Self::Sqlite => format!("CAST(unixepoch({column}, 'subsec') * 1000000 AS integer)"),
        }
    }

    /// The column that numbers rows, and never gives a number twice.
    pub(crate) fn numbering(self) -> &'static str {
        match self {
            Self::Postgres => "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            Self::Sqlite => "id integer PRIMARY KEY AUTOINCREMENT",
        }
    }

    /// Who is logged in, as a column's default; SQLite knows nobody.
    pub(crate) fn session_user(self) -> &'static str {
        match self {
            Self::Postgres => "session_user",
            Self::Sqlite => "''",
        }
    }

    /// Compares texts by their bytes.
    pub(crate) fn by_bytes(self) -> &'static str {
        match self {
            Self::Postgres => "COLLATE \"C\"",
            Self::Sqlite => "COLLATE BINARY",
        }
    }
}
