//! Why a plan cannot be made, and why a step failed.

use std::path::PathBuf;

use dbctl_engine::{ConnectFailure, EngineError};
use dbctl_migration::{Drift, FormatErrors, RollbackError};
use dbctl_workspace::{Hook, Key};
use thiserror::Error;

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
    },
    /// `--to` names migrations of several sources.
    #[error("`{version}` could be any of {}", names.join(", "))]
    AmbiguousVersion {
        /// As typed.
        version: String,
        /// What it could be, such as can be typed.
        names: Vec<String>,
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
    /// What a dependent's files require cannot be told.
    #[error("it cannot be told whether files of `{dependent}` in {folder} require it")]
    Untold {
        /// The dependent.
        dependent: Key,
        /// Its migration folder, as the manifest spells it.
        folder: String,
    },
}

impl StepError {
    /// Whether the run was stopped, which is not a failure.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Cancelled))
    }

    /// Whether what was typed cannot be meant, whatever the databases hold.
    pub(crate) fn is_mistyped(&self) -> bool {
        matches!(self, Self::UnknownVersion { .. } | Self::AmbiguousVersion { .. })
    }

    /// Whether the database is not there.
    pub fn is_no_database(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::Connect(error)) if matches!(error.failure, ConnectFailure::NoDatabase { .. })
        )
    }
}
