//! Why a plan cannot be made, and why a step failed.

use std::path::PathBuf;

use dbctl_engine::{BELONGINGS, ConnectFailure, Decision, EngineError, SqlError};
use dbctl_migration::{Drift, FormatErrors, RollbackError};
use dbctl_workspace::{Hook, Key};
use thiserror::Error;

use crate::Moved;

/// Why a request cannot become a plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Destroying in a protected environment needs its name.
    #[error("`{command}` {effect}, and the environment `{environment}` is protected")]
    Protected {
        /// The environment the command runs in.
        environment: String,
        /// The verb, with the flag that makes it destroy.
        command: &'static str,
        /// What it does, as [`crate::Request::destruction`] says it.
        effect: &'static str,
        /// What `--allow-protected` said, if it was given.
        given: Option<String>,
    },
}

/// Why a step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// The database or its server.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A migration folder is invalid.
    #[error(transparent)]
    Format(#[from] FormatErrors),
    /// What is applied does not fit what is on disk.
    #[error("{source_name}: {drift}")]
    Drift {
        /// The source's folder.
        source_name: String,
        /// How they differ.
        drift: Drift,
        /// Whether the one file that has changed is what `redo` runs anew.
        redo: bool,
    },
    /// What was to be rolled back cannot be.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// `--to` names nothing that is on disk.
    #[error("no migration `{version}` in {}", sources.join(", "))]
    UnknownVersion {
        /// As typed.
        version: String,
        /// The sources searched.
        sources: Vec<String>,
        /// One with the same number.
        near: Option<String>,
    },
    /// `--to` names migrations of several sources.
    #[error("`{version}` could be any of {}", names.join(", "))]
    AmbiguousVersion {
        /// As typed.
        version: String,
        /// What it could be, such as can be typed.
        names: Vec<String>,
    },
    /// More connections would have to be open at once than may be.
    #[error(
        "--atomic keeps {needed} connections to {server} open at once, and no more than {cap} are allowed"
    )]
    Connections {
        /// The server's key, or its host.
        server: String,
        /// How many it takes.
        needed: usize,
        /// How many there may be.
        cap: usize,
    },
    /// What others have prepared is decided by what is recorded in a database that is to go.
    #[error(
        "it is recorded here what becomes of what the run {run} has prepared in {}, and that is not finished",
        databases.join(", ")
    )]
    Decides {
        /// The run, or the first of several.
        run: String,
        /// Their databases.
        databases: Vec<String>,
    },
    /// A server keeps fewer prepared transactions than it takes.
    #[error(
        "--atomic=two-phase prepares {needed} transactions on {server}, and its `max_prepared_transactions` is {most}{}",
        if *taken == 0 { String::new() } else { format!(", of which {taken} are taken") }
    )]
    PreparedTransactions {
        /// The server's key, or its host.
        server: String,
        /// How many it takes.
        needed: usize,
        /// How many it keeps.
        most: usize,
        /// How many of those are taken.
        taken: usize,
    },
    /// What was prepared could not be finished.
    #[error("its transaction is prepared and {}: {error}", undone(*decision))]
    InDoubt {
        /// The run.
        run: String,
        /// What is to become of it, where that is known.
        decision: Option<Decision>,
        /// Why.
        error: Box<EngineError>,
    },
    /// It cannot be found out what becomes of a prepared transaction.
    #[error(
        "a transaction of the run {run} is prepared here, and what becomes of it is recorded in `{database}`, which cannot be \
         asked{}", why.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
    )]
    Undecided {
        /// The run.
        run: String,
        /// The database with the decision.
        database: String,
        /// Why it cannot be asked, where that is known.
        why: Option<Box<EngineError>>,
    },
    /// Nothing of a run is prepared.
    #[error("no transaction of a run `{run}` is prepared here")]
    NothingPrepared {
        /// As typed.
        run: String,
    },
    /// A run's transactions are decided on, in another way than was asked for.
    #[error("it is recorded that the transactions of the run {run} are {}", recorded.done())]
    Decided {
        /// The run.
        run: String,
        /// What is recorded.
        recorded: Decision,
    },
    /// The transaction in which everything was done could not be committed.
    #[error("its transaction could not be committed: {error}{}", also(committed))]
    NotCommitted {
        /// Why.
        error: Box<EngineError>,
        /// The databases that were committed before it.
        committed: Vec<Key>,
    },
    /// The database was recorded under another environment.
    #[error("this database belongs to the environment `{recorded}`, and this command runs under `{current}`")]
    Environment {
        /// What the database says.
        recorded: String,
        /// What the command runs under.
        current: String,
    },
    /// Another key of the manifest leads to the same database.
    #[error("`{other}` leads to the same database ({database})")]
    SameDatabase {
        /// The other key.
        other: Key,
        /// The database's name.
        database: String,
    },
    /// A dependency that is left out is not there or not up to date.
    #[error("the dependency `{dependency}` {state}")]
    Dependency {
        /// The dependency.
        dependency: Key,
        /// `does not exist`, `has 3 pending migrations`.
        state: String,
    },
    /// A dependent that is not named still exists.
    #[error("`{dependent}` depends on it and still exists")]
    Dependent {
        /// The dependent.
        dependent: Key,
    },
    /// A `-- dbctl:requires` names what is not there.
    #[error("{}:{line}: {problem}", path.display())]
    RequirementUnknown {
        /// The file.
        path: PathBuf,
        /// Line of the directive, from 1.
        line: usize,
        /// What is not there.
        problem: String,
    },
    /// What a `-- dbctl:requires` names is not applied.
    #[error("{}:{line}: it requires {version} of `{database}`, which is not applied", path.display())]
    RequirementUnmet {
        /// The file.
        path: PathBuf,
        /// Line of the directive, from 1.
        line: usize,
        /// The other database.
        database: String,
        /// The migration of it.
        version: String,
    },
    /// An applied migration of another database requires what is to be reverted.
    #[error("{migration} is required by {by}, which is applied to `{dependent}`")]
    Required {
        /// What is to be reverted.
        migration: String,
        /// The other database.
        dependent: Key,
        /// Its migration.
        by: String,
    },
    /// What is pending here is applied already, under the name of a folder that the manifest no longer has.
    #[error("{source_name}: {name} is applied already, from the folder `{was}`")]
    Moved {
        /// The source's folder.
        source_name: String,
        /// The folder that the ledger has.
        was: String,
        /// The first such migration.
        name: String,
    },
    /// `clean.keep` names tables that are not there.
    #[error("`clean.keep` names no table of this database: {}", entries.join(", "))]
    NothingToKeep {
        /// The entries as the manifest spells them.
        entries: Vec<String>,
    },
    /// A folder or file of the package cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The folder or file, as errors show it.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A seed has an extension that no runner takes.
    #[error("{}: no runner for `.{extension}` seeds", path.display())]
    NoRunner {
        /// The seed.
        path: PathBuf,
        /// Its extension.
        extension: String,
    },
    /// A seed's runner failed.
    #[error("{}: `{command}` {outcome}", path.display())]
    Runner {
        /// The seed.
        path: PathBuf,
        /// The command as the manifest spells it.
        command: String,
        /// `exited with 1`, `could not be started: …`.
        outcome: String,
        /// The last lines it printed.
        tail: Vec<String>,
    },
    /// A hook failed.
    #[error("the hook {hook}, `{command}`, {outcome}")]
    Hook {
        /// Which one.
        hook: Hook,
        /// The command as the manifest spells it.
        command: String,
        /// `exited with 1`, `could not be started: …`.
        outcome: String,
        /// The last lines it printed.
        tail: Vec<String>,
    },
    /// What a file is about to make is there already, and nothing of its source is recorded.
    #[error("{error}")]
    Exists {
        /// What the database says.
        error: Box<SqlError>,
        /// The source's folder, where there are several.
        among: Option<String>,
    },
    /// A baseline is due on a database that is not empty.
    #[error(
        "{source_name}: the database has no history of this folder, but it is not empty: {}",
        shown(belongings)
    )]
    NotEmpty {
        /// The source's folder.
        source_name: String,
        /// What people have made in it, the first few.
        belongings: Vec<String>,
        /// The last migration that the baseline holds.
        through: String,
    },
    /// An empty database cannot have had anything applied to it.
    #[error("the database is empty, so nothing has been applied to it")]
    Empty,
    /// What is to be recorded as a past contradicts the history that there is.
    #[error("{source_name}: it has a history, and these are not in it: {}", names.join(", "))]
    HasHistory {
        /// The source's folder.
        source_name: String,
        /// What would have to be recorded.
        names: Vec<String>,
    },
    /// What is to be recorded or run stands in the way of migrations that are applied only in part.
    #[error("{source_name}: applied only in part: {}", names.join(", "))]
    Unfinished {
        /// The source's folder.
        source_name: String,
        /// Those migrations.
        names: Vec<String>,
    },
    /// A migration has neither failed nor stopped in a statement.
    #[error("there is nothing to resolve about {name}: it is {state}")]
    NothingToResolve {
        /// Its whole name.
        name: String,
        /// Its state, in words.
        state: &'static str,
    },
    /// A migration that is to be mended in the history is not there.
    #[error("{name} is not applied")]
    NotApplied {
        /// Its whole name.
        name: String,
    },
    /// The plan that was frozen no longer holds.
    #[error("the plan no longer holds: {}", .moved.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    PlanMoved {
        /// What has moved since.
        moved: Vec<Moved>,
    },
    /// What a dependent's files require cannot be told.
    #[error("it cannot be told whether files of `{dependent}` in {folder} require it")]
    Untold {
        /// The dependent.
        dependent: Key,
        /// Its migration folder, as the manifest spells it.
        folder: String,
    },
}

