//! `rollback`: what was applied last, in reverse.

use dbctl_engine::{Reader, Writer};
use dbctl_migration::{Back, Migration, RollbackError, rollback_order};

use super::{
    StepContext,
    migrate::{applied, reconcile_all},
};
use crate::{
    Direction, Event, StepError,
    event::MigrationRef,
    files::{SourceFiles, names, read_sources},
    requires,
};

pub(super) async fn run(context: &StepContext<'_>, back: &Back) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    let mut writer = context.open_writer(&sources).await?;
    let result = revert_all(context, &mut *writer, &sources, back).await;
    writer.close().await;
    result
}

async fn revert_all(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
    back: &Back,
) -> Result<bool, StepError> {
    let work = order(writer, sources, back).await?;
    if work.is_empty() {
        return Ok(false);
    }
    requires::check_unneeded(context, &work, true).await?;
    context.prepare(writer, sources).await?;
    revert(context, writer, &work).await?;
    Ok(true)
}

/// Whether it could run, told by a session that cannot write.
pub(crate) async fn check(
    context: &StepContext<'_>,
    reader: &mut dyn Reader,
    back: &Back,
) -> Result<(), StepError> {
    let sources = read_sources(context.database)?;
    let work = order(reader, &sources, back).await?;
    requires::check_unneeded(context, &work, false).await
}

pub(crate) type Work<'m> = Vec<(&'m SourceFiles, &'m Migration)>;

/// What to revert, in order: the last source first, as it was applied last.
pub(super) async fn order<'m, R: Reader + ?Sized>(
    reader: &mut R,
    sources: &'m [SourceFiles],
    back: &Back,
) -> Result<Work<'m>, StepError> {
    let applied = applied(reader, sources).await?;
    let reconciled = reconcile_all(sources, &applied);
    let mut work: Work<'m> = Vec::new();
    let mut left = back.clone();
    for (source, reconciled) in sources.iter().zip(&reconciled).rev() {
        match &left {
            Back::Count(count) => {
                let some = rollback_order(reconciled, &left)?;
                let rest = count.saturating_sub(some.len());
                work.extend(some.into_iter().map(|migration| (source, migration)));
                if rest == 0 {
                    break;
                }
                left = Back::Count(rest);
            }
            Back::All => {
                work.extend(
                    rollback_order(reconciled, &Back::All)?.into_iter().map(|migration| (source, migration)),
                );
            }
            Back::To(version) => {
                // What later sources applied goes first; the source that has the version ends it.
                let here = names(reconciled, version);
                let some = rollback_order(reconciled, if here { &left } else { &Back::All })?;
                work.extend(some.into_iter().map(|migration| (source, migration)));
                if here {
                    return Ok(work);
                }
            }
            Back::Only(name) => {
                if names(reconciled, name) {
                    let some = rollback_order(reconciled, &left)?;
                    return Ok(some.into_iter().map(|migration| (source, migration)).collect());
                }
            }
        }
    }
    match left {
        Back::To(target) | Back::Only(target) => Err(RollbackError::Unknown { target }.into()),
        Back::Count(_) | Back::All => Ok(work),
    }
}

pub(super) async fn revert(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    work: &Work<'_>,
) -> Result<(), StepError> {
    for (at, (source, migration)) in work.iter().enumerate() {
        let named = MigrationRef::new(&source.name, migration, Direction::Down);
        context.emit(Event::MigrationStarted {
            database: context.database.key.clone(),
            migration: named.clone(),
            index: at + 1,
            total: work.len(),
        });
        let elapsed = writer.revert(&source.history(), migration).await?;
        context.emit(Event::MigrationFinished {
            database: context.database.key.clone(),
            migration: named,
            elapsed,
        });
    }
    Ok(())
}
