//! Which of a database's migrations one run has applied, and whether they can go while the others stay.

use std::collections::{BTreeMap, BTreeSet};

use dbctl_migration::{Reconciled, RollbackError, ledger::LedgerRow};
use jiff::Timestamp;

use crate::files::{SourceFiles, called};

/// A migration by its source and its entry there.
type Place = (usize, usize);

/// What is recorded and was applied by that run, in the order of `walk`, which has everything that is recorded.
pub(crate) fn of_run(
    sources: &[SourceFiles],
    reconciled: &[Reconciled<'_>],
    ledger: &[LedgerRow],
    walk: &[Place],
    run: &str,
) -> Result<Vec<Place>, RollbackError> {
    nothing_elsewhere(sources, ledger, run)?;
    let known = known(sources, reconciled, ledger, walk);
    let is_of_run =
        |place: &&Place| known.get(place).is_some_and(|at| ledger[*at].run.as_deref() == Some(run));
    let chosen: Vec<Place> = walk.iter().filter(is_of_run).copied().collect();
    let order = Order { sources, reconciled, known: &known };
    let goes: BTreeSet<&Place> = chosen.iter().collect();
    for place in &chosen {
        let stays = |other: &&Place| !goes.contains(other) && order.may_build_on(**other, *place);
        let later: Vec<Place> = walk.iter().filter(stays).copied().collect();
        if !later.is_empty() {
            let by = |place: &Place| known.get(place).and_then(|at| ledger[*at].run.as_ref());
            let named = |place: &Place| match by(place) {
                Some(run) => format!("{} (run {run})", order.name(*place)),
                None => order.name(*place),
            };
            let later = later.iter().map(named).collect();
            return Err(RollbackError::LaterStay { name: order.name(*place), later });
        }
    }
    Ok(chosen)
}

/// What the run applied from folders that the manifest no longer has cannot be undone.
fn nothing_elsewhere(sources: &[SourceFiles], ledger: &[LedgerRow], run: &str) -> Result<(), RollbackError> {
    let is_elsewhere = |row: &&LedgerRow| {
        row.run.as_deref() == Some(run) && sources.iter().all(|source| source.name != row.source)
    };
    let name = |row: &LedgerRow| format!("{}/{}", row.source.trim_end_matches('/'), row.applied.name);
    let missing: Vec<String> = ledger.iter().filter(is_elsewhere).map(name).collect();
    if missing.is_empty() { Ok(()) } else { Err(RollbackError::Missing(missing)) }
}

/// The ledger's rows of what is recorded, by their places in it.
fn known(
    sources: &[SourceFiles],
    reconciled: &[Reconciled<'_>],
    ledger: &[LedgerRow],
    walk: &[Place],
) -> BTreeMap<Place, usize> {
    let mut rows: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (at, row) in ledger.iter().enumerate() {
        if let Some(source) = sources.iter().find(|source| source.name == row.source) {
            rows.insert((&row.source, source.history().keyed_by().of_applied(&row.applied)), at);
        }
    }
    let row = |(source, entry): Place| {
        let applied = reconciled[source].entries[entry].applied.as_ref()?;
        let source = &sources[source];
        let key = source.history().keyed_by().of_applied(applied);
        rows.get(&(source.name.as_str(), key)).copied().filter(|at| ledger[*at].applied.may_be(applied))
    };
    walk.iter().filter_map(|place| Some((*place, row(*place)?))).collect()
}

/// Which migrations came after which.
struct Order<'a, 'm> {
    sources: &'a [SourceFiles],
    reconciled: &'a [Reconciled<'m>],
    known: &'a BTreeMap<Place, usize>,
}

impl Order<'_, '_> {
    /// Whether one may need what another has made: it runs after it on an empty database, and was applied after it here
    /// as far as anybody knows. A tool that insists on the order of its files would not go on with a gap in it.
    fn may_build_on(&self, later: Place, earlier: Place) -> bool {
        let same_source = later.0 == earlier.0;
        later > earlier
            && (same_source && self.sources[later.0].refuses_out_of_order()
                || self.was_after(later, earlier).unwrap_or(true))
    }

    /// `None` where nobody knows.
    fn was_after(&self, one: Place, other: Place) -> Option<bool> {
        match (self.known.get(&one), self.known.get(&other)) {
            // Clocks go backwards, the ledger does not.
            (Some(one), Some(other)) => Some(one > other),
            _ => Some(self.at(one)? >= self.at(other)?),
        }
    }

    fn at(&self, (source, entry): Place) -> Option<Timestamp> {
        self.reconciled[source].entries[entry].applied.as_ref()?.at
    }

    fn name(&self, (source, entry): Place) -> String {
        called(self.sources, source, self.reconciled[source].entries[entry].name())
    }
}
