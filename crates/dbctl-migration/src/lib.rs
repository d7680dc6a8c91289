//! Migration formats on disk, history tables as data, checksums, splitting SQL, and `reconcile`.
//!
//! This crate is pure: it reads folders, never a database, and writes nothing. What a file *is* lives in
//! [`Migration`]; what a database *says* lives in [`Applied`]; [`reconcile()`] is the one place where the two meet.

mod applied;
mod baseline;
mod checksum;
mod dialect;
mod directive;
mod files;
pub mod format;
pub mod history;
pub mod ident;
pub mod ledger;
mod migration;
mod reconcile;
mod rollback;
pub mod split;
#[cfg(test)]
mod test_support;
pub mod text;

pub use applied::{Applied, Progress};
pub use baseline::{Baseline, BaselineFile, LastVersion};
pub use checksum::{Checksum, ToolChecksum};
pub use dialect::Dialect;
pub use directive::{DirectiveError, Directives, Requirement};
pub use files::{Files, Record, Seen, Tree};
pub use format::{
    Folder, Format, FormatError, FormatErrors, FormatKind, NewFile, OptionError, SourceOptions,
};
pub use history::{History, KeyedBy, Recording, RunStamp, Statement, Upgrade, Value};
pub use ident::{DatabaseName, IdentError, TableName, quote_ident};
pub use migration::{Migration, Script, Transaction, Version};
pub use reconcile::{Drift, Entry, OutOfOrder, Reconciled, State, TargetError, reconcile};
pub use rollback::{Back, RollbackError, rollback_order, undoable};
