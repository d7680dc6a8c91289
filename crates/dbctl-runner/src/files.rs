//! A database's migration folders, read.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use dbctl_engine::{Engine, EngineError, Reader, Resume, SourceRef};
use dbctl_migration::{
    Applied, Baseline, Dialect, Entry, Format, FormatError, FormatErrors, FormatKind, Migration, Progress,
    Reconciled, TableName, reconcile,
};
use dbctl_workspace::{Database, Key, Workspace};

use crate::{StepError, baseline};

/// One source as it is on disk.
pub struct SourceFiles {
    /// The folder as the manifest spells it.
    pub name: String,
    /// Which tool's it is.
    pub kind: FormatKind,
    /// Its migrations in the order in which they apply. A baseline stands behind what it holds, be it one of them or not.
    pub migrations: Vec<Migration>,
    pub(crate) baseline: Option<Baseline>,
    /// As its tool has them, where a baseline changes that.
    on_disk: Option<Vec<Migration>>,
    format: Box<dyn Format>,
}

/// Reads every source of a database, in the manifest's order. What is wrong in any of them is reported together.
pub fn read_sources(database: &Database) -> Result<Vec<SourceFiles>, FormatErrors> {
    let mut sources = Vec::with_capacity(database.sources.len());
    let mut wrong = Vec::new();
    for source in &database.sources {
        let kind = source.format.kind();
        let format = kind.open(&source.folder, &source.options);
        match format.read(&source.folder) {
            Ok(on_disk) if on_disk.iter().any(|migration| leaves(database, migration).is_some()) => {
                wrong.extend(on_disk.iter().filter_map(|migration| leaves(database, migration)).map(outside));
            }
            Ok(on_disk) => match baseline::placed(source, &on_disk) {
                Ok(placed) => {
                    let name = source.name.clone();
                    let (migrations, baseline, on_disk) = match placed {
                        Some((migrations, baseline)) => (migrations, Some(baseline), Some(on_disk)),
                        None => (on_disk, None, None),
                    };
                    sources.push(SourceFiles { name, kind, migrations, baseline, on_disk, format });
                }
                Err(error) => wrong.push(error),
            },
            Err(FormatErrors(errors)) => wrong.extend(errors),
        }
    }
    if wrong.is_empty() { Ok(sources) } else { Err(FormatErrors(wrong)) }
}

/// A script of a migration that is a link out of the workspace, or lies behind one.
fn leaves<'m>(database: &Database, migration: &'m Migration) -> Option<&'m Path> {
    let scripts = [Some(&migration.up), migration.down.as_ref()].into_iter().flatten();
    scripts.map(|script| script.path.as_path()).find(|path| !database.holds(path))
}

