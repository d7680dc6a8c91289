//! `dbctl.runs`: which runs have been at work on a database, whatever came of them.

use jiff::Timestamp;

use super::{Ledger, text};
use crate::{Dialect, RunStamp, Statement, TableName, Value};

/// One row of `dbctl.runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run's id.
    pub run: String,
    /// The command.
    pub command: String,
    /// When it began here.
    pub started_at: Option<Timestamp>,
    /// When it ended here.
    pub ended_at: Option<Timestamp>,
    /// What it came to here; `None` where it is at work, or was killed.
    pub outcome: Option<String>,
    /// How many migrations it applied, reverted or recorded here.
    pub migrations: usize,
    /// The role that ran it.
    pub by: String,
    /// Where the server saw it come from; `None` for a Unix socket.
    pub client: Option<String>,
    /// Its version of dbctl.
    pub dbctl_version: String,
}

impl Ledger {
    /// The table of runs.
    pub fn runs_table(self) -> TableName {
        self.0.own_table("runs")
    }

    /// Its DDL, safe to run again. Ledgers of before it are without it: it is made by the next run that writes.
    pub fn create_runs(self) -> String {
        let Self(dialect) = self;
        let client = match dialect {
            Dialect::Postgres => " DEFAULT pg_catalog.host(pg_catalog.inet_client_addr())",
            Dialect::Sqlite => "",
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (
    {numbering},
    run_id text NOT NULL UNIQUE,
    command text NOT NULL,
    started_at {moment} NOT NULL DEFAULT {now},
    ended_at {moment},
    outcome text,
    migrations bigint NOT NULL DEFAULT 0,
    run_by text NOT NULL DEFAULT {session_user},
    client text{client},
    dbctl_version text NOT NULL
)",
            table = self.runs_table(),
            numbering = dialect.numbering(),
            moment = dialect.moment(),
            now = dialect.now(),
            session_user = dialect.session_user(),
        )
    }

    /// Selects all runs in the order in which they began: `run_id text, command text, started_at_us bigint, ended_at_us
    /// bigint, outcome text, migrations bigint, run_by text, client text, dbctl_version text`.
    pub fn read_runs(self) -> String {
        format!(
            "SELECT run_id, command, {} AS started_at_us, {} AS ended_at_us, outcome, migrations, run_by, client, \
             dbctl_version FROM {} ORDER BY id",
            self.0.microseconds("started_at"),
            self.0.microseconds("ended_at"),
            self.runs_table()
        )
    }

    /// Says that a run is at work here; of one that comes back for its next step, that it has not ended after all.
    pub fn begin_run(self, stamp: &RunStamp, command: &str) -> Statement {
        Statement {
            sql: format!(
                "INSERT INTO {} (run_id, command, dbctl_version) VALUES ($1::text, $2::text, $3::text) \
                 ON CONFLICT (run_id) DO UPDATE SET ended_at = NULL, outcome = NULL",
                self.runs_table()
            ),
            params: vec![text(&stamp.run), text(command), text(&stamp.dbctl_version)],
        }
    }

    /// Says what a run has come to here, over all its steps so far.
    pub fn end_run(self, stamp: &RunStamp, outcome: &str, migrations: usize) -> Statement {
        Statement {
            sql: format!(
                "UPDATE {} SET ended_at = {}, outcome = $2::text, migrations = $3::bigint WHERE run_id = $1::text",
                self.runs_table(),
                self.0.now()
            ),
            params: vec![
                text(&stamp.run),
                text(outcome),
                Value::Int(i64::try_from(migrations).unwrap_or(i64::MAX)),
            ],
        }
    }
}
