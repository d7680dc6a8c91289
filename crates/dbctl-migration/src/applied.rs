//! A migration as a database remembers it.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Checksum, Version};

/// What a database says of one migration; it has no SQL, so it cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// As recorded; empty where the tool records only names.
    pub version: Version,
    /// As recorded; empty where the tool records only versions.
    pub name: String,
    /// As recorded by the tool or by the ledger; `None` where nobody recorded one.
    pub checksum: Option<Checksum>,
    /// When it was applied, where that is recorded.
    pub at: Option<Timestamp>,
    /// How long it ran, where that is recorded.
    pub elapsed: Option<Duration>,
    /// How far it got.
    pub progress: Progress,
    /// What tells the tool's row from a later one of the same migration; `None` where nothing does.
    pub tool_row: Option<String>,
}

impl Applied {
    /// Whether both may speak of one application. A tool that rolls a migration back and applies it again writes another
    /// row; where nobody can tell, it is taken to be the same.
    pub fn may_be(&self, other: &Self) -> bool {
        match (&self.tool_row, &other.tool_row) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// How far an applied migration got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// All of it.
    Whole,
    /// Outside a transaction: the first `done` statements are committed; `started` says whether the one after them
    /// was begun, so that nobody knows whether it took effect.
    Partial {
        /// Statements known to be committed.
        done: usize,
        /// Whether statement `done + 1` was started.
        started: bool,
        /// What those statements were, as [`crate::ledger::Ledger::record_progress`] was told; `None` where nobody recorded it.
        digest: Option<String>,
    },
    /// Its down part, outside a transaction, as far as it got: what is said of [`Self::Partial`] holds of that part.
    Reverting {
        /// Statements known to be committed.
        done: usize,
        /// Whether statement `done + 1` was started.
        started: bool,
        /// What those statements were.
        digest: Option<String>,
    },
    /// The tool recorded a failure that blocks it.
    Failed,
}
