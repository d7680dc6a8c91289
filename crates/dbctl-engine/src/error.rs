//! Everything that can go wrong between dbctl and a server, in types that reports can show with a hint.

use std::path::PathBuf;

use dbctl_migration::{TableName, split::SplitError};
use thiserror::Error;

use crate::{LockHolder, Prepared, clean::CleanRefusal, embedded::EmbeddedError, libpq::ConnInfoError};

/// What an engine can answer instead of what was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The connection settings are wrong before anything is tried.
    #[error(transparent)]
    ConnInfo(#[from] ConnInfoError),
    /// No connection came about.
    #[error(transparent)]
    Connect(Box<ConnectError>),
    /// The embedded server could not be had.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// Another run holds the database's lock, or a peer tool holds its own.
    #[error("another run holds the lock of {database}: {}", who(holder.as_ref()))]
    Locked {
        /// The database.
        database: String,
        /// Who holds it; `None` where it was gone whenever it was looked for.
        holder: Option<LockHolder>,
    },
    /// A run that was all or nothing has prepared transactions here that hold the lock.
    #[error("{database} has a transaction of the run {} that is prepared and neither committed nor rolled back", prepared.first().map_or("?", |one| &one.gid.run))]
    Prepared {
        /// The database.
        database: String,
        /// They.
        prepared: Vec<Prepared>,
    },
    /// What a database says of a run's prepared transactions does not count.
    #[error("{database} {reason}")]
    NoDecisions {
        /// The database.
        database: String,
        /// Why: what it is, or what it lacks.
        reason: &'static str,
    },
    /// The way to the database is a pooler that gives a session for one transaction only.
    #[error(
        "{server} is a connection pooler in transaction mode: through it dbctl's lock on {database} would keep nobody away"
    )]
    Pooled {
        /// `host:port` or the socket's path.
        server: String,
        /// The database.
        database: String,
    },
    /// A statement failed.
    #[error(transparent)]
    Sql(Box<SqlError>),
    /// A script cannot be split into statements.
    #[error("{}:{line}:{column}: {error}", path.display())]
    Split {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The line's text.
        source_line: String,
        /// What is wrong.
        error: SplitError,
    },
    /// A script cannot be part of one transaction with others.
    #[error("{}:{line}: {reason}", path.display())]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// Line of the statement that cannot, from 1.
        line: usize,
        /// Why.
        reason: &'static str,
    },
    /// The file of a database, or of its lock, cannot be used.
    #[error("cannot {doing} {}: {reason}", path.display())]
    File {
        /// What was tried: `open`, `lock`, ….
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A migration outside a transaction stopped in a statement of which nobody knows whether it took effect.
    #[error("{}:{line}: an earlier run stopped in this statement, and nobody knows whether it took effect: {statement}", path.display())]
    Unresolved {
        /// The file.
        path: PathBuf,
        /// Line of the statement, from 1.
        line: usize,
        /// The statement, cut to a length that can be shown.
        statement: String,
    },
    /// A migration outside a transaction stopped half-way, and what has run of it no longer stands in the file.
    #[error("{}:{line}: {}", path.display(), rewritten(*done, *started))]
    Rewritten {
        /// The file.
        path: PathBuf,
        /// Line of the last statement that should be one of them, from 1.
        line: usize,
        /// How many ran.
        done: usize,
        /// Whether those are what they were, and only the one after them has changed, which was started.
        started: bool,
    },
    /// A history table is not where the tool has it on this connection, but one in another schema knows the files.
    #[error(
        "{table} is not there, but {found} says that {migrations} of the files of {source_name} are applied: they would \
         run a second time"
    )]
    Elsewhere {
        /// The source, as the manifest spells it.
        source_name: String,
        /// Where the tool has its table.
        table: Box<TableName>,
        /// Where one is.
        found: Box<TableName>,
        /// How many of its rows are of the source's files.
        migrations: usize,
    },
    /// A seed file cannot be loaded as it is.
    #[error("{}{}: {message}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Seed {
        /// The file.
        path: PathBuf,
        /// Line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// A database to be dropped is in use.
    #[error("{database} is in use by {} other session(s): {}", sessions.len(), sessions.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    InUse {
        /// The database.
        database: String,
        /// Who uses it.
        sessions: Vec<LockHolder>,
    },
    /// `clean` would have to touch a table it must keep.
    #[error(transparent)]
    Clean(#[from] CleanRefusal),
    /// The connection was lost in the middle.
    #[error("the connection to {database} was lost: {message}")]
    Lost {
        /// The database.
        database: String,
        /// What the driver or the server said.
        message: String,
        /// Whether nothing of a file was under way, so that a new session may go on.
        between: bool,
    },
    /// The server is too old or otherwise cannot do what is needed.
    #[error("{0}")]
    Unsupported(String),
    /// The run was stopped; what was open has been rolled back.
    #[error("cancelled")]
    Cancelled,
}

fn who(holder: Option<&LockHolder>) -> String {
    holder.map_or_else(|| "somebody who has just let go of it".to_owned(), ToString::to_string)
}

/// What [`EngineError::Rewritten`] says, without the place.
pub fn rewritten(done: usize, started: bool) -> String {
    if started {
        return "an earlier run stopped in the statement that stood here, and it has been changed since: nobody knows \
                whether it took effect as it was"
            .to_owned();
    }
    let ran = if done == 1 { "1 statement".to_owned() } else { format!("{done} statements") };
    format!("an earlier run stopped after {ran}, and the file no longer begins with what ran")
}

