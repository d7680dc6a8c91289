//! `-- dbctl:requires`: migrations of one database that build on a migration of another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dbctl_migration::{Entry, FormatError, FormatErrors, Migration, Progress, Requirement};
use dbctl_workspace::{Key, Workspace};

use crate::{
    StepError,
    action::StepContext,
    execute::Shared,
    files::{Files, Rows, SourceFiles, applied, read_sources, reconcile_all},
    undo_order::{Held, Undo, undo_order},
};

/// Every requirement of these files, with the file it stands in.
fn requirements(sources: &[SourceFiles]) -> impl Iterator<Item = (&Migration, &Requirement)> {
    let migrations = sources.iter().flat_map(|source| &source.migrations);
    migrations.flat_map(|migration| migration.directives.requires.iter().map(move |one| (migration, one)))
}

/// Whether a person means this migration by a version or a name.
fn is(migration: &Migration, version: &str) -> bool {
    migration.version.as_str() == version || migration.name == version
}

/// The database that is required; one that this one depends on.
fn upstream<'w>(
    workspace: &'w Workspace,
    database: &Key,
    migration: &Migration,
    requirement: &Requirement,
) -> Result<&'w Key, StepError> {
    let name = &requirement.database;
    let mut upstream = workspace.dependencies(database).iter();
    upstream.find(|key| key.as_str() == name).ok_or_else(|| {
        unknown(migration, requirement, format!("`{name}` is no database that `{database}` depends on"))
    })
}

fn unknown(migration: &Migration, requirement: &Requirement, problem: String) -> StepError {
    StepError::RequirementUnknown { path: migration.up.path.clone(), line: requirement.line, problem }
}

/// A migration on disk that requires one of another database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// Whose migration it is.
    pub database: Key,
    /// Its whole name.
    pub migration: String,
    /// The database it requires something of.
    pub requires: Key,
    /// The version or name it requires, as the file has it.
    pub version: String,
}

/// What the files of these databases require of other databases: offline. A folder that is not there requires nothing,
/// and neither does one that cannot be told; whatever else is wrong is told with its database, and hides nothing.
pub fn required_of(workspace: &Workspace, keys: &BTreeSet<Key>) -> (Vec<Required>, Vec<(Key, StepError)>) {
    let files = Files::new(workspace);
    let (mut required, mut wrong) = (Vec::new(), Vec::new());
    for key in workspace.order().iter().filter(|key| keys.contains(*key)) {
        let errors = match files.of(key) {
            Ok(sources) => {
                let (found, errors) = resolve(workspace, &files, key, &sources, &|_| true);
                required.extend(found);
                errors
            }
            Err(FormatErrors(errors)) => {
                let there = |error: &FormatError| !matches!(error, FormatError::NoFolder { .. });
                let errors: Vec<FormatError> = errors.into_iter().filter(there).collect();
                if errors.is_empty() { Vec::new() } else { vec![FormatErrors(errors).into()] }
            }
        };
        wrong.extend(errors.into_iter().map(|error| (key.clone(), error)));
    }
    (required, wrong)
}

