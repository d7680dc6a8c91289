//! dbctl's own tables: the ledger of migrations, the record of seeds, the environment a database belongs to, and the runs
//! that were at work on it.
//!
//! For the native format the ledger is the truth. For a foreign format it annotates that tool's own table: a row
//! there without a ledger row is applied with checksum unknown, a ledger row without a row there was rolled back by
//! the tool; neither is an error.

mod decisions;
mod runs;
mod statements;

use std::collections::HashMap;

pub use self::{
    decisions::{create_decisions, decisions_table, read_decision, record_decision},
    runs::RunRow,
};
use crate::{Applied, Dialect, KeyedBy, Progress, Value};

/// One row of `dbctl.migration_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Which source of the database it belongs to (the way from the package to its folder).
    pub source: String,
    /// What the row says, progress included.
    pub applied: Applied,
    /// The run that applied it.
    pub run: Option<String>,
    /// The role that applied it.
    pub by: Option<String>,
}

/// One row of `dbctl.seed_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRow {
    /// File name within the seeds folder.
    pub file: String,
    /// Checksum of the file when it last ran.
    pub checksum: crate::Checksum,
}

/// dbctl's own tables in the SQL of a server: what to create, read, record and forget.
#[derive(Debug, Clone, Copy)]
pub struct Ledger(Dialect);

impl Ledger {
    /// Of a server that speaks this.
    pub const fn new(dialect: Dialect) -> Self {
        Self(dialect)
    }
}

/// What the ledger should hold of a migration before a row of it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing: a row that is there all the same is somebody else's, and an error.
    Absent,
    /// How far it got, or anything else: the row is overwritten.
    Any,
}

impl Before {
    fn on_conflict(self, update: &str) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Any => format!(" ON CONFLICT (source, name) DO UPDATE SET {update}"),
        }
    }
}

/// Joins what a foreign table says with what the ledger knows of the same source; the foreign table is the truth.
///
/// What the tool does not record (checksum, time, duration, how far it is rolled back) comes from the ledger. A ledger
/// row alone says that the tool rolled the migration back, and is dropped, unless it is partial: the tool's row is
/// written with the last statement, so that until then only the ledger knows. Such rows come last, as the latest that
/// happened. Nor does it say anything of what the tool itself has finished, or has applied anew after it rolled the
/// migration back ([`Applied::may_be`]).
pub fn annotate(
    foreign: Vec<Applied>,
    ledger: &[LedgerRow],
    source: &str,
    keyed_by: KeyedBy,
) -> Vec<Applied> {
    let mut known: HashMap<&str, &Applied> = ledger
        .iter()
        .filter(|row| row.source == source)
        .map(|row| (keyed_by.of_applied(&row.applied), &row.applied))
        .collect();
    let mut applied = foreign;
    for row in &mut applied {
        let key = keyed_by.of_applied(row);
        if known.get(key).is_some_and(|ledger| ledger.may_be(row))
            && let Some(ledger) = known.remove(key)
            && !is_finished(ledger, row)
        {
            row.checksum = row.checksum.take().or_else(|| ledger.checksum.clone());
            row.at = row.at.or(ledger.at);
            row.elapsed = row.elapsed.or(ledger.elapsed);
            match (&ledger.progress, &row.progress) {
                // What the tool shows as failed is one that dbctl began outside a transaction, and knows more of.
                (Progress::Reverting { .. }, _) | (Progress::Partial { .. }, Progress::Failed) => {
                    row.progress = ledger.progress.clone();
                }
                (Progress::Partial { .. } | Progress::Whole | Progress::Failed, _) => {}
            }
        }
    }
    // Through the list and not through the map, so that the order is that of the ledger.
    applied.extend(own(ledger, source).into_iter().filter(|row| {
        matches!(row.progress, Progress::Partial { .. }) && known.contains_key(keyed_by.of_applied(row))
    }));
    applied
}

/// Whether the tool has finished what dbctl began, from what the file was by then.
fn is_finished(ledger: &Applied, row: &Applied) -> bool {
    matches!((&ledger.progress, &row.progress), (Progress::Partial { .. }, Progress::Whole))
}

/// What the ledger alone says of a source, for formats whose truth it is; in the order in which rows were applied.
pub fn own(ledger: &[LedgerRow], source: &str) -> Vec<Applied> {
    ledger.iter().filter(|row| row.source == source).map(|row| row.applied.clone()).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests;
