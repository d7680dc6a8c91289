//! Properties over random graphs, selections and faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use dbctl_engine::fake::{Behaviour, CallKind, Fake, Fault, Record};
use dbctl_migration::Back;
use dbctl_runner::{Action, Event, Flow, Plan, Request, RunOutcome, StepId};
use dbctl_workspace::Key;
use proptest::prelude::*;

use crate::fixture::{FIRST, Fixture, SECOND};

/// Databases `d0…`, each depending on some of those before it.
#[derive(Debug, Clone)]
struct Graph(Vec<Vec<usize>>);

fn graph(most: usize) -> impl Strategy<Value = Graph> {
    (1..=most).prop_flat_map(|size| {
        (0..size)
            .map(|at| {
                prop::collection::vec(any::<prop::sample::Index>(), 0..3).prop_map(move |picks| {
                    let all: BTreeSet<usize> =
                        picks.iter().filter(|_| at > 0).map(|pick| pick.index(at)).collect();
                    all.into_iter().collect()
                })
            })
            .collect::<Vec<_>>()
            .prop_map(Graph)
    })
}

impl Graph {
    fn fixture(&self) -> Fixture {
        let names: Vec<String> = (0..self.0.len()).map(|at| format!("d{at}")).collect();
        let edges: Vec<Vec<&str>> =
            self.0.iter().map(|of| of.iter().map(|at| names[*at].as_str()).collect()).collect();
        let databases: Vec<(&str, &[&str])> =
            names.iter().zip(&edges).map(|(name, edges)| (name.as_str(), edges.as_slice())).collect();
        Fixture::new(&databases)
    }

    /// Everything `of` depends on, found by walking, not by the code under test.
    fn upstream(&self, of: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![of];
        while let Some(at) = open.pop() {
            open.extend(self.0[at].iter().filter(|next| found.insert(**next)));
        }
        found
    }

    fn names(&self, picks: &[prop::sample::Index]) -> Vec<String> {
        picks.iter().map(|pick| format!("d{}", pick.index(self.0.len()))).collect()
    }
}

fn number(key: &Key) -> usize {
    key.as_str()[1..].parse().unwrap()
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop_oneof![
        Just(Request::up_actions()),
        Just(Request::reset_actions(false)),
        Just(vec![Action::Clean]),
        Just(vec![Action::Rollback(Back::Count(1))]),
        Just(vec![Action::Create]),
    ]
}

/// All steps a step waits for, directly or not.
fn waits_for(plan: &Plan, id: StepId) -> BTreeSet<StepId> {
    let mut found = BTreeSet::new();
    let mut open = vec![id];
    while let Some(at) = open.pop() {
        open.extend(plan.step(at).needs.iter().filter(|need| found.insert(**need)));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_respects_the_transitive_closure_inside_any_selection(
        graph in graph(8),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        actions in actions(),
        no_deps: bool,
    ) {
        let fixture = graph.fixture();
        let names = graph.names(&picks);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let request = Request { no_deps, ..fixture.request(actions, &names) };
        let plan = fixture.plan(&request);
        for step in &plan.steps {
            prop_assert!(step.needs.iter().all(|need| *need < step.id), "needs come first");
            let waits = waits_for(&plan, step.id);
            let upstream = graph.upstream(number(&step.database));
            for other in plan.steps.iter().filter(|other| other.action.flow() == step.action.flow()) {
                let is_upstream = upstream.contains(&number(&other.database));
                match step.action.flow() {
                    Flow::Forward if is_upstream => prop_assert!(waits.contains(&other.id)),
                    Flow::Backward if is_upstream => {
                        prop_assert!(waits_for(&plan, other.id).contains(&step.id));
                    }
                    Flow::Forward | Flow::Backward => {}
                }
            }
        }
        let chosen: BTreeSet<&Key> = plan.steps.iter().map(|step| &step.database).collect();
        for key in &request.targets {
            prop_assert!(chosen.contains(key));
            if request.flow() == Flow::Forward && !no_deps {
                for at in graph.upstream(number(key)) {
                    prop_assert!(chosen.iter().any(|key| number(key) == at), "dependencies come along");
                }
            }
        }
    }

    #[test]
    fn whatever_fails_nothing_is_done_twice_or_too_early_and_a_later_run_finishes(
        graph in graph(6),
        seed: u64,
        jobs in 1..5_usize,
        stop_after in prop::option::of(0..400_usize),
    ) {
        let fixture = graph.fixture();
        let faulty = Fake::new(move |call| behaviour(seed, &format!("{call:?}")));
        let all: Vec<String> = (0..graph.0.len()).map(|at| format!("d{at}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut request = fixture.request(Request::up_actions(), &all);
        request.limits.jobs = NonZeroUsize::new(jobs).unwrap();
        let stop = async move {
            match stop_after {
                None => std::future::pending().await,
                Some(turns) => for _ in 0..turns { tokio::task::yield_now().await },
            }
        };
        let (summary, events) = fixture.run_until(&faulty, &request, stop);

        let mut ended: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for event in &events {
            if let Event::StepFinished { database, action, .. } = event {
                *ended.entry((database.to_string(), action)).or_default() += 1;
            }
        }
        prop_assert_eq!(ended.len(), 3 * graph.0.len(), "every step ends");
        prop_assert!(ended.values().all(|times| *times == 1), "every step ends exactly once");
        prop_assert!(faulty.locked().is_empty(), "every lock is given back");
        check_order(&graph, &faulty)?;
        let failed = summary.databases.iter().any(|db| !db.outcome.is_success());
        prop_assert_eq!(failed, summary.outcome != RunOutcome::Done);

        let later = fixture.up_all(&faulty.with_script(|_| Behaviour::default()));
        prop_assert_eq!(later.outcome, RunOutcome::Done);
        for key in &all {
            prop_assert_eq!(faulty.applied(&format!("{key}_db"), &format!("m/{key}")), vec![FIRST, SECOND]);
            prop_assert_eq!(faulty.seeded(&format!("{key}_db")), vec!["001_rows.sql"]);
        }
    }
}

/// A behaviour that depends on nothing but the seed and the call.
fn behaviour(seed: u64, call: &str) -> Behaviour {
    let hash = call.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let fault = match (hash >> 8) % 40 {
        0 => Some(Fault::Error),
        1 => Some(Fault::LostBefore),
        2 => Some(Fault::LostAfter),
        _ => None,
    };
    Behaviour { yields: usize::try_from(hash % 7).unwrap(), fault }
}

/// Nothing is applied twice, and nothing starts before everything upstream is applied.
fn check_order(graph: &Graph, fake: &Fake) -> Result<(), TestCaseError> {
    let mut done: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in fake.log() {
        match record {
            Record::Started(call) if matches!(call.kind, CallKind::Apply(_)) => {
                let at: usize = call.database[1..].strip_suffix("_db").unwrap().parse().unwrap();
                for up in graph.upstream(at) {
                    let applied = done.get(&format!("d{up}_db")).map_or(0, BTreeSet::len);
                    prop_assert_eq!(applied, 2, "d{} starts before d{} is done", at, up);
                }
            }
            Record::Ended(call, true) => {
                if let CallKind::Apply(name) = call.kind {
                    prop_assert!(done.entry(call.database).or_default().insert(name), "applied twice");
                }
            }
            Record::Started(_) | Record::Ended(..) => {}
        }
    }
    Ok(())
}
