//! A source's baseline: where it stands among its files, and whether it is due.

use dbctl_engine::{Applier, EngineError, Note, Reader};
use dbctl_migration::{
    Baseline, BaselineFile, Entry, FormatError, LastVersion, Migration, Progress, Reconciled,
};
use dbctl_workspace::{Source, SourceBaseline};

use crate::{
    StepError,
    files::{Rows, SourceFiles, applied, history_tables},
};

/// The migrations of a source in the order in which they apply, where a baseline has a say in that.
pub(crate) fn placed(
    source: &Source,
    migrations: &[Migration],
) -> Result<Option<(Vec<Migration>, Baseline)>, FormatError> {
    let Some(SourceBaseline { path, shown, through }) = &source.baseline else { return Ok(None) };
    let wrong = |message: String| Err(FormatError::Name { path: source.folder.shown.clone(), message });
    let own = migrations.iter().position(|migration| migration.up.path == *shown);
    let others: Vec<&Migration> =
        migrations.iter().enumerate().filter(|(at, _)| Some(*at) != own).map(|(_, one)| one).collect();
    let on_disk = others.iter().rposition(|migration| is(migration, through));
    let last = match on_disk {
        Some(last) => LastVersion::of(others[last].version.as_str()),
        // It may be in an archive.
        None => LastVersion::of(through)
            .filter(|last| others.iter().any(|one| last.holds(&one.version).is_some())),
    };
    let is_held = |migration: &&Migration| {
        last.as_ref().is_some_and(|last| last.holds(&migration.version) == Some(true))
    };
    let past = match on_disk.or_else(|| others.iter().rposition(is_held)) {
        _ if on_disk.is_none() && own.is_some_and(|own| is(&migrations[own], through)) => {
            return wrong(format!(
                "`baseline`: `through` is the file itself; name the last migration that it holds, or write `{}` if it \
                 holds no other",
                SourceBaseline::NOTHING_ELSE
            ));
        }
        Some(last) => last + 1,
        None if last.is_none() && through != SourceBaseline::NOTHING_ELSE => {
            let names = list(&others);
            return wrong(format!(
                "`baseline`: `through` names no migration of this folder: `{through}`; {names}"
            ));
        }
        None if own.is_none() => {
            return wrong(format!(
                "`baseline`: {} is no migration of this folder, and holds none, so nothing would say that it has run; \
                 name in `through` the last migration that it holds",
                shown.display()
            ));
        }
        None => 0,
    };
    let file = match own {
        Some(at) => BaselineFile::Own(at),
        None => BaselineFile::plain(path, shown, source.options.dialect)?,
    };
    Ok(Some(Baseline::place(migrations.to_vec(), file, past, last)))
}

fn is(migration: &Migration, text: &str) -> bool {
    migration.version.as_str() == text
        || migration.name == text
        || migration.up.path.file_name().is_some_and(|file| file == text)
}

/// The last few are those that may have been meant.
fn list(migrations: &[&Migration]) -> String {
    const MOST: usize = 5;
    let names: Vec<&str> = migrations.iter().rev().take(MOST).rev().map(|one| one.name.as_str()).collect();
    match migrations.len() {
        0 => "it has none".to_owned(),
        1..=MOST => format!("it has {}", names.join(", ")),
        _ => format!("it ends with {}", names.join(", ")),
    }
}

/// What was found in a database before anything is done to it.
pub(crate) struct Found {
    /// What is applied, source by source.
    pub(crate) rows: Vec<Rows>,
    /// What people have made in it, where a baseline may be due; as for [`Reader::belongings`].
    pub(crate) belongings: Vec<String>,
}

impl Found {
    /// A database that is not there.
    pub(crate) fn nothing(sources: &[SourceFiles]) -> Self {
        Self { rows: vec![Rows::new(); sources.len()], belongings: Vec::new() }
    }
}

/// What is applied, and whether the database is empty where that decides something.
pub(crate) async fn look<R: Reader + ?Sized>(
    reader: &mut R,
    sources: &[SourceFiles],
) -> Result<Found, EngineError> {
    let rows = applied(reader, sources).await?;
    let undecided =
        sources.iter().zip(&rows).any(|(source, rows)| source.baseline.is_some() && rows.is_empty());
    let belongings = match undecided {
        true => {
            let tables = history_tables(reader, sources).await?;
            reader.belongings(&tables).await?
        }
        false => Vec::new(),
    };
    Ok(Found { rows, belongings })
}

