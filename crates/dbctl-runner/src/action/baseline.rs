//! `baseline`: a database that exists is taken over; what it has is recorded, and nothing is run.

use std::time::Duration;

use dbctl_engine::{Note, Reader, Writer};
use dbctl_migration::{Baseline, Drift, Entry, Migration, Progress};

use super::StepContext;
use crate::{
    Adopt, Direction, Event, StepError, Through,
    baseline::Found,
    event::MigrationRef,
    files::{
        Rows, SourceFiles, applied, candidates, found as files_found, history_tables, read_sources,
        reconcile_all, unknown,
    },
};

pub(super) async fn run(context: &StepContext<'_>, adopt: &Adopt) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    if adopt.dry_run {
        let mut reader = context.open_reader().await?;
        let found = look(&mut *reader, &sources).await;
        reader.close().await;
        let past = past(&sources, &found?, adopt)?;
        tell(context, &past, Direction::DryFake);
        return Ok(!past.is_empty());
    }
    let mut writer = context.open_writer(&sources).await?;
    let result = record(context, &mut *writer, &sources, adopt).await;
    context.finish(writer, &result).await;
    result
}

async fn record(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
    adopt: &Adopt,
) -> Result<bool, StepError> {
    context.prepare(writer, sources).await?;
    let found = look(writer, sources).await?;
    let past = past(sources, &found, adopt)?;
    if past.is_empty() {
        return Ok(false);
    }
    let mut notes = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        // A baseline that was to be run is not to be run any more.
        if let Some((_, file)) = source.baseline_file()
            && past.iter().any(|(of, _)| std::ptr::eq(*of, source))
            && !found.rows[at].is_empty()
        {
            notes.push(Note::Withdrawn(source.history(), file));
        }
    }
    notes.extend(past.iter().map(|(source, migration)| Note::Applied(source.history(), migration)));
    writer.note(&notes).await?;
    tell(context, &past, Direction::Fake);
    Ok(true)
}

fn tell(context: &StepContext<'_>, past: &[(&SourceFiles, &Migration)], direction: Direction) {
    for (source, migration) in past {
        context.emit(Event::MigrationFinished {
            database: context.database.key.clone(),
            migration: MigrationRef::new(&source.name, migration, direction),
            elapsed: Duration::ZERO,
        });
    }
}

/// Whether it could be done, told by a session that cannot write.
pub(crate) async fn check(
    reader: &mut dyn Reader,
    sources: &[SourceFiles],
    adopt: &Adopt,
) -> Result<(), StepError> {
    past(sources, &look(reader, sources).await?, adopt).map(drop)
}

async fn look<R: Reader + ?Sized>(reader: &mut R, sources: &[SourceFiles]) -> Result<Found, StepError> {
    let rows = applied(reader, sources).await?;
    let tables = history_tables(reader, sources).await?;
    Ok(Found { rows, belongings: reader.belongings(&tables).await? })
}

/// What is to be recorded, in order; nothing where it is all recorded already.
fn past<'m>(
    sources: &'m [SourceFiles],
    found: &Found,
    adopt: &Adopt,
) -> Result<Vec<(&'m SourceFiles, &'m Migration)>, StepError> {
    let mut past = Vec::new();
    for (at, end) in chosen(sources, adopt)? {
        let (source, rows) = (&sources[at], &found.rows[at]);
        past.extend(of_source(source, rows, end)?.into_iter().map(|migration| (source, migration)));
    }
    if !past.is_empty() && found.belongings.is_empty() {
        return Err(StepError::Empty);
    }
    Ok(past)
}

/// The sources that are meant, each with how many of its files.
fn chosen(sources: &[SourceFiles], adopt: &Adopt) -> Result<Vec<(usize, usize)>, StepError> {
    let meant = |source: &SourceFiles| adopt.source.as_ref().is_none_or(|name| *name == source.name);
    let text = match &adopt.through {
        Through::Latest => {
            let all = sources.iter().enumerate().filter(|(_, source)| meant(source));
            return Ok(all.map(|(at, source)| (at, source.migrations.len())).collect());
        }
        Through::Version(text) => text,
    };
    let on_disk = reconcile_all(sources, &vec![Rows::new(); sources.len()]);
    let mut places = files_found(sources, &on_disk, text);
    places.retain(|(at, _)| meant(&sources[*at]));
    let (at, text) = match places[..] {
        [] => return Err(unknown(text, sources)),
        [one] => one,
        _ => {
            return Err(StepError::AmbiguousVersion {
                version: text.clone(),
                names: candidates(sources, &on_disk, &places),
            });
        }
    };
    let last = on_disk[at].entries.iter().rposition(|entry| entry.matches(text)).map_or(0, |last| last + 1);
    Ok(vec![(at, last)])
}

/// What is to be recorded of the first `end` files of a source.
fn of_source<'m>(source: &'m SourceFiles, rows: &Rows, end: usize) -> Result<Vec<&'m Migration>, StepError> {
    let reconciled = source.reconcile(rows);
    // Whoever has what a baseline holds has the baseline.
    let holds = |baseline: &Baseline| baseline.place == end;
    let files = &source.migrations[..if source.baseline.as_ref().is_some_and(holds) { end + 1 } else { end }];
    let is_meant = |entry: &&Entry<'m>| {
        entry.local.is_some_and(|local| {
            files.iter().any(|file| std::ptr::eq(file, local)) && !source.is_beside(local)
        })
    };
    let entries: Vec<&Entry<'m>> = reconciled.entries.iter().filter(is_meant).collect();
    let named = |wanted: &dyn Fn(&Entry<'m>) -> bool| -> Vec<String> {
        entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.name().to_owned()).collect()
    };
    let drifted = |drift| Err(StepError::Drift { source_name: source.name.clone(), drift, redo: false });
    let progress = |entry: &Entry<'m>| entry.applied.as_ref().map(|row| row.progress.clone());
    let failed = named(&|entry| progress(entry) == Some(Progress::Failed));
    if !failed.is_empty() {
        return drifted(Drift::Failed(failed));
    }
    let partial = named(&|entry| match progress(entry) {
        Some(Progress::Partial { done, started, .. }) => done > 0 || started,
        Some(Progress::Reverting { .. }) => true,
        Some(Progress::Whole | Progress::Failed) | None => false,
    });
    if !partial.is_empty() {
        return Err(StepError::Unfinished { source_name: source.name.clone(), names: partial });
    }
    let is_whole = |row: &dbctl_migration::Applied| row.progress == Progress::Whole;
    if !rows.iter().any(is_whole) {
        return Ok(entries.iter().filter_map(|entry| entry.local).collect());
    }
    let open = named(&|entry| !entry.is_recorded() && entry.state != dbctl_migration::State::Applied);
    match open.is_empty() {
        true => Ok(Vec::new()),
        false => Err(StepError::HasHistory { source_name: source.name.clone(), names: open }),
    }
}
