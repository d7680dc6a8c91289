//! What `rollback` undoes over all sources of a database: what was applied last comes first.

use dbctl_engine::{EngineError, Reader};
use dbctl_migration::{
    Back, Entry, Migration, Reconciled, RollbackError, ledger::LedgerRow, rollback_order, undoable,
};
use jiff::Timestamp;

use crate::{
    Action,
    files::{Rows, SourceFiles, applied, called, candidates, found, reconcile_all},
    of_run::of_run,
};

/// What is to be undone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Undo<'a> {
    /// So much of what was applied last.
    Back(&'a Back),
    /// What the run with that id applied.
    Run(&'a str),
}

impl<'a> Undo<'a> {
    /// Of an action that undoes and does nothing else.
    pub(crate) fn of(action: &'a Action) -> Option<Self> {
        match action {
            Action::Rollback(back) => Some(Self::Back(back)),
            Action::Undo { run } => Some(Self::Run(run)),
            Action::Create
            | Action::Drop { .. }
            | Action::Migrate(_)
            | Action::Redo
            | Action::Seed { .. }
            | Action::Clean
            | Action::Baseline(_)
            | Action::Edit(_) => None,
        }
    }
}

/// What a database says of its migrations, as far as it takes to undo some.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// What is applied, source by source.
    pub(crate) rows: Vec<Rows>,
    /// The ledger, where runs have to be told apart.
    pub(crate) ledger: Vec<LedgerRow>,
}

impl Held {
    /// Without the ledger.
    pub(crate) fn of_rows(rows: Vec<Rows>) -> Self {
        Self { rows, ledger: Vec::new() }
    }

    /// What it takes for this.
    pub(crate) async fn read<R: Reader + ?Sized>(
        reader: &mut R,
        sources: &[SourceFiles],
        undo: Undo<'_>,
    ) -> Result<Self, EngineError> {
        let rows = applied(reader, sources).await?;
        let ledger = match undo {
            Undo::Back(_) => Vec::new(),
            Undo::Run(_) => reader.ledger().await?,
        };
        Ok(Self { rows, ledger })
    }
}

/// Migrations with their sources, in the order in which they are undone.
pub(crate) type Work<'m> = Vec<(&'m SourceFiles, &'m Migration)>;

/// What to undo, in order, or why it cannot be. Within a source that is the reverse of the order on disk; between
/// sources it is told by when their rows were written, and where that is not known by the sources' own order.
pub(crate) fn undo_order<'m>(
    sources: &'m [SourceFiles],
    held: &Held,
    undo: Undo<'_>,
) -> Result<Work<'m>, RollbackError> {
    let reconciled = reconcile_all(sources, &held.rows);
    let walk = walk(&reconciled);
    let chosen_of_run;
    let chosen = match undo {
        Undo::Run(run) => {
            chosen_of_run = of_run(sources, &reconciled, &held.ledger, &walk, run)?;
            &chosen_of_run[..]
        }
        Undo::Back(Back::Count(count)) => &walk[..walk.len().min(*count)],
        Undo::Back(Back::All) => &walk[..],
        Undo::Back(Back::To(text)) => {
            let (source, text) = source_of(sources, &reconciled, text)?;
            // Says so where it is not applied.
            rollback_order(&reconciled[source], &Back::To(text.to_owned()))?;
            let entries = &reconciled[source].entries;
            let stays = entries.iter().rposition(|entry| entry.matches(text));
            &walk[..place(&walk, source, stays)]
        }
        Undo::Back(Back::Only(text)) => {
            let (source, text) = source_of(sources, &reconciled, text)?;
            match rollback_order(&reconciled[source], &Back::Only(text.to_owned())) {
                Ok(_) | Err(RollbackError::LaterApplied { .. }) => {}
                Err(error) => return Err(error),
            }
            let entries = &reconciled[source].entries;
            let only = entries.iter().position(|entry| entry.matches(text));
            let at = place(&walk, source, only);
            let name = |(source, entry): &(usize, usize)| {
                let entry = &reconciled[*source].entries[*entry];
                called(sources, *source, entry.name())
            };
            if at > 0 {
                let later = walk[..at].iter().map(name).collect();
                return Err(RollbackError::LaterApplied { name: name(&walk[at]), later });
            }
            &walk[..1]
        }
    };
    let mut undone = Vec::with_capacity(sources.len());
    for (at, reconciled) in reconciled.iter().enumerate() {
        let here = chosen.iter().filter(|(source, _)| *source == at);
        let entries: Vec<&Entry<'m>> = here.map(|(_, entry)| &reconciled.entries[*entry]).collect();
        undone.push(undoable(&entries)?.into_iter());
    }
    Ok(chosen.iter().filter_map(|(at, _)| Some((&sources[*at], undone[*at].next()?))).collect())
}

