//! The lines of `--format ndjson`.

use dbctl_engine::Severity;
use dbctl_runner::{Event, MigrationRef};
use serde::Serialize;

use super::{Error, Why, direction, ms, why};

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
    RolledBack {
        database: &'e str,
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
    HookStarted {
        database: &'e str,
        hook: &'e str,
        command: &'e str,
    },
    HookFinished {
        database: &'e str,
        hook: &'e str,
        command: &'e str,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        halted_by: Option<&'e str>,
    },
    DatabaseFinished {
        database: &'e str,
        outcome: &'e str,
        elapsed_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Error>,
        #[serde(skip_serializing_if = "Option::is_none")]
        needs: Option<&'e str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        halted_by: Option<&'e str>,
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
        Event::RolledBack { database } => Line::RolledBack { database: database.as_str() },
        Event::SeedStarted { database, file, index, total } => {
            Line::SeedStarted { database: database.as_str(), file, index: *index, total: *total }
        }
        Event::SeedFinished { database, file, elapsed } => {
            Line::SeedFinished { database: database.as_str(), file, elapsed_ms: ms(*elapsed) }
        }
        Event::HookStarted { database, hook, command } => {
            Line::HookStarted { database: database.as_str(), hook: hook.as_str(), command }
        }
        Event::HookFinished { database, hook, command, elapsed } => Line::HookFinished {
            database: database.as_str(),
            hook: hook.as_str(),
            command,
            elapsed_ms: ms(*elapsed),
        },
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
            let Why { error, needs, halted_by } = why(outcome, database.as_str());
            Line::StepFinished {
                database: database.as_str(),
                action,
                outcome: outcome.as_str(),
                elapsed_ms: ms(*elapsed),
                error,
                needs,
                halted_by,
            }
        }
        Event::DatabaseFinished { database, outcome, elapsed } => {
            let Why { error, needs, halted_by } = why(outcome, database.as_str());
            Line::DatabaseFinished {
                database: database.as_str(),
                outcome: outcome.as_str(),
                elapsed_ms: ms(*elapsed),
                error,
                needs,
                halted_by,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::events;

    #[test]
    fn the_lines_of_a_run() {
        let lines: Vec<String> =
            events().iter().map(|one| serde_json::to_string(&event(one)).unwrap()).collect();
        insta::assert_snapshot!("events", lines.join("\n"));
    }
}
