//! dbctl's own tables: the ledger of migrations, the record of seeds, and the environment a database belongs to.
//!
//! For the native format the ledger is the truth. For a foreign format it annotates that tool's own table: a row
//! there without a ledger row is applied with checksum unknown, a ledger row without a row there was rolled back by
//! the tool; neither is an error.

use crate::{Applied, KeyedBy, Migration, Recording, RunStamp, Statement};

/// The schema that holds everything dbctl writes into a database.
pub const SCHEMA: &str = "dbctl";

/// One row of `dbctl.migration_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Which source of the database it belongs to (the folder as the manifest spells it).
    pub source: String,
    /// What the row says, progress included.
    pub applied: Applied,
    /// The run that applied it.
    pub run: Option<String>,
}

/// One row of `dbctl.seed_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRow {
    /// File name within the seeds folder.
    pub file: String,
    /// Checksum of the file when it last ran.
    pub checksum: crate::Checksum,
}

/// DDL of the ledger, the seed record and the environment record, in order, each safe to run again.
pub fn create() -> Vec<String> {
    unimplemented!()
}

/// Selects the ledger: `source text, version text, name text, checksum text, applied_at_us bigint, elapsed_ms bigint,
/// run_id text, statements_done bigint, statement_started boolean` (`statements_done` NULL = whole).
pub fn read() -> String {
    unimplemented!()
}

/// Records an applied migration (inserts, or finishes a partial row).
pub fn record(source: &str, recording: &Recording<'_>) -> Statement {
    unimplemented!("{source} {recording:?}")
}

/// Records how far a migration outside a transaction got.
pub fn record_progress(
    source: &str,
    migration: &Migration,
    stamp: &RunStamp,
    done: usize,
    started: bool,
) -> Statement {
    unimplemented!("{source} {migration:?} {stamp:?} {done} {started}")
}

/// Removes a reverted migration.
pub fn forget(source: &str, keyed_by: KeyedBy, migration: &Migration) -> Statement {
    unimplemented!("{source} {keyed_by:?} {migration:?}")
}

/// Selects the seed record: `file text, checksum text`.
pub fn read_seeds() -> String {
    unimplemented!()
}

/// Records a seed file as run.
pub fn record_seed(seed: &SeedRow, stamp: &RunStamp) -> Statement {
    unimplemented!("{seed:?} {stamp:?}")
}

/// Forgets all seeds, as `clean` does.
pub fn forget_seeds() -> Statement {
    unimplemented!()
}

/// Selects the environment the database belongs to: `environment text`, at most one row.
pub fn read_environment() -> String {
    unimplemented!()
}

/// Records the environment where none is recorded yet.
pub fn record_environment(environment: &str) -> Statement {
    unimplemented!("{environment}")
}

/// Joins what a foreign table says with what the ledger knows of the same source; the foreign table is the truth.
pub fn annotate(
    foreign: Vec<Applied>,
    ledger: &[LedgerRow],
    source: &str,
    keyed_by: KeyedBy,
) -> Vec<Applied> {
    unimplemented!("{foreign:?} {ledger:?} {source} {keyed_by:?}")
}

/// What the ledger alone says of a source, for formats whose truth it is; in the order in which rows were applied.
pub fn own(ledger: &[LedgerRow], source: &str) -> Vec<Applied> {
    unimplemented!("{ledger:?} {source}")
}
