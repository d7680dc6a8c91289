//! What happens in a run, as it happens.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dbctl_engine::{LockHolder, Notice, Observer, Severity};
use dbctl_migration::{Migration, Version};
use dbctl_workspace::{Hook, Key};

use crate::{Outcome, RunOutcome, Summary, summary::Fold};

/// Which way a migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Applied.
    Up,
    /// Reverted.
    Down,
    /// Recorded without running.
    Fake,
    /// Would be applied.
    Dry,
    /// Would be recorded without running.
    DryFake,
    /// No longer recorded, without having been reverted.
    Forget,
    /// Half-way, and now known how far.
    Resolve,
    /// Its file's present checksum recorded.
    Repair,
}

/// Something that happened. Reports are made of these alone.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// The verb.
        command: &'static str,
        /// The workspace's name.
        workspace: String,
        /// The run's id.
        run: String,
        /// Keys and names of the databases concerned, dependencies first.
        databases: Vec<(Key, String)>,
    },
    /// A step begins.
    StepStarted {
        /// The database.
        database: Key,
        /// The action's name.
        action: &'static str,
    },
    /// A step waits for a lock.
    Waiting {
        /// The database.
        database: Key,
        /// Who holds it.
        holder: LockHolder,
    },
    /// The database was made.
    Created {
        /// The database.
        database: Key,
        /// Whether it is new; else only extensions were added.
        new: bool,
        /// Extensions installed now.
        extensions: Vec<String>,
    },
    /// The database was dropped.
    Dropped {
        /// The database.
        database: Key,
    },
    /// A migration begins.
    MigrationStarted {
        /// The database.
        database: Key,
        /// Which one.
        migration: MigrationRef,
        /// Its number in this step, from 1.
        index: usize,
        /// How many this step has.
        total: usize,
    },
    /// A migration is done and recorded.
    MigrationFinished {
        /// The database.
        database: Key,
        /// Which one.
        migration: MigrationRef,
        /// How long its SQL ran; zero for dry and fake ones.
        elapsed: Duration,
    },
    /// What the database's transaction held is undone: nothing of this run is applied to it.
    RolledBack {
        /// The database.
        database: Key,
    },
    /// A seed begins.
    SeedStarted {
        /// The database.
        database: Key,
        /// Its file name.
        file: String,
        /// Its number in this step, from 1.
        index: usize,
        /// How many this step has.
        total: usize,
    },
    /// A seed is done and recorded.
    SeedFinished {
        /// The database.
        database: Key,
        /// Its file name.
        file: String,
        /// How long it ran.
        elapsed: Duration,
    },
    /// A command of a hook begins.
    HookStarted {
        /// The database.
        database: Key,
        /// Which hook.
        hook: Hook,
        /// The command as the manifest spells it.
        command: String,
    },
    /// A command of a hook is done.
    HookFinished {
        /// The database.
        database: Key,
        /// Which hook.
        hook: Hook,
        /// The command as the manifest spells it.
        command: String,
        /// How long it ran.
        elapsed: Duration,
    },
    /// Tables were emptied.
    Cleaned {
        /// The database.
        database: Key,
        /// How many tables.
        tables: usize,
        /// How many sequences were restarted.
        sequences: usize,
    },
    /// Something a person should know.
    Warning {
        /// The database.
        database: Key,
        /// In words.
        message: String,
    },
    /// The server said something.
    Notice {
        /// The database.
        database: Key,
        /// What it said.
        notice: Notice,
    },
    /// A child process printed a line.
    Output {
        /// The database.
        database: Key,
        /// The line, without its end.
        line: String,
    },
    /// A step ended; every step ends exactly once.
    StepFinished {
        /// The database.
        database: Key,
        /// The action's name.
        action: &'static str,
        /// How.
        outcome: Outcome,
        /// How long it took; zero if it never started.
        elapsed: Duration,
    },
    /// All steps of a database have ended.
    DatabaseFinished {
        /// The database.
        database: Key,
        /// The worst of its steps'.
        outcome: Outcome,
        /// The sum of its steps', waiting between them not counted.
        elapsed: Duration,
    },
    /// The run ended.
    RunFinished {
        /// How.
        outcome: RunOutcome,
        /// How long it took.
        elapsed: Duration,
    },
}

