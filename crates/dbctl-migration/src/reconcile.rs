//! What is on disk against what is applied: the one pure function that decides what is pending.

use std::collections::HashMap;

use thiserror::Error;

use crate::{Applied, KeyedBy, Migration, Progress};

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
    /// Outside a transaction, applied or rolled back up to some statement.
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
    /// Migrations whose rollback stopped half-way.
    #[error("migrations are rolled back only in part: {}", .0.join(", "))]
    Reverting(Vec<String>),
    /// Applied migrations that are no longer on disk, where the tool itself fails on that.
    #[error("applied migrations are missing on disk: {}", .0.join(", "))]
    Missing(Vec<String>),
}

/// Why a migration cannot be chosen as the last one to apply.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Neither the version nor the name nor the file name of a migration.
    #[error("there is no migration `{target}`")]
    Unknown {
        /// What was asked for.
        target: String,
    },
    /// The source cannot be migrated as it stands.
    #[error(transparent)]
    Drift(#[from] Drift),
}

/// Compares a source's files with its applied migrations. `local` is in the order in which it applies. Never an
/// error: what to make of the states is [`Reconciled::runnable`]'s business.
///
/// Where the database has several rows of one key, the last one counts. A checksum that nobody recorded is no change.
/// A partial migration is [`State::Partial`] even where its file has changed: mending the statement that failed is
/// what people do before they run it again, and whoever resumes it has both checksums.
pub fn reconcile<'m>(local: &'m [Migration], applied: &[Applied], keyed_by: KeyedBy) -> Reconciled<'m> {
    let places: HashMap<&str, usize> =
        local.iter().enumerate().map(|(place, migration)| (keyed_by.of(migration), place)).collect();
    let last_rows: HashMap<&str, usize> =
        applied.iter().enumerate().map(|(index, row)| (keyed_by.of_applied(row), index)).collect();

    let mut row_of: Vec<Option<&Applied>> = vec![None; local.len()];
    // Missing ones stand behind the last file that was applied before them: `gone_after[0]` before every file.
    let mut gone_after: Vec<Vec<&Applied>> = vec![Vec::new(); local.len() + 1];
    let mut reached = 0;
    for (index, row) in applied.iter().enumerate() {
        let key = keyed_by.of_applied(row);
        if last_rows.get(key) != Some(&index) {
            continue;
        }
        match places.get(key) {
            Some(place) => {
                row_of[*place] = Some(row);
                reached = reached.max(place + 1);
            }
            None => gone_after[reached].push(row),
        }
    }

    let gone = |row: &&Applied| Entry { local: None, applied: Some((*row).clone()), state: State::Missing };
    let mut entries: Vec<Entry<'m>> = gone_after[0].iter().map(gone).collect();
    for (place, migration) in local.iter().enumerate() {
        let row = row_of[place];
        let state = match row {
            Some(row) => state_of(migration, row),
            None if place < reached => State::OutOfOrder,
            None => State::Pending,
        };
        entries.push(Entry { local: Some(migration), applied: row.cloned(), state });
        entries.extend(gone_after[place + 1].iter().map(gone));
    }
    Reconciled { entries }
}

fn state_of(migration: &Migration, row: &Applied) -> State {
    match row.progress {
        Progress::Failed => State::Failed,
        Progress::Partial { .. } | Progress::Reverting { .. } => State::Partial,
        Progress::Whole => match &row.checksum {
            Some(recorded) if !migration.has_checksum(recorded) => State::Changed,
            Some(_) | None => State::Applied,
        },
    }
}

