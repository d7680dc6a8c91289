//! Which runs have been at work on the databases, read by sessions that cannot write.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use dbctl_engine::{Engine, Session, Target};
use dbctl_migration::ledger::{LedgerRow, RunRow};
use dbctl_workspace::Key;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use thiserror::Error;

use crate::{StepError, gate::Gate};

/// The runs of a workspace.
#[derive(Debug, Default)]
pub struct Runs {
    /// The last one first.
    pub runs: Vec<RunEntry>,
    /// The databases that could not be read.
    pub failed: Vec<(Key, StepError)>,
}

/// One run, over all databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEntry {
    /// Its id.
    pub run: String,
    /// The command; `None` where that is not recorded, as of runs of older versions.
    pub command: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended; `None` too where it has not everywhere.
    pub ended_at: Option<Timestamp>,
    /// What it came to: the worst of its databases.
    pub outcome: RunState,
    /// The version of dbctl, where that is recorded.
    pub dbctl_version: Option<String>,
    /// The databases that have a record of it, dependencies first.
    pub databases: Vec<RunDatabase>,
}

/// What a run did to one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDatabase {
    /// Its key.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// What the run came to here.
    pub outcome: RunState,
    /// When it began here.
    pub started_at: Option<Timestamp>,
    /// When it ended here.
    pub ended_at: Option<Timestamp>,
    /// The role that ran it.
    pub by: Option<String>,
    /// Where the server saw it come from; `None` for a Unix socket, or where that is not recorded.
    pub client: Option<String>,
    /// How many migrations it applied, reverted or recorded.
    pub migrations: usize,
    /// How many of them are still recorded as its own.
    pub applied: usize,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunState {
    /// Nothing is recorded but what it applied.
    Unknown,
    /// There was nothing to do.
    Unchanged,
    /// It changed something.
    Done,
    /// It was stopped.
    Cancelled,
    /// It failed.
    Failed,
    /// It is at work, or was killed.
    Unfinished,
}

impl RunState {
    /// As reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unchanged => "unchanged",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        }
    }

    fn recorded(text: Option<&str>) -> Self {
        match text {
            None => Self::Unfinished,
            Some("unchanged") => Self::Unchanged,
            Some("done") => Self::Done,
            Some("cancelled") => Self::Cancelled,
            Some("failed") => Self::Failed,
            Some(_) => Self::Unknown,
        }
    }
}

/// Why no run is meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WhichRun {
    /// None begins like that.
    #[error("no run `{run}` is recorded in {}", databases.join(", "))]
    Unknown {
        /// As typed.
        run: String,
        /// The databases that were looked at.
        databases: Vec<String>,
    },
    /// Several do.
    #[error("`{run}` could be any of {}", runs.join(", "))]
    Ambiguous {
        /// As typed.
        run: String,
        /// The last ones, such as can be typed.
        runs: Vec<String>,
    },
    /// It has only recorded migrations.
    #[error("the run {run} was `{command}`, which records migrations without running them")]
    RanNothing {
        /// Its id.
        run: String,
        /// The command.
        command: String,
    },
}

/// Reads the runs of these databases, at most `jobs` at once and never more sessions on a server than its cap. A database
/// that does not exist has none.
pub async fn runs(
    keys: &[Key],
    targets: &BTreeMap<Key, Target>,
    engine: &dyn Engine,
    session: &Session<'_>,
    jobs: NonZeroUsize,
) -> Runs {
    let gate = Gate::new(targets.values());
    let reads: Vec<_> = keys.iter().map(|key| read(&targets[key], engine, session, &gate)).collect();
    let found: Vec<_> = stream::iter(reads).buffered(jobs.get()).collect().await;
    let (mut runs, mut failed) = (BTreeMap::new(), Vec::new());
    for (key, found) in keys.iter().zip(found) {
        match found {
            Ok((rows, ledger)) => add(&mut runs, key, targets[key].name.as_str(), rows, &ledger),
            Err(error) if error.is_no_database() => {}
            Err(error) => failed.push((key.clone(), error)),
        }
    }
    let mut runs: Vec<RunEntry> = runs.into_values().map(whole).collect();
    runs.sort_by(|a, b| (b.started_at, &b.run).cmp(&(a.started_at, &a.run)));
    Runs { runs, failed }
}

async fn read(
    target: &Target,
    engine: &dyn Engine,
    session: &Session<'_>,
    gate: &Gate,
) -> Result<(Vec<RunRow>, Vec<LedgerRow>), StepError> {
    let _place = gate.enter(target, &session.cancel).await?;
    let mut reader = engine.open(target, session).await?;
    let rows = reader.runs().await;
    let ledger = match rows {
        Ok(_) => reader.ledger().await,
        Err(_) => Ok(Vec::new()),
    };
    reader.close().await;
    Ok((rows?, ledger?))
}

