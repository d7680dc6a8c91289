//! What depends on what: an order, closures, cycles. The only module that knows the graph library.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use petgraph::{
    Direction,
    adj::UnweightedList,
    algo::{kosaraju_scc, tred::dag_transitive_reduction_closure},
    graph::{DiGraph, NodeIndex},
    visit::IntoNeighbors,
};

use crate::Key;

/// A graph without cycles, with everything that is asked of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    /// Dependencies first, ties in the order of the keys.
    pub(crate) order: Vec<Key>,
    /// Transitive, without the key itself.
    pub(crate) dependencies: BTreeMap<Key, BTreeSet<Key>>,
    /// Transitive, without the key itself.
    pub(crate) dependents: BTreeMap<Key, BTreeSet<Key>>,
}

/// The keys of a cycle, each depending on the next and the last on the first; starts with the least.
pub(crate) type Cycle = Vec<Key>;

/// From what each key depends on directly; every dependency is a key of the map.
///
/// Where there are cycles, the error has a shortest one of each group of keys that depend on each other.
pub(crate) fn graph(edges: &BTreeMap<Key, BTreeSet<Key>>) -> Result<Graph, Vec<Cycle>> {
    let cycles = cycles(edges);
    if !cycles.is_empty() {
        return Err(cycles);
    }
    let order = order(edges);
    let closure = closure(&order, edges);
    let mut dependencies: BTreeMap<Key, BTreeSet<Key>> =
        order.iter().map(|key| (key.clone(), BTreeSet::new())).collect();
    let mut dependents = BTreeMap::new();
    for (at, key) in order.iter().enumerate() {
        let later: BTreeSet<Key> = closure.neighbors(at).map(|later| order[later].clone()).collect();
        for dependent in &later {
            dependencies.entry(dependent.clone()).or_default().insert(key.clone());
        }
        dependents.insert(key.clone(), later);
    }
    Ok(Graph { order, dependencies, dependents })
}

/// What depends on each key, transitively, by their places in the order.
fn closure(order: &[Key], edges: &BTreeMap<Key, BTreeSet<Key>>) -> UnweightedList<usize> {
    let place: BTreeMap<&Key, usize> = order.iter().enumerate().map(|(at, key)| (key, at)).collect();
    let mut later: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (at, key) in order.iter().enumerate() {
        for dependency in &edges[key] {
            later[place[dependency]].push(at);
        }
    }
    let mut direct = UnweightedList::with_capacity(order.len());
    for _ in order {
        direct.add_node();
    }
    // In ascending order, as the library wants it.
    for (at, later) in later.into_iter().enumerate() {
        for later in later {
            direct.add_edge(at, later, ());
        }
    }
    dag_transitive_reduction_closure(&direct).1
}

/// Takes the least key that has all its dependencies behind it, until none is left.
fn order(edges: &BTreeMap<Key, BTreeSet<Key>>) -> Vec<Key> {
    let mut waiting: BTreeMap<&Key, usize> = edges.iter().map(|(key, on)| (key, on.len())).collect();
    let mut dependents: BTreeMap<&Key, Vec<&Key>> = BTreeMap::new();
    for (key, on) in edges {
        for dependency in on {
            dependents.entry(dependency).or_default().push(key);
        }
    }
    let mut ready: BTreeSet<&Key> =
        waiting.iter().filter(|(_, count)| **count == 0).map(|(key, _)| *key).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(key) = ready.pop_first() {
        order.push(key.clone());
        for dependent in dependents.get(key).into_iter().flatten() {
            let count = waiting.get_mut(dependent).expect("every dependent is a key");
            *count -= 1;
            if *count == 0 {
                ready.insert(dependent);
            }
        }
    }
    order
}

/// A shortest cycle of each strongly connected component.
pub(crate) fn cycles(edges: &BTreeMap<Key, BTreeSet<Key>>) -> Vec<Cycle> {
    let mut graph: DiGraph<&Key, ()> = DiGraph::new();
    let nodes: BTreeMap<&Key, NodeIndex> = edges.keys().map(|key| (key, graph.add_node(key))).collect();
    for (key, on) in edges {
        for dependency in on {
            graph.add_edge(nodes[key], nodes[dependency], ());
        }
    }
    let mut cycles: Vec<Cycle> = kosaraju_scc(&graph)
        .into_iter()
        .filter(|component| match component.as_slice() {
            [only] => graph.contains_edge(*only, *only),
            _ => true,
        })
        .filter_map(|component| {
            component
                .iter()
                .filter_map(|start| shortest_through(&graph, *start))
                .min_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)))
        })
        .collect();
    cycles.sort();
    cycles
}

