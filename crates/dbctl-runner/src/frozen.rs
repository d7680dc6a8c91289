//! Plans that hold: what `migrate` would do, frozen, and what has moved since.

use std::{collections::BTreeMap, path::Path};

use dbctl_engine::{Engine, EngineError, Identity, Reader};
use dbctl_migration::Progress;
use dbctl_workspace::Key;
use thiserror::Error;

use crate::{
    Action, Migrate, Run, StepError,
    action::{StepContext, migrate},
    baseline::{self, Found, Item},
    check,
    event::Events,
    execute::Shared,
    files::{SourceFiles, read_sources, reconcile_all, resumable},
    summary::Fold,
};

/// What `migrate` would do to each database, and what it was found to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frozen {
    /// The databases of the plan, dependencies first.
    pub databases: BTreeMap<Key, FrozenDatabase>,
}

/// What would be done to one database, and what it was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenDatabase {
    /// Its server, without a password; for people alone.
    pub server: String,
    /// Which database it is.
    pub identity: Identity,
    /// The files to run, in that order.
    pub pending: Vec<FrozenFile>,
    /// What is recorded, source by source.
    pub applied: Vec<FrozenRow>,
}

/// A file to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenFile {
    /// The source's folder as the manifest spells it.
    pub source: String,
    /// Its version.
    pub version: String,
    /// Its whole name.
    pub name: String,
    /// The file, relative to the manifest, with `/` between its parts.
    pub path: String,
    /// Hex SHA-256 of its text, line endings as `\n`.
    pub checksum: String,
    /// Of a baseline: the names of those that are recorded as applied with it.
    pub held: Vec<String>,
}

/// What is recorded of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenRow {
    /// The source's folder as the manifest spells it.
    pub source: String,
    /// As recorded.
    pub version: String,
    /// As recorded.
    pub name: String,
    /// As recorded.
    pub checksum: Option<String>,
    /// How far it got.
    pub progress: Progress,
}

/// Something that is not as it was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Moved {
    /// The database is not part of the plan.
    #[error("the database is not in the plan")]
    NotPlanned,
    /// Another database, or one of the same name on another server.
    #[error("it is another database: the plan is for {was}, and this is {is}")]
    Identity {
        /// Name, server and system identifier then.
        was: String,
        /// The same now.
        is: String,
    },
    /// A file with another text.
    #[error("{path} has changed")]
    Changed {
        /// The file.
        path: String,
    },
    /// A file that would run too.
    #[error("{path} is pending, and not in the plan")]
    New {
        /// The file.
        path: String,
    },
    /// A file that is no longer there.
    #[error("{path} is gone")]
    Gone {
        /// The file.
        path: String,
    },
    /// A file that would no longer run, though it is there and not applied.
    #[error("{path} would not run any more")]
    NotPending {
        /// The file.
        path: String,
    },
    /// The same files in another order.
    #[error("the files would run in another order: {}", .0.join(", "))]
    Order(Vec<String>),
    /// A baseline that holds others than it did.
    #[error("{path} would be recorded with other migrations")]
    Held {
        /// The file.
        path: String,
    },
    /// A migration that the database has now.
    #[error("{name} has been applied since")]
    Applied {
        /// Its name.
        name: String,
    },
    /// A migration that it has no longer.
    #[error("{name} is not applied any more")]
    NotApplied {
        /// Its name.
        name: String,
    },
    /// A migration of which something else is recorded.
    #[error("something else is recorded of {name}")]
    Recorded {
        /// Its name.
        name: String,
    },
}

/// Finds out what carrying out this plan would do, through sessions that cannot write; or why it would be refused.
pub async fn freeze(run: Run<'_>, engine: &dyn Engine) -> Result<Frozen, Vec<(Key, StepError)>> {
    let mut unheard = |_| {};
    let events = Events::new(Fold::new(), &mut unheard);
    let shared = Shared::new(run, engine, &events);
    let mut failed = check::check(&shared).await.failed;
    let mut frozen = Frozen::default();
    let refused = !failed.is_empty();
    for step in run.plan.steps.iter().filter(|_| !refused) {
        let Action::Migrate(migrate) = &step.action else { continue };
        match look(&shared.context(&step.database), migrate).await {
            Ok(database) => drop(frozen.databases.insert(step.database.clone(), database)),
            Err(error) => failed.push((step.database.clone(), error)),
        }
    }
    if failed.is_empty() { Ok(frozen) } else { Err(failed) }
}

async fn look(context: &StepContext<'_>, migrate: &Migrate) -> Result<FrozenDatabase, StepError> {
    let sources = read_sources(context.database)?;
    let mut reader = context.open_reader().await?;
    let database = database(context, &mut *reader, migrate, &sources).await;
    reader.close().await;
    database
}

