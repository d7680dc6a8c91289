//! What is on disk against what is applied: the one pure function that decides what is pending.

use thiserror::Error;

use crate::{Applied, KeyedBy, Migration};

/// What to do with a pending migration that sorts before an applied one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfOrder {
    /// Apply it, say nothing.
    Allow,
    /// Apply it and say so.
    Warn,
    /// Refuse.
    Deny,
}

/// The state of one migration, as `status` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Applied, and the file is still what it was.
    Applied,
    /// On disk, not applied.
    Pending,
    /// On disk, not applied, though a later one is.
    OutOfOrder,
    /// Applied, but the file has changed since.
    Changed,
    /// Applied, but no longer on disk.
    Missing,
    /// The tool recorded a failure.
    Failed,
    /// Outside a transaction, applied up to some statement.
    Partial,
}

impl State {
    /// As `status --format json` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::OutOfOrder => "out_of_order",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Partial => "partial",
        }
    }
}

/// One migration with its state: on disk, in the database, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'m> {
    /// What it is on disk; `None` when it is [`State::Missing`].
    pub local: Option<&'m Migration>,
    /// What the database says; `None` when pending.
    pub applied: Option<Applied>,
    /// The verdict.
    pub state: State,
}

/// Every migration of a source with its state: those on disk in their order, the missing ones where they were applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled<'m> {
    /// All of them.
    pub entries: Vec<Entry<'m>>,
}

/// Why a source cannot be migrated as it stands. Each carries the names concerned, in order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Drift {
    /// Applied files whose text has changed.
    #[error("applied migrations have changed on disk: {}", .0.join(", "))]
    Changed(Vec<String>),
    /// Pending files that sort before applied ones, where that is refused.
    #[error("pending migrations sort before applied ones: {}", .0.join(", "))]
    OutOfOrder(Vec<String>),
    /// Migrations the tool recorded as failed.
    #[error("migrations are recorded as failed: {}", .0.join(", "))]
    Failed(Vec<String>),
    /// Migrations that stopped in a statement of which nobody knows whether it took effect.
    #[error("migrations stopped in the middle of a statement: {}", .0.join(", "))]
    Partial(Vec<String>),
    /// Applied migrations that are no longer on disk, where the tool itself fails on that.
    #[error("applied migrations are missing on disk: {}", .0.join(", "))]
    Missing(Vec<String>),
}

/// Compares a source's files with its applied migrations. `local` is in the order in which it applies. Never an
/// error: what to make of the states is [`Reconciled::runnable`]'s business.
pub fn reconcile<'m>(local: &'m [Migration], applied: &[Applied], keyed_by: KeyedBy) -> Reconciled<'m> {
    unimplemented!("{local:?} {applied:?} {keyed_by:?}")
}

impl<'m> Reconciled<'m> {
    /// What `migrate` may run now, in order: pending, out of order where allowed, and resumable partial ones; or why
    /// it must not.
    pub fn runnable(&self, order: OutOfOrder) -> Result<Vec<&Entry<'m>>, Drift> {
        unimplemented!("{order:?}")
    }

    /// How many entries are in a state.
    pub fn count(&self, state: State) -> usize {
        self.entries.iter().filter(|entry| entry.state == state).count()
    }
}