impl From<ConnectError> for EngineError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl EngineError {
    /// The same, where nothing of a file was under way: a connection that was lost then may be made anew.
    #[must_use]
    pub fn between_files(mut self) -> Self {
        if let Self::Lost { between, .. } = &mut self {
            *between = true;
        }
        self
    }

    /// Says of a failure to connect where its settings come from.
    pub(crate) fn with_origin(mut self, origin: Option<&str>) -> Self {
        if let Self::Connect(error) = &mut self {
            error.origin = origin.map(str::to_owned);
        }
        self
    }
}

/// Why no connection came about, and to whom.
#[derive(Debug, Error)]
#[error("{failure}")]
pub struct ConnectError {
    /// `host:port` or the socket's path, as tried; several are joined by commas. Never a password.
    pub server: String,
    /// The database asked for.
    pub database: String,
    /// The user.
    pub user: String,
    /// Where the settings come from, as [`crate::Target::origin`] says it.
    pub origin: Option<String>,
    /// Which kind of failure, with its words.
    pub failure: ConnectFailure,
}

impl ConnectError {
    /// Whether the server is starting or stopping.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(&self.failure, ConnectFailure::Refused { code, .. } if code == "57P03")
    }

    /// Whether the server may be on its way back: it does not answer, or is starting or stopping.
    pub(crate) fn may_come_back(&self) -> bool {
        matches!(self.failure, ConnectFailure::Unreachable { .. }) || self.is_starting()
    }
}

/// The kinds of failure to connect; each has its own hint.
#[derive(Debug, Error)]
pub enum ConnectFailure {
    /// Nobody answers there.
    #[error("no PostgreSQL server answers at {server}: {reason}")]
    Unreachable {
        /// What was tried.
        server: String,
        /// The system's words.
        reason: String,
    },
    /// The server does not accept the user's password (28P01, 28000 for passwords).
    #[error("the server at {server} refuses the password of user {user}")]
    WrongPassword {
        /// What was tried.
        server: String,
        /// The user.
        user: String,
    },
    /// The server wants a password and none was given.
    #[error("the server at {server} wants a password for user {user}, and none is set")]
    NoPassword {
        /// What was tried.
        server: String,
        /// The user.
        user: String,
    },
    /// The database does not exist (3D000).
    #[error("the database {database} does not exist on {server}")]
    NoDatabase {
        /// What was asked for.
        database: String,
        /// Where.
        server: String,
    },
    /// A SQLite database does not exist.
    #[error("the database {database} does not exist: there is no file {}", path.display())]
    NoFile {
        /// What was asked for.
        database: String,
        /// Its file.
        path: PathBuf,
    },
    /// TLS failed: unknown authority, wrong host, or a server without TLS.
    #[error("TLS with {server} failed: {reason}")]
    Tls {
        /// What was tried.
        server: String,
        /// Why.
        reason: String,
        /// Which kind of trouble it is.
        problem: TlsProblem,
    },
    /// Servers answer, but none is what `target_session_attrs` asks for.
    #[error("no server among {server} is {wanted}")]
    WrongRole {
        /// What was tried.
        server: String,
        /// `target_session_attrs`.
        wanted: String,
    },
    /// Something answers, but not as a PostgreSQL server that we can log in to does.
    #[error("{server} answers, but the log-in failed: {reason}")]
    Protocol {
        /// What was tried.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server refuses otherwise (pg_hba.conf, no role, too many connections, shutting down).
    #[error("{server} refuses the connection: {message} (SQLSTATE {code})")]
    Refused {
        /// What was tried.
        server: String,
        /// PostgreSQL's SQLSTATE.
        code: String,
        /// PostgreSQL's words.
        message: String,
    },
}

/// The kinds of trouble with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProblem {
    /// The server has no TLS.
    NotOffered,
    /// Nobody we trust signed the server's certificate.
    UnknownAuthority,
    /// The server's certificate is for another host.
    WrongHost,
    /// The server broke off, such as for want of a client certificate.
    RefusedByServer,
    /// Our own files of certificates and keys cannot be used.
    Files,
    /// Anything else.
    Other,
}

/// A statement that failed, with all PostgreSQL said of it and where it stands on disk.
#[derive(Debug, Clone, Error)]
#[error("{}{message}", location.as_ref().map(|l| format!("{}:{}:{}: ", l.path.display(), l.line, l.column)).unwrap_or_default())]
pub struct SqlError {
    /// SQLSTATE, such as `42P01`.
    pub code: String,
    /// PostgreSQL's message.
    pub message: String,
    /// PostgreSQL's detail.
    pub detail: Option<String>,
    /// PostgreSQL's hint.
    pub hint: Option<String>,
    /// PostgreSQL's context (`where`), such as the line of a PL/pgSQL function.
    pub context: Option<String>,
    /// The statement that failed, from its first word, cut to a length that can be shown and without passwords.
    pub statement: Option<String>,
    /// Where in a file; `None` for dbctl's own statements.
    pub location: Option<SqlLocation>,
}

impl SqlError {
    /// What dbctl itself has to say, in a server's stead: of no statement and no place so far.
    pub(crate) fn ours(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            detail: None,
            hint: Some(hint.into()),
            context: None,
            statement: None,
            location: None,
        }
    }
}

impl From<SqlError> for EngineError {
    fn from(error: SqlError) -> Self {
        Self::Sql(Box::new(error))
    }
}

/// A place in a SQL file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlLocation {
    /// The file, relative to the workspace.
    pub path: PathBuf,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The text of that line.
    pub source_line: String,
    /// What stands there.
    pub mark: Mark,
}

/// What a place in a file marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The error itself: PostgreSQL gave the position.
    Error,
    /// The start of the statement that failed.
    Statement,
    /// The header of a CSV file, which names the columns.
    Header,
}