fn undone(decision: Option<Decision>) -> &'static str {
    match decision {
        Some(Decision::Commit) => "could not be committed yet, as it is recorded",
        Some(Decision::Rollback) => "could not be rolled back yet",
        None => "nobody could be asked whether to commit it",
    }
}

fn also(committed: &[Key]) -> String {
    match committed {
        [] => String::new(),
        [one] => format!("; {one} had been committed by then"),
        all => format!(
            "; {} had been committed by then",
            all.iter().map(Key::as_str).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The first few names, and whether there are more.
fn shown(belongings: &[String]) -> String {
    match belongings {
        [first @ .., _] if belongings.len() >= BELONGINGS => format!("{} and more", first.join(", ")),
        all => all.join(", "),
    }
}

impl StepError {
    /// Whether the run was stopped, which is not a failure.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Cancelled))
    }

    /// Whether nobody knows if a commit took effect.
    pub(crate) fn is_not_committed(&self) -> bool {
        matches!(self, Self::NotCommitted { .. } | Self::InDoubt { .. })
    }

    /// Whether what was typed cannot be meant, whatever the databases hold.
    pub(crate) fn is_mistyped(&self) -> bool {
        matches!(self, Self::UnknownVersion { .. } | Self::AmbiguousVersion { .. })
    }

    /// Whether the connection was lost while nothing of a file was under way.
    pub(crate) fn is_lost_between(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Lost { between: true, .. }))
    }

    /// As [`EngineError::between_files`].
    pub(crate) fn between_files(self) -> Self {
        match self {
            Self::Engine(error) => Self::Engine(error.between_files()),
            other => other,
        }
    }

    /// Whether the database is not there.
    pub fn is_no_database(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::Connect(error))
                if matches!(error.failure, ConnectFailure::NoDatabase { .. } | ConnectFailure::NoFile { .. })
        )
    }
}
