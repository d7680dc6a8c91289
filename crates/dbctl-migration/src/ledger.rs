//! dbctl's own tables: the ledger of migrations, the record of seeds, the environment a database belongs to, and the runs
//! that were at work on it.
//!
//! For the native format the ledger is the truth. For a foreign format it annotates that tool's own table: a row
//! there without a ledger row is applied with checksum unknown, a ledger row without a row there was rolled back by
//! the tool; neither is an error.

mod decisions;
mod runs;

use std::collections::HashMap;

pub use self::{
    decisions::{create_decisions, decisions_table, read_decision, record_decision},
    runs::{RunRow, begin_run, create_runs, end_run, read_runs, runs_table},
};
use crate::{
    Applied, History, KeyedBy, Migration, Progress, Recording, RunStamp, Statement, TableName, Value,
};

/// The schema that holds everything dbctl writes into a database.
pub const SCHEMA: &str = "dbctl";

/// One row of `dbctl.migration_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Which source of the database it belongs to (the way from the package to its folder).
    pub source: String,
    /// What the row says, progress included.
    pub applied: Applied,
    /// The run that applied it.
    pub run: Option<String>,
    /// The role that applied it.
    pub by: Option<String>,
}

/// One row of `dbctl.seed_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRow {
    /// File name within the seeds folder.
    pub file: String,
    /// Checksum of the file when it last ran.
    pub checksum: crate::Checksum,
}

/// The tables of [`create`], for `to_regclass`.
pub fn tables() -> [TableName; 3] {
    ["migration_history", "seed_history", "environment"].map(|name| TableName::new(SCHEMA, name))
}

/// DDL of the ledger, the seed record and the environment record, in order, each safe to run again.
///
/// To be run only where one of [`tables`] is missing, with notices switched off: `CREATE SCHEMA IF NOT EXISTS` asks for
/// the right to create schemas even where the schema is there, and every `IF NOT EXISTS` that finds something says so
/// in a notice. For PostgreSQL 12 and later.
///
/// `migration_history` is kept in the order of its `id`: clocks go backwards, the identity does not. Both `version`
/// and `name` are stored for every row, since formats differ in what identifies one; the names of one source are
/// unique in every format, its versions only in some. Where `reverting` is set, the columns `statement…` speak of the
/// down part.
pub fn create() -> Vec<String> {
    [
        "CREATE SCHEMA IF NOT EXISTS \"dbctl\"",
        "CREATE TABLE IF NOT EXISTS \"dbctl\".\"migration_history\" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    version text NOT NULL,
    name text NOT NULL,
    checksum text,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    elapsed_ms bigint,
    applied_by text NOT NULL DEFAULT session_user,
    run_id text NOT NULL,
    dbctl_version text NOT NULL,
    statements_done bigint,
    statement_started boolean,
    statements_digest text,
    reverting boolean NOT NULL DEFAULT false,
    UNIQUE (source, name)
)",
        "CREATE TABLE IF NOT EXISTS \"dbctl\".\"seed_history\" (
    file text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    run_id text NOT NULL,
    dbctl_version text NOT NULL
)",
        "CREATE TABLE IF NOT EXISTS \"dbctl\".\"environment\" (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    environment text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
)",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Selects the ledger: `source text, version text, name text, checksum text, applied_at_us bigint, elapsed_ms bigint,
/// run_id text, statements_done bigint, statement_started boolean, statements_digest text, reverting boolean,
/// applied_by text` (`statements_done` NULL = whole), in the order in which the rows were first written.
pub fn read() -> String {
    "SELECT source, version, name, checksum, \
     (EXTRACT(EPOCH FROM applied_at) * 1000000)::bigint AS applied_at_us, elapsed_ms, run_id, \
     statements_done, statement_started, statements_digest, reverting, applied_by FROM \"dbctl\".\"migration_history\" ORDER BY id"
        .to_owned()
}

/// What the ledger should hold of a migration before a row of it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing: a row that is there all the same is somebody else's, and an error.
    Absent,
    /// How far it got, or anything else: the row is overwritten.
    Any,
}

impl Before {
    fn on_conflict(self, update: &str) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Any => format!(" ON CONFLICT (source, name) DO UPDATE SET {update}"),
        }
    }
}

/// Removes ledger rows of migrations that their tool has rolled back and that stand in the way of this one. To be run
/// before the tool's own row is written.
pub fn forget_stale(source: &str, history: &dyn History, migration: &Migration) -> Statement {
    let key = match history.keyed_by() {
        KeyedBy::Version => "version",
        KeyedBy::Name => "name",
    };
    Statement {
        sql: format!(
            "DELETE FROM \"dbctl\".\"migration_history\" AS known \
             WHERE known.source = $1::text AND (known.{key} = $2::text OR known.name = $3::text) \
             AND (known.{key} <> $2::text OR NOT EXISTS (SELECT FROM ({}) AS tool (version, name, checksum, \
             applied_at_us, elapsed_ms, failed) WHERE tool.{key} = known.{key}))",
            history.read()
        ),
        params: vec![text(source), text(history.keyed_by().of(migration)), text(&migration.name)],
    }
}

