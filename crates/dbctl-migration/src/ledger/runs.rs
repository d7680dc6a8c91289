//! `dbctl.runs`: which runs have been at work on a database, whatever came of them.

use jiff::Timestamp;

use super::{SCHEMA, text};
use crate::{RunStamp, Statement, TableName, Value};

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

/// The table.
pub fn runs_table() -> TableName {
    TableName::new(SCHEMA, "runs")
}

/// Its DDL, safe to run again. Ledgers of before it are without it: it is made by the next run that writes.
pub fn create_runs() -> String {
    "CREATE TABLE IF NOT EXISTS \"dbctl\".\"runs\" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL UNIQUE,
    command text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ended_at timestamptz,
    outcome text,
    migrations bigint NOT NULL DEFAULT 0,
    run_by text NOT NULL DEFAULT session_user,
    client text DEFAULT pg_catalog.host(pg_catalog.inet_client_addr()),
    dbctl_version text NOT NULL
)"
    .to_owned()
}

/// Selects all runs in the order in which they began: `run_id text, command text, started_at_us bigint, ended_at_us
/// bigint, outcome text, migrations bigint, run_by text, client text, dbctl_version text`.
pub fn read_runs() -> String {
    "SELECT run_id, command, (EXTRACT(EPOCH FROM started_at) * 1000000)::bigint AS started_at_us, \
     (EXTRACT(EPOCH FROM ended_at) * 1000000)::bigint AS ended_at_us, outcome, migrations, run_by, client, \
     dbctl_version FROM \"dbctl\".\"runs\" ORDER BY id"
        .to_owned()
}

/// Says that a run is at work here; of one that comes back for its next step, that it has not ended after all.
pub fn begin_run(stamp: &RunStamp, command: &str) -> Statement {
    Statement {
        sql: "INSERT INTO \"dbctl\".\"runs\" (run_id, command, dbctl_version) \
              VALUES ($1::text, $2::text, $3::text) \
              ON CONFLICT (run_id) DO UPDATE SET ended_at = NULL, outcome = NULL"
            .to_owned(),
        params: vec![text(&stamp.run), text(command), text(&stamp.dbctl_version)],
    }
}

/// Says what a run has come to here, over all its steps so far.
pub fn end_run(stamp: &RunStamp, outcome: &str, migrations: usize) -> Statement {
    Statement {
        sql: "UPDATE \"dbctl\".\"runs\" SET ended_at = pg_catalog.clock_timestamp(), outcome = $2::text, \
              migrations = $3::bigint WHERE run_id = $1::text"
            .to_owned(),
        params: vec![
            text(&stamp.run),
            text(outcome),
            Value::Int(i64::try_from(migrations).unwrap_or(i64::MAX)),
        ],
    }
}
