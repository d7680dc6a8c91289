//! The seam: what the runner asks of any database server, in two levels, the server and a session.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use async_trait::async_trait;
use dbctl_migration::{
    Applied, Dialect, History, KeyedBy, Migration, RunStamp, Script, TableName,
    ledger::{LedgerRow, RunRow, SeedRow},
};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::{
    Atomic, Decision, EngineError, Gid, Target, TwoPhase,
    clean::{CleanPlan, Inventory},
};

/// A database server, as far as dbctl needs one.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Whether the database exists. Connects to nothing but the server's maintenance database.
    async fn exists(&self, target: &Target, session: &Session<'_>) -> Result<bool, EngineError>;
    /// Which database this really is, or would be once it exists, whatever way leads to it.
    async fn identity(&self, target: &Target, session: &Session<'_>) -> Result<Identity, EngineError>;
    /// Sees that [`Engine::create`] could make the database anew, as far as that can be known before it is dropped.
    async fn may_create(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError>;
    /// Sees that nobody else uses the database, which [`Engine::drop`] would refuse without `disconnect`; one that is not
    /// there is used by nobody.
    async fn may_drop(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError>;
    /// Creates the database where it is missing, sets its owner, installs its extensions. Serialised among dbctl runs
    /// by a lock in the maintenance database.
    async fn create(&self, target: &Target, session: &Session<'_>) -> Result<Creation, EngineError>;
    /// Drops the database; `false` where there was none. `disconnect` ends the sessions of others first, else they are
    /// [`EngineError::InUse`].
    async fn drop(
        &self,
        target: &Target,
        disconnect: bool,
        session: &Session<'_>,
    ) -> Result<bool, EngineError>;
    /// Opens a session that cannot write.
    async fn open<'s>(
        &self,
        target: &Target,
        session: &Session<'s>,
    ) -> Result<Box<dyn Reader + 's>, EngineError>;
    /// Opens the one session that may write: it holds the database's lock and the `peers`' advisory locks (by key)
    /// until it is closed. Waits for them for `session.wait`, then [`EngineError::Locked`].
    async fn open_exclusive<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError>;
    /// As [`Engine::open_exclusive`], of a database whose session was lost a moment ago: a server that does not answer is
    /// given some time to come back.
    async fn reopen_exclusive<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError> {
        self.open_exclusive(target, peers, session).await
    }
    /// As [`Engine::open_exclusive`], for work that is one transaction from the first migration to the last. The locks
    /// are the transaction's, and so end with it. `decides` has it made ready for [`Atomic::decide`] first.
    async fn open_atomic<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        decides: bool,
        session: &Session<'s>,
    ) -> Result<Box<dyn Atomic + 's>, EngineError>;
    /// Sees that a script can be part of one transaction with others, as far as its text tells.
    fn fits_one_transaction(&self, dialect: Dialect, script: &Script) -> Result<(), EngineError>;
    /// What becomes of the transactions that a run has prepared, once that run is over; waits for that for
    /// `session.wait`, then [`EngineError::Locked`]. Where nothing is recorded it is what is `asked` for, else
    /// [`Decision::Rollback`], and recorded from then on. [`EngineError::NoDecisions`] where `target` is not the place.
    async fn decision(
        &self,
        target: &Target,
        gid: &Gid,
        asked: Option<Decision>,
        session: &Session<'_>,
    ) -> Result<Decision, EngineError>;
    /// Does to a prepared transaction what was decided; one that is finished already stays so.
    async fn conclude(
        &self,
        target: &Target,
        gid: &Gid,
        decision: Decision,
        session: &Session<'_>,
    ) -> Result<(), EngineError>;
    /// Sees that a script which has stopped outside a transaction can go on, as far as that is known without a look at the
    /// database: else [`EngineError::Rewritten`] or [`EngineError::Unresolved`].
    fn resumable(&self, dialect: Dialect, script: &Script, resume: &Resume) -> Result<(), EngineError>;
    /// How another program reaches the database; starts the embedded server where the target is on it, but does not
    /// connect.
    async fn access(&self, target: &Target) -> Result<Access, EngineError>;
}

/// How another program reaches a database. Holds the password: only `env`, `exec`, `psql` and seed runners get it.
#[derive(Debug, Clone)]
pub struct Access {
    /// A URL that psql and any driver accept; where the user wrote one, it is that one, with all it says to them.
    pub url: SecretString,
    /// `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, and whatever else libpq does not take for granted.
    pub vars: BTreeMap<String, SecretString>,
}

/// A session that cannot write.
#[async_trait]
pub trait Reader: Send {
    /// Which database this really is, whatever name led to it.
    async fn identity(&mut self) -> Result<Identity, EngineError>;
    /// What is applied of a source; empty where neither its table nor the ledger exists.
    async fn applied(&mut self, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError>;
    /// The source's own history table, where the connection's `search_path` may say in which schema; `None` where the
    /// ledger is the truth.
    async fn history_table(&mut self, source: &SourceRef<'_>) -> Result<Option<TableName>, EngineError> {
        Ok(source.history.map(|history| history.table().clone()))
    }
    /// Every row of the ledger, whatever source it belongs to; empty where there is no ledger.
    async fn ledger(&mut self) -> Result<Vec<LedgerRow>, EngineError>;
    /// Which runs have been at work here, in the order in which they began; empty where older versions alone have.
    async fn runs(&mut self) -> Result<Vec<RunRow>, EngineError>;
    /// Which seeds are recorded, by file name.
    async fn seeds(&mut self) -> Result<Vec<SeedRow>, EngineError>;
    /// How many transactions can be prepared, and which of dbctl's are.
    async fn two_phase(&mut self) -> Result<TwoPhase, EngineError>;
    /// The environment recorded in the database.
    async fn environment(&mut self) -> Result<Option<String>, EngineError>;
    /// Its tables, sequences and what ties them, for planning a clean.
    async fn inventory(&mut self) -> Result<Inventory, EngineError>;
    /// Names of what people have made in the database, [`BELONGINGS`] at most: empty where it is as good as new.
    /// Extensions, dbctl's own tables, history tables (`histories` and those that tools are known to make) and what a
    /// host puts into every database do not count.
    async fn belongings(&mut self, histories: &[TableName]) -> Result<Vec<String>, EngineError>;
    /// Ends the session and waits until the server has let go of it.
    async fn close(self: Box<Self>);
}

/// A session that may apply migrations and record them.
#[async_trait]
pub trait Applier: Reader {
    /// Makes the ledger and the sources' own history tables where they are missing, and records the environment where
    /// none is recorded.
    async fn prepare(&mut self, sources: &[SourceRef<'_>], environment: &str) -> Result<(), EngineError>;
    /// Records that the run is at work here, with its command; once per session. Where there is no record of runs yet,
    /// `make` makes it, else nothing is recorded; and nothing is where the session is one transaction.
    async fn begin_run(&mut self, command: &str, make: bool) -> Result<(), EngineError>;
    /// Tables that say what is applied, beside those that [`Applier::prepare`] has seen: a file that changes their rows is
    /// rolled back.
    fn guard(&mut self, _tables: &[TableName]) {}
    /// Runs a migration's up part and records it, in one transaction where it can be. `resume` continues one that
    /// stopped outside a transaction. Returns how long its SQL ran.
    async fn apply(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError>;
    /// Runs a file that stands for a source's past and records that past as applied, in one transaction where it can be,
    /// else with its last step. `own` says whether the file is a migration itself, and recorded as one.
    async fn baseline(
        &mut self,
        source: &SourceRef<'_>,
        file: &Migration,
        past: &[&Migration],
        own: bool,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError>;
    /// Changes what is recorded without running anything, all of it in one transaction.
    async fn note(&mut self, notes: &[Note<'_>]) -> Result<(), EngineError>;
    /// Records a migration as applied without running it, whatever was recorded of it before.
    async fn fake(&mut self, source: &SourceRef<'_>, migration: &Migration) -> Result<(), EngineError> {
        self.note(&[Note::Applied(*source, migration)]).await
    }
    /// Removes what is recorded of a migration, by its key, without running anything.
    async fn forget(&mut self, source: &SourceRef<'_>, key: &str) -> Result<(), EngineError> {
        self.note(&[Note::Forgotten(*source, key)]).await
    }
    /// Puts the file's present checksum where one is recorded of an applied migration.
    async fn repair(&mut self, source: &SourceRef<'_>, migration: &Migration) -> Result<(), EngineError> {
        self.note(&[Note::Repaired(*source, migration)]).await
    }
}

/// The one session that may write to a database.
#[async_trait]
pub trait Writer: Applier {
    /// Records what the run has come to here over all its steps, even while it is being stopped; nothing where its
    /// beginning is not recorded.
    async fn end_run(&mut self, outcome: &str, migrations: usize) -> Result<(), EngineError>;
    /// Runs a migration's down part and forgets it; goes on where an earlier run stopped outside a transaction. The
    /// caller has seen that there is a down part.
    async fn revert(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
    ) -> Result<Duration, EngineError>;
    /// Runs a seed and records it, in one transaction.
    async fn seed(&mut self, work: &SeedWork, row: &SeedRow) -> Result<Duration, EngineError>;
    /// Empties tables, restarts sequences, refreshes materialized views and forgets the seeds, in one transaction.
    async fn clean(&mut self, plan: &CleanPlan) -> Result<(), EngineError>;
}

/// What every session shares with the run it belongs to.
#[derive(Clone)]
pub struct Session<'s> {
    /// The verb, for `application_name`: `dbctl <verb> <run id>`.
    pub verb: &'s str,
    /// Who is at work.
    pub stamp: &'s RunStamp,
    /// Cancelled when the run is to stop: the running statement is cancelled on the server and rolled back.
    pub cancel: CancellationToken,
    /// Hears notices and waiting.
    pub observer: &'s dyn Observer,
    /// How long to wait for another run's lock.
    pub wait: Duration,
}

/// Hears what a session says while it works; called from within the session's own futures, never concurrently.
pub trait Observer: Send + Sync {
    /// The server sent a notice, or something in the connection's settings was passed over.
    fn notice(&self, notice: Notice);
    /// The session waits for a lock that `holder` has.
    fn waiting(&self, holder: &LockHolder);
}

/// A source's own history, or the ledger under the source's name.
#[derive(Clone, Copy)]
pub struct SourceRef<'a> {
    /// The way from the package to the folder: the ledger's `source`.
    pub name: &'a str,
    /// The foreign tool's table; `None` where the ledger is the truth.
    pub history: Option<&'a dyn History>,
    /// What is on disk, in order: rows that older versions of the tool wrote are told by it.
    pub migrations: &'a [Migration],
}

impl SourceRef<'_> {
    /// What identifies a row of this source.
    pub fn keyed_by(&self) -> KeyedBy {
        self.history.map_or(KeyedBy::Version, History::keyed_by)
    }
}

impl<'a> SourceRef<'a> {
    /// The same with another history, where there is one.
    pub(crate) fn with(self, history: Option<&'a dyn History>) -> Self {
        Self { history: history.or(self.history), ..self }
    }
}

/// How many names [`Reader::belongings`] gives at most.
pub const BELONGINGS: usize = 4;

/// A change to what is recorded of a migration, without running anything.
#[derive(Clone, Copy)]
pub enum Note<'a> {
    /// It is applied, whatever was recorded of it before.
    Applied(SourceRef<'a>, &'a Migration),
    /// It is not, by its key.
    Forgotten(SourceRef<'a>, &'a str),
    /// Its file is as it should be: where a checksum is recorded, it becomes the file's.
    Repaired(SourceRef<'a>, &'a Migration),
    /// It is to be run, and nothing of it has been so far: only the ledger says so.
    Begun(SourceRef<'a>, &'a Migration),
    /// What [`Self::Begun`] said no longer holds.
    Withdrawn(SourceRef<'a>, &'a Migration),
    /// Of one that stopped outside a transaction that many statements are done and the next was not started.
    Reached {
        /// Its source.
        source: SourceRef<'a>,
        /// Its whole name.
        name: &'a str,
        /// Statements that need not run again.
        done: usize,
        /// Whether they are those of the file as it is now, rather than those that were recorded.
        as_it_is: bool,
    },
}

impl<'a> Note<'a> {
    /// The source of the migration.
    pub(crate) fn source(&self) -> &SourceRef<'a> {
        match self {
            Self::Applied(source, _)
            | Self::Forgotten(source, _)
            | Self::Repaired(source, _)
            | Self::Begun(source, _)
            | Self::Withdrawn(source, _)
            | Self::Reached { source, .. } => source,
        }
    }
}

/// Where a migration outside a transaction stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Statements that are committed.
    pub done: usize,
    /// Whether the next one was started.
    pub started: bool,
    /// What was recorded of the text of those statements; `None` trusts the file.
    pub digest: Option<String>,
}

/// A seed's work on the database; other kinds of seeds have been run by the caller and are only recorded.
#[derive(Debug, Clone)]
pub enum SeedWork {
    /// SQL.
    Sql(Script),
    /// A CSV file with a header line, copied into a table.
    Csv {
        /// The file, to be read.
        path: PathBuf,
        /// The file as errors show it.
        shown: PathBuf,
        /// `table`, or `schema.table`; looked up as it is spelled.
        table: TableName,
    },
    /// Already done by a runner.
    External,
}

/// What `create` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Creation {
    /// Whether the database was made now.
    pub created: bool,
    /// Extensions that were installed now.
    pub extensions: Vec<String>,
}

/// Which database this really is: the server's system identifier and the database's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// `pg_control_system().system_identifier`, or what stands in for it where that may not be read.
    pub system: String,
    /// The database's name.
    pub database: String,
}

/// A notice, mostly from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How grave.
    pub severity: Severity,
    /// The server's words, or ours of the settings.
    pub message: String,
}

/// How grave a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `DEBUG` and `LOG`.
    Debug,
    /// `INFO` and `NOTICE`.
    Notice,
    /// `WARNING`.
    Warning,
}

/// A session of somebody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockHolder {
    /// Its process id on the server.
    pub pid: i32,
    /// Its `application_name`.
    pub application: String,
    /// Where it comes from; `None` for a Unix socket.
    pub client: Option<String>,
    /// Since when it is connected, RFC 3339.
    pub since: Option<String>,
    /// Since when its last query runs or has run, RFC 3339; where nobody asked, or may know, `None`.
    pub query_since: Option<Box<str>>,
    /// Whether it is a process of this machine's, and no session on a server.
    pub is_process: bool,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return write!(f, "a prepared transaction (see pg_prepared_xacts)");
        }
        write!(f, "pid {}", self.pid)?;
        if !self.application.is_empty() {
            write!(f, ", {}", self.application)?;
        }
        write!(f, ", from {}", self.client.as_deref().unwrap_or("a local socket"))?;
        if let Some(since) = &self.since {
            write!(f, ", since {since}")?;
        }
        if let Some(since) = &self.query_since {
            write!(f, ", its last query since {since}")?;
        }
        Ok(())
    }
}
