//! What is asked for: which actions, on which databases, within which limits.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use dbctl_engine::Decision;
use dbctl_migration::{Back, OutOfOrder};
use dbctl_workspace::Key;

use crate::Frozen;

/// One command as data. `up` and `reset` are nothing but lists of actions.
#[derive(Debug, Clone)]
pub struct Request {
    /// The verb as typed, for reports and `application_name`.
    pub command: &'static str,
    /// What to do with each database, in this order.
    pub actions: Vec<Action>,
    /// The databases named.
    pub targets: BTreeSet<Key>,
    /// Leave the targets' dependencies out of forward actions; they must then be there and up to date.
    pub no_deps: bool,
    /// Let backward actions go on although dependents stand in the way.
    pub ignore_dependents: bool,
    /// Run no hooks.
    pub no_hooks: bool,
    /// The protected environment that may be destroyed in, as typed.
    pub allow_protected: Option<String>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many steps run at once.
    pub jobs: NonZeroUsize,
    /// How long to wait for another run's lock.
    pub wait: Duration,
    /// Start nothing more after a failure.
    pub fail_fast: bool,
}

/// What is done to one database in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the database where it is missing.
    Create,
    /// Remove it.
    Drop {
        /// End the sessions of others first.
        disconnect: bool,
    },
    /// Apply what is pending.
    Migrate(Migrate),
    /// Revert applied migrations.
    Rollback(Back),
    /// Revert what one run applied.
    Undo {
        /// The run's id.
        run: String,
    },
    /// Revert the last applied migration and apply it again.
    Redo,
    /// Run the seeds.
    Seed {
        /// Only those that are not recorded yet.
        missing_only: bool,
    },
    /// Empty the tables.
    Clean,
    /// Record what a database has that was made without dbctl.
    Baseline(Adopt),
    /// Change what is recorded of migrations.
    Edit(Edit),
}

/// How a database that exists is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// The last migration that is applied to it.
    pub through: Through,
    /// The one source that is meant, by its name.
    pub source: Option<String>,
    /// Say what would be recorded, through a session that cannot write.
    pub dry_run: bool,
}

/// The last migration that a database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    /// That of every source.
    Latest,
    /// By version, name or file name.
    Version(String),
}

/// A change to what is recorded of migrations; nothing is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// One is applied, or is not.
    Mark {
        /// By version, name or file name.
        version: String,
        /// Which of the two.
        applied: bool,
    },
    /// What a run that was all or nothing has prepared here and not finished is finished by hand.
    Finish {
        /// The run's id, or how it begins.
        run: String,
        /// What becomes of it.
        decision: Decision,
    },
    /// One that failed or stopped half-way has been looked at.
    Resolve {
        /// By version, name or file name.
        version: String,
        /// Whether it, or the statement in which it stopped, took effect.
        applied: bool,
        /// How many statements of the file as it is now need not run.
        done: Option<usize>,
    },
    /// Files that have changed since they were applied are as they should be.
    Repair {
        /// Only these.
        versions: Vec<String>,
    },
}

/// How to migrate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrate {
    /// Up to and including this version or name.
    pub to: Option<String>,
    /// Record as applied without running.
    pub fake: bool,
    /// Say what would run, through a session that cannot write.
    pub dry_run: bool,
    /// What to do with files merged late; `None` = what suits the format.
    pub out_of_order: Option<OutOfOrder>,
    /// All databases of the run or none.
    pub atomic: Option<Atomic>,
    /// Only if everything is as it was when this was found out.
    pub frozen: Option<Arc<Frozen>>,
}

/// How the databases of a run are committed that is all or nothing. Until then each has one open transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    /// One after the other, once all have succeeded: what ends the process in between leaves some committed.
    OnePhase,
    /// All prepare, what becomes of them is recorded in the first of them, and then all are committed: whatever ends the
    /// process, the next run that writes finishes what was recorded.
    TwoPhase,
}

impl Migrate {
    /// How it is committed, where it is all or nothing and changes anything.
    pub fn atomic(&self) -> Option<Atomic> {
        self.atomic.filter(|_| !self.dry_run)
    }
}

