//! Why a command ends without a summary.

use std::{io, path::PathBuf};

use dbctl_engine::{EngineError, embedded::EmbeddedError};
use dbctl_migration::{FormatError, FormatErrors};
use dbctl_runner::{PlanError, StepError};
use dbctl_workspace::{Key, ManifestErrors, SelectError};
use thiserror::Error;

use crate::command::plan_file::Unread;

/// Why a command ends without a summary.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// What was typed cannot be meant.
    #[error("{message}")]
    Usage {
        /// What is wrong with it.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// The targets select nothing.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The request is refused as a whole.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A destroying command without anybody to ask.
    #[error("`{command}` {effect}, and there is no terminal to ask on")]
    CannotAsk {
        /// The command, with the flag that makes it destroy.
        command: &'static str,
        /// What it does that cannot be taken back.
        effect: &'static str,
    },
    /// `-C` names no folder.
    #[error("cannot enter {}: {source}", path.display())]
    Directory {
        /// As typed.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no manifest.
    #[error("no workspace.yaml in {} or any folder above", start.display())]
    NoManifest {
        /// Where the search began.
        start: PathBuf,
    },
    /// The manifest is invalid, or a variable that it needs is not set.
    #[error(transparent)]
    Manifest(#[from] Box<ManifestErrors>),
    /// A migration folder is invalid.
    #[error(transparent)]
    Format(#[from] FormatErrors),
    /// It is known beforehand that these databases would fail, each for its reason.
    #[error("{}", .0.iter().map(|(key, error)| format!("{key}: {error}")).collect::<Vec<_>>().join("\n"))]
    Databases(Vec<(Key, StepError)>),
    /// These databases could not be read, each for its reason, and nothing can be said without them.
    #[error("{}", .0.iter().map(|(key, error)| format!("{key}: {error}")).collect::<Vec<_>>().join("\n"))]
    Unreadable(Vec<(Key, StepError)>),
    /// A file is no plan that can be read.
    #[error("{}{}: {}", .0.path.display(), .0.place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default(), .0.message)]
    PlanFile(Unread),
    /// A plan is for something else than this workspace as it is.
    #[error("{}: the plan no longer holds: {}", path.display(), moved.join("; "))]
    PlanElsewhere {
        /// The plan.
        path: PathBuf,
        /// What is not as it was.
        moved: Vec<String>,
    },
    /// A name does not fit a format.
    #[error(transparent)]
    NewFile(FormatError),
    /// A server did not give what `env`, `exec` or `psql` need.
    #[error(transparent)]
    Engine(Box<EngineError>),
    /// The embedded server did not do what was asked.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// A database that is to be there is not.
    #[error("the database {name} does not exist{place}")]
    NoDatabase {
        /// Its key.
        key: Key,
        /// What the server would call it.
        name: String,
        /// Where it would be: ` on a server`, or `: there is no file a.db`.
        place: String,
    },
    /// psql is nowhere, or sqlite3, which opens files.
    #[error("{program} was not found")]
    NoClient {
        /// Which of the two.
        program: &'static str,
        /// The database where it is a file.
        file: Option<PathBuf>,
    },
    /// A command could not be started.
    #[error("`{program}` could not be started: {source}")]
    Spawn {
        /// As typed.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The question could not be asked.
    #[error("the question could not be asked: {0}")]
    Ask(inquire::InquireError),
    /// Somebody said no.
    #[error("nothing was changed")]
    Declined,
    /// Stopped before it was done.
    #[error("interrupted")]
    Interrupted,
    /// Results could not be written.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// Whether whoever reads the results has stopped reading, which is nobody's fault.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<ManifestErrors> for CliError {
    fn from(errors: ManifestErrors) -> Self {
        Self::Manifest(Box::new(errors))
    }
}