/// The one source that has it, and what it is called there.
fn source_of<'t>(
    sources: &[SourceFiles],
    reconciled: &[Reconciled<'_>],
    text: &'t str,
) -> Result<(usize, &'t str), RollbackError> {
    let places = found(sources, reconciled, text);
    match places[..] {
        [] => Err(RollbackError::Unknown { target: text.to_owned() }),
        [one] => Ok(one),
        _ => Err(RollbackError::Ambiguous {
            target: text.to_owned(),
            names: candidates(sources, reconciled, &places),
        }),
    }
}

fn place(walk: &[(usize, usize)], source: usize, entry: Option<usize>) -> usize {
    walk.iter()
        .position(|step| (step.0, Some(step.1)) == (source, entry))
        .expect("its source has said that it is applied")
}

/// What `redo` runs anew, as its source and what it is called there; `None` where it runs nothing.
pub(crate) fn redone<'r>(reconciled: &'r [Reconciled<'_>]) -> Option<(usize, &'r str)> {
    let (source, entry) = *walk(reconciled).first()?;
    let entry = &reconciled[source].entries[entry];
    undoable(&[entry]).is_ok().then(|| (source, entry.name()))
}

/// Everything that is recorded, last first, as places of sources and of entries in them.
fn walk(reconciled: &[Reconciled<'_>]) -> Vec<(usize, usize)> {
    let recorded: Vec<Vec<usize>> = reconciled
        .iter()
        .map(|source| {
            let entries = source.entries.iter().enumerate();
            entries.filter(|(_, entry)| entry.is_recorded()).map(|(at, _)| at).collect()
        })
        .collect();
    let at = |entry: &Entry<'_>| entry.applied.as_ref().and_then(|applied| applied.at);
    let times: Vec<Vec<Option<Timestamp>>> = recorded
        .iter()
        .zip(reconciled)
        .map(|(places, source)| places.iter().map(|place| at(&source.entries[*place])).collect())
        .collect();
    let mut left: Vec<usize> = recorded.iter().map(Vec::len).collect();
    last_first(&times)
        .into_iter()
        .map(|source| {
            left[source] -= 1;
            (source, recorded[source][left[source]])
        })
        .collect()
}

/// From which source to take, time and again, to go backwards through all of them. `times` are those of each source in
/// its own order.
fn last_first(times: &[Vec<Option<Timestamp>>]) -> Vec<usize> {
    // What stands behind a later one of its own source has to be undone before it, and so counts as late as that one.
    let mut left: Vec<Vec<Option<Timestamp>>> = times
        .iter()
        .map(|source| {
            let mut latest = None;
            let effective = source.iter().map(|at| {
                latest = latest.max(*at);
                at.and(latest)
            });
            effective.collect()
        })
        .collect();
    let mut order = Vec::with_capacity(left.iter().map(Vec::len).sum());
    loop {
        let mut last: Option<(usize, Option<Timestamp>)> = None;
        for (source, times) in left.iter().enumerate().rev() {
            let Some(at) = times.last().copied() else { continue };
            let later = match (last, at) {
                (None, _) => true,
                (Some((_, Some(last))), Some(at)) => at > last,
                (Some(_), _) => false,
            };
            if later {
                last = Some((source, at));
            }
        }
        let Some((source, _)) = last else { return order };
        left[source].pop();
        order.push(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources as `1 2|3`, `?` where the time is not known.
    fn check(sources: &str) -> String {
        let time = |text: &str| text.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
        let times: Vec<Vec<_>> =
            sources.split('|').map(|source| source.split_whitespace().map(time).collect()).collect();
        last_first(&times).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_was_applied_last_comes_first_and_sources_keep_their_own_order() {
        for (sources, order) in [
            ("1 2 3", "0 0 0"),
            ("1 2|3 4", "1 1 0 0"),
            ("3 4|1 2", "0 0 1 1"),
            ("1 4|2 3", "0 1 1 0"),
            // At the same time, or nobody knows when: the sources' order.
            ("1 1|1", "1 0 0"),
            ("1 9|? ?", "1 1 0 0"),
            ("? ?|1 2", "1 1 0 0"),
            ("5|?|9", "2 1 0"),
            // 2 was applied late but sorts before 1, which has to go first, and before the 1 of the other source.
            ("2 0|1", "0 0 1"),
            ("", ""),
            ("|1", "1"),
        ] {
            assert_eq!(check(sources), order, "{sources}");
        }
    }
}