impl Entry<'_> {
    /// What people call it: the name on disk, else the recorded name, else the recorded version.
    pub fn name(&self) -> &str {
        match (self.local, &self.applied) {
            (Some(migration), _) => &migration.name,
            (None, Some(row)) if row.name.is_empty() => row.version.as_str(),
            (None, Some(row)) => &row.name,
            (None, None) => "",
        }
    }

    /// Whether the database has it, wholly or in part.
    pub fn is_recorded(&self) -> bool {
        self.applied.is_some()
    }

    /// Whether a person means this one by a version, a name or a file name.
    pub fn matches(&self, text: &str) -> bool {
        let on_disk = self.local.is_some_and(|migration| {
            migration.version.as_str() == text
                || migration.name == text
                || migration.up.path.file_name().is_some_and(|file| file == text)
        });
        let gone = || {
            self.applied
                .as_ref()
                .is_some_and(|row| !text.is_empty() && (row.version.as_str() == text || row.name == text))
        };
        on_disk || self.local.is_none() && gone()
    }
}

impl<'m> Reconciled<'m> {
    /// What `migrate` may run now, in order: pending, out of order where allowed, and resumable partial ones; or why
    /// it must not.
    ///
    /// Partial ones are handed out whatever they stopped in: only the database knows whether a started
    /// `CREATE INDEX CONCURRENTLY` took effect. A whole applied migration that is missing on disk is no error here,
    /// since that is what another branch looks like; one that is missing and not whole is.
    pub fn runnable(&self, order: OutOfOrder) -> Result<Vec<&Entry<'m>>, Drift> {
        self.runnable_through(self.entries.len(), order)
    }

    /// As [`Self::runnable`], but nothing behind the migration with that version, name or file name; where several
    /// files share the version, through the last of them.
    pub fn runnable_to(&self, order: OutOfOrder, target: &str) -> Result<Vec<&Entry<'m>>, TargetError> {
        let last = self
            .entries
            .iter()
            .rposition(|entry| entry.matches(target))
            .ok_or_else(|| TargetError::Unknown { target: target.to_owned() })?;
        Ok(self.runnable_through(last + 1, order)?)
    }

    fn runnable_through(&self, end: usize, order: OutOfOrder) -> Result<Vec<&Entry<'m>>, Drift> {
        let names = |entries: &[Entry<'_>], wrong: &dyn Fn(&Entry<'_>) -> bool| -> Vec<String> {
            entries.iter().filter(|entry| wrong(entry)).map(|entry| entry.name().to_owned()).collect()
        };
        let failed =
            |entry: &Entry<'_>| entry.applied.as_ref().is_some_and(|row| row.progress == Progress::Failed);
        let refuse = |names: Vec<String>, drift: fn(Vec<String>) -> Drift| {
            if names.is_empty() { Ok(()) } else { Err(drift(names)) }
        };
        refuse(names(&self.entries, &|entry| entry.state == State::Changed), Drift::Changed)?;
        refuse(names(&self.entries, &failed), Drift::Failed)?;
        let reverting = |entry: &Entry<'_>| {
            let reverting = |row: &Applied| matches!(row.progress, Progress::Reverting { .. });
            entry.applied.as_ref().is_some_and(reverting)
        };
        refuse(names(&self.entries, &reverting), Drift::Reverting)?;
        let half_gone = |entry: &Entry<'_>| {
            let partial = |row: &Applied| matches!(row.progress, Progress::Partial { .. });
            entry.local.is_none() && entry.applied.as_ref().is_some_and(partial)
        };
        refuse(names(&self.entries, &half_gone), Drift::Partial)?;
        let through = &self.entries[..end];
        match order {
            OutOfOrder::Allow | OutOfOrder::Warn => {}
            OutOfOrder::Deny => {
                refuse(names(through, &|entry| entry.state == State::OutOfOrder), Drift::OutOfOrder)?;
            }
        }
        Ok(through
            .iter()
            .filter(|entry| match entry.state {
                State::Pending | State::OutOfOrder | State::Partial => true,
                State::Applied | State::Changed | State::Missing | State::Failed => false,
            })
            .collect())
    }

    /// How many entries are in a state.
    pub fn count(&self, state: State) -> usize {
        self.entries.iter().filter(|entry| entry.state == state).count()
    }
}

#[cfg(test)]
mod tests;