/// A migration as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRef {
    /// The source's folder as the manifest spells it.
    pub source: String,
    /// Its version.
    pub version: Version,
    /// Its whole name.
    pub name: String,
    /// Which way it goes.
    pub direction: Direction,
}

impl MigrationRef {
    pub(crate) fn new(source: &str, migration: &Migration, direction: Direction) -> Self {
        Self {
            source: source.to_owned(),
            version: migration.version.clone(),
            name: migration.name.clone(),
            direction,
        }
    }
}

impl Event {
    /// The database it is about, if it is about one.
    pub fn database(&self) -> Option<&Key> {
        match self {
            Self::RunStarted { .. } | Self::RunFinished { .. } => None,
            Self::StepStarted { database, .. }
            | Self::Waiting { database, .. }
            | Self::Created { database, .. }
            | Self::Dropped { database }
            | Self::MigrationStarted { database, .. }
            | Self::MigrationFinished { database, .. }
            | Self::RolledBack { database }
            | Self::SeedStarted { database, .. }
            | Self::SeedFinished { database, .. }
            | Self::HookStarted { database, .. }
            | Self::HookFinished { database, .. }
            | Self::Cleaned { database, .. }
            | Self::Warning { database, .. }
            | Self::Notice { database, .. }
            | Self::Output { database, .. }
            | Self::StepFinished { database, .. }
            | Self::DatabaseFinished { database, .. } => Some(database),
        }
    }
}

/// Where steps say what happens.
pub(crate) trait Sink: Send + Sync {
    /// Says it.
    fn emit(&self, event: Event);
    /// What a database has come to so far.
    fn database_outcome(&self, database: &Key) -> (Outcome, Duration);
    /// What a database has come to with the step that is about to end.
    fn came_to(&self, database: &Key, step: &'static str) -> &'static str;
    /// How many migrations of a database are done.
    fn migrations(&self, database: &Key) -> usize;
}

/// The run's own sink: folded into the summary, then handed on. All steps of a run live in one task, so the
/// lock is never contended; it is there because a run's future must be `Send`.
pub(crate) struct Events<'e>(Mutex<(Fold, &'e mut (dyn FnMut(Event) + Send))>);

impl<'e> Events<'e> {
    pub(crate) fn new(fold: Fold, on_event: &'e mut (dyn FnMut(Event) + Send)) -> Self {
        Self(Mutex::new((fold, on_event)))
    }

    /// Ends the run: the last event, then the summary.
    pub(crate) fn finish(self) -> Summary {
        let (fold, on_event) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let summary = fold.finish();
        on_event(Event::RunFinished { outcome: summary.outcome, elapsed: summary.elapsed });
        summary
    }
}

impl Sink for Events<'_> {
    fn emit(&self, event: Event) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.see(&event);
        (inner.1)(event);
    }

    fn database_outcome(&self, database: &Key) -> (Outcome, Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.database(database)
    }

    fn came_to(&self, database: &Key, step: &'static str) -> &'static str {
        let changed = matches!(self.database_outcome(database).0, Outcome::Done);
        if changed && step == "unchanged" { "done" } else { step }
    }

    fn migrations(&self, database: &Key) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.migrations(database)
    }
}

/// One database's ear for its engine sessions.
#[derive(Clone)]
pub(crate) struct Ear<'e> {
    pub(crate) events: &'e dyn Sink,
    pub(crate) database: Arc<Key>,
}

impl Observer for Ear<'_> {
    fn notice(&self, notice: Notice) {
        if notice.severity > Severity::Debug {
            self.events.emit(Event::Notice { database: (*self.database).clone(), notice });
        }
    }

    fn waiting(&self, holder: &LockHolder) {
        self.events.emit(Event::Waiting { database: (*self.database).clone(), holder: holder.clone() });
    }
}
