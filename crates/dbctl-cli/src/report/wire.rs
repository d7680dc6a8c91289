//! What `--format json` and `--format ndjson` are made of: a public contract. A change here is an entry in the
//! changelog and a changed snapshot. Fields that may be left out say nothing by being there empty.

use std::time::Duration;

use dbctl_engine::Severity;
use dbctl_migration::State;
use dbctl_runner::{
    DatabaseStatus, DatabaseSummary, Direction, Event, MigrationRef, Outcome, StatusReport, StepError,
    Summary,
};
use serde::Serialize;

use crate::explain::{self, explain};

/// Every state, in the order in which `counts` lists them.
pub(crate) const STATES: [State; 7] = [
    State::Applied,
    State::Pending,
    State::OutOfOrder,
    State::Changed,
    State::Missing,
    State::Failed,
    State::Partial,
];

/// The document of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Run<'s> {
    command: &'s str,
    workspace: &'s str,
    run: &'s str,
    outcome: &'s str,
    elapsed_ms: u64,
    databases: Vec<Database<'s>>,
}

#[derive(Debug, Serialize)]
struct Database<'s> {
    key: &'s str,
    name: &'s str,
    outcome: &'s str,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "is_false")]
    created: bool,
    #[serde(skip_serializing_if = "is_false")]
    dropped: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    migrations: Vec<Migration<'s>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seeds: Vec<Seed<'s>>,
    #[serde(skip_serializing_if = "is_zero")]
    cleaned_tables: usize,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'s [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<&'s str>,
}

#[derive(Debug, Serialize)]
struct Migration<'s> {
    source: &'s str,
    version: &'s str,
    name: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'s str>,
    elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
struct Seed<'s> {
    file: &'s str,
    elapsed_ms: u64,
}

/// Why a database failed.
#[derive(Debug, Serialize)]
pub(crate) struct Error {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The document of `status`.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'s> {
    workspace: &'s str,
    databases: Vec<StatusOf<'s>>,
}

/// Where one database stands.
#[derive(Debug, Serialize)]
pub(crate) struct StatusOf<'s> {
    key: &'s str,
    name: &'s str,
    server: &'s str,
    exists: Option<bool>,
    migrations: Vec<StatusEntry<'s>>,
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

#[derive(Debug, Serialize)]
struct StatusEntry<'s> {
    source: &'s str,
    version: &'s str,
    name: &'s str,
    state: &'static str,
    applied_at: Option<String>,
    elapsed_ms: Option<u64>,
}

/// The number of migrations in each state; every state is there.
#[derive(Debug, Serialize)]
struct Counts {
    applied: usize,
    pending: usize,
    out_of_order: usize,
    changed: usize,
    missing: usize,
    failed: usize,
    partial: usize,
}

/// An error before a run.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) error: FailureOf,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailureOf {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<Problem>,
}

