//! What can go wrong.

use std::{fmt, sync::Arc};

use dbctl_engine::EngineError;
use dbctl_runner::{PlanError, StepError};
use dbctl_workspace::ManifestErrors;
use thiserror::Error;

/// Why nothing came of it. Never shows a password.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL or the environment cannot be used.
    #[error("{0}")]
    Config(Arc<str>),
    /// A migration folder cannot be used.
    #[error("{0}")]
    Folder(String),
    /// It failed, and nothing of the migration in which it did is left but what its own statements committed.
    #[error("{}", Shown(.0))]
    Failed(Arc<StepError>),
    /// Somebody stopped it.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// PostgreSQL's five characters, where the server said them.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => match &**error {
                StepError::Engine(EngineError::Sql(sql)) => Some(&sql.code),
                _ => None,
            },
            Self::Config(_) | Self::Folder(_) | Self::Stopped => None,
        }
    }

    /// Whether another instance holds the lock, and did for as long as was waited.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Failed(error) if matches!(&**error, StepError::Engine(EngineError::Locked { .. })))
    }
}

/// With the place in the file, as compilers say it.
struct Shown<'a>(&'a StepError);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StepError::Engine(EngineError::Sql(sql)) = self.0 else { return self.0.fmt(f) };
        if let Some(place) = &sql.location {
            write!(f, "{}:{}:{}: ", place.path.display(), place.line, place.column)?;
        }
        write!(f, "{} ({})", sql.message, sql.code)?;
        for more in [&sql.detail, &sql.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        Ok(())
    }
}

impl From<ManifestErrors> for Error {
    fn from(errors: ManifestErrors) -> Self {
        let messages: Vec<&str> = errors.problems.iter().map(|problem| &*problem.message).collect();
        Self::Config(messages.join("; ").into())
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Config(error.to_string().into())
    }
}