/// What is wrong with a file that leaves the workspace.
pub(crate) fn outside(path: &Path) -> FormatError {
    let message = "the file leaves the workspace through a symbolic link".to_owned();
    FormatError::Name { path: path.to_owned(), message }
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
pub(crate) async fn history_tables<R: Reader + ?Sized>(
    reader: &mut R,
    sources: &[SourceFiles],
) -> Result<Vec<TableName>, EngineError> {
    Ok(tables(reader, sources).await?.into_iter().flatten().collect())
}

/// The same, source by source.
async fn tables<R: Reader + ?Sized>(
    reader: &mut R,
    sources: &[SourceFiles],
) -> Result<Vec<Option<TableName>>, EngineError> {
    let mut tables = Vec::with_capacity(sources.len());
    for source in sources {
        tables.push(reader.history_table(&source.history()).await?);
    }
    Ok(tables)
}

/// The same, without reading the folders.
pub(crate) async fn history_tables_of<R: Reader + ?Sized>(
    reader: &mut R,
    database: &Database,
) -> Result<Vec<TableName>, EngineError> {
    let mut tables = Vec::new();
    for source in &database.sources {
        let format = source.format.kind().open(&source.folder, &source.options);
        let unread = SourceRef { name: &source.name, history: format.history(), migrations: &[] };
        tables.extend(reader.history_table(&unread).await?);
    }
    Ok(tables)
}

/// What a database says of one source.
pub(crate) type Rows = Vec<Applied>;

/// What is applied, source by source.
pub(crate) async fn applied<R: Reader + ?Sized>(
    reader: &mut R,
    sources: &[SourceFiles],
) -> Result<Vec<Rows>, EngineError> {
    let mut applied = Vec::with_capacity(sources.len());
    for source in sources {
        applied.push(reader.applied(&source.history()).await?);
    }
    match sources {
        [_] => Ok(applied),
        _ => Ok(apart(sources, &tables(reader, sources).await?, applied)),
    }
}

/// Several folders may share one table, as dbmate's do: a row belongs to the folder that has its file, and one whose
/// file is gone to the first of them.
fn apart(sources: &[SourceFiles], tables: &[Option<TableName>], mut rows: Vec<Rows>) -> Vec<Rows> {
    let keys = |source: &SourceFiles| -> HashSet<String> {
        let keyed_by = source.history().keyed_by();
        source.migrations.iter().map(|migration| keyed_by.of(migration).to_owned()).collect()
    };
    for (at, source) in sources.iter().enumerate() {
        let Some(shared) = &tables[at] else { continue };
        let others = |range: std::ops::Range<usize>| {
            range.filter(|other| *other != at && tables[*other].as_ref() == Some(shared))
        };
        if others(0..sources.len()).next().is_none() {
            continue;
        }
        let own = keys(source);
        let theirs: HashSet<String> =
            others(0..sources.len()).flat_map(|other| keys(&sources[other])).collect();
        let is_first = others(0..at).next().is_none();
        let keyed_by = source.history().keyed_by();
        rows[at].retain(|row| {
            let key = keyed_by.of_applied(row);
            own.contains(key) || is_first && !theirs.contains(key)
        });
    }
    rows
}

/// Each source's files against its rows.
pub(crate) fn reconcile_all<'m>(sources: &'m [SourceFiles], rows: &[Rows]) -> Vec<Reconciled<'m>> {
    sources.iter().zip(rows).map(|(source, rows)| source.reconcile(rows)).collect()
}

/// The sources that have what a person means by a version, a name or a file name, each with what it is called there.
/// `source/version` asks one source alone.
pub(crate) fn found<'t>(
    sources: &[SourceFiles],
    reconciled: &[Reconciled<'_>],
    text: &'t str,
) -> Vec<(usize, &'t str)> {
    let within = |source: &SourceFiles| {
        text.strip_prefix(source.name.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'))
    };
    let mut found = Vec::new();
    for (at, (source, reconciled)) in sources.iter().zip(reconciled).enumerate() {
        let has = |text: &str| reconciled.entries.iter().any(|entry| entry.matches(text));
        found.extend(
            [Some(text), within(source)].into_iter().flatten().find(|text| has(text)).map(|text| (at, text)),
        );
    }
    found
}

/// The one migration that a person means, and its source.
pub(crate) fn the_one<'r, 'm>(
    sources: &'r [SourceFiles],
    reconciled: &'r [Reconciled<'m>],
    text: &str,
) -> Result<(&'r SourceFiles, &'r Entry<'m>), StepError> {
    let places = found(sources, reconciled, text);
    let mut meant = places.iter().flat_map(|&(at, text)| {
        let entries = reconciled[at].entries.iter();
        entries.filter(move |entry| entry.matches(text)).map(move |entry| (&sources[at], entry))
    });
    match (meant.next(), meant.next()) {
        (None, _) => Err(unknown(text, sources)),
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(StepError::AmbiguousVersion {
            version: text.to_owned(),
            names: candidates(sources, reconciled, &places),
        }),
    }
}

pub(crate) fn unknown(version: &str, sources: &[SourceFiles]) -> StepError {
    let near = nearest(version, sources);
    let sources = sources.iter().map(|source| source.name.clone()).collect();
    StepError::UnknownVersion { version: version.to_owned(), sources, near }
}

