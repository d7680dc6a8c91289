//! Deciding what to empty so that nothing kept is touched, not even through a parent or a foreign key.

use std::collections::{BTreeMap, BTreeSet};

use dbctl_migration::TableName;

use super::{CleanPlan, CleanRefusal, Inventory, Reference, Table, Truncate, known};

/// Decides what to empty. `keep` holds entries of the manifest's `clean.keep`: `table` (in any schema) or
/// `schema.table`; `histories` the history tables of the database's own sources, on top of the known ones.
///
/// Kept are these, whatever an extension owns, and the children of whatever is kept. A sequence that a kept table uses
/// goes on counting. Refuses where a kept table references one that would be emptied.
pub fn plan_clean(
    inventory: &Inventory,
    keep: &[String],
    histories: &[TableName],
) -> Result<CleanPlan, CleanRefusal> {
    let family = Family::of(&inventory.tables);
    let kept = family.with_descendants(inventory.tables.iter().filter_map(|table| {
        let stays = table.extension
            || known::is_known(&table.name)
            || histories.contains(&table.name)
            || keep.iter().any(|entry| names(entry, &table.name));
        stays.then_some(&table.name)
    }));
    refuse_dangling(&inventory.references, &family, &kept)?;

    let mut refresh = Vec::new();
    for view in &inventory.materialized_views {
        if !refresh.contains(view) {
            refresh.push(view.clone());
        }
    }
    Ok(CleanPlan {
        truncate: truncations(&inventory.tables, &family, &kept),
        restart: sequences(inventory, &family, &kept),
        refresh,
        unmatched: keep
            .iter()
            .filter(|entry| !inventory.tables.iter().any(|table| names(entry, &table.name)))
            .cloned()
            .collect(),
    })
}

/// Whether an entry of `keep` names a table. Comparing whole texts lets a name hold a dot of its own.
fn names(entry: &str, table: &TableName) -> bool {
    entry == table.name
        || entry.strip_prefix(table.schema.as_str()).and_then(|r| r.strip_prefix('.')) == Some(&table.name)
}

/// Who descends from whom.
struct Family<'a> {
    children: BTreeMap<&'a TableName, Vec<&'a TableName>>,
    /// Children of partitioned tables only: they share their parent's foreign keys, heirs do not.
    partitions: BTreeMap<&'a TableName, Vec<&'a TableName>>,
}

impl<'a> Family<'a> {
    fn of(tables: &'a [Table]) -> Self {
        let partitioned: BTreeSet<_> = tables.iter().filter(|t| t.partitioned).map(|t| &t.name).collect();
        let mut family = Self { children: BTreeMap::new(), partitions: BTreeMap::new() };
        for table in tables {
            for parent in &table.parents {
                family.children.entry(parent).or_default().push(&table.name);
                if partitioned.contains(parent) {
                    family.partitions.entry(parent).or_default().push(&table.name);
                }
            }
        }
        family
    }

    fn with_descendants(&self, tables: impl IntoIterator<Item = &'a TableName>) -> BTreeSet<&'a TableName> {
        closure(&self.children, tables)
    }

    fn with_partitions(&self, table: &'a TableName) -> BTreeSet<&'a TableName> {
        closure(&self.partitions, [table])
    }

    fn any_descendant_in(&self, table: &'a TableName, set: &BTreeSet<&'a TableName>) -> bool {
        self.with_descendants([table]).iter().any(|one| *one != table && set.contains(one))
    }
}

fn closure<'a>(
    edges: &BTreeMap<&'a TableName, Vec<&'a TableName>>,
    start: impl IntoIterator<Item = &'a TableName>,
) -> BTreeSet<&'a TableName> {
    let mut found = BTreeSet::new();
    let mut open: Vec<_> = start.into_iter().collect();
    while let Some(table) = open.pop() {
        if found.insert(table) {
            open.extend(edges.get(table).into_iter().flatten());
        }
    }
    found
}

/// A foreign key of a partitioned table is one of each partition too, on either side, and `TRUNCATE` looks at all.
fn refuse_dangling(
    references: &[Reference],
    family: &Family<'_>,
    kept: &BTreeSet<&TableName>,
) -> Result<(), CleanRefusal> {
    let mut dangling: Vec<_> = references
        .iter()
        .filter_map(|reference| {
            let from = family.with_partitions(&reference.from).into_iter().find(|t| kept.contains(t))?;
            let to = family.with_partitions(&reference.to).into_iter().find(|t| !kept.contains(t))?;
            Some(Reference { constraint: reference.constraint.clone(), from: from.clone(), to: to.clone() })
        })
        .collect();
    dangling.sort_by(|a, b| (&a.from, &a.to, &a.constraint).cmp(&(&b.from, &b.to, &b.constraint)));
    if dangling.is_empty() { Ok(()) } else { Err(CleanRefusal(dangling)) }
}

fn truncations<'a>(
    tables: &'a [Table],
    family: &Family<'a>,
    kept: &BTreeSet<&'a TableName>,
) -> Vec<Truncate> {
    let mut chosen = BTreeMap::new();
    for table in tables.iter().filter(|table| !kept.contains(&table.name)) {
        let only = family.any_descendant_in(&table.name, kept);
        // A partitioned table has no rows of its own, and `TRUNCATE ONLY` refuses it.
        if !(only && table.partitioned) {
            chosen.insert(&table.name, only);
        }
    }
    let covered = family.with_descendants(
        chosen
            .iter()
            .filter(|(_, only)| !**only)
            .flat_map(|(name, _)| family.children.get(*name).into_iter().flatten().copied()),
    );
    chosen
        .into_iter()
        .filter(|(name, _)| !covered.contains(name))
        .map(|(name, only)| Truncate { table: name.clone(), only })
        .collect()
}

fn sequences<'a>(
    inventory: &'a Inventory,
    family: &Family<'a>,
    kept: &BTreeSet<&'a TableName>,
) -> Vec<TableName> {
    let counts_for_kept =
        |table: &'a TableName| family.with_partitions(table).iter().any(|t| kept.contains(t));
    let restart: BTreeSet<_> = inventory
        .sequences
        .iter()
        .filter(|sequence| !sequence.extension && !sequence.used_by.iter().any(counts_for_kept))
        .map(|sequence| &sequence.name)
        .collect();
    restart.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