/// Records an applied migration (inserts, or finishes a partial row).
pub fn record(source: &str, recording: &Recording<'_>, before: Before) -> Statement {
    let Recording { migration, elapsed, stamp } = *recording;
    Statement {
        sql: "INSERT INTO \"dbctl\".\"migration_history\" \
              (source, version, name, checksum, elapsed_ms, run_id, dbctl_version) \
              VALUES ($1::text, $2::text, $3::text, $4::text, $5::bigint, $6::text, $7::text)"
            .to_owned()
            + &before.on_conflict(
                "version = excluded.version, checksum = excluded.checksum, \
              applied_at = excluded.applied_at, elapsed_ms = excluded.elapsed_ms, \
              applied_by = excluded.applied_by, run_id = excluded.run_id, \
              dbctl_version = excluded.dbctl_version, statements_done = NULL, statement_started = NULL, \
              statements_digest = NULL, reverting = false",
            ),
        params: vec![
            text(source),
            text(migration.version.as_str()),
            text(&migration.name),
            text(migration.checksum.as_str()),
            Value::Int(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)),
            text(&stamp.run),
            text(&stamp.dbctl_version),
        ],
    }
}

/// Records how far a migration outside a transaction got. `digest` says what the statements were that ran, so that the
/// next run sees whether the file still begins with them; it means nothing here.
pub fn record_progress(
    source: &str,
    migration: &Migration,
    stamp: &RunStamp,
    done: usize,
    started: bool,
    digest: &str,
    before: Before,
) -> Statement {
    // A bound parameter is text or bigint; the literal keeps the boolean out of the list.
    let started = if started { "true" } else { "false" };
    Statement {
        sql: format!(
            "INSERT INTO \"dbctl\".\"migration_history\" \
             (source, version, name, checksum, run_id, dbctl_version, statements_done, statement_started, statements_digest) \
             VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::bigint, {started}, $8::text)"
        ) + &before.on_conflict(
            "version = excluded.version, checksum = excluded.checksum, \
             applied_at = excluded.applied_at, elapsed_ms = NULL, applied_by = excluded.applied_by, \
             run_id = excluded.run_id, dbctl_version = excluded.dbctl_version, \
             statements_done = excluded.statements_done, statement_started = excluded.statement_started, \
             statements_digest = excluded.statements_digest, reverting = false",
        ),
        params: progress_params(source, migration, stamp, done, digest),
    }
}

/// Records how far the down part of a migration outside a transaction got; what is known of its application stays.
pub fn record_reverting(
    source: &str,
    migration: &Migration,
    stamp: &RunStamp,
    done: usize,
    started: bool,
    digest: &str,
) -> Statement {
    let started = if started { "true" } else { "false" };
    Statement {
        sql: format!(
            "INSERT INTO \"dbctl\".\"migration_history\" \
             (source, version, name, checksum, run_id, dbctl_version, statements_done, statement_started, \
             statements_digest, reverting) \
             VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::bigint, {started}, $8::text, true) \
             ON CONFLICT (source, name) DO UPDATE SET statements_done = excluded.statements_done, \
             statement_started = excluded.statement_started, statements_digest = excluded.statements_digest, \
             reverting = true"
        ),
        params: progress_params(source, migration, stamp, done, digest),
    }
}

fn progress_params(
    source: &str,
    migration: &Migration,
    stamp: &RunStamp,
    done: usize,
    digest: &str,
) -> Vec<Value> {
    vec![
        text(source),
        text(migration.version.as_str()),
        text(&migration.name),
        text(migration.checksum.as_str()),
        text(&stamp.run),
        text(&stamp.dbctl_version),
        Value::Int(i64::try_from(done).unwrap_or(i64::MAX)),
        text(digest),
    ]
}

/// Removes a migration by its key.
pub fn forget(source: &str, keyed_by: KeyedBy, key: &str) -> Statement {
    let column = match keyed_by {
        KeyedBy::Version => "version",
        KeyedBy::Name => "name",
    };
    Statement {
        sql: format!(
            "DELETE FROM \"dbctl\".\"migration_history\" WHERE source = $1::text AND {column} = $2::text"
        ),
        params: vec![text(source), text(key)],
    }
}

