//! Runs: what happens to each database, whatever the engine does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use dbctl_engine::fake::{Behaviour, CallKind, Fake, Fault, Record};
use dbctl_migration::Back;
use dbctl_runner::{Action, Event, Migrate, Outcome, Request, RunOutcome};

use crate::fixture::{FIRST, Fixture, SECOND, migrate, outcomes};

const DIAMOND: [(&str, &[&str]); 4] =
    [("core", &[]), ("left", &["core"]), ("right", &["core"]), ("top", &["left", "right"])];

/// A script that fails or delays the migrations of one database.
fn on_apply(database: &'static str, fault: Fault) -> Fake {
    Fake::new(move |call| {
        let hit = call.database == database && matches!(call.kind, CallKind::Apply(_));
        Behaviour { yields: 1, fault: hit.then_some(fault) }
    })
}

#[test]
fn up_creates_migrates_and_seeds_everything_and_then_has_nothing_to_do() {
    let (fixture, fake) = (Fixture::new(&DIAMOND), Fake::default());
    let first = fixture.up_all(&fake);
    assert_eq!(outcomes(&first), "core: done, left: done, right: done, top: done");
    assert_eq!(first.outcome, RunOutcome::Done);
    assert_eq!(fake.applied("top_db", "m/top"), [FIRST, SECOND]);
    assert_eq!(fake.seeded("top_db"), ["001_rows.sql"]);
    let again = fixture.up_all(&fake);
    assert_eq!(outcomes(&again), "core: unchanged, left: unchanged, right: unchanged, top: unchanged");
    assert!(again.databases.iter().all(|db| db.migrations.is_empty() && !db.created));
    assert!(fake.locked().is_empty());
}

#[test]
fn dependents_of_a_failure_are_skipped_and_other_branches_go_on() {
    let (fixture, fake) = (Fixture::new(&DIAMOND), on_apply("left_db", Fault::Error));
    let summary = fixture.up_all(&fake);
    assert_eq!(outcomes(&summary), "core: done, left: failed, right: done, top: skipped, needs left");
    assert_eq!(summary.outcome, RunOutcome::Failed);
    assert_eq!(fake.applied("right_db", "m/right").len(), 2);
    assert!(fake.locked().is_empty(), "a failure gives the lock back");
}

#[test]
fn fail_fast_starts_nothing_more() {
    let fixture = Fixture::new(&[("a", &[]), ("b", &[]), ("c", &[])]);
    let fake = on_apply("a_db", Fault::Error);
    let mut request = fixture.request(Request::up_actions(), &["a", "b", "c"]);
    request.limits.fail_fast = true;
    request.limits.jobs = std::num::NonZeroUsize::MIN;
    let (summary, _) = fixture.run(&fake, &request);
    assert_eq!(outcomes(&summary), "a: failed, b: skipped, halted by a, c: skipped, halted by a");
    assert_eq!(fake.databases(), ["a_db"]);
}

#[test]
fn a_database_starts_the_moment_its_own_dependencies_are_done() {
    // `slow` takes far longer than `core`; `app` must not wait for it.
    let fixture = Fixture::new(&[("app", &["core"]), ("core", &[]), ("slow", &[])]);
    let fake =
        Fake::new(|call| Behaviour { yields: if call.database == "slow_db" { 500 } else { 1 }, fault: None });
    fixture.up_all(&fake);
    let log = fake.log();
    let at = |database: &str| {
        log.iter()
            .position(|record| matches!(record, Record::Ended(call, true) if call.database == database && matches!(call.kind, CallKind::Apply(_))))
            .unwrap()
    };
    assert!(at("app_db") < at("slow_db"));
}

#[test]
fn neither_jobs_nor_a_servers_cap_is_exceeded() {
    let names: Vec<String> = (0..12).map(|n| format!("d{n}")).collect();
    let databases: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[] as &[&str])).collect();
    for (jobs, cap, most) in [(3, "16", 3), (8, "2", 2)] {
        let extra = format!("servers: {{ main: {{ embedded: true, max_connections: {cap} }} }}\n");
        let fixture = Fixture::with_extra(&databases, &extra);
        let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, highest) = (Arc::clone(&now), Arc::clone(&peak));
        let fake = Fake::new(move |call| {
            match call.kind {
                CallKind::Create => {
                    let running = counted.fetch_add(1, Ordering::SeqCst) + 1;
                    highest.fetch_max(running, Ordering::SeqCst);
                }
                CallKind::Lock => {
                    counted.fetch_sub(1, Ordering::SeqCst);
                }
                _ => {}
            }
            Behaviour { yields: 20, fault: None }
        });
        let mut request =
            fixture.request(vec![Action::Create], &names.iter().map(String::as_str).collect::<Vec<_>>());
        request.limits.jobs = jobs.try_into().unwrap();
        fixture.run(&fake, &request);
        assert_eq!(peak.load(Ordering::SeqCst), most, "jobs {jobs}, cap {cap}");
    }
}

#[test]
fn stopping_cancels_what_runs_and_starts_nothing_more() {
    let (fixture, fake) = (Fixture::new(&DIAMOND), on_apply("left_db", Fault::Hang));
    let stop = async {
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
    };
    let request = fixture.request(Request::up_actions(), &["top"]);
    let (summary, _) = fixture.run_until(&fake, &request, stop);
    assert_eq!(outcomes(&summary), "core: done, left: cancelled, right: done, top: cancelled");
    assert_eq!(summary.outcome, RunOutcome::Cancelled);
    assert!(fake.applied("left_db", "m/left").is_empty());
    assert!(fake.locked().is_empty(), "stopping gives the lock back");
    let later = fixture.up_all(&fake.with_script(|_| Behaviour::default()));
    assert_eq!(later.outcome, RunOutcome::Done);
    assert_eq!(fake.applied("top_db", "m/top"), [FIRST, SECOND]);
}

