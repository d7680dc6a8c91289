//! `redo`: the last migration back and forth, for whoever is still writing it.

use dbctl_engine::{Reader, Writer};
use dbctl_migration::Back;

use super::{StepContext, rollback};
use crate::{
    Direction, Event, StepError,
    event::MigrationRef,
    files::{SourceFiles, read_sources},
    requires,
};

pub(super) async fn run(context: &StepContext<'_>) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    let mut writer = context.open_writer(&sources).await?;
    let result = redo_last(context, &mut *writer, &sources).await;
    writer.close().await;
    result
}

async fn redo_last(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let work = rollback::order(writer, sources, &Back::Count(1)).await?;
    let Some((source, migration)) = work.first() else { return Ok(false) };
    requires::check_applied(context, migration).await?;
    context.prepare(writer, sources).await?;
    rollback::revert(context, writer, &work).await?;
    let named = MigrationRef::new(&source.name, migration, Direction::Up);
    let database = context.database.key.clone();
    context.emit(Event::MigrationStarted {
        database: database.clone(),
        migration: named.clone(),
        index: 1,
        total: 1,
    });
    let elapsed = writer.apply(&source.history(), migration, None).await?;
    context.emit(Event::MigrationFinished { database, migration: named, elapsed });
    Ok(true)
}

/// Whether it could run, told by a session that cannot write.
pub(crate) async fn check(context: &StepContext<'_>, reader: &mut dyn Reader) -> Result<(), StepError> {
    // What other databases require of it is there again afterwards.
    rollback::order(reader, &read_sources(context.database)?, &Back::Count(1)).await.map(drop)
}
