//! Frozen plans: exactly what was found out, or nothing.

use std::{fs, sync::Arc};

use dbctl_engine::fake::{Behaviour, CallKind, Fake, Record};
use dbctl_migration::{Applied, Checksum, Progress, RunStamp, Version};
use dbctl_runner::{Action, Atomic, Frozen, Migrate, Request, Run, freeze};

use crate::fixture::{FIRST, Fixture, SECOND, error, key, migrate, outcomes};

const THIRD: &str = "20260103000000_third";

/// `core` ← `app`, both created, `core` with its first migration.
fn half() -> (Fixture, Fake) {
    let fixture = Fixture::new(&[("core", &[]), ("app", &["core"])]);
    let fake = Fake::default();
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["core", "app"]));
    let first = Action::Migrate(Migrate { to: Some(FIRST.to_owned()), ..Migrate::default() });
    fixture.run(&fake, &fixture.request(vec![first], &["core"]));
    (fixture, fake)
}

fn frozen(fixture: &Fixture, fake: &Fake, request: &Request) -> Result<Frozen, String> {
    let plan = fixture.plan(request);
    let stamp = RunStamp { run: "plan".to_owned(), dbctl_version: "0".to_owned() };
    let run = Run {
        workspace: &fixture.workspace,
        plan: &plan,
        targets: &fixture.targets,
        elsewhere: &[],
        stamp: &stamp,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let frozen = runtime.block_on(freeze(run, fake));
    assert_eq!(fake.open_sessions(), 0, "every session is closed");
    frozen.map_err(|failed| {
        failed.iter().map(|(key, error)| format!("{key}: {error}")).collect::<Vec<_>>().join(", ")
    })
}

fn migrate_as(frozen: Frozen) -> Migrate {
    Migrate { frozen: Some(Arc::new(frozen)), ..Migrate::default() }
}

fn row(name: &str) -> Applied {
    Applied {
        version: Version::new(name.split('_').next().unwrap()),
        name: name.to_owned(),
        checksum: Some(Checksum::of_text("something")),
        at: None,
        elapsed: None,
        progress: Progress::Whole,
        tool_row: None,
    }
}

fn locks(fake: &Fake) -> usize {
    let is_lock = |record: &&Record| matches!(record, Record::Started(call) if call.kind == CallKind::Lock);
    fake.log().iter().filter(is_lock).count()
}

#[test]
fn what_was_found_out_is_what_is_done() {
    let (fixture, fake) = half();
    let before = locks(&fake);
    let frozen = frozen(&fixture, &fake, &fixture.request(migrate(), &["app"])).unwrap();
    assert_eq!(locks(&fake), before, "nothing is touched");
    let names = |name: &str| -> Vec<String> {
        frozen.databases[&key(name)].pending.iter().map(|file| file.path.clone()).collect()
    };
    assert_eq!(names("core"), [format!("m/core/{SECOND}.sql")]);
    assert_eq!(names("app"), [format!("m/app/{FIRST}.sql"), format!("m/app/{SECOND}.sql")]);
    let core = &frozen.databases[&key("core")];
    assert_eq!((core.applied.len(), core.identity.database.as_str()), (1, "core_db"));
    assert_eq!(core.pending[0].checksum, Checksum::of_text(&format!("select 'core {SECOND}';\n")).as_str());

    let request = fixture.request(vec![Action::Migrate(migrate_as(frozen.clone()))], &["app"]);
    assert_eq!(outcomes(&fixture.run(&fake, &request).0), "core: done, app: done");
    assert_eq!(fake.applied("app_db", "m/app"), [FIRST, SECOND]);
    // It is a plan for once.
    let (again, _) = fixture.run(&fake, &request);
    assert_eq!(error(&again, "core"), format!("the plan no longer holds: {SECOND} has been applied since"));
}

#[test]
fn what_has_moved_in_one_database_leaves_all_others_untouched() {
    type Change = fn(&Fixture, &Fake);
    let cases: [(Change, &str); 5] = [
        (
            |fixture, _| fs::write(fixture.path().join(format!("m/app/{SECOND}.sql")), "select 7;").unwrap(),
            "m/app/20260102000000_second.sql has changed",
        ),
        (
            |fixture, _| fs::write(fixture.path().join(format!("m/app/{THIRD}.sql")), "select 3;").unwrap(),
            "m/app/20260103000000_third.sql is pending, and not in the plan",
        ),
        (
            |fixture, _| {
                for name in ["sql", "down.sql"] {
                    fs::remove_file(fixture.path().join(format!("m/app/{SECOND}.{name}"))).unwrap();
                }
            },
            "m/app/20260102000000_second.sql is gone",
        ),
        (
            |_, fake| fake.put("app_db", "m/app", row("20250101000000_theirs")),
            "20250101000000_theirs has been applied since",
        ),
        (|_, fake| fake.put("app_db", "m/app", row(FIRST)), "20260101000000_first has been applied since"),
    ];
    for (change, says) in cases {
        for atomic in [None, Some(Atomic::OnePhase)] {
            let (fixture, fake) = half();
            let plan = frozen(&fixture, &fake, &fixture.request(migrate(), &["app"])).unwrap();
            change(&fixture, &fake);
            let before = locks(&fake);
            let action = Action::Migrate(Migrate { atomic, ..migrate_as(plan) });
            let (summary, _) = fixture.run(&fake, &fixture.request(vec![action], &["app"]));
            assert_eq!(outcomes(&summary), "core: skipped, halted by app, app: failed");
            assert_eq!(error(&summary, "app"), format!("the plan no longer holds: {says}"));
            assert_eq!(locks(&fake), before, "nothing is touched");
        }
    }
}

#[test]
fn it_is_looked_at_once_more_under_the_lock() {
    for atomic in [None, Some(Atomic::OnePhase)] {
        let (fixture, fake) = half();
        let plan = frozen(&fixture, &fake, &fixture.request(migrate(), &["app"])).unwrap();
        // Somebody is faster.
        let others = fake.clone();
        let raced = fake.with_script(move |call| {
            if call.kind == CallKind::Lock && others.rows("core_db", "m/core").len() == 1 {
                others.put("core_db", "m/core", row(THIRD));
            }
            Behaviour::default()
        });
        let action = Action::Migrate(Migrate { atomic, ..migrate_as(plan) });
        let (summary, _) = fixture.run(&raced, &fixture.request(vec![action], &["app"]));
        assert_eq!(
            error(&summary, "core"),
            format!("the plan no longer holds: {THIRD} has been applied since")
        );
        assert_eq!(fake.applied("core_db", "m/core"), [FIRST, THIRD]);
        assert!(fake.applied("app_db", "m/app").is_empty());
    }
}

#[test]
fn what_would_be_refused_is_not_frozen() {
    let fixture = Fixture::new(&[("core", &[]), ("app", &["core"])]);
    let fake = Fake::default();
    let request = fixture.request(migrate(), &["app"]);
    let refused = frozen(&fixture, &fake, &request).unwrap_err();
    assert!(refused.contains("core_db") && refused.contains("does not exist"), "{refused}");
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["core", "app"]));
    let alone = Request { no_deps: true, ..fixture.request(migrate(), &["app"]) };
    assert_eq!(
        frozen(&fixture, &fake, &alone).unwrap_err(),
        "app: the dependency `core` has 2 pending migrations"
    );
    // A database that the plan does not know is not touched.
    let core = frozen(&fixture, &fake, &fixture.request(migrate(), &["core"])).unwrap();
    let (summary, _) =
        fixture.run(&fake, &fixture.request(vec![Action::Migrate(migrate_as(core))], &["app"]));
    assert_eq!(error(&summary, "app"), "the plan no longer holds: the database is not in the plan");
    assert!(fake.applied("core_db", "m/core").is_empty());
}
