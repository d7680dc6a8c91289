//! What `clean` empties, restarts and refreshes: decided purely from an inventory, then carried out.

mod known;
mod plan;

use dbctl_migration::TableName;
use thiserror::Error;

pub(crate) use known::is_known;
pub use plan::plan_clean;

/// What a database holds, as far as `clean` is concerned; extension-owned objects and system schemas are marked or
/// left out by the reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Ordinary and partitioned tables.
    pub tables: Vec<Table>,
    /// Foreign keys between them: `from` references `to`.
    pub references: Vec<Reference>,
    /// All sequences.
    pub sequences: Vec<Sequence>,
    /// Populated materialized views, in an order in which they can be refreshed.
    pub materialized_views: Vec<TableName>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Whether it is not `clean`'s to empty: an extension owns it, or it is a foreign table (listed only where it is a
    /// child of a table).
    pub extension: bool,
    /// The partitioned or inherited tables it directly belongs to, if any.
    pub parents: Vec<TableName>,
    /// Whether it is partitioned itself and so holds no rows of its own.
    pub partitioned: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The constraint's name.
    pub constraint: String,
    /// The referencing table.
    pub from: TableName,
    /// The referenced table.
    pub to: TableName,
}

/// A sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Its name.
    pub name: TableName,
    /// Tables whose columns own it or whose defaults use it.
    pub used_by: Vec<TableName>,
    /// Whether an extension owns it.
    pub extension: bool,
}

/// What to do, decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanPlan {
    /// Tables to truncate, in one statement, each without its children (`ONLY`) where `only` says so.
    pub truncate: Vec<Truncate>,
    /// Sequences to restart.
    pub restart: Vec<TableName>,
    /// Materialized views to refresh, in order.
    pub refresh: Vec<TableName>,
    /// Entries of `keep` that name no table there is: likely a typing error, and then something would be emptied that
    /// was meant to stay.
    pub unmatched: Vec<String>,
}

/// A table to truncate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncate {
    /// Its name.
    pub table: TableName,
    /// Without its children.
    pub only: bool,
}

/// Kept tables that reference tables which would be emptied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(|r| format!("{} is kept, but its foreign key {} references {}, which would be emptied", r.from, r.constraint, r.to)).collect::<Vec<_>>().join("; "))]
pub struct CleanRefusal(pub Vec<Reference>);