/// One of several things that are wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// A line of `--format ndjson`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line<'e> {
    RunStarted {
        command: &'e str,
        workspace: &'e str,
        run: &'e str,
        databases: Vec<Named<'e>>,
    },
    StepStarted {
        database: &'e str,
        action: &'e str,
    },
    Waiting {
        database: &'e str,
        holder: Holder<'e>,
    },
    Created {
        database: &'e str,
        new: bool,
        extensions: &'e [String],
    },
    Dropped {
        database: &'e str,
    },
    MigrationStarted {
        database: &'e str,
        source: &'e str,
        version: &'e str,
        name: &'e str,
        direction: &'e str,
        index: usize,
        total: usize,
    },
    MigrationFinished {
        database: &'e str,
        source: &'e str,
        version: &'e str,
        name: &'e str,
        direction: &'e str,
        elapsed_ms: u64,
    },
    SeedStarted {
        database: &'e str,
        file: &'e str,
        index: usize,
        total: usize,
    },
    SeedFinished {
        database: &'e str,
        file: &'e str,
        elapsed_ms: u64,
    },
    Cleaned {
        database: &'e str,
        tables: usize,
        sequences: usize,
    },
    Warning {
        database: &'e str,
        message: &'e str,
    },
    Notice {
        database: &'e str,
        severity: &'static str,
        message: &'e str,
    },
    Output {
        database: &'e str,
        line: &'e str,
    },
    StepFinished {
        database: &'e str,
        action: &'e str,
        outcome: &'e str,
        elapsed_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Error>,
        #[serde(skip_serializing_if = "Option::is_none")]
        needs: Option<&'e str>,
    },
    DatabaseFinished {
        database: &'e str,
        outcome: &'e str,
        elapsed_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Error>,
        #[serde(skip_serializing_if = "Option::is_none")]
        needs: Option<&'e str>,
    },
    RunFinished {
        outcome: &'e str,
        elapsed_ms: u64,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct Named<'e> {
    key: &'e str,
    name: &'e str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Holder<'e> {
    pid: i32,
    application: &'e str,
    client: Option<&'e str>,
    since: Option<&'e str>,
}

/// The document of a run.
pub(crate) fn run(summary: &Summary) -> Run<'_> {
    Run {
        command: summary.command,
        workspace: &summary.workspace,
        run: &summary.run,
        outcome: summary.outcome.as_str(),
        elapsed_ms: ms(summary.elapsed),
        databases: summary.databases.iter().map(database).collect(),
    }
}

fn database(summary: &DatabaseSummary) -> Database<'_> {
    let (error, needs) = why(&summary.outcome, summary.key.as_str());
    Database {
        key: summary.key.as_str(),
        name: &summary.name,
        outcome: summary.outcome.as_str(),
        elapsed_ms: ms(summary.elapsed),
        created: summary.created,
        dropped: summary.dropped,
        migrations: summary
            .migrations
            .iter()
            .map(|done| Migration {
                source: &done.migration.source,
                version: done.migration.version.as_str(),
                name: &done.migration.name,
                direction: Some(direction(done.migration.direction)).filter(|direction| *direction != "up"),
                elapsed_ms: ms(done.elapsed),
            })
            .collect(),
        seeds: summary
            .seeds
            .iter()
            .map(|seed| Seed { file: &seed.file, elapsed_ms: ms(seed.elapsed) })
            .collect(),
        cleaned_tables: summary.cleaned,
        warnings: &summary.warnings,
        error,
        needs,
    }
}

fn why<'o>(outcome: &'o Outcome, key: &str) -> (Option<Error>, Option<&'o str>) {
    match outcome {
        Outcome::Failed(failure) => (Some(error(failure, key)), None),
        Outcome::Skipped { needs } => (None, Some(needs.as_str())),
        Outcome::Done | Outcome::Unchanged | Outcome::Cancelled => (None, None),
    }
}

/// Why the database `key` failed.
pub(crate) fn error(error: &StepError, key: &str) -> Error {
    let explain::Explained { code, message, path, line, column, detail, hint } = explain(error, key);
    Error { code, message, path: path.map(|path| path.display().to_string()), line, column, detail, hint }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Fake => "fake",
        Direction::Dry => "dry_run",
    }
}

/// The document of `status`.
pub(crate) fn status<'s>(workspace: &'s str, report: &'s StatusReport) -> Status<'s> {
    Status { workspace, databases: report.databases.iter().map(status_of).collect() }
}

/// Where one database stands.
pub(crate) fn status_of(status: &DatabaseStatus) -> StatusOf<'_> {
    let counts = status.counts();
    let count = |state| counts.get(&state).copied().unwrap_or_default();
    StatusOf {
        key: status.key.as_str(),
        name: &status.name,
        server: &status.server,
        exists: status.exists,
        migrations: status
            .migrations
            .iter()
            .map(|entry| StatusEntry {
                source: &entry.source,
                version: &entry.version,
                name: &entry.name,
                state: entry.state.as_str(),
                applied_at: entry.applied_at.map(|at| at.to_string()),
                elapsed_ms: entry.elapsed.map(ms),
            })
            .collect(),
        counts: Counts {
            applied: count(State::Applied),
            pending: count(State::Pending),
            out_of_order: count(State::OutOfOrder),
            changed: count(State::Changed),
            missing: count(State::Missing),
            failed: count(State::Failed),
            partial: count(State::Partial),
        },
        error: status.error.as_deref().map(|failure| error(failure, status.key.as_str())),
    }
}