/// A shortest cycle through a node, turned so that the least key comes first.
fn shortest_through(graph: &DiGraph<&Key, ()>, start: NodeIndex) -> Option<Cycle> {
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors_directed(node, Direction::Outgoing) {
            if next == start {
                let mut nodes = vec![node];
                while let Some(previous) = came_from.get(nodes.last().expect("it has one node")) {
                    nodes.push(*previous);
                }
                let mut cycle: Cycle = nodes.iter().rev().map(|node| graph[*node].clone()).collect();
                let least = (0..cycle.len()).min_by_key(|at| &cycle[*at]).expect("it has one node");
                cycle.rotate_left(least);
                return Some(cycle);
            }
            if let Entry::Vacant(unseen) = came_from.entry(next) {
                unseen.insert(node);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(index: usize) -> Key {
        Key::parse(&format!("k{index:02}")).unwrap()
    }

    fn edges(count: usize, pairs: &[(usize, usize)]) -> BTreeMap<Key, BTreeSet<Key>> {
        let mut edges: BTreeMap<Key, BTreeSet<Key>> =
            (0..count).map(|index| (key(index), BTreeSet::new())).collect();
        for (from, to) in pairs {
            edges.get_mut(&key(*from)).unwrap().insert(key(*to));
        }
        edges
    }

    #[test]
    fn ties_go_in_the_order_of_keys() {
        let graph = graph(&edges(5, &[(0, 4), (2, 1)])).unwrap();
        let order: Vec<_> = graph.order.iter().map(Key::as_str).collect();
        assert_eq!(order, ["k01", "k02", "k03", "k04", "k00"]);
    }

    /// Every database depends on all before it, as many edges as there can be.
    #[test]
    fn dense_graphs_take_no_time_worth_a_thought() {
        let count = 300;
        let pairs: Vec<_> = (0..count).flat_map(|from| (0..from).map(move |to| (from, to))).collect();
        let keys: Vec<Key> = (0..count).map(|index| Key::parse(&format!("k{index:03}")).unwrap()).collect();
        let mut edges: BTreeMap<Key, BTreeSet<Key>> =
            keys.iter().map(|key| (key.clone(), BTreeSet::new())).collect();
        for (from, to) in &pairs {
            edges.get_mut(&keys[*from]).unwrap().insert(keys[*to].clone());
        }
        let graph = graph(&edges).unwrap();
        assert_eq!(graph.order, keys);
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(graph.dependencies[key].len(), at);
            assert_eq!(graph.dependents[key].len(), count - at - 1);
        }
    }

    #[test]
    fn each_knot_gives_its_shortest_cycle() {
        let found = cycles(&edges(7, &[(2, 1), (1, 0), (0, 2), (1, 2), (3, 4), (4, 3), (5, 0), (6, 6)]));
        let found: Vec<Vec<_>> = found.iter().map(|cycle| cycle.iter().map(Key::as_str).collect()).collect();
        assert_eq!(found, [vec!["k01", "k02"], vec!["k03", "k04"], vec!["k06"]]);
    }

    proptest! {
        #[test]
        fn acyclic_graphs_have_an_order_that_respects_the_closures(
            pairs in proptest::collection::vec((0_usize..12, 0_usize..12), 0..40)
        ) {
            let pairs: Vec<_> = pairs.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.max(b), a.min(b))).collect();
            let edges = edges(12, &pairs);
            let graph = graph(&edges).unwrap();
            prop_assert_eq!(graph.order.len(), 12);
            let place: BTreeMap<_, _> = graph.order.iter().enumerate().map(|(at, key)| (key, at)).collect();
            for (key, direct) in &edges {
                let all = &graph.dependencies[key];
                prop_assert!(direct.is_subset(all));
                prop_assert!(!all.contains(key));
                for dependency in all {
                    prop_assert!(place[dependency] < place[key]);
                    prop_assert!(graph.dependencies[dependency].is_subset(all));
                    prop_assert!(graph.dependents[dependency].contains(key));
                    let reached = direct.contains(dependency)
                        || direct.iter().any(|step| graph.dependencies[step].contains(dependency));
                    prop_assert!(reached);
                }
            }
        }

        #[test]
        fn a_cycle_that_is_reported_is_one(
            pairs in proptest::collection::vec((0_usize..8, 0_usize..8), 0..24)
        ) {
            let edges = edges(8, &pairs);
            match graph(&edges) {
                Ok(graph) => prop_assert_eq!(graph.order.len(), 8),
                Err(cycles) => for cycle in cycles {
                    for (at, key) in cycle.iter().enumerate() {
                        prop_assert!(edges[key].contains(&cycle[(at + 1) % cycle.len()]));
                    }
                    prop_assert_eq!(cycle.iter().collect::<BTreeSet<_>>().len(), cycle.len());
                    prop_assert_eq!(cycle.iter().min(), cycle.first());
                }
            }
        }
    }
}
