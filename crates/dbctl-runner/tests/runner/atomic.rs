//! `migrate --atomic` on the fake: all databases or none.

use std::{fs, num::NonZeroUsize};

use dbctl_engine::fake::{Behaviour, Call, CallKind, Fake, Fault, Record};
use dbctl_runner::{Action, Atomic, Event, Migrate, Request, RunOutcome, Summary};

use crate::fixture::{FIRST, Fixture, SECOND, error, key, outcomes};

const CHAIN: [(&str, &[&str]); 3] = [("core", &[]), ("app", &["core"]), ("shop", &[])];

fn request(fixture: &Fixture) -> Request {
    let migrate = Migrate { atomic: Some(Atomic::OnePhase), ..Migrate::default() };
    fixture.request(vec![Action::Migrate(migrate)], &["core", "app", "shop"])
}

/// Databases that exist and have nothing applied.
fn created(databases: &[(&str, &[&str])]) -> (Fixture, Fake) {
    let fixture = Fixture::new(databases);
    let fake = Fake::default();
    let names: Vec<&str> = databases.iter().map(|(name, _)| *name).collect();
    fixture.run(&fake, &fixture.request(vec![Action::Create], &names));
    (fixture, fake)
}

fn failing(
    kind: CallKind,
    database: &'static str,
    fault: Fault,
) -> impl Fn(&Call) -> Behaviour + Send + Sync {
    move |call| Behaviour {
        fault: (call.kind == kind && call.database == database).then_some(fault),
        ..Behaviour::default()
    }
}

fn nothing_is_applied(fake: &Fake) {
    for name in ["core", "app", "shop"] {
        assert_eq!(fake.applied(&format!("{name}_db"), &format!("m/{name}")), [""; 0], "{name}");
    }
    assert_eq!(fake.locked(), [""; 0]);
}

fn commits(fake: &Fake) -> Vec<String> {
    let of = |record| match record {
        Record::Ended(Call { database, kind: CallKind::Commit }, true) => Some(database),
        Record::Ended(..) | Record::Started(_) => None,
    };
    fake.log().into_iter().filter_map(of).collect()
}

fn locks(fake: &Fake) -> usize {
    let is = |record: &&Record| matches!(record, Record::Started(call) if call.kind == CallKind::Lock);
    fake.log().iter().filter(is).count()
}

fn migrations(summary: &Summary) -> usize {
    summary.databases.iter().map(|database| database.migrations.len()).sum()
}

#[test]
fn all_are_committed_once_all_have_succeeded_what_is_depended_on_first() {
    let (fixture, fake) = created(&CHAIN);
    let (summary, events) = fixture.run(&fake, &request(&fixture));
    assert_eq!(outcomes(&summary), "core: done, app: done, shop: done");
    assert_eq!(commits(&fake), ["core_db", "app_db", "shop_db"]);
    let log = fake.log();
    let is = |record: &Record, wanted: fn(&CallKind) -> bool| matches!(record, Record::Started(call) if wanted(&call.kind));
    let last = log.iter().rposition(|one| is(one, |kind| matches!(kind, CallKind::Apply(_)))).unwrap();
    let first = log.iter().position(|one| is(one, |kind| *kind == CallKind::Commit)).unwrap();
    assert!(last < first, "{log:?}");
    for name in ["core", "app", "shop"] {
        assert_eq!(fake.applied(&format!("{name}_db"), &format!("m/{name}")), [FIRST, SECOND]);
    }
    assert!(!events.iter().any(|event| matches!(event, Event::RolledBack { .. })));
    // Nothing to do is nothing to commit with the others.
    let (summary, _) = fixture.run(&fake, &request(&fixture));
    assert_eq!(outcomes(&summary), "core: unchanged, app: unchanged, shop: unchanged");
}