/// Puts the file's present checksum into the row of an applied migration.
pub fn repair(source: &str, migration: &Migration) -> Statement {
    Statement {
        sql: "UPDATE \"dbctl\".\"migration_history\" SET checksum = $3::text WHERE source = $1::text AND name = $2::text"
            .to_owned(),
        params: vec![text(source), text(&migration.name), text(migration.checksum.as_str())],
    }
}

/// Says of a migration that stopped outside a transaction, up or down, that so many statements are done and that the next
/// was not started. `as_it_is` trusts the file's present text instead of the one that ran.
pub fn reached(source: &str, name: &str, done: usize, as_it_is: bool) -> Statement {
    let digest = if as_it_is { ", statements_digest = NULL" } else { "" };
    Statement {
        sql: format!(
            "UPDATE \"dbctl\".\"migration_history\" SET statements_done = $3::bigint, statement_started = false{digest} \
             WHERE source = $1::text AND name = $2::text AND statements_done IS NOT NULL"
        ),
        params: vec![text(source), text(name), Value::Int(i64::try_from(done).unwrap_or(i64::MAX))],
    }
}

/// Selects the seed record: `file text, checksum text`.
pub fn read_seeds() -> String {
    "SELECT file, checksum FROM \"dbctl\".\"seed_history\" ORDER BY file COLLATE \"C\"".to_owned()
}

/// Records a seed file as run.
pub fn record_seed(seed: &SeedRow, stamp: &RunStamp) -> Statement {
    Statement {
        sql: "INSERT INTO \"dbctl\".\"seed_history\" (file, checksum, run_id, dbctl_version) \
              VALUES ($1::text, $2::text, $3::text, $4::text) \
              ON CONFLICT (file) DO UPDATE SET checksum = excluded.checksum, applied_at = excluded.applied_at, \
              run_id = excluded.run_id, dbctl_version = excluded.dbctl_version"
            .to_owned(),
        params: vec![text(&seed.file), text(seed.checksum.as_str()), text(&stamp.run), text(&stamp.dbctl_version)],
    }
}

/// Forgets all seeds, as `clean` does.
pub fn forget_seeds() -> Statement {
    Statement { sql: "DELETE FROM \"dbctl\".\"seed_history\"".to_owned(), params: Vec::new() }
}

/// Selects the environment the database belongs to: `environment text`, at most one row.
pub fn read_environment() -> String {
    "SELECT environment FROM \"dbctl\".\"environment\"".to_owned()
}

/// Records the environment where none is recorded yet.
pub fn record_environment(environment: &str) -> Statement {
    Statement {
        sql: "INSERT INTO \"dbctl\".\"environment\" (environment) VALUES ($1::text) ON CONFLICT DO NOTHING"
            .to_owned(),
        params: vec![text(environment)],
    }
}

/// Joins what a foreign table says with what the ledger knows of the same source; the foreign table is the truth.
///
/// What the tool does not record (checksum, time, duration, how far it is rolled back) comes from the ledger. A ledger
/// row alone says that the tool rolled the migration back, and is dropped, unless it is partial: the tool's row is
/// written with the last statement, so that until then only the ledger knows. Such rows come last, as the latest that
/// happened.
pub fn annotate(
    foreign: Vec<Applied>,
    ledger: &[LedgerRow],
    source: &str,
    keyed_by: KeyedBy,
) -> Vec<Applied> {
    let mut known: HashMap<&str, &Applied> = ledger
        .iter()
        .filter(|row| row.source == source)
        .map(|row| (keyed_by.of_applied(&row.applied), &row.applied))
        .collect();
    let mut applied = foreign;
    for row in &mut applied {
        if let Some(ledger) = known.remove(keyed_by.of_applied(row)) {
            row.checksum = row.checksum.take().or_else(|| ledger.checksum.clone());
            row.at = row.at.or(ledger.at);
            row.elapsed = row.elapsed.or(ledger.elapsed);
            match (&ledger.progress, &row.progress) {
                // What the tool shows as failed is one that dbctl began outside a transaction, and knows more of.
                (Progress::Reverting { .. }, _) | (Progress::Partial { .. }, Progress::Failed) => {
                    row.progress = ledger.progress.clone();
                }
                (Progress::Partial { .. } | Progress::Whole | Progress::Failed, _) => {}
            }
        }
    }
    // Through the list and not through the map, so that the order is that of the ledger.
    applied.extend(own(ledger, source).into_iter().filter(|row| {
        matches!(row.progress, Progress::Partial { .. }) && known.contains_key(keyed_by.of_applied(row))
    }));
    applied
}

/// What the ledger alone says of a source, for formats whose truth it is; in the order in which rows were applied.
pub fn own(ledger: &[LedgerRow], source: &str) -> Vec<Applied> {
    ledger.iter().filter(|row| row.source == source).map(|row| row.applied.clone()).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests;