#[test]
fn what_was_applied_before_a_failure_is_in_the_summary() {
    let fixture = Fixture::new(&[("core", &[])]);
    let fake = Fake::new(|call| {
        let second = call.kind == CallKind::Apply(SECOND.to_owned());
        Behaviour { yields: 0, fault: second.then_some(Fault::Error) }
    });
    let summary = fixture.up_all(&fake);
    let names: Vec<&str> =
        summary.databases[0].migrations.iter().map(|m| m.migration.name.as_str()).collect();
    assert_eq!(names, [FIRST]);
    let Outcome::Failed(error) = &summary.databases[0].outcome else { panic!("it failed") };
    assert_eq!(error.to_string(), "the script says so");
    let later = fixture.up_all(&fake.with_script(|_| Behaviour::default()));
    assert_eq!(later.databases[0].migrations.len(), 1, "only what was missing runs");
}

#[test]
fn rollback_reverts_the_last_and_redo_puts_it_back() {
    let (fixture, fake) = (Fixture::new(&[("core", &[])]), Fake::default());
    fixture.up_all(&fake);
    let redo = fixture.request(vec![Action::Redo], &["core"]);
    assert_eq!(outcomes(&fixture.run(&fake, &redo).0), "core: done");
    assert_eq!(fake.applied("core_db", "m/core"), [FIRST, SECOND]);
    let back = |back| fixture.request(vec![Action::Rollback(back)], &["core"]);
    fixture.run(&fake, &back(Back::Count(1)));
    assert_eq!(fake.applied("core_db", "m/core"), [FIRST]);
    fixture.run(&fake, &back(Back::All));
    assert!(fake.applied("core_db", "m/core").is_empty());
    assert_eq!(outcomes(&fixture.run(&fake, &back(Back::Count(1))).0), "core: unchanged");
}

#[test]
fn a_dry_run_tells_and_touches_nothing() {
    let (fixture, fake) = (Fixture::new(&[("core", &[])]), Fake::default());
    let dry = Action::Migrate(Migrate { dry_run: true, ..Migrate::default() });
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![dry], &["core"]));
    assert_eq!(summary.databases[0].migrations.len(), 2);
    assert!(fake.databases().is_empty());
    let wrote = |record: &Record| matches!(record, Record::Started(call) if matches!(call.kind, CallKind::Lock | CallKind::Create));
    assert!(!fake.log().iter().any(wrote));
}

#[test]
fn to_stops_at_a_version_and_fake_only_records() {
    let (fixture, fake) = (Fixture::new(&[("core", &[])]), Fake::default());
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["core"]));
    let to = Migrate { to: Some("20260101000000".to_owned()), ..Migrate::default() };
    fixture.run(&fake, &fixture.request(vec![Action::Migrate(to)], &["core"]));
    assert_eq!(fake.applied("core_db", "m/core"), [FIRST]);
    let faked = Migrate { fake: true, ..Migrate::default() };
    fixture.run(&fake, &fixture.request(vec![Action::Migrate(faked)], &["core"]));
    assert_eq!(fake.applied("core_db", "m/core"), [FIRST, SECOND]);
    let applied = |record: &Record| matches!(record, Record::Started(call) if call.kind == CallKind::Apply(SECOND.to_owned()));
    assert!(!fake.log().iter().any(applied));
}

#[test]
fn events_of_a_database_come_in_order_and_end_with_it() {
    let (fixture, fake) = (Fixture::new(&[("core", &[])]), Fake::default());
    let (_, events) = fixture.run(&fake, &fixture.request(migrate(), &["core"]));
    assert!(matches!(events.first(), Some(Event::RunStarted { .. })));
    assert!(matches!(events.last(), Some(Event::RunFinished { .. })));
    assert!(matches!(events[events.len() - 2], Event::DatabaseFinished { .. }));
}

#[test]
fn a_skipped_database_names_what_it_depends_on_itself() {
    // `core`'s drop waits for `x`'s, which fails; `y` has nothing to do with `x` and lacks `core`.
    let fixture = Fixture::new(&[("core", &[]), ("x", &["core"]), ("y", &["core"])]);
    let fake = Fake::default();
    fixture.up_all(&fake);
    let fake = fake.with_script(|call| {
        let hit = call.database == "x_db" && call.kind == CallKind::Drop;
        Behaviour { yields: 0, fault: hit.then_some(Fault::Error) }
    });
    let (summary, _) =
        fixture.run(&fake, &fixture.request(Request::reset_actions(false), &["core", "x", "y"]));
    assert_eq!(outcomes(&summary), "core: skipped, needs x, x: failed, y: skipped, needs core");
}

#[test]
fn a_database_takes_as_long_as_its_steps() {
    let (fixture, fake) = (Fixture::new(&[("core", &[]), ("app", &["core"])]), Fake::default());
    let (summary, events) = fixture.run(&fake, &fixture.request(Request::up_actions(), &["app"]));
    for database in &summary.databases {
        let steps = events.iter().filter_map(|event| match event {
            Event::StepFinished { database: of, elapsed, .. } if *of == database.key => Some(*elapsed),
            _ => None,
        });
        let told = events.iter().find_map(|event| match event {
            Event::DatabaseFinished { database: of, elapsed, .. } if *of == database.key => Some(*elapsed),
            _ => None,
        });
        assert_eq!((Some(steps.sum()), Some(database.elapsed)), (told, told));
    }
}