/// Two runs over the same databases, in part or in whole, then never wait for each other.
#[test]
fn locks_are_taken_in_the_workspaces_order() {
    const DATABASES: [(&str, &[&str]); 5] =
        [("a", &["e"]), ("b", &[]), ("c", &[]), ("d", &["b"]), ("e", &[])];
    for jobs in 1..=5 {
        for atomic in [Atomic::OnePhase, Atomic::TwoPhase] {
            let (fixture, fake) = created(&DATABASES);
            let migrate = Migrate { atomic: Some(atomic), ..Migrate::default() };
            let mut request = fixture.request(vec![Action::Migrate(migrate)], &["d", "a", "c"]);
            request.limits.jobs = NonZeroUsize::new(jobs).unwrap();
            // The earlier it is, the longer it takes.
            let slow = |call: &Call| Behaviour {
                yields: match call.kind {
                    CallKind::Lock => 200 - 30 * usize::from(call.database.as_bytes()[0] - b'a'),
                    _ => 0,
                },
                ..Behaviour::default()
            };
            let before = fake.log().len();
            let fake = fake.with_script(slow);
            let (summary, _) = fixture.run(&fake, &request);
            assert_eq!(outcomes(&summary), "b: done, c: done, d: done, e: done, a: done");
            let of = |record: &Record| match record {
                Record::Started(Call { database, kind: CallKind::Lock }) => Some(database.clone()),
                Record::Started(_) | Record::Ended(..) => None,
            };
            let mut order: Vec<String> = fake.log()[before..].iter().filter_map(of).collect();
            order.dedup();
            // In the end each is opened once more, to record what came of it.
            assert_eq!(order[..5], ["b_db", "c_db", "d_db", "e_db", "a_db"], "{jobs} {atomic:?}");
        }
    }
}

#[test]
fn one_that_fails_takes_all_others_back() {
    for (kind, fault) in [
        (CallKind::Apply(SECOND.to_owned()), Fault::Error),
        (CallKind::Apply(FIRST.to_owned()), Fault::LostAfter),
        (CallKind::Lock, Fault::Error),
        (CallKind::Ready, Fault::LostBefore),
    ] {
        let (fixture, fake) = created(&CHAIN);
        let (summary, events) =
            fixture.run(&fake.with_script(failing(kind.clone(), "app_db", fault)), &request(&fixture));
        let others = "core: skipped, halted by app, app: failed, shop: skipped, halted by app";
        assert_eq!(outcomes(&summary), others, "{kind:?}");
        nothing_is_applied(&fake);
        assert_eq!(migrations(&summary), 0, "what was rolled back is not told as done");
        assert_eq!(commits(&fake), [""; 0]);
        let undone = |name| {
            events.iter().any(|e| matches!(e, Event::RolledBack { database } if *database == key(name)))
        };
        assert!(undone("core"), "{kind:?}");
        // A later run finds everything as it was.
        assert_eq!(fixture.run(&fake, &request(&fixture)).0.outcome, RunOutcome::Done);
    }
}

#[test]
fn what_others_are_doing_stops_when_one_fails() {
    let (fixture, fake) = created(&CHAIN);
    let script = |call: &Call| Behaviour {
        fault: match (&call.kind, call.database.as_str()) {
            (CallKind::Apply(_), "core_db") => Some(Fault::Error),
            (CallKind::Apply(_), "shop_db") => Some(Fault::Hang),
            _ => None,
        },
        yields: if call.database == "core_db" { 30 } else { 0 },
    };
    let (summary, _) = fixture.run(&fake.with_script(script), &request(&fixture));
    assert_eq!(outcomes(&summary), "core: failed, app: skipped, needs core, shop: skipped, halted by core");
    assert_eq!(summary.outcome, RunOutcome::Failed);
    nothing_is_applied(&fake);
}

#[test]
fn a_run_that_is_stopped_before_the_first_commit_has_done_nothing() {
    let (fixture, fake) = created(&CHAIN);
    let hang = fake.with_script(failing(CallKind::Ready, "shop_db", Fault::Hang));
    let stop = async {
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
    };
    let (summary, _) = fixture.run_until(&hang, &request(&fixture), stop);
    assert_eq!(summary.outcome, RunOutcome::Cancelled);
    assert_eq!(outcomes(&summary), "core: cancelled, app: cancelled, shop: cancelled");
    nothing_is_applied(&fake);
}

#[test]
fn a_commit_that_fails_leaves_those_before_it_and_says_so() {
    let (fixture, fake) = created(&CHAIN);
    let script = failing(CallKind::Commit, "app_db", Fault::LostBefore);
    let (summary, events) = fixture.run(&fake.with_script(script), &request(&fixture));
    assert_eq!(outcomes(&summary), "core: done, app: failed, shop: skipped, halted by app");
    assert_eq!(
        error(&summary, "app"),
        "its transaction could not be committed: the connection to app_db was lost: the script says so; core had been \
         committed by then"
    );
    assert_eq!(migrations(&summary), 2, "those of core");
    let undone =
        |name| events.iter().any(|e| matches!(e, Event::RolledBack { database } if *database == key(name)));
    assert!(undone("shop") && !undone("app") && !undone("core"));
    assert_eq!(fixture.run(&fake, &request(&fixture)).0.outcome, RunOutcome::Done);
}

