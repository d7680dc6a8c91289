//! `history mark`, `resolve` and `repair`: what is recorded is changed, and nothing is run.

use std::time::Duration;

use dbctl_engine::{Note, Reader, Writer};
use dbctl_migration::{Entry, Progress, Reconciled, State};

use super::StepContext;
use crate::{
    Direction, Edit, Event, StepError,
    event::MigrationRef,
    files::{SourceFiles, applied, read_sources, reconcile_all, the_one, unknown},
    settle,
};

pub(super) async fn run(context: &StepContext<'_>, edit: &Edit) -> Result<bool, StepError> {
    if let Edit::Finish { run, decision } = edit {
        return settle::by_hand(context, run, *decision).await;
    }
    let sources = read_sources(context.database)?;
    let mut writer = context.open_writer(&sources).await?;
    let result = change(context, &mut *writer, &sources, edit).await;
    context.finish(writer, &result).await;
    result
}

async fn change(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
    edit: &Edit,
) -> Result<bool, StepError> {
    context.prepare(writer, sources).await?;
    let rows = applied(writer, sources).await?;
    let reconciled = reconcile_all(sources, &rows);
    let changes = changes(sources, &reconciled, edit)?;
    if changes.is_empty() {
        return Ok(false);
    }
    writer.note(&changes.iter().map(|change| change.note).collect::<Vec<_>>()).await?;
    for Change { source, entry, direction, .. } in changes {
        let version = match (entry.local, &entry.applied) {
            (Some(local), _) => local.version.clone(),
            (None, Some(row)) => row.version.clone(),
            (None, None) => continue,
        };
        let (source, name) = (source.name.clone(), entry.name().to_owned());
        context.emit(Event::MigrationFinished {
            database: context.database.key.clone(),
            migration: MigrationRef { source, version, name, direction },
            elapsed: Duration::ZERO,
        });
    }
    Ok(true)
}

/// Whether it could be done, told by a session that cannot write.
pub(crate) async fn check(
    reader: &mut dyn Reader,
    sources: &[SourceFiles],
    edit: &Edit,
) -> Result<(), StepError> {
    if let Edit::Finish { run, .. } = edit {
        return settle::of_run(reader.two_phase().await?.open, run).map(drop);
    }
    let rows = applied(reader, sources).await?;
    changes(sources, &reconcile_all(sources, &rows), edit).map(drop)
}

struct Change<'r, 'm> {
    source: &'r SourceFiles,
    entry: &'r Entry<'m>,
    note: Note<'r>,
    direction: Direction,
}

/// What an edit comes to; nothing where all is recorded that way already.
fn changes<'r, 'm: 'r>(
    sources: &'r [SourceFiles],
    reconciled: &'r [Reconciled<'m>],
    edit: &Edit,
) -> Result<Vec<Change<'r, 'm>>, StepError> {
    match edit {
        Edit::Mark { version, applied } => {
            let (source, entry) = the_one(sources, reconciled, version)?;
            let is_whole = entry.applied.as_ref().is_some_and(|row| row.progress == Progress::Whole);
            match (applied, entry.is_recorded()) {
                (true, _) if is_whole => Ok(Vec::new()),
                (true, _) => Ok(vec![recorded(sources, source, entry, version)?]),
                (false, true) => Ok(forgotten(source, entry).into_iter().collect()),
                (false, false) => Ok(Vec::new()),
            }
        }
        Edit::Resolve { version, applied, done } => {
            let (source, entry) = the_one(sources, reconciled, version)?;
            Ok(vec![resolved(sources, source, entry, (version, *applied, *done))?])
        }
        Edit::Finish { .. } => Ok(Vec::new()),
        Edit::Repair { versions } if versions.is_empty() => {
            let all = sources.iter().zip(reconciled);
            let all = all
                .flat_map(|(source, reconciled)| reconciled.entries.iter().map(move |entry| (source, entry)));
            Ok(all.filter_map(|(source, entry)| repaired(source, entry)).collect())
        }
        Edit::Repair { versions } => {
            let mut changes = Vec::new();
            for version in versions {
                let (source, entry) = the_one(sources, reconciled, version)?;
                if !entry.is_recorded() {
                    return Err(StepError::NotApplied { name: entry.name().to_owned() });
                }
                changes.extend(repaired(source, entry));
            }
            Ok(changes)
        }
    }
}

fn recorded<'r, 'm: 'r>(
    sources: &[SourceFiles],
    source: &'r SourceFiles,
    entry: &'r Entry<'m>,
    version: &str,
) -> Result<Change<'r, 'm>, StepError> {
    // What is no longer on disk cannot be told to be applied, and neither can a file that is recorded nowhere.
    let Some(local) = entry.local.filter(|local| !source.is_beside(local)) else {
        return Err(unknown(version, sources));
    };
    Ok(Change { source, entry, note: Note::Applied(source.history(), local), direction: Direction::Fake })
}

fn forgotten<'r, 'm: 'r>(source: &'r SourceFiles, entry: &'r Entry<'m>) -> Option<Change<'r, 'm>> {
    let history = source.history();
    let note = match (entry.local.filter(|local| source.is_beside(local)), &entry.applied) {
        (_, None) => return None,
        (Some(file), Some(_)) => Note::Withdrawn(history, file),
        (None, Some(row)) => Note::Forgotten(history, history.keyed_by().of_applied(row)),
    };
    Some(Change { source, entry, note, direction: Direction::Forget })
}

fn repaired<'r, 'm: 'r>(source: &'r SourceFiles, entry: &'r Entry<'m>) -> Option<Change<'r, 'm>> {
    let local = entry.local.filter(|_| entry.state == State::Changed)?;
    Some(Change {
        source,
        entry,
        note: Note::Repaired(source.history(), local),
        direction: Direction::Repair,
    })
}

fn resolved<'r, 'm: 'r>(
    sources: &[SourceFiles],
    source: &'r SourceFiles,
    entry: &'r Entry<'m>,
    (version, applied, statements): (&str, bool, Option<usize>),
) -> Result<Change<'r, 'm>, StepError> {
    let nothing = |state| Err(StepError::NothingToResolve { name: entry.name().to_owned(), state });
    let Some(row) = &entry.applied else { return nothing("not applied") };
    let (done, as_it_is) = match (&row.progress, statements) {
        (Progress::Whole, _) => return nothing("applied"),
        (Progress::Failed, Some(_)) => {
            return nothing("recorded as failed, and nobody knows in which statement");
        }
        (Progress::Failed, None) if applied => return recorded(sources, source, entry, version),
        (Progress::Failed, None) => {
            return forgotten(source, entry).map_or_else(|| nothing("not applied"), Ok);
        }
        (Progress::Partial { .. } | Progress::Reverting { .. }, Some(statements)) => (statements, true),
        (
            Progress::Partial { done, started: true, .. } | Progress::Reverting { done, started: true, .. },
            None,
        ) => (done + usize::from(applied), false),
        (Progress::Partial { .. }, None) => {
            return nothing("half applied, and known how far: `migrate` goes on with it");
        }
        (Progress::Reverting { .. }, None) => {
            return nothing("half rolled back, and known how far: `rollback` goes on with it");
        }
    };
    // The ledger's row has the name that was on disk then; some tools record versions alone.
    let name = if row.name.is_empty() { entry.name() } else { row.name.as_str() };
    let note = Note::Reached { source: source.history(), name, done, as_it_is };
    Ok(Change { source, entry, note, direction: Direction::Resolve })
}