/// Which way an action walks the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Dependencies first, and dependencies come along.
    Forward,
    /// Dependents first, and only what is named.
    Backward,
}

impl Action {
    /// Which way it walks the graph.
    pub fn flow(&self) -> Flow {
        match self {
            Self::Create | Self::Migrate(_) | Self::Seed { .. } => Flow::Forward,
            Self::Drop { .. }
            | Self::Rollback(_)
            | Self::Undo { .. }
            | Self::Redo
            | Self::Clean
            | Self::Baseline(_)
            | Self::Edit(_) => Flow::Backward,
        }
    }

    /// Whether it can lose data, so that environments are compared and people are asked.
    pub fn destroys(&self) -> bool {
        match self {
            Self::Drop { .. }
            | Self::Rollback(_)
            | Self::Undo { .. }
            | Self::Redo
            | Self::Clean
            | Self::Edit(_) => true,
            Self::Migrate(migrate) => migrate.fake,
            Self::Baseline(adopt) => !adopt.dry_run,
            Self::Create | Self::Seed { .. } => false,
        }
    }

    /// Its name, as reports and plans show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Drop { .. } => "drop",
            Self::Migrate(_) => "migrate",
            Self::Rollback(_) | Self::Undo { .. } => "rollback",
            Self::Redo => "redo",
            Self::Seed { .. } => "seed",
            Self::Clean => "clean",
            Self::Baseline(_) => "baseline",
            Self::Edit(Edit::Mark { .. }) => "history mark",
            Self::Edit(Edit::Resolve { .. } | Edit::Finish { .. }) => "history resolve",
            Self::Edit(Edit::Repair { .. }) => "history repair",
        }
    }
}

impl Request {
    /// `up`: create, migrate, and the seeds that are not recorded.
    pub fn up_actions() -> Vec<Action> {
        vec![Action::Create, Action::Migrate(Migrate::default()), Action::Seed { missing_only: true }]
    }

    /// `reset`: drop, then `up`.
    pub fn reset_actions(disconnect: bool) -> Vec<Action> {
        let mut actions = vec![Action::Drop { disconnect }];
        actions.extend(Self::up_actions());
        actions
    }

    /// Whether any of its actions can lose data.
    pub fn destroys(&self) -> bool {
        self.actions.iter().any(Action::destroys)
    }

    /// The command and what it does that cannot be taken back, for whoever refuses it or asks about it; `None` where
    /// it destroys nothing.
    pub fn destruction(&self) -> Option<(&'static str, &'static str)> {
        let mut destroying = self.actions.iter().filter(|action| action.destroys());
        Some(match destroying.next()? {
            Action::Migrate(_) => ("migrate --fake", "records migrations as applied without running them"),
            Action::Baseline(_) => ("baseline", "records migrations as applied without running them"),
            Action::Edit(_) => (self.command, "changes what is recorded as applied"),
            Action::Create
            | Action::Drop { .. }
            | Action::Rollback(_)
            | Action::Undo { .. }
            | Action::Redo
            | Action::Seed { .. }
            | Action::Clean => (self.command, "destroys data"),
        })
    }

    /// Whether it is to do exactly what was found out beforehand.
    pub(crate) fn is_frozen(&self) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action, Action::Migrate(migrate) if migrate.frozen.is_some()))
    }

    /// How it is committed, where it is all or nothing.
    pub fn atomic(&self) -> Option<Atomic> {
        self.actions.iter().find_map(|action| match action {
            Action::Migrate(migrate) => migrate.atomic(),
            Action::Create
            | Action::Drop { .. }
            | Action::Rollback(_)
            | Action::Undo { .. }
            | Action::Redo
            | Action::Seed { .. }
            | Action::Clean
            | Action::Baseline(_)
            | Action::Edit(_) => None,
        })
    }

    /// The command as it is recorded: with the flag by which it runs nothing.
    pub(crate) fn recorded_as(&self) -> &'static str {
        self.destruction().map_or(self.command, |(command, _)| command)
    }

    /// Whether it begins by walking dependents first, so that dependencies do not come along.
    pub fn flow(&self) -> Flow {
        self.actions.first().map_or(Flow::Forward, Action::flow)
    }
}