#[test]
fn what_an_open_transaction_holds_counts_as_applied() {
    let (fixture, fake) = created(&CHAIN);
    let sql = "-- dbctl:requires core@20260102000000\nselect 'needs core';\n";
    fs::write(fixture.path().join(format!("m/app/{FIRST}.sql")), sql).unwrap();
    assert_eq!(outcomes(&fixture.run(&fake, &request(&fixture)).0), "core: done, app: done, shop: done");
}

#[test]
fn what_does_not_fit_one_transaction_is_refused_before_anything_begins() {
    let (fixture, fake) = created(&CHAIN);
    let path = format!("m/shop/{SECOND}.sql");
    fs::write(fixture.path().join(&path), "-- dbctl:no-transaction\nselect 1;\n").unwrap();
    let before = locks(&fake);
    let (summary, _) = fixture.run(&fake, &request(&fixture));
    assert_eq!(
        outcomes(&summary),
        "core: skipped, halted by shop, app: skipped, halted by shop, shop: failed"
    );
    assert_eq!(error(&summary, "shop"), format!("{path}:1: the file is to run outside a transaction"));
    assert_eq!(locks(&fake), before);
    // What is applied already may be as it likes.
    let first = fixture.request(vec![Action::Migrate(Migrate::default())], &["shop"]);
    assert_eq!(outcomes(&fixture.run(&fake, &first).0), "shop: done");
    assert_eq!(outcomes(&fixture.run(&fake, &request(&fixture)).0), "core: done, app: done, shop: unchanged");
}

#[test]
fn every_database_needs_a_connection_of_its_own() {
    for (cap, refused) in [(2, true), (3, false)] {
        let (mut fixture, fake) = created(&CHAIN);
        for target in fixture.targets.values_mut() {
            target.max_connections = NonZeroUsize::new(cap).unwrap();
        }
        let (summary, _) = fixture.run(&fake, &request(&fixture));
        if refused {
            assert_eq!(
                error(&summary, "core"),
                "--atomic keeps 3 connections to embedded open at once, and no more than 2 are allowed"
            );
            nothing_is_applied(&fake);
        } else {
            assert_eq!(outcomes(&summary), "core: done, app: done, shop: done");
            assert_eq!(fake.peak("embedded"), 3);
        }
    }
}

#[test]
fn few_jobs_do_not_keep_many_transactions_from_being_open() {
    let (fixture, fake) = created(&CHAIN);
    let mut request = request(&fixture);
    request.limits.jobs = NonZeroUsize::MIN;
    assert_eq!(outcomes(&fixture.run(&fake, &request).0), "core: done, app: done, shop: done");
}

#[test]
fn a_database_that_is_not_there_refuses_the_run() {
    let (fixture, fake) = created(&CHAIN[..1]);
    drop(fixture);
    let fixture = Fixture::new(&CHAIN);
    let (summary, _) = fixture.run(&fake, &request(&fixture));
    assert!(outcomes(&summary).starts_with("core: skipped, halted by app"), "{}", outcomes(&summary));
    nothing_is_applied(&fake);
}

fn two_phase(fixture: &Fixture) -> Request {
    let migrate = Migrate { atomic: Some(Atomic::TwoPhase), ..Migrate::default() };
    fixture.request(vec![Action::Migrate(migrate)], &["core", "app", "shop"])
}

/// Which databases have everything; each has it or nothing.
fn whole(fake: &Fake) -> Vec<&'static str> {
    let has = |name: &&str| {
        let applied = fake.applied(&format!("{name}_db"), &format!("m/{name}"));
        assert!(applied.is_empty() || applied == [FIRST, SECOND], "{name}: {applied:?}");
        !applied.is_empty()
    };
    ["core", "app", "shop"].into_iter().filter(has).collect()
}

