//! `rollback`: what was applied last, in reverse.

use dbctl_engine::Writer;

use super::{StepContext, migrate::warn_of_gone};
use crate::{
    Direction, Event, StepError,
    event::MigrationRef,
    files::{SourceFiles, read_sources},
    undo_order::{Held, Undo, Work, undo_order},
};

pub(super) async fn run(context: &StepContext<'_>, undo: Undo<'_>) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    let mut writer = context.open_writer(&sources).await?;
    let result = revert_all(context, &mut *writer, &sources, undo).await;
    context.finish(writer, &result).await;
    result
}

async fn revert_all(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
    undo: Undo<'_>,
) -> Result<bool, StepError> {
    let held = Held::read(writer, sources, undo).await?;
    let work = undo_order(sources, &held, undo)?;
    if work.is_empty() {
        return Ok(false);
    }
    warn_of_gone(context, sources, &held.rows);
    context.prepare(writer, sources).await?;
    revert(context, writer, &work).await?;
    Ok(true)
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
