//! `dbctl history runs`: the runs that were at work on databases; and which of them `rollback --run` means.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    num::NonZeroUsize,
};

use dbctl_engine::Session;
use dbctl_runner::{RunDatabase, RunEntry, RunState, Runs, WhichRun, runs};
use dbctl_workspace::Key;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::status::Heard;
use crate::{
    cli::{Format, Shown, Targets},
    console::{Console, Mode, write_json},
    context::Context,
    diagnostic,
    error::CliError,
    exit::Done,
    report::wire,
    signals::Signals,
    table,
};

pub(super) async fn run(
    targets: &Shown,
    limit: Option<NonZeroUsize>,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let keys = context.in_order(&context.select_shown(targets)?);
    let mut found = look(&keys, context, console).await?;
    context.say_what_started(console)?;
    found.runs.truncate(limit.map_or(usize::MAX, NonZeroUsize::get));
    match console.mode.format {
        Format::Human => {
            human(&found, console.out, console.mode)?;
            for (key, error) in &found.failed {
                let text = diagnostic::failure(error, key.as_str(), console.mode.err);
                console.err.write_all(text.as_bytes())?;
            }
        }
        Format::Json => console.json(&document(context.workspace.name(), &found))?,
        Format::Ndjson => {
            for entry in &found.runs {
                write_json(console.out, &run_of(entry), false)?;
            }
            for error in errors(&found) {
                write_json(console.out, &error, false)?;
            }
        }
    }
    Ok(Done::Runs(found))
}

/// Reads the runs of these databases, through sessions that cannot write.
async fn look(keys: &[Key], context: &Context, console: &mut Console<'_>) -> Result<Runs, CliError> {
    let targets = context.targets(keys)?;
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let heard = Heard::default();
    let session = Session {
        verb: "history",
        stamp: &context.stamp,
        cancel: stop.clone(),
        observer: &heard,
        wait: context.limits.wait,
    };
    let found = tokio::select! {
        biased;
        () = signals.twice(&stop) => return Err(CliError::Interrupted),
        found = runs(keys, &targets, &context.engine, &session, context.limits.jobs) => found,
    };
    heard.tell(console)?;
    match stop.is_cancelled() {
        true => Err(CliError::Interrupted),
        false => Ok(found),
    }
}

/// The run that is meant and the databases in which to undo it: those that were named, else all, as far as the run has
/// been at work on them.
pub(crate) async fn which(
    typed: &str,
    targets: &Targets,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<(String, BTreeSet<Key>), CliError> {
    let keys = if targets.targets.is_empty() { context.all() } else { context.select(targets)? };
    let keys = context.in_order(&keys);
    let found = look(&keys, context, console).await?;
    // One of those that cannot be read may have something of it.
    if !found.failed.is_empty() {
        return Err(CliError::Unreadable(found.failed));
    }
    let entry = found.which(typed, &keys).map_err(|error| {
        let hint = match error {
            WhichRun::RanNothing { .. } => {
                "there is nothing to revert; forget one by one: `dbctl history mark TARGET VERSION --pending`"
            }
            WhichRun::Unknown { .. } | WhichRun::Ambiguous { .. } => "`dbctl history runs` lists them",
        };
        CliError::usage(error.to_string(), hint)
    })?;
    Ok((entry.run.clone(), entry.to_undo()))
}

fn human(found: &Runs, out: &mut dyn Write, mode: Mode) -> io::Result<()> {
    if found.runs.is_empty() {
        writeln!(out, "no run is recorded")?;
        return out.flush();
    }
    let rows: Vec<_> = found.runs.iter().map(row).collect();
    let header = ["RUN", "AT", "BY", "FROM", "COMMAND", "OUTCOME", "MIGRATIONS", "DATABASES"];
    let lines = table::lines_within(header, &rows, 7, mode.width);
    for (at, line) in lines.iter().enumerate() {
        let line = match at.checked_sub(1).map(|at| found.runs[at].outcome) {
            None => mode.out.bold(line),
            Some(RunState::Failed) => mode.out.red(line),
            Some(RunState::Unfinished | RunState::Cancelled) => mode.out.yellow(line),
            Some(RunState::Done | RunState::Unchanged | RunState::Unknown) => line.clone(),
        };
        writeln!(out, "{line}")?;
    }
    out.flush()
}

fn row(entry: &RunEntry) -> [String; 8] {
    let each = |of: fn(&RunDatabase) -> Option<&String>| {
        let all: BTreeSet<&str> = entry.databases.iter().filter_map(of).map(String::as_str).collect();
        if all.is_empty() { "-".to_owned() } else { all.into_iter().collect::<Vec<_>>().join(", ") }
    };
    let keys: Vec<&str> = entry.databases.iter().map(|database| database.key.as_str()).collect();
    [
        entry.run.clone(),
        entry.started_at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
        each(|database| database.by.as_ref()),
        each(|database| database.client.as_ref()),
        entry.command.clone().unwrap_or_else(|| "-".to_owned()),
        match entry.outcome {
            RunState::Unfinished => "running or killed".to_owned(),
            RunState::Unknown => "-".to_owned(),
            state @ (RunState::Unchanged | RunState::Done | RunState::Cancelled | RunState::Failed) => {
                state.as_str().to_owned()
            }
        },
        entry.migrations().to_string(),
        keys.join(", "),
    ]
}

#[derive(Debug, Serialize)]
struct Document<'r> {
    workspace: &'r str,
    runs: Vec<RunOf<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorOf<'r>>,
}

#[derive(Debug, Serialize)]
struct RunOf<'r> {
    run: &'r str,
    command: Option<&'r str>,
    outcome: &'static str,
    started_at: Option<String>,
    ended_at: Option<String>,
    dbctl_version: Option<&'r str>,
    migrations: usize,
    databases: Vec<DatabaseOf<'r>>,
}

#[derive(Debug, Serialize)]
struct DatabaseOf<'r> {
    key: &'r str,
    name: &'r str,
    outcome: &'static str,
    started_at: Option<String>,
    ended_at: Option<String>,
    by: Option<&'r str>,
    client: Option<&'r str>,
    migrations: usize,
    applied: usize,
}

#[derive(Debug, Serialize)]
struct ErrorOf<'r> {
    key: &'r str,
    error: wire::Error,
}

fn document<'r>(workspace: &'r str, found: &'r Runs) -> Document<'r> {
    Document { workspace, runs: found.runs.iter().map(run_of).collect(), errors: errors(found) }
}

fn errors(found: &Runs) -> Vec<ErrorOf<'_>> {
    let failed = found.failed.iter();
    failed
        .map(|(key, error)| ErrorOf { key: key.as_str(), error: wire::error(error, key.as_str()) })
        .collect()
}

fn run_of(entry: &RunEntry) -> RunOf<'_> {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    RunOf {
        run: &entry.run,
        command: entry.command.as_deref(),
        outcome: entry.outcome.as_str(),
        started_at: time(entry.started_at),
        ended_at: time(entry.ended_at),
        dbctl_version: entry.dbctl_version.as_deref(),
        migrations: entry.migrations(),
        databases: entry
            .databases
            .iter()
            .map(|one| DatabaseOf {
                key: one.key.as_str(),
                name: &one.name,
                outcome: one.outcome.as_str(),
                started_at: time(one.started_at),
                ended_at: time(one.ended_at),
                by: one.by.as_deref(),
                client: one.client.as_deref(),
                migrations: one.migrations,
                applied: one.applied,
            })
            .collect(),
    }
}