/// The version that has the same number, which versions may spell with zeros before it.
fn nearest(version: &str, sources: &[SourceFiles]) -> Option<String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.trim_start_matches('0').to_owned())
    };
    let wanted = number(version)?;
    let mut versions = sources.iter().flat_map(|source| &source.migrations).map(|file| file.version.as_str());
    versions.find(|version| number(version).as_ref() == Some(&wanted)).map(str::to_owned)
}

/// The whole names of what was found, such as can be typed to mean one of them.
pub(crate) fn candidates<'t>(
    sources: &[SourceFiles],
    reconciled: &[Reconciled<'_>],
    found: &[(usize, &'t str)],
) -> Vec<String> {
    let named = |&(at, text): &(usize, &'t str)| {
        let entries = reconciled[at].entries.iter().filter(move |entry| entry.matches(text));
        entries.map(move |entry| called(sources, at, entry.name()))
    };
    found.iter().flat_map(named).collect()
}

/// Sees that a migration that has stopped outside a transaction can go on, as far as that is known beforehand.
pub(crate) fn resumable(engine: &dyn Engine, dialect: Dialect, entry: &Entry<'_>) -> Result<(), EngineError> {
    let (Some(local), Some(applied)) = (entry.local, &entry.applied) else { return Ok(()) };
    match &applied.progress {
        Progress::Partial { done, started, digest } => {
            let resume = Resume { done: *done, started: *started, digest: digest.clone() };
            engine.resumable(dialect, &local.up, &resume)
        }
        Progress::Whole | Progress::Reverting { .. } | Progress::Failed => Ok(()),
    }
}

/// A migration's name for people, with its source where there are several.
pub(crate) fn called(sources: &[SourceFiles], source: usize, name: &str) -> String {
    match sources {
        [_] => name.to_owned(),
        _ => format!("{}/{name}", sources[source].name.trim_end_matches('/')),
    }
}

/// Folders as they are during one look at all databases, each read once. It holds what it has read: whoever has looked
/// drops it.
pub(crate) struct Files<'a> {
    workspace: &'a Workspace,
    read: Mutex<BTreeMap<Key, Arc<Vec<SourceFiles>>>>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self { workspace, read: Mutex::default() }
    }

    /// A database's sources, as [`read_sources`] gives them.
    pub(crate) fn of(&self, key: &Key) -> Result<Arc<Vec<SourceFiles>>, FormatErrors> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sources) = read.get(key) {
            return Ok(Arc::clone(sources));
        }
        let sources = Arc::new(read_sources(self.workspace.database(key))?);
        read.insert(key.clone(), Arc::clone(&sources));
        Ok(sources)
    }
}

impl SourceFiles {
    /// The source's history, as engines take it.
    pub fn history(&self) -> SourceRef<'_> {
        let migrations = self.on_disk.as_deref().unwrap_or(&self.migrations);
        SourceRef { name: &self.name, history: self.format.history(), migrations }
    }

    /// The file that stands for its past, where it has one.
    pub(crate) fn baseline_file(&self) -> Option<(&Baseline, &Migration)> {
        self.baseline.as_ref().map(|baseline| (baseline, &self.migrations[baseline.place]))
    }

    /// Whether a migration is a file of plain SQL that stands for others, and nothing that can be recorded.
    pub(crate) fn is_beside(&self, migration: &Migration) -> bool {
        self.baseline_file().is_some_and(|(baseline, file)| !baseline.own && std::ptr::eq(file, migration))
    }

    /// Compares the files with what is applied.
    pub fn reconcile(&self, applied: &[Applied]) -> Reconciled<'_> {
        let reconciled = reconcile(&self.migrations, applied, self.history().keyed_by());
        match &self.baseline {
            Some(baseline) => reconciled.with_baseline(baseline),
            None => reconciled,
        }
    }

    /// Whether the tool itself would fail afterwards if a late file were applied.
    pub(crate) fn refuses_out_of_order(&self) -> bool {
        self.format.history().is_some_and(|history| history.refuses_out_of_order())
    }
}