#[test]
fn all_prepare_before_it_is_decided_and_commit_after_it() {
    let (fixture, fake) = created(&CHAIN);
    let before = fake.log().len();
    let (summary, _) = fixture.run(&fake, &two_phase(&fixture));
    assert_eq!(outcomes(&summary), "core: done, app: done, shop: done");
    let told = |record: &Record| match record {
        Record::Ended(Call { database, kind }, true) => match kind {
            CallKind::Lead | CallKind::PrepareCommit | CallKind::Decide | CallKind::Conclude(_) => {
                Some(format!("{kind:?} {database}"))
            }
            _ => None,
        },
        Record::Ended(..) | Record::Started(_) => None,
    };
    assert_eq!(
        fake.log()[before..].iter().filter_map(told).collect::<Vec<_>>(),
        [
            "Lead core_db",
            "PrepareCommit core_db",
            "PrepareCommit app_db",
            "PrepareCommit shop_db",
            "Decide core_db",
            "Conclude(Commit) core_db",
            "Conclude(Commit) app_db",
            "Conclude(Commit) shop_db",
        ]
    );
    assert_eq!(
        outcomes(&fixture.run(&fake, &two_phase(&fixture)).0),
        "core: unchanged, app: unchanged, shop: unchanged"
    );
}

#[test]
fn before_the_decision_everything_is_rolled_back_after_it_everything_is_committed() {
    for (kind, database, fault, committed) in [
        (CallKind::Lead, "core_db", Fault::Error, false),
        (CallKind::PrepareCommit, "core_db", Fault::Error, false),
        (CallKind::PrepareCommit, "app_db", Fault::LostBefore, false),
        (CallKind::PrepareCommit, "shop_db", Fault::LostAfter, false),
        (CallKind::Decide, "core_db", Fault::Error, false),
        (CallKind::Decide, "core_db", Fault::LostBefore, false),
        (CallKind::Decide, "core_db", Fault::LostAfter, true),
        (CallKind::Conclude(dbctl_engine::Decision::Commit), "app_db", Fault::LostBefore, true),
        (CallKind::Conclude(dbctl_engine::Decision::Commit), "app_db", Fault::LostAfter, true),
    ] {
        let (fixture, fake) = created(&CHAIN);
        // Once: what is then tried again works.
        let times = std::sync::atomic::AtomicUsize::new(0);
        let wanted = kind.clone();
        let script = move |call: &Call| {
            let hit = call.kind == wanted && call.database == database;
            let first = hit && times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            Behaviour { fault: first.then_some(fault), ..Behaviour::default() }
        };
        let (summary, _) = fixture.run(&fake.with_script(script), &two_phase(&fixture));
        let all: &[&str] = if committed { &["core", "app", "shop"] } else { &[] };
        assert_eq!(whole(&fake), all, "{kind:?} {fault:?}: {}", outcomes(&summary));
        assert_eq!(
            summary.outcome == RunOutcome::Done,
            committed,
            "{kind:?} {fault:?}: {}",
            outcomes(&summary)
        );
        assert_eq!(migrations(&summary), 2 * all.len(), "{kind:?} {fault:?}");
        assert_eq!(fake.prepared(), [""; 0], "{kind:?} {fault:?}");
        assert_eq!(fake.locked(), [""; 0], "{kind:?} {fault:?}");
    }
}

#[test]
fn what_cannot_be_finished_is_left_to_the_next_run() {
    for (broken, committed) in [(vec!["Decision"], None), (vec!["Conclude(Commit)"], Some(true))] {
        let (fixture, fake) = created(&CHAIN);
        let script = move |call: &Call| {
            let name = format!("{:?}", call.kind);
            let lost =
                call.kind == CallKind::Decide && committed.is_none() || broken.contains(&name.as_str());
            Behaviour { fault: lost.then_some(Fault::LostBefore), ..Behaviour::default() }
        };
        let (summary, _) = fixture.run(&fake.with_script(script), &two_phase(&fixture));
        assert_eq!(outcomes(&summary), "core: failed, app: failed, shop: failed");
        let told = error(&summary, "app");
        assert!(told.starts_with("its transaction is prepared and "), "{told}");
        assert_eq!(migrations(&summary), 0);
        assert_eq!(fake.prepared(), ["core_db", "app_db", "shop_db"]);
        let seed = fixture.request(vec![Action::Seed { missing_only: false }], &["shop"]);
        let (summary, _) = fixture.run(&fake, &seed);
        assert_eq!(outcomes(&summary), "shop: done");
        assert_eq!(summary.databases[0].warnings.len(), 1, "{:?}", summary.databases[0].warnings);
        assert_eq!(fake.prepared(), ["core_db", "app_db"]);
        fixture.run(&fake, &fixture.request(vec![Action::Seed { missing_only: false }], &["core", "app"]));
        assert_eq!(whole(&fake).len(), if committed.is_some() { 3 } else { 0 });
    }
}
