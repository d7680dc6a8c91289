//! `migrate`: everything that is pending, source by source.

use std::time::Duration;

use dbctl_engine::{Reader, Resume, Writer};
use dbctl_migration::{Applied, Entry, OutOfOrder, Progress, Reconciled, State, TargetError};

use super::StepContext;
use crate::{
    Direction, Event, StepError,
    event::MigrationRef,
    files::{SourceFiles, names, read_sources},
    request::Migrate,
    requires,
};

pub(super) async fn run(context: &StepContext<'_>, migrate: &Migrate) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    if migrate.dry_run {
        return dry_run(context, migrate, &sources).await;
    }
    let mut writer = context.open_writer(&sources).await?;
    let result = migrate_all(context, &mut *writer, migrate, &sources).await;
    writer.close().await;
    result
}

async fn migrate_all(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    context.prepare(writer, sources).await?;
    let applied = applied(writer, sources).await?;
    let reconciled = reconcile_all(sources, &applied);
    let work = pending(context, migrate, sources, &reconciled)?;
    apply(context, writer, migrate, &work).await?;
    Ok(!work.is_empty())
}

/// What would run, told by a session that cannot write. A database that is not there has everything pending.
async fn dry_run(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let applied = if context.exists().await? {
        let mut reader = context.open_reader().await?;
        let applied = applied(&mut *reader, sources).await;
        reader.close().await;
        applied?
    } else {
        context.warn("the database does not exist yet");
        vec![Vec::new(); sources.len()]
    };
    let reconciled = reconcile_all(sources, &applied);
    let work = pending(context, migrate, sources, &reconciled)?;
    for (source, entry) in &work {
        if let Some(migration) = entry.local {
            context.emit(Event::MigrationFinished {
                database: context.database.key.clone(),
                migration: MigrationRef::new(&source.name, migration, Direction::Dry),
                elapsed: Duration::ZERO,
            });
        }
    }
    Ok(!work.is_empty())
}

/// What is applied, source by source.
pub(super) async fn applied<R: Reader + ?Sized>(
    reader: &mut R,
    sources: &[SourceFiles],
) -> Result<Vec<Vec<Applied>>, StepError> {
    let mut applied = Vec::with_capacity(sources.len());
    for source in sources {
        applied.push(reader.applied(&source.history()).await?);
    }
    Ok(applied)
}

pub(super) fn reconcile_all<'m>(sources: &'m [SourceFiles], applied: &[Vec<Applied>]) -> Vec<Reconciled<'m>> {
    sources.iter().zip(applied).map(|(source, applied)| source.reconcile(applied)).collect()
}

/// What is to be run, in order; says what people should know, and refuses what must not go on.
fn pending<'r, 'm>(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &'r [SourceFiles],
    reconciled: &'r [Reconciled<'m>],
) -> Result<Vec<(&'r SourceFiles, &'r Entry<'m>)>, StepError> {
    if let Some(version) = &migrate.to
        && !reconciled.iter().any(|source| names(source, version))
    {
        return Err(unknown(version, sources));
    }
    let mut work = Vec::new();
    for (source, reconciled) in sources.iter().zip(reconciled) {
        let order = migrate.out_of_order.unwrap_or(if source.refuses_out_of_order() {
            OutOfOrder::Deny
        } else {
            OutOfOrder::Warn
        });
        let last = migrate.to.as_deref().filter(|version| names(reconciled, version));
        let drifted = |drift| StepError::Drift { source_name: source.name.clone(), drift };
        let runnable = match last {
            None => reconciled.runnable(order).map_err(drifted)?,
            Some(version) => reconciled.runnable_to(order, version).map_err(|error| match error {
                TargetError::Drift(drift) => drifted(drift),
                TargetError::Unknown { target } => unknown(&target, sources),
            })?,
        };
        for entry in &reconciled.entries {
            match (entry.state, &entry.applied) {
                (State::Missing, Some(applied)) => {
                    let name = if applied.name.is_empty() { applied.version.as_str() } else { &applied.name };
                    context.warn(format!("{name} is applied, but its file is no longer in {}", source.name));
                }
                (State::OutOfOrder, _) if order == OutOfOrder::Warn => {
                    let name = entry.local.map_or("", |migration| migration.name.as_str());
                    context.warn(format!("{name} sorts before migrations that are applied already"));
                }
                _ => {}
            }
        }
        work.extend(runnable.into_iter().map(|entry| (source, entry)));
        if last.is_some() {
            break;
        }
    }
    Ok(work)
}

fn unknown(version: &str, sources: &[SourceFiles]) -> StepError {
    let sources = sources.iter().map(|source| source.name.clone()).collect();
    StepError::UnknownVersion { version: version.to_owned(), sources }
}

async fn apply(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    migrate: &Migrate,
    work: &[(&SourceFiles, &Entry<'_>)],
) -> Result<(), StepError> {
    let direction = if migrate.fake { Direction::Fake } else { Direction::Up };
    for (at, (source, entry)) in work.iter().enumerate() {
        let migration = entry.local.expect("what is runnable is on disk");
        let named = MigrationRef::new(&source.name, migration, direction);
        context.emit(Event::MigrationStarted {
            database: context.database.key.clone(),
            migration: named.clone(),
            index: at + 1,
            total: work.len(),
        });
        if !migrate.fake {
            requires::check_applied(context, migration).await?;
        }
        let elapsed = if migrate.fake {
            writer.fake(&source.history(), migration).await?;
            Duration::ZERO
        } else {
            let resume = entry.applied.as_ref().and_then(|applied| match applied.progress {
                Progress::Partial { done, started } => Some(Resume { done, started }),
                Progress::Whole | Progress::Failed => None,
            });
            writer.apply(&source.history(), migration, resume).await?
        };
        context.emit(Event::MigrationFinished {
            database: context.database.key.clone(),
            migration: named,
            elapsed,
        });
    }
    Ok(())
}