/// Sees that every requirement of a database's files names a migration on disk, of a database it depends on.
pub(crate) fn check_files(
    shared: &Shared<'_>,
    files: &Files<'_>,
    key: &Key,
    sources: &[SourceFiles],
) -> Result<(), StepError> {
    let run = &shared.run;
    // It fails for its folders itself, and this one will not start.
    let fails_itself = |upstream: &Key| run.plan.databases.contains(upstream);
    match resolve(run.workspace, files, key, sources, &fails_itself).1.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The requirements of a database's files, and what is wrong with them. `may_fail` says whose folders may be unreadable:
/// nobody knows then which migrations there are.
fn resolve(
    workspace: &Workspace,
    files: &Files<'_>,
    key: &Key,
    sources: &[SourceFiles],
    may_fail: &dyn Fn(&Key) -> bool,
) -> (Vec<Required>, Vec<StepError>) {
    let (mut required, mut wrong) = (Vec::new(), Vec::new());
    let mut read: BTreeMap<&Key, Option<Arc<Vec<SourceFiles>>>> = BTreeMap::new();
    for (migration, requirement) in requirements(sources) {
        let upstream = match upstream(workspace, key, migration, requirement) {
            Ok(upstream) => upstream,
            Err(error) => {
                wrong.push(error);
                continue;
            }
        };
        let theirs = read.entry(upstream).or_insert_with(|| match files.of(upstream) {
            Ok(sources) => Some(sources).filter(|_| workspace.database(upstream).untold.is_empty()),
            Err(FormatErrors(_)) if may_fail(upstream) => None,
            Err(errors) => {
                wrong.push(errors.into());
                None
            }
        });
        if let Some(theirs) = theirs {
            let mut found = theirs.iter().flat_map(|source| &source.migrations);
            if !found.any(|migration| is(migration, &requirement.version)) {
                let problem = format!("`{upstream}` has no migration `{}`", requirement.version);
                wrong.push(unknown(migration, requirement, problem));
                continue;
            }
        }
        required.push(Required {
            database: key.clone(),
            migration: migration.name.clone(),
            requires: upstream.clone(),
            version: requirement.version.clone(),
        });
    }
    (required, wrong)
}

/// Which requirements of a database's files are met, as it was found before its writer was opened.
#[derive(Default)]
pub(crate) struct Upstream(BTreeMap<Key, Result<BTreeSet<String>, StepError>>);

/// Looks at every database that these files require something of, one after the other. What goes wrong with one is
/// told once a file that requires it is about to run.
pub(crate) async fn look_upstream(
    context: &StepContext<'_>,
    sources: &[SourceFiles],
) -> Result<Upstream, StepError> {
    let mut wanted: BTreeMap<&Key, BTreeSet<&str>> = BTreeMap::new();
    for (migration, requirement) in requirements(sources) {
        let key = upstream(context.shared.run.workspace, &context.database.key, migration, requirement)?;
        wanted.entry(key).or_default().insert(&requirement.version);
    }
    let mut found = BTreeMap::new();
    for (key, versions) in wanted {
        found.insert(key.clone(), met(&context.shared.context(key), versions).await);
    }
    Ok(Upstream(found))
}

/// Those of the versions that are applied; none where there is no database.
async fn met(context: &StepContext<'_>, versions: BTreeSet<&str>) -> Result<BTreeSet<String>, StepError> {
    let sources = read_sources(context.database)?;
    // What its open transaction holds no other session sees.
    let found = match context.shared.rows(&context.database.key) {
        Some(rows) => Some(rows),
        None => rows(context, &sources).await?,
    };
    let Some(rows) = found else { return Ok(BTreeSet::new()) };
    let reconciled = reconcile_all(&sources, &rows);
    let met = |version: &&str| {
        let mut entries = reconciled.iter().flat_map(|source| &source.entries);
        entries.any(|entry| is_whole(entry) && entry.matches(version))
    };
    Ok(versions.into_iter().filter(met).map(str::to_owned).collect())
}

/// What is applied to a database, by a session of its own; `None` where there is no database.
async fn rows(context: &StepContext<'_>, sources: &[SourceFiles]) -> Result<Option<Vec<Rows>>, StepError> {
    let mut reader = match context.open_reader().await {
        Ok(reader) => reader,
        Err(error) if error.is_no_database() => return Ok(None),
        Err(error) => return Err(error),
    };
    let rows = applied(&mut *reader, sources).await;
    reader.close().await;
    Ok(Some(rows?))
}

fn is_whole(entry: &Entry<'_>) -> bool {
    entry.applied.as_ref().is_some_and(|applied| applied.progress == Progress::Whole)
}

impl Upstream {
    /// Sees, right before a migration runs, that what it requires is applied.
    pub(crate) fn check(
        &mut self,
        context: &StepContext<'_>,
        migration: &Migration,
    ) -> Result<(), StepError> {
        for requirement in &migration.directives.requires {
            let key = upstream(context.shared.run.workspace, &context.database.key, migration, requirement)?;
            let met = self.0.remove(key).expect("every file has been looked at")?;
            let is_met = met.contains(&requirement.version);
            self.0.insert(key.clone(), Ok(met));
            if !is_met {
                return Err(StepError::RequirementUnmet {
                    path: migration.up.path.clone(),
                    line: requirement.line,
                    database: requirement.database.clone(),
                    version: requirement.version.clone(),
                });
            }
        }
        Ok(())
    }
}

/// The databases that the files of this one require something of.
pub(crate) fn required(workspace: &Workspace, key: &Key) -> BTreeSet<Key> {
    let names = required_names(workspace, key);
    workspace.dependencies(key).iter().filter(|key| names.contains(key.as_str())).cloned().collect()
}

/// The databases whose files require something of one of these.
pub(crate) fn requiring(workspace: &Workspace, keys: &[Key]) -> BTreeSet<Key> {
    let dependents: BTreeSet<&Key> = keys.iter().flat_map(|key| workspace.dependents(key)).collect();
    let requires = |dependent: &&Key| {
        let names = required_names(workspace, dependent);
        keys.iter().any(|key| names.contains(key.as_str()))
    };
    dependents.into_iter().filter(requires).cloned().collect()
}

/// Folders that cannot be read name nothing here: the checks, which read them too, refuse.
fn required_names(workspace: &Workspace, key: &Key) -> BTreeSet<String> {
    let sources = read_sources(workspace.database(key)).unwrap_or_default();
    requirements(&sources).map(|(_, requirement)| requirement.database.clone()).collect()
}

/// Sees that no applied migration of another database requires one of those that are to be reverted, unless it is
/// going to be reverted as well. `applied` is what each database of the plan was found to hold; the databases at
/// fault are returned.
pub(crate) async fn check_unneeded(
    shared: &Shared<'_>,
    files: &Files<'_>,
    undo: Undo<'_>,
    applied: &BTreeMap<Key, Held>,
) -> Vec<(Key, StepError)> {
    let mut guard = Guard { shared, files, undo, applied, others: BTreeMap::new() };
    let mut failed = Vec::new();
    for key in &shared.run.plan.databases {
        if let Err(error) = guard.check(key).await {
            failed.push((key.clone(), error));
        }
    }
    failed
}

/// The look at other databases before a rollback.
struct Guard<'a> {
    shared: &'a Shared<'a>,
    files: &'a Files<'a>,
    undo: Undo<'a>,
    applied: &'a BTreeMap<Key, Held>,
    /// What databases outside the plan hold, each looked at once; `None` where there is none.
    others: BTreeMap<Key, Option<Held>>,
}

