//! `migrate`: everything that is pending, source by source.

use std::time::Duration;

use dbctl_engine::{Applier, EngineError, Resume};
use dbctl_migration::{Drift, Migration, OutOfOrder, Progress, Reconciled, State, TargetError};
use dbctl_workspace::Hook;

use super::StepContext;
use crate::{
    Direction, Event, StepError,
    baseline::{self, Found, Item},
    event::MigrationRef,
    files::{Rows, SourceFiles, candidates, found, read_sources, reconcile_all, resumable, unknown},
    frozen, hook,
    request::Migrate,
    requires::{self, Upstream},
    undo_order::redone,
};

/// How often a lost session is made anew without anything applied in between.
const RECONNECTS: usize = 5;

pub(super) async fn run(context: &StepContext<'_>, migrate: &Migrate) -> Result<bool, StepError> {
    let mut sources = read_sources(context.database)?;
    if migrate.dry_run {
        return dry_run(context, migrate, &sources).await;
    }
    if !migrate.fake
        && hook::is_set(context, Hook::BeforeMigrate)
        && any_pending(context, migrate, &sources).await?
    {
        hook::run(context, Hook::BeforeMigrate).await?;
        // It may have written some.
        sources = read_sources(context.database)?;
    }
    let upstream = match migrate.fake {
        true => Upstream::default(),
        false => requires::look_upstream(context, &sources).await?,
    };
    let changed = connected(context, migrate, &sources, upstream).await?;
    if changed && !migrate.fake {
        hook::run(context, Hook::AfterMigrate).await?;
    }
    Ok(changed)
}

/// Migrates through one session; through another where that is lost between two files. Everything that was known is then
/// found out anew, for others may have had the lock meanwhile.
async fn connected(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
    mut upstream: Upstream,
) -> Result<bool, StepError> {
    let mut applied = 0;
    let mut in_vain = 0;
    let mut writer = context.open_writer(sources).await?;
    loop {
        let before = applied;
        let result = migrate_all(context, &mut *writer, migrate, sources, &mut upstream, &mut applied).await;
        in_vain = if applied > before { 1 } else { in_vain + 1 };
        match result {
            Err(error) if error.is_lost_between() && in_vain <= RECONNECTS => {
                context.warn(format!("{error}; connecting again"));
                writer.close().await;
            }
            result => {
                let result = result.map(|changed| changed || applied > 0);
                context.finish(writer, &result).await;
                return result;
            }
        }
        writer = context.reopen_writer(sources).await?;
    }
}

/// Whether there is anything to apply, told by a session that cannot write. Where there is no database, the writer says
/// so.
pub(crate) async fn any_pending(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let mut reader = match context.open_reader().await {
        Ok(reader) => reader,
        Err(error) if error.is_no_database() => return Ok(false),
        Err(error) => return Err(error),
    };
    let found = baseline::look(&mut *reader, sources).await;
    reader.close().await;
    let found = found?;
    // What there is to warn of is said once, when it comes to it.
    Ok(!pending(&mut |_| {}, migrate, sources, &reconcile_all(sources, &found.rows), &found)?.is_empty())
}

pub(super) async fn migrate_all(
    context: &StepContext<'_>,
    writer: &mut dyn Applier,
    migrate: &Migrate,
    sources: &[SourceFiles],
    upstream: &mut Upstream,
    applied: &mut usize,
) -> Result<bool, StepError> {
    let found = baseline::look(writer, sources).await.map_err(EngineError::between_files)?;
    let reconciled = reconcile_all(sources, &found.rows);
    let work = pending(&mut |warning| context.warn(warning), migrate, sources, &reconciled, &found)?;
    if !migrate.fake {
        nothing_moved(writer, sources, &work).await.map_err(StepError::between_files)?;
    }
    frozen::holds(context, writer, migrate, sources, &found, Some(&work)).await?;
    // What is refused has left nothing behind.
    context.prepare(writer, sources).await.map_err(StepError::between_files)?;
    let begun = baseline::begin(writer, sources, &found.rows, &reconciled, &work).await;
    begun.map_err(StepError::between_files)?;
    apply(context, writer, migrate, &work, upstream, applied).await?;
    Ok(!work.is_empty())
}

/// What would run, told by a session that cannot write. A database that is not there has everything pending.
async fn dry_run(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let found = if context.exists().await? {
        let mut reader = context.open_reader().await?;
        let found = baseline::look(&mut *reader, sources).await;
        reader.close().await;
        found?
    } else {
        context.warn("the database does not exist yet");
        Found::nothing(sources)
    };
    let reconciled = reconcile_all(sources, &found.rows);
    let work = pending(&mut |warning| context.warn(warning), migrate, sources, &reconciled, &found)?;
    for Item { source, entry, past } in &work {
        if !migrate.fake {
            resumable(context.shared.engine, context.target.dialect(), entry)?;
        }
        let held = past.iter().flatten().map(|migration| (*migration, Direction::DryFake));
        for (migration, direction) in entry.local.map(|local| (local, Direction::Dry)).into_iter().chain(held)
        {
            context.emit(Event::MigrationFinished {
                database: context.database.key.clone(),
                migration: MigrationRef::new(&source.name, migration, direction),
                elapsed: Duration::ZERO,
            });
        }
    }
    Ok(!work.is_empty())
}

