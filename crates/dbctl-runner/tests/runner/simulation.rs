//! Simulated runs: several at once and one after another on the fake engine, under a scheduler and with faults, kills and
//! stops that one number decides. A seed that fails prints itself; `DBCTL_SIMULATE_SEED=N` replays it alone, and
//! `DBCTL_SIMULATE=100000` tries that many.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::Future,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use dbctl_engine::fake::{Behaviour, CallKind, Fake, Fault, Record};
use dbctl_migration::{Back, RunStamp};
use dbctl_runner::{Action, Atomic, Event, Migrate, Plan, Request, Run, RunOutcome, Summary, execute};

use crate::fixture::{FIRST, Fixture, SECOND, key};

/// How many seeds are tried unless somebody asks for more.
const SEEDS: u64 = 2_000;

/// How many graphs there are; a seed chooses one.
const GRAPHS: u64 = 24;

/// After so many turns a scenario hangs.
const MAX_TURNS: usize = 200_000;

/// Numbers that a seed decides: Steele, Lea and Flood's SplitMix64.
struct Random(Cell<u64>);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = self.0.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn once_in(&self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// A workspace `d0…`, each depending on some before it.
struct World {
    fixture: Fixture,
    edges: Vec<Vec<usize>>,
}

impl World {
    fn new(number: u64) -> Self {
        let random = Random::new(number);
        let size = 1 + random.below(6);
        let edges: Vec<Vec<usize>> = (0..size)
            .map(|at| {
                let picks: BTreeSet<usize> =
                    (0..random.below(4)).filter(|_| at > 0).map(|_| random.below(at)).collect();
                picks.into_iter().collect()
            })
            .collect();
        let names: Vec<String> = (0..size).map(|at| format!("d{at}")).collect();
        let named: Vec<Vec<&str>> =
            edges.iter().map(|of| of.iter().map(|at| names[*at].as_str()).collect()).collect();
        let databases: Vec<(&str, &[&str])> =
            names.iter().zip(&named).map(|(name, edges)| (name.as_str(), edges.as_slice())).collect();
        Self { fixture: Fixture::new(&databases), edges }
    }

    fn upstream(&self, of: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![of];
        while let Some(at) = open.pop() {
            open.extend(self.edges[at].iter().filter(|next| found.insert(**next)));
        }
        found
    }

    /// What somebody might ask for.
    fn request(&self, random: &Random, forward_only: bool) -> Request {
        let actions = match random.below(if forward_only { 4 } else { 9 }) {
            0 | 1 => Request::up_actions(),
            2 => vec![Action::Migrate(Migrate::default())],
            3 => vec![Action::Create],
            4 => vec![Action::Rollback(Back::Count(1))],
            5 => vec![Action::Redo],
            6 => vec![Action::Clean],
            7 => vec![Action::Drop { disconnect: false }],
            _ => Request::reset_actions(false),
        };
        let picks: BTreeSet<usize> = (0..=random.below(3)).map(|_| random.below(self.edges.len())).collect();
        let names: Vec<String> = picks.iter().map(|at| format!("d{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut request = self.fixture.request(actions, &names);
        request.limits.jobs = NonZeroUsize::new(1 + random.below(4)).unwrap();
        request.limits.fail_fast = random.once_in(5);
        request.ignore_dependents = random.once_in(2);
        request
    }
}

/// One run under way; a killed one is dropped where it stands.
struct Running<'r> {
    future: Pin<Box<dyn Future<Output = Summary> + Send + 'r>>,
    kill_after: Option<usize>,
    turns: usize,
}

/// What one run did, for the check that every step ends once.
type Ended = BTreeMap<(String, &'static str), usize>;

#[test]
fn whatever_goes_wrong_nothing_is_lost_done_twice_or_done_too_early() {
    every_seed(simulate);
}

/// The same for runs over several databases that are committed by PREPARE TRANSACTION.
#[test]
fn whatever_goes_wrong_in_two_phases_it_is_all_or_nothing() {
    every_seed(two_phases);
}

#[expect(clippy::print_stderr, reason = "a seed that fails prints itself")]
fn every_seed(simulate: fn(&World, u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let worlds: Vec<World> = (0..GRAPHS).map(World::new).collect();
    let seeds = match number("DBCTL_SIMULATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DBCTL_SIMULATE").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let world = &worlds[usize::try_from(seed % GRAPHS).unwrap()];
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| simulate(world, seed))) {
            eprintln!("DBCTL_SIMULATE_SEED={seed} replays the scenario that failed");
            resume_unwind(panic);
        }
    }
}

/// One scenario: rounds of runs at once, then an undisturbed `up` that has to find its way.
fn simulate(world: &World, seed: u64) {
    let random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6a09_e667_f3bc_c908);
    let forward_only = random.once_in(2);
    let faults = if random.once_in(4) { 0 } else { 12 + random.below(60) };
    let script_seed = random.next();
    let fake = {
        let calls = std::sync::atomic::AtomicU64::new(0);
        Fake::new(move |_| {
            let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            behaviour(&Random::new(script_seed ^ call.wrapping_mul(0x9e37_79b9)), faults)
        })
    };
    for _ in 0..=random.below(2) {
        round(world, &fake, &random, &|| world.request(&random, forward_only));
        assert!(fake.locked().is_empty(), "every lock is given back");
        assert_eq!(fake.open_sessions(), 0, "every session is closed");
    }
    check_log(world, &fake, forward_only);

    let calm = fake.with_script(|_| Behaviour::default());
    let summary = world.fixture.up_all(&calm);
    assert_eq!(summary.outcome, RunOutcome::Done, "a later run finishes");
    for at in 0..world.edges.len() {
        let database = format!("d{at}_db");
        assert_eq!(fake.applied(&database, &format!("m/d{at}")), [FIRST, SECOND]);
        assert_eq!(fake.seeded(&database), ["001_rows.sql"]);
    }
    check_log(world, &fake, forward_only);
}

