//! `redo`: the last migration back and forth, for whoever is still writing it.

use dbctl_engine::Writer;
use dbctl_migration::Back;
use dbctl_workspace::Hook;

use super::{
    StepContext,
    migrate::{nothing_in, warn_of_gone},
    rollback,
};
use crate::{
    Direction, Event, StepError,
    event::MigrationRef,
    files::{SourceFiles, applied, read_sources},
    hook,
    requires::{self, Upstream},
    undo_order::{Held, Undo, undo_order},
};

const LAST: Undo<'static> = Undo::Back(&Back::Count(1));

pub(super) async fn run(context: &StepContext<'_>) -> Result<bool, StepError> {
    let mut sources = read_sources(context.database)?;
    if hook::is_set(context, Hook::BeforeMigrate) && any_applied(context, &sources).await? {
        hook::run(context, Hook::BeforeMigrate).await?;
        sources = read_sources(context.database)?;
    }
    let upstream = requires::look_upstream(context, &sources).await?;
    let mut writer = context.open_writer(&sources).await?;
    let result = redo_last(context, &mut *writer, &sources, upstream).await;
    context.finish(writer, &result).await;
    let changed = result?;
    if changed {
        hook::run(context, Hook::AfterMigrate).await?;
    }
    Ok(changed)
}

/// Whether there is anything to redo, told by a session that cannot write.
async fn any_applied(context: &StepContext<'_>, sources: &[SourceFiles]) -> Result<bool, StepError> {
    let mut reader = context.open_reader().await?;
    let rows = applied(&mut *reader, sources).await;
    reader.close().await;
    Ok(!undo_order(sources, &Held::of_rows(rows?), LAST)?.is_empty())
}

async fn redo_last(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
    mut upstream: Upstream,
) -> Result<bool, StepError> {
    let held = Held::of_rows(applied(writer, sources).await?);
    let work = undo_order(sources, &held, LAST)?;
    let Some((source, migration)) = work.first() else { return Ok(false) };
    upstream.check(context, migration)?;
    warn_of_gone(context, sources, &held.rows);
    if migration.is_empty() {
        context.warn(nothing_in(migration));
    }
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
