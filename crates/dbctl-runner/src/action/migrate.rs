//! `migrate`: everything that is pending, source by source.

use std::time::Duration;

use dbctl_engine::{Resume, Writer};
use dbctl_migration::{Drift, Entry, OutOfOrder, Progress, Reconciled, State, TargetError};
use dbctl_workspace::Hook;

use super::StepContext;
use crate::{
    Direction, Event, StepError,
    event::MigrationRef,
    files::{Rows, SourceFiles, applied, candidates, found, read_sources, reconcile_all},
    hook,
    request::Migrate,
    requires::{self, Upstream},
};

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
    let mut writer = context.open_writer(&sources).await?;
    let result = migrate_all(context, &mut *writer, migrate, &sources, upstream).await;
    writer.close().await;
    let changed = result?;
    if changed && !migrate.fake {
        hook::run(context, Hook::AfterMigrate).await?;
    }
    Ok(changed)
}

/// Whether there is anything to apply, told by a session that cannot write. Where there is no database, the writer says
/// so.
async fn any_pending(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let mut reader = match context.open_reader().await {
        Ok(reader) => reader,
        Err(error) if error.is_no_database() => return Ok(false),
        Err(error) => return Err(error),
    };
    let rows = applied(&mut *reader, sources).await;
    reader.close().await;
    // What there is to warn of is said once, when it comes to it.
    Ok(!pending(&mut |_| {}, migrate, sources, &reconcile_all(sources, &rows?))?.is_empty())
}

async fn migrate_all(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    migrate: &Migrate,
    sources: &[SourceFiles],
    upstream: Upstream,
) -> Result<bool, StepError> {
    context.prepare(writer, sources).await?;
    let rows = applied(writer, sources).await?;
    let reconciled = reconcile_all(sources, &rows);
    let work = pending(&mut |warning| context.warn(warning), migrate, sources, &reconciled)?;
    if !migrate.fake {
        nothing_moved(writer, sources, &work).await?;
    }
    apply(context, writer, migrate, &work, upstream).await?;
    Ok(!work.is_empty())
}

/// What would run, told by a session that cannot write. A database that is not there has everything pending.
async fn dry_run(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let rows = if context.exists().await? {
        let mut reader = context.open_reader().await?;
        let rows = applied(&mut *reader, sources).await;
        reader.close().await;
        rows?
    } else {
        context.warn("the database does not exist yet");
        vec![Rows::new(); sources.len()]
    };
    let reconciled = reconcile_all(sources, &rows);
    let work = pending(&mut |warning| context.warn(warning), migrate, sources, &reconciled)?;
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
fn pending<'r, 'm>(
    warn: &mut dyn FnMut(String),
    migrate: &Migrate,
    sources: &'r [SourceFiles],
    reconciled: &'r [Reconciled<'m>],
) -> Result<Vec<(&'r SourceFiles, &'r Entry<'m>)>, StepError> {
    let last = migrate.to.as_deref().map(|to| last(sources, to)).transpose()?;
    let mut work = Vec::new();
    for (at, (source, reconciled)) in sources.iter().zip(reconciled).enumerate() {
        let order = migrate.out_of_order.unwrap_or(if source.refuses_out_of_order() {
            OutOfOrder::Deny
        } else {
            OutOfOrder::Warn
        });
        let drifted = |drift| StepError::Drift { source_name: source.name.clone(), drift };
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
        work.extend(runnable.into_iter().map(|entry| (source, entry)));
        if here.is_some() {
            break;
        }
    }
    Ok(work)
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
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
    work: &[(&SourceFiles, &Entry<'_>)],
) -> Result<(), StepError> {
    let by_ledger = |source: &SourceFiles| source.history().history.is_none();
    if !work.iter().any(|(source, _)| by_ledger(source)) {
        return Ok(());
    }
    let rows = writer.ledger().await?;
    let left_over = rows.iter().filter(|row| sources.iter().all(|source| source.name != row.source));
    for row in left_over {
        let again = work.iter().filter(|(source, _)| by_ledger(source)).filter_map(|(source, entry)| {
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
                warn(format!("{name} is applied, but its file is no longer in {}", source.name));
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

fn unknown(version: &str, sources: &[SourceFiles]) -> StepError {
    let sources = sources.iter().map(|source| source.name.clone()).collect();
    StepError::UnknownVersion { version: version.to_owned(), sources }
}

async fn apply(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    migrate: &Migrate,
    work: &[(&SourceFiles, &Entry<'_>)],
    mut upstream: Upstream,
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
            upstream.check(context, migration)?;
        }
        let elapsed = if migrate.fake {
            writer.fake(&source.history(), migration).await?;
            Duration::ZERO
        } else {
            let resume = entry.applied.as_ref().and_then(|applied| match &applied.progress {
                Progress::Partial { done, started, digest } => {
                    Some(Resume { done: *done, started: *started, digest: digest.clone() })
                }
                Progress::Whole | Progress::Reverting { .. } | Progress::Failed => None,
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
