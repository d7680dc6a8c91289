//! `redo`: the last migration back and forth, for whoever is still writing it.

use dbctl_engine::Reader;
use dbctl_migration::Back;

use super::{StepContext, rollback};
use crate::{Direction, Event, StepError, event::MigrationRef, files::read_sources};

pub(super) async fn run(context: &StepContext<'_>) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    context
        .with_writer(&sources, async |writer| {
            let work = rollback::order(writer, &sources, &Back::Count(1)).await?;
            let Some((source, migration)) = work.first() else { return Ok(false) };
            context.prepare(writer, &sources).await?;
            rollback::revert(context, writer, &work).await?;
            let named = MigrationRef::new(&source.name, migration, Direction::Up);
            let database = &context.database.key;
            context.emit(Event::MigrationStarted {
                database: database.clone(),
                migration: named.clone(),
                index: 1,
                total: 1,
            });
            let elapsed = writer.apply(&source.history(), migration, None).await?;
            context.emit(Event::MigrationFinished { database: database.clone(), migration: named, elapsed });
            Ok(true)
        })
        .await
}

/// Whether it could run, told by a session that cannot write.
pub(crate) async fn check(context: &StepContext<'_>, reader: &mut dyn Reader) -> Result<(), StepError> {
    rollback::check(context, reader, &Back::Count(1)).await
}