/// One file to run.
pub(crate) struct Item<'r, 'm> {
    pub(crate) source: &'r SourceFiles,
    pub(crate) entry: &'r Entry<'m>,
    /// What is recorded as applied with it, where it is a baseline.
    pub(crate) past: Option<Vec<&'m Migration>>,
}

/// What is to be run of a source: where its baseline is due, that one instead of what it holds.
pub(crate) fn items<'r, 'm>(
    source: &'r SourceFiles,
    runnable: Vec<&'r Entry<'m>>,
    fake: bool,
) -> Vec<Item<'r, 'm>> {
    let item = |entry: &'r Entry<'m>| Item { source, entry, past: None };
    let Some((_, file)) = source.baseline_file() else { return runnable.into_iter().map(item).collect() };
    let at = runnable.iter().position(|entry| entry.local.is_some_and(|local| std::ptr::eq(local, file)));
    match at {
        None => runnable.into_iter().map(item).collect(),
        Some(_) if fake => {
            let real = |entry: &&Entry<'m>| entry.local.is_some_and(|local| !source.is_beside(local));
            runnable.into_iter().filter(real).map(item).collect()
        }
        Some(at) => {
            let past = runnable[..at].iter().filter_map(|entry| entry.local).collect();
            let baseline = Item { source, entry: runnable[at], past: Some(past) };
            std::iter::once(baseline).chain(runnable[at + 1..].iter().map(|entry| item(entry))).collect()
        }
    }
}

/// Sees that a baseline runs on nothing but an empty database.
pub(crate) fn only_if_empty(items: &[Item<'_, '_>], belongings: &[String]) -> Result<(), StepError> {
    // One that was begun has found it empty.
    let first_time = |item: &&Item<'_, '_>| item.past.is_some() && !item.entry.is_recorded();
    match items.iter().find(first_time) {
        Some(item) if !belongings.is_empty() => Err(not_empty(item.source, belongings)),
        Some(_) | None => Ok(()),
    }
}

fn not_empty(source: &SourceFiles, belongings: &[String]) -> StepError {
    let last = source.baseline_file().and_then(|(baseline, file)| match baseline.place.checked_sub(1) {
        Some(last) => source.migrations.get(last),
        None => Some(file),
    });
    StepError::NotEmpty {
        source_name: source.name.clone(),
        belongings: belongings.to_vec(),
        through: last.map(|migration| migration.name.clone()).unwrap_or_default(),
    }
}

/// Records of baselines whose turn comes later that they are due: the database is empty now, and will not be then. Takes
/// back what was recorded so of one whose past is now run file by file.
pub(crate) async fn begin(
    writer: &mut dyn Applier,
    sources: &[SourceFiles],
    rows: &[Rows],
    reconciled: &[Reconciled<'_>],
    items: &[Item<'_, '_>],
) -> Result<(), StepError> {
    let mut notes = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let Some((baseline, file)) = source.baseline_file() else { continue };
        let is_ours = |item: &&Item<'_, '_>| std::ptr::eq(item.source, source);
        let ours = items.iter().filter(is_ours);
        let runs = ours.clone().any(|item| item.entry.local.is_some_and(|local| std::ptr::eq(local, file)));
        let file_by_file = !runs && ours.count() > 0;
        let begun =
            reconciled[at].due(baseline, file).and_then(|due| reconciled[at].entries[due].applied.as_ref());
        match begun.map(|row| &row.progress) {
            None => {
                let is_first = items.first().is_none_or(|item| is_ours(&item) && runs);
                if rows[at].is_empty() && !file_by_file && !is_first {
                    notes.push(Note::Begun(source.history(), file));
                }
            }
            Some(Progress::Partial { done: 0, started: false, .. }) if file_by_file => {
                notes.push(Note::Withdrawn(source.history(), file));
            }
            Some(_) if file_by_file => {
                let names = vec![file.name.clone()];
                return Err(StepError::Unfinished { source_name: source.name.clone(), names });
            }
            Some(_) => {}
        }
    }
    if !notes.is_empty() {
        writer.note(&notes).await?;
    }
    Ok(())
}

/// Why the database cannot be migrated as it stands, and what each pending file is recorded with instead of being run.
pub(crate) fn outlook(
    source: &SourceFiles,
    rows: &Rows,
    reconciled: &Reconciled<'_>,
    belongings: &[String],
) -> (Option<StepError>, Option<usize>) {
    let Some((baseline, file)) = source.baseline_file() else { return (None, None) };
    let due = reconciled.due(baseline, file);
    match due {
        Some(_) if rows.is_empty() && !belongings.is_empty() => (Some(not_empty(source, belongings)), None),
        due => (None, due),
    }
}