/// One scenario: runs at once in two phases, then one that only seeds and so finishes what they have left. Of each run all
/// databases are migrated then, or none by it.
fn two_phases(world: &World, seed: u64) {
    let random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0xbb67_ae85_84ca_a73b);
    let names: Vec<String> = (0..world.edges.len()).map(|at| format!("d{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let calm = Fake::default();
    world.fixture.run(&calm, &world.fixture.request(vec![Action::Create], &names));
    let faults = if random.once_in(4) { 0 } else { 12 + random.below(60) };
    let script_seed = random.next();
    let calls = std::sync::atomic::AtomicU64::new(0);
    let fake = calm.with_script(move |_| {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        behaviour(&Random::new(script_seed ^ call.wrapping_mul(0x9e37_79b9)), faults)
    });
    let asked = RefCell::new(Vec::new());
    round(world, &fake, &random, &|| {
        let picks: BTreeSet<&str> = (0..=random.below(3)).map(|_| names[random.below(names.len())]).collect();
        let migrate = Migrate { atomic: Some(Atomic::TwoPhase), ..Migrate::default() };
        let picks: Vec<&str> = picks.into_iter().collect();
        let mut request = world.fixture.request(vec![Action::Migrate(migrate)], &picks);
        request.limits.jobs = NonZeroUsize::new(1 + random.below(4)).unwrap();
        let keys = world.fixture.plan(&request).databases;
        asked.borrow_mut().push(keys.iter().map(ToString::to_string).collect::<BTreeSet<String>>());
        request
    });
    let calm = fake.with_script(|_| Behaviour::default());
    let seeds = world.fixture.request(vec![Action::Seed { missing_only: false }], &names);
    let (summary, _) = world.fixture.run(&calm, &seeds);
    assert_eq!(summary.outcome, RunOutcome::Done, "what is left is finished");
    assert!(calm.prepared().is_empty() && calm.locked().is_empty(), "nothing is in doubt any more");

    let has = |name: &&&str| match calm.applied(&format!("{name}_db"), &format!("m/{name}")).len() {
        0 => false,
        2 => true,
        some => panic!("{name} has {some} migrations"),
    };
    let migrated: BTreeSet<String> = names.iter().filter(has).map(|name| (*name).to_owned()).collect();
    let asked = asked.into_inner();
    let whole = asked.iter().filter(|keys| keys.is_subset(&migrated)).flatten().cloned().collect();
    assert_eq!(migrated, whole, "each run has migrated all its databases or none: {asked:?}");
    assert_eq!(world.fixture.up_all(&calm).outcome, RunOutcome::Done, "a later run finishes");
}

/// How a call behaves; the numbers before it do not matter, so that a fault stays where it is when others go.
fn behaviour(random: &Random, faults: usize) -> Behaviour {
    let yields = random.below(5);
    let fault = match faults {
        0 => None,
        one_in => match random.below(one_in) {
            0 => Some(Fault::Error),
            1 => Some(Fault::LostBefore),
            2 => Some(Fault::LostAfter),
            3 => Some(Fault::Hang),
            4 => Some(Fault::LostBetween),
            _ => None,
        },
    };
    Behaviour { yields, fault }
}

/// Some runs at once; each may be stopped or killed at some point.
fn round(world: &World, fake: &Fake, random: &Random, request: &dyn Fn() -> Request) {
    let count = 1 + random.below(3);
    let prepared: Vec<(Plan, RunStamp, Option<usize>, Option<usize>)> = (0..count)
        .map(|at| {
            let plan = world.fixture.plan(&request());
            let stamp = RunStamp { run: format!("r{at}"), dbctl_version: "0".to_owned() };
            let kill_after = random.once_in(4).then(|| random.below(400));
            // A call that hangs ends only when its run is stopped.
            let stop_after = 200 + random.below(if random.once_in(3) { 300 } else { 20_000 });
            (plan, stamp, kill_after, Some(stop_after))
        })
        .collect();
    let mut ended: Vec<Ended> = vec![Ended::new(); count];
    let mut hears: Vec<Box<dyn FnMut(Event) + Send + '_>> =
        ended.iter_mut().map(|ended| Box::new(move |event| note(ended, &event)) as Box<_>).collect();
    let mut running: Vec<Option<Running<'_>>> = prepared
        .iter()
        .zip(&mut hears)
        .map(|((plan, stamp, kill_after, stop_after), hear)| {
            let run = Run {
                workspace: &world.fixture.workspace,
                plan,
                targets: &world.fixture.targets,
                elsewhere: &[],
                stamp,
            };
            let turns = stop_after.unwrap_or(usize::MAX);
            let stop = async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            };
            let future = Box::pin(execute(run, fake, stop, &mut **hear));
            Some(Running { future, kill_after: *kill_after, turns: 0 })
        })
        .collect();
    let mut killed = vec![false; count];
    let mut context = Context::from_waker(Waker::noop());
    for turn in 0.. {
        assert!(turn < MAX_TURNS, "a run hangs");
        let alive: Vec<usize> = (0..count).filter(|at| running[*at].is_some()).collect();
        let Some(at) = (!alive.is_empty()).then(|| alive[random.below(alive.len())]) else { break };
        let Some(run) = &mut running[at] else { continue };
        run.turns += 1;
        if run.kill_after.is_some_and(|after| run.turns > after) {
            killed[at] = true;
            running[at] = None;
        } else if let Poll::Ready(summary) = run.future.as_mut().poll(&mut context) {
            let failed = summary.databases.iter().any(|database| !database.outcome.is_success());
            assert_eq!(failed, summary.outcome != RunOutcome::Done, "the outcome is that of its databases");
            running[at] = None;
        }
    }
    drop(running);
    drop(hears);
    for (at, (plan, ..)) in prepared.iter().enumerate() {
        let times = &ended[at];
        assert!(times.values().all(|times| *times == 1), "no step ends twice");
        let steps: BTreeSet<(String, &str)> =
            plan.steps.iter().map(|step| (step.database.to_string(), step.action.name())).collect();
        if !killed[at] {
            assert_eq!(times.keys().cloned().collect::<BTreeSet<_>>(), steps, "every step ends");
        }
    }
}