async fn database(
    context: &StepContext<'_>,
    reader: &mut dyn Reader,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<FrozenDatabase, StepError> {
    let found = baseline::look(reader, sources).await?;
    let reconciled = reconcile_all(sources, &found.rows);
    // What there is to warn of is said once, when it comes to it.
    let work = migrate::pending(&mut |_| {}, migrate, sources, &reconciled, &found)?;
    for item in &work {
        resumable(context.shared.engine, context.target.dialect(), item.entry)?;
    }
    Ok(of(context, reader.identity().await?, sources, &found, &work))
}

/// A database as it is now, with what is to be done to it.
fn of(
    context: &StepContext<'_>,
    identity: Identity,
    sources: &[SourceFiles],
    found: &Found,
    work: &[Item<'_, '_>],
) -> FrozenDatabase {
    let file = |item: &Item<'_, '_>| {
        let local = item.entry.local?;
        Some(FrozenFile {
            source: item.source.name.clone(),
            version: local.version.to_string(),
            name: local.name.clone(),
            path: slashed(&local.up.path),
            checksum: local.checksum.to_string(),
            held: item.past.iter().flatten().map(|held| held.name.clone()).collect(),
        })
    };
    let rows = sources.iter().zip(&found.rows).flat_map(|(source, rows)| {
        rows.iter().map(|row| FrozenRow {
            source: source.name.clone(),
            version: row.version.to_string(),
            name: row.name.clone(),
            checksum: row.checksum.as_ref().map(ToString::to_string),
            progress: row.progress.clone(),
        })
    });
    FrozenDatabase {
        server: context.target.server.clone(),
        identity,
        pending: work.iter().filter_map(file).collect(),
        applied: rows.collect(),
    }
}

fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// Sees, before anything is touched, that a database is as the plan has it.
pub(crate) async fn check(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<(), StepError> {
    if migrate.frozen.is_none() {
        return Ok(());
    }
    let mut reader = context.open_reader().await?;
    let checked = check_in(context, &mut *reader, migrate, sources).await;
    reader.close().await;
    checked
}

async fn check_in(
    context: &StepContext<'_>,
    reader: &mut dyn Reader,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<(), StepError> {
    let found = baseline::look(reader, sources).await?;
    let reconciled = reconcile_all(sources, &found.rows);
    let work = migrate::pending(&mut |_| {}, migrate, sources, &reconciled, &found);
    match work {
        Ok(work) => holds(context, reader, migrate, sources, &found, Some(&work)).await,
        // What is wrong with it now says less than what has moved.
        Err(error) => holds(context, reader, migrate, sources, &found, None).await.and(Err(error)),
    }
}

/// The same once more for whoever has the lock, right before the work begins. Nothing is said of the files where it cannot
/// be told which would run.
pub(crate) async fn holds(
    context: &StepContext<'_>,
    reader: &mut (impl Reader + ?Sized),
    migrate: &Migrate,
    sources: &[SourceFiles],
    found: &Found,
    work: Option<&[Item<'_, '_>]>,
) -> Result<(), StepError> {
    let Some(frozen) = &migrate.frozen else { return Ok(()) };
    let moved = match frozen.databases.get(&context.database.key) {
        None => vec![Moved::NotPlanned],
        Some(was) => {
            let identity: Result<Identity, EngineError> = reader.identity().await;
            let mut is = of(context, identity?, sources, found, work.unwrap_or_default());
            if work.is_none() {
                is.pending.clone_from(&was.pending);
            }
            let on_disk = |path: &str| {
                let all = sources.iter().flat_map(|source| &source.migrations);
                all.into_iter().any(|migration| slashed(&migration.up.path) == path)
            };
            moved(was, &is, &on_disk)
        }
    };
    if moved.is_empty() { Ok(()) } else { Err(StepError::PlanMoved { moved }) }
}

/// Everything in which a database is not as it was.
fn moved(was: &FrozenDatabase, is: &FrozenDatabase, on_disk: &dyn Fn(&str) -> bool) -> Vec<Moved> {
    if was.identity != is.identity {
        return vec![Moved::Identity { was: identified(was), is: identified(is) }];
    }
    let mut moved = rows_moved(&was.applied, &is.applied);
    let key = |file: &FrozenFile| (file.source.clone(), file.path.clone());
    let then: BTreeMap<_, &FrozenFile> = was.pending.iter().map(|file| (key(file), file)).collect();
    let now: BTreeMap<_, &FrozenFile> = is.pending.iter().map(|file| (key(file), file)).collect();
    for file in &was.pending {
        let path = file.path.clone();
        let recorded = |row: &FrozenRow| {
            row.source == file.source
                && (row.name == file.name || row.name.is_empty() && row.version == file.version)
        };
        match now.get(&key(file)) {
            Some(other) if other.checksum != file.checksum => moved.push(Moved::Changed { path }),
            Some(other) if other.held != file.held => moved.push(Moved::Held { path }),
            Some(_) => {}
            None if !on_disk(&path) => moved.push(Moved::Gone { path }),
            // That it is applied has been said.
            None if is.applied.iter().any(recorded) => {}
            None => moved.push(Moved::NotPending { path }),
        }
    }
    let new = is.pending.iter().filter(|file| !then.contains_key(&key(file)));
    moved.extend(new.map(|file| Moved::New { path: file.path.clone() }));
    if moved.is_empty() && was.pending != is.pending {
        moved.push(Moved::Order(is.pending.iter().map(|file| file.path.clone()).collect()));
    }
    moved
}

fn rows_moved(was: &[FrozenRow], is: &[FrozenRow]) -> Vec<Moved> {
    let key = |row: &FrozenRow| (row.source.clone(), row.version.clone(), row.name.clone());
    let name = |row: &FrozenRow| if row.name.is_empty() { row.version.clone() } else { row.name.clone() };
    let then: BTreeMap<_, &FrozenRow> = was.iter().map(|row| (key(row), row)).collect();
    let now: BTreeMap<_, &FrozenRow> = is.iter().map(|row| (key(row), row)).collect();
    let mut moved = Vec::new();
    for row in was {
        match now.get(&key(row)) {
            Some(other) if *other != row => moved.push(Moved::Recorded { name: name(row) }),
            Some(_) => {}
            None => moved.push(Moved::NotApplied { name: name(row) }),
        }
    }
    let new = is.iter().filter(|row| !then.contains_key(&key(row)));
    moved.extend(new.map(|row| Moved::Applied { name: name(row) }));
    moved
}

fn identified(database: &FrozenDatabase) -> String {
    let FrozenDatabase { server, identity, .. } = database;
    format!("{} on {server} (system {})", identity.database, identity.system)
}

#[cfg(test)]
mod tests;