/// A line of `--format ndjson`.
pub(crate) fn event(event: &Event) -> Line<'_> {
    match event {
        Event::RunStarted { command, workspace, run, databases } => Line::RunStarted {
            command,
            workspace,
            run,
            databases: databases.iter().map(|(key, name)| Named { key: key.as_str(), name }).collect(),
        },
        Event::StepStarted { database, action } => Line::StepStarted { database: database.as_str(), action },
        Event::Waiting { database, holder } => Line::Waiting {
            database: database.as_str(),
            holder: Holder {
                pid: holder.pid,
                application: &holder.application,
                client: holder.client.as_deref(),
                since: holder.since.as_deref(),
            },
        },
        Event::Created { database, new, extensions } => {
            Line::Created { database: database.as_str(), new: *new, extensions }
        }
        Event::Dropped { database } => Line::Dropped { database: database.as_str() },
        Event::MigrationStarted { database, migration, index, total } => {
            let MigrationRef { source, version, name, direction: way } = migration;
            Line::MigrationStarted {
                database: database.as_str(),
                source,
                version: version.as_str(),
                name,
                direction: direction(*way),
                index: *index,
                total: *total,
            }
        }
        Event::MigrationFinished { database, migration, elapsed } => {
            let MigrationRef { source, version, name, direction: way } = migration;
            Line::MigrationFinished {
                database: database.as_str(),
                source,
                version: version.as_str(),
                name,
                direction: direction(*way),
                elapsed_ms: ms(*elapsed),
            }
        }
        Event::SeedStarted { database, file, index, total } => {
            Line::SeedStarted { database: database.as_str(), file, index: *index, total: *total }
        }
        Event::SeedFinished { database, file, elapsed } => {
            Line::SeedFinished { database: database.as_str(), file, elapsed_ms: ms(*elapsed) }
        }
        Event::Cleaned { database, tables, sequences } => {
            Line::Cleaned { database: database.as_str(), tables: *tables, sequences: *sequences }
        }
        Event::Warning { database, message } => Line::Warning { database: database.as_str(), message },
        Event::Notice { database, notice } => Line::Notice {
            database: database.as_str(),
            severity: severity(notice.severity),
            message: &notice.message,
        },
        Event::Output { database, line } => Line::Output { database: database.as_str(), line },
        Event::StepFinished { database, action, outcome, elapsed } => {
            let (error, needs) = why(outcome, database.as_str());
            Line::StepFinished {
                database: database.as_str(),
                action,
                outcome: outcome.as_str(),
                elapsed_ms: ms(*elapsed),
                error,
                needs,
            }
        }
        Event::DatabaseFinished { database, outcome, elapsed } => {
            let (error, needs) = why(outcome, database.as_str());
            Line::DatabaseFinished {
                database: database.as_str(),
                outcome: outcome.as_str(),
                elapsed_ms: ms(*elapsed),
                error,
                needs,
            }
        }
        Event::RunFinished { outcome, elapsed } => {
            Line::RunFinished { outcome: outcome.as_str(), elapsed_ms: ms(*elapsed) }
        }
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Debug => "debug",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{eventful, events, summary};

    #[test]
    fn the_document_of_a_run() {
        insta::assert_snapshot!("run", serde_json::to_string_pretty(&run(&summary())).unwrap());
        insta::assert_snapshot!("run_eventful", serde_json::to_string_pretty(&run(&eventful())).unwrap());
    }

    #[test]
    fn the_lines_of_a_run() {
        let lines: Vec<String> =
            events().iter().map(|one| serde_json::to_string(&event(one)).unwrap()).collect();
        insta::assert_snapshot!("events", lines.join("\n"));
    }
}
