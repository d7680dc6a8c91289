//! From what people type to a set of databases.

use std::path::PathBuf;

use thiserror::Error;

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Targets and filters, as typed.
    pub targets: Vec<String>,
    /// `--all`.
    pub all: bool,
    /// The working folder, absolute: what relative folders are relative to.
    pub cwd: PathBuf,
}

/// Why a selection selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// No target, outside any package's folder.
    #[error("name a database, or use --all; this workspace has {}", keys.join(", "))]
    NoTarget {
        /// Every key.
        keys: Vec<String>,
    },
    /// `--all` together with targets.
    #[error("--all and targets exclude each other")]
    AllAndTargets,
    /// Nothing has that name.
    #[error("nothing is called `{target}`{}", suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    Unknown {
        /// As typed.
        target: String,
        /// The nearest name.
        suggestion: Option<String>,
        /// Every key.
        keys: Vec<String>,
    },
    /// The filters remove all that they select.
    #[error("the targets {} select nothing", targets.join(" "))]
    Nothing {
        /// As typed.
        targets: Vec<String>,
    },
}