/// Adds what one database says.
fn add(
    runs: &mut BTreeMap<String, RunEntry>,
    key: &Key,
    name: &str,
    rows: Vec<RunRow>,
    ledger: &[LedgerRow],
) {
    let mut own: BTreeMap<&str, Vec<&LedgerRow>> = BTreeMap::new();
    for row in ledger {
        if let Some(run) = &row.run {
            own.entry(run).or_default().push(row);
        }
    }
    let mut seen = BTreeSet::new();
    for row in rows {
        seen.insert(row.run.clone());
        let applied = own.get(row.run.as_str()).map_or(0, Vec::len);
        let database = RunDatabase {
            key: key.clone(),
            name: name.to_owned(),
            outcome: RunState::recorded(row.outcome.as_deref()),
            started_at: row.started_at,
            ended_at: row.ended_at,
            by: Some(row.by),
            client: row.client,
            // One that was killed has not come to count them.
            migrations: if row.outcome.is_none() { row.migrations.max(applied) } else { row.migrations },
            applied,
        };
        let entry = runs.entry(row.run.clone()).or_insert_with(|| empty(row.run));
        entry.command.get_or_insert(row.command);
        entry.dbctl_version.get_or_insert(row.dbctl_version);
        entry.databases.push(database);
    }
    // Older versions have recorded nothing of a run but what it applied.
    for (run, rows) in own.into_iter().filter(|(run, _)| !seen.contains(*run)) {
        let times = || rows.iter().filter_map(|row| row.applied.at);
        let database = RunDatabase {
            key: key.clone(),
            name: name.to_owned(),
            outcome: RunState::Unknown,
            started_at: times().min(),
            ended_at: times().max(),
            by: rows.iter().find_map(|row| row.by.clone()),
            client: None,
            migrations: rows.len(),
            applied: rows.len(),
        };
        runs.entry(run.to_owned()).or_insert_with(|| empty(run.to_owned())).databases.push(database);
    }
}

fn empty(run: String) -> RunEntry {
    RunEntry {
        run,
        command: None,
        started_at: None,
        ended_at: None,
        outcome: RunState::Unknown,
        dbctl_version: None,
        databases: Vec::new(),
    }
}

/// With what its databases come to.
fn whole(mut entry: RunEntry) -> RunEntry {
    let databases = &entry.databases;
    entry.outcome = databases.iter().map(|database| database.outcome).max().unwrap_or(RunState::Unknown);
    entry.started_at = databases.iter().filter_map(|database| database.started_at).min();
    entry.ended_at = match databases.iter().all(|database| database.ended_at.is_some()) {
        true => databases.iter().filter_map(|database| database.ended_at).max(),
        false => None,
    };
    entry
}

impl RunEntry {
    /// How many migrations it applied, reverted or recorded.
    pub fn migrations(&self) -> usize {
        self.databases.iter().map(|database| database.migrations).sum()
    }

    /// The databases in which to undo it: where something of it is still applied, else all.
    pub fn to_undo(&self) -> BTreeSet<Key> {
        let of = |wanted: fn(&RunDatabase) -> bool| -> BTreeSet<Key> {
            self.databases.iter().filter(|one| wanted(one)).map(|one| one.key.clone()).collect()
        };
        let applied = of(|database| database.applied > 0);
        if applied.is_empty() { of(|_| true) } else { applied }
    }
}

impl Runs {
    /// The one run whose id is, or begins with, what was typed, if it ran something.
    pub fn which(&self, typed: &str, looked_at: &[Key]) -> Result<&RunEntry, WhichRun> {
        const MOST: usize = 5;
        let whole = self.runs.iter().find(|entry| entry.run == typed);
        let mut meant = self.runs.iter().filter(|entry| !typed.is_empty() && entry.run.starts_with(typed));
        let entry = match (whole, meant.next(), meant.next()) {
            (Some(entry), ..) | (None, Some(entry), None) => entry,
            (None, Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(meant);
                let runs = all.take(MOST).map(|entry| entry.run.clone()).collect();
                return Err(WhichRun::Ambiguous { run: typed.to_owned(), runs });
            }
            (None, None, _) => {
                let databases = looked_at.iter().map(ToString::to_string).collect();
                return Err(WhichRun::Unknown { run: typed.to_owned(), databases });
            }
        };
        let runs_nothing =
            ["migrate --fake", "baseline", "history mark", "history resolve", "history repair"];
        match entry.command.as_deref() {
            Some(command) if runs_nothing.contains(&command) => {
                Err(WhichRun::RanNothing { run: entry.run.clone(), command: command.to_owned() })
            }
            Some(_) | None => Ok(entry),
        }
    }
}
