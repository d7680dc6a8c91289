//! Keys that lead to one database by different ways.

use std::collections::BTreeMap;

use dbctl_engine::{Engine, Identity, Session, Target};
use dbctl_workspace::Key;

use crate::{StepError, gate::Gate};

/// Every key that leads to a database to which an earlier one leads, compared on the servers, whether or not the
/// database exists. A server that does not answer says so where it is needed.
pub(crate) async fn twins(
    keys: &[Key],
    targets: &BTreeMap<Key, Target>,
    engine: &dyn Engine,
    session: &Session<'_>,
    gate: &Gate,
) -> Vec<(Key, StepError)> {
    let mut found = Vec::new();
    for key in namesakes(keys, targets) {
        let Ok(_place) = gate.enter(&targets[key], &session.cancel).await else { return Vec::new() };
        if let Ok(identity) = engine.identity(&targets[key], session).await {
            found.push((key, identity));
        }
    }
    seconds(found)
}

/// The keys whose database has the name of another's; no others can be one database.
fn namesakes<'k>(keys: &'k [Key], targets: &BTreeMap<Key, Target>) -> Vec<&'k Key> {
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for key in keys {
        *by_name.entry(targets[key].name.as_str()).or_default() += 1;
    }
    keys.iter().filter(|key| by_name[targets[*key].name.as_str()] > 1).collect()
}

fn seconds<'k>(found: impl IntoIterator<Item = (&'k Key, Identity)>) -> Vec<(Key, StepError)> {
    let mut firsts: BTreeMap<Identity, &Key> = BTreeMap::new();
    let mut seconds = Vec::new();
    for (key, identity) in found {
        let database = identity.database.clone();
        let first = *firsts.entry(identity).or_insert(key);
        if first != key {
            seconds.push((key.clone(), StepError::SameDatabase { other: first.clone(), database }));
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_database_is_no_second() {
        let keys = ["a", "b", "c", "d", "e"].map(|key| Key::parse(key).unwrap());
        let systems = ["1", "2", "1", "1", "2"];
        let found = keys
            .iter()
            .zip(systems)
            .map(|(key, system)| (key, Identity { system: system.to_owned(), database: "x".to_owned() }));
        let seconds: Vec<String> =
            seconds(found).into_iter().map(|(key, error)| format!("{key}: {error}")).collect();
        assert_eq!(
            seconds,
            [
                "c: `a` leads to the same database (x)",
                "d: `a` leads to the same database (x)",
                "e: `b` leads to the same database (x)"
            ]
        );
    }
}
