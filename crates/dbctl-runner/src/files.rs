//! A database's migration folders, read.

use dbctl_engine::SourceRef;
use dbctl_migration::{
    Applied, Format, FormatErrors, FormatKind, Migration, Reconciled, TableName, reconcile,
};
use dbctl_workspace::Database;

/// One source as it is on disk.
pub struct SourceFiles {
    /// The folder as the manifest spells it.
    pub name: String,
    /// Which tool's it is.
    pub kind: FormatKind,
    /// Its migrations in the order in which they apply.
    pub migrations: Vec<Migration>,
    format: Box<dyn Format>,
}

/// Reads every source of a database, in the manifest's order. What is wrong in any of them is reported together.
pub fn read_sources(database: &Database) -> Result<Vec<SourceFiles>, FormatErrors> {
    let mut sources = Vec::with_capacity(database.sources.len());
    let mut wrong = Vec::new();
    for source in &database.sources {
        let kind = source.format.kind();
        let format = kind.format(&source.options);
        match format.read(&source.folder) {
            Ok(migrations) => {
                sources.push(SourceFiles { name: source.name.clone(), kind, migrations, format });
            }
            Err(FormatErrors(errors)) => wrong.extend(errors),
        }
    }
    if wrong.is_empty() { Ok(sources) } else { Err(FormatErrors(wrong)) }
}

/// Advisory lock keys of the tools whose tables are going to be written, each once.
pub(crate) fn peer_locks(sources: &[SourceFiles], database: &str) -> Vec<i64> {
    let mut keys: Vec<i64> =
        sources.iter().filter_map(|source| source.format.history()?.lock_key(database)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The history tables of the sources' own tools.
pub(crate) fn history_tables(sources: &[SourceFiles]) -> Vec<TableName> {
    sources.iter().filter_map(|source| Some(source.format.history()?.table().clone())).collect()
}

/// Whether a version, name or file name is one of a source's migrations.
pub(crate) fn names(reconciled: &Reconciled<'_>, text: &str) -> bool {
    reconciled.entries.iter().any(|entry| entry.matches(text))
}

impl SourceFiles {
    /// The source's history, as engines take it.
    pub fn history(&self) -> SourceRef<'_> {
        SourceRef { name: &self.name, history: self.format.history() }
    }

    /// Compares the files with what is applied.
    pub fn reconcile(&self, applied: &[Applied]) -> Reconciled<'_> {
        reconcile(&self.migrations, applied, self.history().keyed_by())
    }

    /// Whether the tool itself would fail afterwards if a late file were applied.
    pub(crate) fn refuses_out_of_order(&self) -> bool {
        self.format.history().is_some_and(|history| history.refuses_out_of_order())
    }
}
