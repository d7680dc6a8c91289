//! What migrations require of other databases, as `plan` and `graph` show it.

use std::collections::BTreeMap;

use dbctl_runner::Required;
use dbctl_workspace::Key;
use serde::Serialize;

use super::tree::Drawing;

/// A requirement of a database's migration.
#[derive(Debug, Serialize)]
pub(super) struct Requires<'r> {
    migration: &'r str,
    database: &'r str,
    version: &'r str,
}

/// Those of one database.
pub(super) fn of<'r>(required: &'r [Required], key: &Key) -> Vec<Requires<'r>> {
    let own = required.iter().filter(|one| one.database == *key);
    own.map(|one| Requires {
        migration: &one.migration,
        database: one.requires.as_str(),
        version: &one.version,
    })
    .collect()
}

/// Ties each node to those that it requires something of; where the other is not drawn, the node itself says so.
pub(super) fn tie(
    drawing: &mut Drawing,
    required: &[Required],
    nodes: &BTreeMap<&Key, usize>,
    others: &BTreeMap<&Key, usize>,
) {
    for one in required {
        let Some(node) = nodes.get(&one.database) else { continue };
        let words = format!("{} requires {}@{}", one.migration, one.requires, one.version);
        match others.get(&one.requires) {
            Some(other) => drawing.ties.entry((*node, *other)).or_default().push(words),
            None => drawing.nodes[*node].push_str(&format!("\n{words}")),
        }
    }
}