/// The source that has the last migration to apply, and what it is called there; it has to be on disk.
pub(crate) fn last<'t>(sources: &[SourceFiles], to: &'t str) -> Result<(usize, &'t str), StepError> {
    let on_disk = reconcile_all(sources, &vec![Rows::new(); sources.len()]);
    let places = found(sources, &on_disk, to);
    match places[..] {
        [] => Err(unknown(to, sources)),
        [one] => Ok(one),
        _ => Err(StepError::AmbiguousVersion {
            version: to.to_owned(),
            names: candidates(sources, &on_disk, &places),
        }),
    }
}

/// What is to be run, in order; says what people should know, and refuses what must not go on.
pub(crate) fn pending<'r, 'm>(
    warn: &mut dyn FnMut(String),
    migrate: &Migrate,
    sources: &'r [SourceFiles],
    all: &'r [Reconciled<'m>],
    found: &Found,
) -> Result<Vec<Item<'r, 'm>>, StepError> {
    let last = migrate.to.as_deref().map(|to| last(sources, to)).transpose()?;
    let mut work = Vec::new();
    for (at, (source, reconciled)) in sources.iter().zip(all).enumerate() {
        let order = migrate.out_of_order.unwrap_or(if source.refuses_out_of_order() {
            OutOfOrder::Deny
        } else {
            OutOfOrder::Warn
        });
        let drifted = |drift| {
            let redo = match &drift {
                Drift::Changed(names) => {
                    redone(all).is_some_and(|last| names[..] == [last.1] && last.0 == at)
                }
                Drift::OutOfOrder(_)
                | Drift::Failed(_)
                | Drift::Partial(_)
                | Drift::Reverting(_)
                | Drift::Missing(_) => false,
            };
            StepError::Drift { source_name: source.name.clone(), drift, redo }
        };
        nothing_missing(source, reconciled, order).map_err(drifted)?;
        let here = last.filter(|(source, _)| *source == at).map(|(_, name)| name);
        let runnable = match here {
            None => reconciled.runnable(order).map_err(drifted)?,
            Some(name) => reconciled.runnable_to(order, name).map_err(|error| match error {
                TargetError::Drift(drift) => drifted(drift),
                TargetError::Unknown { target } => unknown(&target, sources),
            })?,
        };
        differences(warn, source, reconciled, order);
        work.extend(baseline::items(source, runnable, migrate.fake));
        if here.is_some() {
            break;
        }
    }
    baseline::only_if_empty(&work, &found.belongings)?;
    let run = work.iter().filter(|_| !migrate.fake).filter_map(|item| item.entry.local);
    run.filter(|migration| migration.is_empty()).for_each(|migration| warn(nothing_in(migration)));
    Ok(work)
}

/// What people should know of a migration that runs nothing: most likely it has not been written yet.
pub(super) fn nothing_in(migration: &Migration) -> String {
    format!(
        "{} has no statement: it is recorded as applied, and what is written into it later will not run",
        migration.name
    )
}

/// Where the tool compares its rows with the files one by one, it fails at one that is gone, and so would whoever
/// uses it next.
fn nothing_missing(
    source: &SourceFiles,
    reconciled: &Reconciled<'_>,
    order: OutOfOrder,
) -> Result<(), Drift> {
    if !source.refuses_out_of_order() || order != OutOfOrder::Deny {
        return Ok(());
    }
    // It compares as many as there are of both: what is gone behind the last file does not trouble it yet.
    let last = reconciled.entries.iter().rposition(|entry| entry.local.is_some()).unwrap_or(0);
    let missing = reconciled.entries[..last].iter().filter(|entry| entry.state == State::Missing);
    let missing: Vec<String> = missing.map(|entry| entry.name().to_owned()).collect();
    if missing.is_empty() { Ok(()) } else { Err(Drift::Missing(missing)) }
}

/// Where the ledger is the truth it knows migrations by their folder, and one that was moved would run again.
async fn nothing_moved(
    writer: &mut dyn Applier,
    sources: &[SourceFiles],
    work: &[Item<'_, '_>],
) -> Result<(), StepError> {
    let by_ledger = |source: &SourceFiles| source.history().history.is_none();
    if !work.iter().any(|item| by_ledger(item.source)) {
        return Ok(());
    }
    let rows = writer.ledger().await?;
    let left_over = rows.iter().filter(|row| sources.iter().all(|source| source.name != row.source));
    for row in left_over {
        let again =
            work.iter().filter(|item| by_ledger(item.source)).filter_map(|Item { source, entry, .. }| {
                let local = entry.local?;
                let same =
                    local.name == row.applied.name && row.applied.checksum.as_ref() == Some(&local.checksum);
                same.then(|| (source.name.clone(), local.name.clone()))
            });
        if let Some((source_name, name)) = again.into_iter().next() {
            return Err(StepError::Moved { source_name, was: row.source.clone(), name });
        }
    }
    Ok(())
}

