//! What the driver reports, turned into errors that say what helps.

use tokio_postgres::error::{DbError, Severity};

use crate::{
    EngineError, SqlError,
    shown::{hide_passwords, shorten},
};

/// Why a query did not work out.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused it; the session goes on.
    Db { error: Box<DbError>, sql: String },
    /// There is no session any more.
    Lost { database: String, message: String },
    /// The run was stopped.
    Cancelled,
}

impl Failure {
    /// Sorts what the driver reports for a query. `database` names the session.
    pub(super) fn new(error: tokio_postgres::Error, sql: &str, database: &str) -> Self {
        let message = error.to_string();
        let fatal = |db: &DbError| matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        match error.into_source().map(|source| source.downcast::<DbError>()) {
            Some(Ok(db)) if fatal(&db) => {
                Self::Lost { database: database.to_owned(), message: db.message().to_owned() }
            }
            Some(Ok(error)) => Self::Db { error, sql: sql.to_owned() },
            Some(Err(source)) => {
                Self::Lost { database: database.to_owned(), message: format!("{message}: {source}") }
            }
            None => Self::Lost { database: database.to_owned(), message },
        }
    }

    /// The server's SQLSTATE; empty where it is not the server that speaks.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Db { error, .. } => error.code().code(),
            Self::Lost { .. } | Self::Cancelled => "",
        }
    }

    /// As an error of one of dbctl's own statements, with a hint where PostgreSQL gives none.
    pub(super) fn with_hint(self, hint: impl FnOnce() -> String) -> EngineError {
        match self.into() {
            EngineError::Sql(mut error) => {
                error.hint.get_or_insert_with(hint);
                EngineError::Sql(error)
            }
            other => other,
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Db { error, sql } => Self::Sql(Box::new(sql_error(&error, &sql))),
            Failure::Lost { database, message } => Self::Lost { database, message, between: false },
            Failure::Cancelled => Self::Cancelled,
        }
    }
}

/// All PostgreSQL said, without a place in a file.
pub(super) fn sql_error(error: &DbError, sql: &str) -> SqlError {
    let code = error.code().code();
    SqlError {
        code: code.to_owned(),
        message: hide_passwords(error.message()),
        detail: error.detail().map(hide_passwords),
        // Of an enum value PostgreSQL's hint says what is wrong once more, and not what to do.
        hint: match error.hint().filter(|_| code != "55P04") {
            Some(hint) => Some(hide_passwords(hint)),
            None => hint(error, sql).map(str::to_owned),
        },
        context: error.where_().map(hide_passwords),
        statement: Some(hide_passwords(&shorten(sql))),
        location: None,
    }
}

/// What helps where PostgreSQL itself gives no hint.
fn hint(error: &DbError, sql: &str) -> Option<&'static str> {
    match error.code().code() {
        "57014" if error.message().contains("statement timeout") => Some(
            "its time was up: give the file more with `-- dbctl:statement-timeout 10min`, or all with `settings: { \
             statement_timeout: … }` of the database in the manifest, else the role's or the database's own setting holds",
        ),
        "42710" if creates_role(sql) => Some(
            "roles belong to the whole server and outlive its databases: create the role only where pg_roles does not \
             have it yet",
        ),
        "25006" => Some("this server is a replica, or the role or database is set to read-only transactions"),
        "55P03" => Some("another session holds a lock that is needed: run the command again once it is done"),
        "55P04" => Some("use the new enum value in a later migration: it has to be committed first"),
        _ => None,
    }
}

fn creates_role(sql: &str) -> bool {
    let upper: String = sql.chars().take(300).collect::<String>().to_ascii_uppercase();
    ["CREATE ROLE", "CREATE USER", "CREATE GROUP"].iter().any(|words| upper.contains(words))
}

/// A value as a SQL string literal, for utility statements, which take no parameters.
pub(super) fn quote_literal(text: &str) -> String {
    let escape = if text.contains('\\') { " E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}
