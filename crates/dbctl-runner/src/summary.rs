//! What a run came to: a fold over its events.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use dbctl_workspace::Key;

use crate::{Event, StepError, event::MigrationRef};

/// How a step or a database ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It changed something.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// It failed.
    Failed(Arc<StepError>),
    /// It never started, or it was rolled back.
    Skipped(Skip),
    /// The run was stopped before or while it ran.
    Cancelled,
}

/// Why something never started, or was rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// It needs what this database has not come to.
    Needs(Key),
    /// This database's failure ended the whole run.
    Halted(Key),
}

impl Outcome {
    /// As reports spell it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether what needs it may start.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Done | Self::Unchanged)
    }

    /// What a database's steps come to: the worst of them; having done something beats having done nothing.
    fn and(self, next: Self) -> Self {
        match (self, next) {
            (first @ Self::Failed(_), _) => first,
            (_, next @ Self::Failed(_)) => next,
            (Self::Cancelled, _) | (_, Self::Cancelled) => Self::Cancelled,
            (first @ Self::Skipped(_), _) => first,
            (_, next @ Self::Skipped(_)) => next,
            (Self::Unchanged, Self::Unchanged) => Self::Unchanged,
            (Self::Done | Self::Unchanged, Self::Done | Self::Unchanged) => Self::Done,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Everything that was asked for is so.
    Done,
    /// Some database failed.
    Failed,
    /// The run was stopped.
    Cancelled,
}

impl RunOutcome {
    /// As reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The verb.
    pub command: &'static str,
    /// The workspace's name.
    pub workspace: String,
    /// The run's id.
    pub run: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// How long it took.
    pub elapsed: Duration,
    /// Every database of the plan, dependencies first.
    pub databases: Vec<DatabaseSummary>,
}

/// What happened to one database.
#[derive(Debug, Clone)]
pub struct DatabaseSummary {
    /// Its key.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long its steps took, waiting between them not counted.
    pub elapsed: Duration,
    /// Whether it was made in this run.
    pub created: bool,
    /// Extensions that were installed in this run.
    pub extensions: Vec<String>,
    /// Whether it was dropped in this run.
    pub dropped: bool,
    /// Migrations that were applied, reverted, faked, or would be applied.
    pub migrations: Vec<MigrationDone>,
    /// Whether what was done to it in this run was undone, for the run is all or nothing.
    pub rolled_back: bool,
    /// Seeds that ran.
    pub seeds: Vec<SeedDone>,
    /// Tables that were emptied.
    pub cleaned: usize,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// A migration that is done.
#[derive(Debug, Clone)]
pub struct MigrationDone {
    /// Which one, and which way it went.
    pub migration: MigrationRef,
    /// How long its SQL ran.
    pub elapsed: Duration,
}

/// A seed that is done.
#[derive(Debug, Clone)]
pub struct SeedDone {
    /// Its file name.
    pub file: String,
    /// How long it ran.
    pub elapsed: Duration,
}

/// The summary in the making.
pub(crate) struct Fold {
    summary: Summary,
    index: BTreeMap<Key, usize>,
    ended: BTreeMap<Key, Outcome>,
    started: Instant,
}

impl Fold {
    pub(crate) fn new() -> Self {
        let summary = Summary {
            command: "",
            workspace: String::new(),
            run: String::new(),
            outcome: RunOutcome::Done,
            elapsed: Duration::ZERO,
            databases: Vec::new(),
        };
        Self { summary, index: BTreeMap::new(), ended: BTreeMap::new(), started: Instant::now() }
    }

    pub(crate) fn see(&mut self, event: &Event) {
        if let Event::RunStarted { command, workspace, run, databases } = event {
            self.summary.command = command;
            self.summary.workspace.clone_from(workspace);
            self.summary.run.clone_from(run);
            self.summary.databases =
                databases.iter().map(|(key, name)| DatabaseSummary::new(key, name)).collect();
            self.index = databases.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
        }
        let Some(at) = event.database().and_then(|key| self.index.get(key)).copied() else { return };
        let database = &mut self.summary.databases[at];
        match event {
            Event::Created { new, extensions, .. } => {
                database.created |= new;
                database.extensions.extend(extensions.iter().cloned());
            }
            Event::Dropped { .. } => database.dropped = true,
            Event::MigrationFinished { migration, elapsed, .. } => {
                database.migrations.push(MigrationDone { migration: migration.clone(), elapsed: *elapsed });
            }
            Event::RolledBack { .. } => {
                database.rolled_back = true;
                database.migrations.clear();
            }
            Event::SeedFinished { file, elapsed, .. } => {
                database.seeds.push(SeedDone { file: file.clone(), elapsed: *elapsed });
            }
            Event::Cleaned { tables, .. } => database.cleaned += tables,
            Event::Warning { message, .. } => database.warnings.push(message.clone()),
            Event::StepFinished { outcome, elapsed, .. } => {
                database.elapsed += *elapsed;
                // Whether it took effect nobody knows.
                if matches!(outcome, Outcome::Failed(error) if error.is_not_committed()) {
                    database.migrations.clear();
                }
                let so_far = self.ended.remove(&database.key);
                let next = match so_far {
                    None => outcome.clone(),
                    Some(so_far) => so_far.and(outcome.clone()),
                };
                self.ended.insert(database.key.clone(), next);
            }
            Event::RunStarted { .. }
            | Event::StepStarted { .. }
            | Event::Waiting { .. }
            | Event::MigrationStarted { .. }
            | Event::SeedStarted { .. }
            | Event::HookStarted { .. }
            | Event::HookFinished { .. }
            | Event::Notice { .. }
            | Event::Output { .. }
            | Event::DatabaseFinished { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    /// What a database has come to so far.
    pub(crate) fn database(&self, key: &Key) -> (Outcome, Duration) {
        let elapsed = self.index.get(key).map_or(Duration::ZERO, |at| self.summary.databases[*at].elapsed);
        (self.ended.get(key).cloned().unwrap_or(Outcome::Unchanged), elapsed)
    }

    /// How many migrations of a database are done.
    pub(crate) fn migrations(&self, key: &Key) -> usize {
        self.index.get(key).map_or(0, |at| self.summary.databases[*at].migrations.len())
    }

    pub(crate) fn finish(mut self) -> Summary {
        for database in &mut self.summary.databases {
            if let Some(outcome) = self.ended.remove(&database.key) {
                database.outcome = outcome;
            }
        }
        let any = |wanted: fn(&Outcome) -> bool| self.summary.databases.iter().any(|db| wanted(&db.outcome));
        self.summary.outcome = if any(|outcome| matches!(outcome, Outcome::Cancelled)) {
            RunOutcome::Cancelled
        } else if any(|outcome| matches!(outcome, Outcome::Failed(_))) {
            RunOutcome::Failed
        } else {
            RunOutcome::Done
        };
        self.summary.elapsed = self.started.elapsed();
        self.summary
    }
}

impl DatabaseSummary {
    fn new(key: &Key, name: &str) -> Self {
        Self {
            key: key.clone(),
            name: name.to_owned(),
            outcome: Outcome::Unchanged,
            elapsed: Duration::ZERO,
            created: false,
            extensions: Vec::new(),
            dropped: false,
            migrations: Vec::new(),
            rolled_back: false,
            seeds: Vec::new(),
            cleaned: 0,
            warnings: Vec::new(),
        }
    }
}