impl Guard<'_> {
    async fn check(&mut self, key: &Key) -> Result<(), StepError> {
        let Some(held) = self.applied.get(key) else { return Ok(()) };
        let sources = self.files.of(key)?;
        let work = undo_order(&sources, held, self.undo)?;
        for dependent in self.shared.run.workspace.dependents(key) {
            if let Some(folder) = self.shared.run.workspace.database(dependent).untold.first() {
                return Err(StepError::Untold { dependent: dependent.clone(), folder: folder.clone() });
            }
            let theirs = self.files.of(dependent)?;
            // Each of their files that requires one of ours, with ours.
            let requiring: Vec<(&Migration, &Migration)> = requirements(&theirs)
                .filter(|(_, requirement)| requirement.database == key.as_str())
                .filter_map(|(their, requirement)| {
                    let ours = work.iter().find(|(_, ours)| is(ours, &requirement.version))?;
                    Some((their, ours.1))
                })
                .collect();
            if requiring.is_empty() {
                continue;
            }
            let Some(still) = self.still_applied(dependent, &theirs).await? else { continue };
            if let Some((by, ours)) = requiring.into_iter().find(|(their, _)| still.contains(&their.name)) {
                return Err(StepError::Required {
                    migration: ours.name.clone(),
                    dependent: dependent.clone(),
                    by: by.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// What will be applied to a database, wholly or in part, once its own rollback is done, by name; `None` where
    /// there is no such database.
    async fn still_applied(
        &mut self,
        key: &Key,
        sources: &[SourceFiles],
    ) -> Result<Option<BTreeSet<String>>, StepError> {
        let planned = self.shared.run.plan.databases.contains(key);
        if !planned && !self.others.contains_key(key) {
            let rows = rows(&self.shared.context(key), sources).await?;
            self.others.insert(key.clone(), rows.map(Held::of_rows));
        }
        let held =
            if planned { self.applied.get(key) } else { self.others.get(key).and_then(Option::as_ref) };
        let Some(held) = held else { return Ok(None) };
        let going = if planned { undo_order(sources, held, self.undo)? } else { Vec::new() };
        let reconciled = reconcile_all(sources, &held.rows);
        let stays = |source: &SourceFiles, entry: &Entry<'_>| {
            let goes = |(from, migration): &(&SourceFiles, &Migration)| {
                from.name == source.name && migration.name == entry.name()
            };
            entry.is_recorded() && !going.iter().any(goes)
        };
        let names = sources.iter().zip(&reconciled).flat_map(|(source, reconciled)| {
            let stays = reconciled.entries.iter().filter(move |entry| stays(source, entry));
            stays.map(|entry| entry.name().to_owned())
        });
        Ok(Some(names.collect()))
    }
}