/// What is not as it should be, and yet stops nothing.
fn differences(
    warn: &mut dyn FnMut(String),
    source: &SourceFiles,
    reconciled: &Reconciled<'_>,
    order: OutOfOrder,
) {
    for entry in &reconciled.entries {
        let name = entry.name();
        match entry.state {
            State::Missing => {
                warn(gone(source, name));
            }
            State::OutOfOrder if order == OutOfOrder::Warn => {
                warn(format!("{name} sorts before migrations that are applied already"));
            }
            State::OutOfOrder
            | State::Applied
            | State::Pending
            | State::Changed
            | State::Failed
            | State::Partial => {}
        }
    }
}

/// What people should know of a migration whose file is gone.
fn gone(source: &SourceFiles, name: &str) -> String {
    format!("{name} is applied, but its file is no longer in {}", source.name)
}

/// Says which migrations stay applied although their files are gone; to be undone, they would need them.
pub(super) fn warn_of_gone(context: &StepContext<'_>, sources: &[SourceFiles], rows: &[Rows]) {
    for (source, reconciled) in sources.iter().zip(reconcile_all(sources, rows)) {
        let missing = reconciled.entries.iter().filter(|entry| entry.state == State::Missing);
        missing.for_each(|entry| context.warn(gone(source, entry.name())));
    }
}

async fn apply(
    context: &StepContext<'_>,
    writer: &mut dyn Applier,
    migrate: &Migrate,
    work: &[Item<'_, '_>],
    upstream: &mut Upstream,
    applied: &mut usize,
) -> Result<(), StepError> {
    let direction = if migrate.fake { Direction::Fake } else { Direction::Up };
    let finished = |source: &SourceFiles, migration: &Migration, direction, elapsed| {
        context.emit(Event::MigrationFinished {
            database: context.database.key.clone(),
            migration: MigrationRef::new(&source.name, migration, direction),
            elapsed,
        });
    };
    for (at, item) in work.iter().enumerate() {
        let Item { source, entry, past } = item;
        let migration = entry.local.expect("what is runnable is on disk");
        context.emit(Event::MigrationStarted {
            database: context.database.key.clone(),
            migration: MigrationRef::new(&source.name, migration, direction),
            index: at + 1,
            total: work.len(),
        });
        let mut elapsed = Duration::ZERO;
        if migrate.fake {
            writer.fake(&source.history(), migration).await?;
        } else {
            upstream.check(context, migration)?;
            elapsed = run_file(writer, item, migration).await.map_err(|error| match &work[..at] {
                before if before.iter().any(|other| std::ptr::eq(other.source, *source)) => error.into(),
                _ => explained(context, item, error),
            })?;
        }
        *applied += 1;
        finished(source, migration, direction, elapsed);
        for held in past.iter().flatten() {
            finished(source, held, Direction::Fake, Duration::ZERO);
        }
    }
    Ok(())
}

async fn run_file(
    writer: &mut dyn Applier,
    item: &Item<'_, '_>,
    migration: &Migration,
) -> Result<Duration, EngineError> {
    let source = item.source;
    let resume = item.entry.applied.as_ref().and_then(|applied| match &applied.progress {
        Progress::Partial { done, started, digest } => {
            Some(Resume { done: *done, started: *started, digest: digest.clone() })
        }
        Progress::Whole | Progress::Reverting { .. } | Progress::Failed => None,
    });
    match (&item.past, &source.baseline) {
        (Some(past), Some(baseline)) => {
            // One that was only announced is run as any other.
            let resume = resume.filter(|at| at.done > 0 || at.started);
            writer.baseline(&source.history(), migration, past, baseline.own, resume).await
        }
        _ => writer.apply(&source.history(), migration, resume).await,
    }
}

/// What the first file of a source makes is there already, and nothing of the source is recorded: most likely the
/// database is older than dbctl.
fn explained(context: &StepContext<'_>, item: &Item<'_, '_>, error: EngineError) -> StepError {
    const DUPLICATES: [&str; 4] = ["42P07", "42P06", "42710", "42723"];
    let source = item.source;
    let first = source.migrations.iter().find(|migration| !source.is_beside(migration));
    let is_first = item.entry.local.zip(first).is_some_and(|(local, first)| std::ptr::eq(local, first));
    match error {
        EngineError::Sql(sql)
            if is_first
                && !item.entry.is_recorded()
                && sql.hint.is_none()
                && DUPLICATES.contains(&sql.code.as_str()) =>
        {
            let several = context.database.sources.len() > 1;
            StepError::Exists { error: sql, among: several.then(|| source.name.clone()) }
        }
        other => other.into(),
    }
}
