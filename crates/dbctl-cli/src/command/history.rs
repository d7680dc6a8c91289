//! `dbctl history`: what is recorded of migrations, shown and mended.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use dbctl_engine::{Decision, Session};
use dbctl_migration::{Progress, State};
use dbctl_runner::{Action, ChecksumState, DatabaseHistory, Edit, HistoryRow, Request, StepError, history};
use dbctl_workspace::Key;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{new::source, runs, status::Heard};
use crate::{
    cli::{Global, History},
    console::{Console, Mode},
    context::Context,
    error::CliError,
    exit::Done,
    report::time,
    run::carry_out,
    signals::Signals,
    table,
};

pub(super) async fn run(
    args: &History,
    global: &Global,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let (command, target, edit) = match args {
        History::Show { target, source } => return show(target, source.as_deref(), context, console).await,
        History::Runs { targets, limit } => return runs::run(targets, *limit, context, console).await,
        History::Mark { which, applied, pending: _ } => {
            let edit = Edit::Mark { version: which.version.clone(), applied: *applied };
            ("history mark", &which.target, edit)
        }
        History::Resolve { target, run: Some(run), commit, .. } => {
            let decision = if *commit { Decision::Commit } else { Decision::Rollback };
            ("history resolve", target, Edit::Finish { run: run.clone(), decision })
        }
        History::Resolve { target, version, applied, done, .. } => {
            let version = version.clone().unwrap_or_default();
            ("history resolve", target, Edit::Resolve { version, applied: *applied, done: *done })
        }
        History::Repair { target, versions } => {
            ("history repair", target, Edit::Repair { versions: versions.clone() })
        }
    };
    let key = context.select_one(Some(target))?;
    carry_out(&of_one(command, Action::Edit(edit), key, global, context), global, context, console).await
}

/// A request of one action on one database.
pub(super) fn of_one(
    command: &'static str,
    action: Action,
    key: Key,
    global: &Global,
    context: &Context,
) -> Request {
    Request {
        command,
        actions: vec![action],
        targets: BTreeSet::from([key]),
        no_deps: global.no_deps,
        ignore_dependents: false,
        no_hooks: true,
        allow_protected: global.allow_protected.clone(),
        limits: context.limits,
    }
}

async fn show(
    target: &str,
    named: Option<&str>,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let key = context.select_one(Some(target))?;
    let only = named.map(|path| source(context.workspace.database(&key), Some(path))).transpose()?;
    let only = only.map(|source| source.name.as_str());
    let targets = context.targets([&key])?;
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
    let read = tokio::select! {
        biased;
        () = signals.twice(&stop) => return Err(CliError::Interrupted),
        read = history(&context.workspace, &key, only, &targets, &context.engine, &session) => read,
    };
    context.say_what_started(console)?;
    heard.tell(console)?;
    let found = read.map_err(|error| match error {
        StepError::Engine(error) => error.into(),
        StepError::Format(errors) => errors.into(),
        other => CliError::Databases(vec![(key.clone(), other)]),
    })?;
    if console.mode.is_json() {
        console.json(&document(&found))?;
    } else {
        human(&found, console.out, console.mode)?;
    }
    Ok(Done::Well)
}

fn human(history: &DatabaseHistory, out: &mut dyn Write, mode: Mode) -> io::Result<()> {
    for (at, source) in history.sources.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        let title = format!("{} ({}, {})", source.source, source.format, source.table);
        writeln!(out, "{}", mode.out.bold(&title))?;
        if source.rows.is_empty() {
            writeln!(out, "  nothing is recorded")?;
            continue;
        }
        let rows: Vec<_> = source.rows.iter().map(row).collect();
        let lines = table::lines(["NAME", "STATE", "AT", "TIME", "BY", "RUN", "FILE"], &rows);
        for (at, line) in lines.iter().enumerate() {
            let line = match at.checked_sub(1).map(|at| source.rows[at].state) {
                None => mode.out.bold(line),
                Some(State::Applied) => line.clone(),
                Some(
                    State::Pending
                    | State::OutOfOrder
                    | State::Changed
                    | State::Missing
                    | State::Failed
                    | State::Partial,
                ) => mode.out.red(line),
            };
            writeln!(out, "  {line}")?;
        }
    }
    out.flush()
}

fn row(row: &HistoryRow) -> [String; 7] {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        row.name.clone(),
        match how_far(&row.progress) {
            Some(far) => format!("{}: {far}", row.state.as_str()),
            None => row.state.as_str().replace('_', " "),
        },
        row.applied_at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
        row.elapsed.map_or_else(|| "-".to_owned(), time),
        text(&row.applied_by),
        text(&row.run),
        match row.checksum {
            ChecksumState::Same => "same",
            ChecksumState::Changed => "changed",
            ChecksumState::Unknown => "not known",
            ChecksumState::NoFile => "gone",
        }
        .to_owned(),
    ]
}

/// Where one stopped that is not whole.
fn how_far(progress: &Progress) -> Option<String> {
    let far = |done: usize, started: bool, what: &str| match started {
        true => format!("{what}stopped in statement {}", done + 1),
        false => format!("{what}{done} statement(s) done"),
    };
    match progress {
        Progress::Whole | Progress::Failed => None,
        Progress::Partial { done, started, .. } => Some(far(*done, *started, "")),
        Progress::Reverting { done, started, .. } => Some(far(*done, *started, "going back, ")),
    }
}

#[derive(Debug, Serialize)]
struct Document<'h> {
    key: &'h str,
    name: &'h str,
    server: &'h str,
    sources: Vec<SourceOf<'h>>,
}

#[derive(Debug, Serialize)]
struct SourceOf<'h> {
    source: &'h str,
    format: &'h str,
    /// Quoted as SQL needs it.
    table: String,
    rows: Vec<RowOf<'h>>,
}

#[derive(Debug, Serialize)]
struct RowOf<'h> {
    version: &'h str,
    name: &'h str,
    state: &'static str,
    applied_at: Option<String>,
    elapsed_ms: Option<u64>,
    applied_by: Option<&'h str>,
    run: Option<&'h str>,
    checksum: &'static str,
    /// Of one that is not whole: how many statements are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    statements_done: Option<usize>,
    /// Of one that is not whole: whether the next statement was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement_started: Option<bool>,
}

fn document(history: &DatabaseHistory) -> Document<'_> {
    Document {
        key: history.key.as_str(),
        name: &history.name,
        server: &history.server,
        sources: history
            .sources
            .iter()
            .map(|source| SourceOf {
                source: &source.source,
                format: source.format,
                table: source.table.to_string(),
                rows: source.rows.iter().map(row_of).collect(),
            })
            .collect(),
    }
}

fn row_of(row: &HistoryRow) -> RowOf<'_> {
    let (done, started) = match row.progress {
        Progress::Whole | Progress::Failed => (None, None),
        Progress::Partial { done, started, .. } | Progress::Reverting { done, started, .. } => {
            (Some(done), Some(started))
        }
    };
    RowOf {
        version: &row.version,
        name: &row.name,
        state: row.state.as_str(),
        applied_at: row.applied_at.map(|at| at.to_string()),
        elapsed_ms: row.elapsed.map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
        applied_by: row.applied_by.as_deref(),
        run: row.run.as_deref(),
        checksum: row.checksum.as_str(),
        statements_done: done,
        statement_started: started,
    }
}