fn note(ended: &mut Ended, event: &Event) {
    if let Event::StepFinished { database, action, .. } = event {
        *ended.entry((database.to_string(), action)).or_default() += 1;
    }
}

/// Replays what the server saw: a migration is applied at most once until it is reverted, and in order; with nothing but
/// forward commands, only once everything upstream is applied.
fn check_log(world: &World, fake: &Fake, forward_only: bool) {
    let mut applied: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in fake.log() {
        match record {
            Record::Started(call) if forward_only && matches!(call.kind, CallKind::Apply(_)) => {
                let at: usize = call.database[1..].strip_suffix("_db").unwrap().parse().unwrap();
                for up in world.upstream(at) {
                    let done = applied.get(&format!("d{up}_db")).map_or(0, Vec::len);
                    assert_eq!(done, 2, "d{at} starts before d{up} is done");
                }
            }
            Record::Ended(call, true) => {
                let names = applied.entry(call.database.clone()).or_default();
                match call.kind {
                    CallKind::Apply(name) => {
                        assert!(!names.contains(&name), "{name} is applied twice on {}", call.database);
                        names.push(name);
                        assert!(names.is_sorted(), "{} applies {names:?}", call.database);
                    }
                    CallKind::Revert(name) => {
                        assert_eq!(names.pop(), Some(name), "what is reverted was applied last");
                    }
                    CallKind::Drop => names.clear(),
                    _ => {}
                }
            }
            Record::Started(_) | Record::Ended(..) => {}
        }
    }
    for (database, names) in applied {
        let name = database.strip_suffix("_db").unwrap();
        assert_eq!(
            fake.applied(&database, &format!("m/{name}")),
            names,
            "what is recorded is what was applied"
        );
        assert!(world.fixture.targets.contains_key(&key(name)));
    }
}
