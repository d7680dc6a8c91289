//! What is refused before anything is touched.

use std::fs;

use dbctl_engine::fake::{CallKind, Fake, Record};
use dbctl_migration::Back;
use dbctl_runner::{Action, Outcome, Request, Summary};

use crate::fixture::{Fixture, SECOND, migrate, outcomes};

const PAIR: [(&str, &[&str]); 2] = [("core", &[]), ("app", &["core"])];

fn error(summary: &Summary, key: &str) -> String {
    let database = summary.databases.iter().find(|db| db.key.as_str() == key).unwrap();
    match &database.outcome {
        Outcome::Failed(error) => error.to_string(),
        outcome => panic!("{key} is {}", outcome.as_str()),
    }
}

fn touched(fake: &Fake) -> bool {
    fake.log().iter().any(|record| {
        matches!(record, Record::Started(call)
            if !matches!(call.kind, CallKind::Exists | CallKind::Open | CallKind::Applied(_) | CallKind::Close))
    })
}

#[test]
fn no_deps_wants_the_dependency_there_and_up_to_date() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    let request = Request { no_deps: true, ..fixture.request(Request::up_actions(), &["app"]) };
    let (summary, _) = fixture.run(&fake, &request);
    assert_eq!(error(&summary, "app"), "the dependency `core` does not exist");
    assert!(!touched(&fake));
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["core"]));
    let (summary, _) = fixture.run(&fake, &request);
    assert_eq!(error(&summary, "app"), "the dependency `core` has 2 pending migrations");
    fixture.run(&fake, &fixture.request(migrate(), &["core"]));
    assert_eq!(outcomes(&fixture.run(&fake, &request).0), "app: done");
}

#[test]
fn drop_refuses_while_a_dependent_that_is_not_named_exists() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    let drop = |names: &[&str]| fixture.request(vec![Action::Drop { disconnect: false }], names);
    let (summary, _) = fixture.run(&fake, &drop(&["core"]));
    assert_eq!(error(&summary, "core"), "`app` depends on it and still exists");
    assert_eq!(fake.databases(), ["app_db", "core_db"]);
    let forced = Request { ignore_dependents: true, ..drop(&["core"]) };
    assert_eq!(outcomes(&fixture.run(&fake, &forced).0), "core: done");
    fixture.up_all(&fake);
    assert_eq!(outcomes(&fixture.run(&fake, &drop(&["core", "app"])).0), "core: done, app: done");
    assert!(fake.databases().is_empty());
}

#[test]
fn a_database_of_another_environment_is_not_destroyed() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    fake.set_environment("core_db", "production");
    for action in
        [Action::Clean, Action::Drop { disconnect: false }, Action::Rollback(Back::Count(1)), Action::Redo]
    {
        let before = fake.log().len();
        let (summary, _) = fixture.run(&fake, &fixture.request(vec![action], &["core", "app"]));
        assert_eq!(
            error(&summary, "core"),
            "this database belongs to the environment `production`, and this command runs under `development`"
        );
        // `app` is fine, but a run that is going to be refused is refused whole.
        assert!(matches!(summary.databases[1].outcome, Outcome::Skipped { .. }));
        assert!(!fake.log()[before..].iter().any(|record| matches!(record, Record::Started(call)
            if matches!(call.kind, CallKind::Lock | CallKind::Drop))));
    }
}

#[test]
fn two_keys_on_one_database_touch_nothing() {
    let extra =
        "environments: { clash: { databases: { app: { name: core_db, url: 'postgres://h/core_db' } } } }\n";
    let (fixture, fake) = (Fixture::with_extra(&PAIR, extra).under("clash"), Fake::default());
    let summary = fixture.up_all(&fake);
    assert_eq!(error(&summary, "app"), "`core` leads to the same database (core_db)");
    assert_eq!(outcomes(&summary), "core: skipped for app, app: failed");
    assert!(fake.databases().is_empty() && !touched(&fake));
}

#[test]
fn a_rollback_without_a_down_part_anywhere_touches_nothing() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    fs::remove_file(fixture.path().join(format!("m/core/{SECOND}.down.sql"))).unwrap();
    let request = fixture.request(vec![Action::Rollback(Back::Count(1))], &["core", "app"]);
    let (summary, _) = fixture.run(&fake, &request);
    assert!(error(&summary, "core").contains(SECOND), "{}", error(&summary, "core"));
    assert_eq!(outcomes(&summary), "core: failed, app: skipped for core");
    assert_eq!(fake.applied("app_db", "m/app").len(), 2);
}

#[test]
fn a_broken_file_in_one_folder_stops_the_run_before_the_first_database() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fs::write(fixture.path().join("m/app/20260103000000_bad.sql"), [0x66, 0xff]).unwrap();
    let (summary, _) = fixture.run(&fake, &fixture.request(Request::up_actions(), &["app"]));
    assert!(error(&summary, "app").contains("20260103000000_bad.sql:1:2"), "{}", error(&summary, "app"));
    assert_eq!(outcomes(&summary), "core: skipped for app, app: failed");
    assert!(fake.databases().is_empty());
}

#[test]
fn a_changed_file_is_refused_and_named() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    fs::write(fixture.path().join(format!("m/core/{SECOND}.sql")), "select 'changed';\n").unwrap();
    let (summary, _) = fixture.run(&fake, &fixture.request(migrate(), &["app"]));
    assert_eq!(error(&summary, "core"), format!("m/core: applied migrations have changed on disk: {SECOND}"));
    assert_eq!(outcomes(&summary), "core: failed, app: skipped for core");
}

#[test]
fn seeds_are_skipped_in_a_protected_environment_and_the_summary_says_so() {
    let extra = "environments: { production: { protected: true } }\n";
    let (fixture, fake) = (Fixture::with_extra(&PAIR, extra).under("production"), Fake::default());
    let summary = fixture.up_all(&fake);
    assert!(fake.seeded("core_db").is_empty());
    assert_eq!(
        summary.databases[0].warnings,
        ["seeds are skipped: the environment `production` is protected"]
    );
}

#[test]
fn a_seed_without_a_runner_is_an_error_and_runs_nothing() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fs::write(fixture.path().join("s/core/002_more.ts"), "").unwrap();
    let summary = fixture.up_all(&fake);
    assert_eq!(error(&summary, "core"), "s/core/002_more.ts: no runner for `.ts` seeds");
    assert!(fake.seeded("core_db").is_empty());
}

#[test]
fn seeds_run_again_when_asked_for_and_only_missing_ones_with_up() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    fs::write(fixture.path().join("s/core/002_more.sql"), "select 2;\n").unwrap();
    let seeds = |missing_only| {
        let request = fixture.request(vec![Action::Seed { missing_only }], &["core"]);
        let (summary, _) = fixture.run(&fake, &request);
        summary.databases[0].seeds.iter().map(|seed| seed.file.clone()).collect::<Vec<_>>()
    };
    assert_eq!(seeds(true), ["002_more.sql"]);
    assert_eq!(seeds(false), ["001_rows.sql", "002_more.sql"]);
}

/// `app`'s second migration requires `core`'s second.
fn requiring() -> (Fixture, Fake) {
    let fixture = Fixture::new(&PAIR);
    let sql = "-- dbctl:requires core@20260102000000\nselect 'needs core';\n";
    fs::write(fixture.path().join(format!("m/app/{SECOND}.sql")), sql).unwrap();
    (fixture, Fake::default())
}

#[test]
fn a_requirement_has_to_name_a_migration_of_a_dependency() {
    for (requirement, problem) in [
        ("core@20270101000000", "`core` has no migration `20270101000000`"),
        ("shop@20260102000000", "`shop` is no database that `app` depends on"),
        ("app@20260101000000", "`app` is no database that `app` depends on"),
    ] {
        let (fixture, fake) = requiring();
        let sql = format!("\n-- dbctl:requires {requirement}\nselect 1;\n");
        fs::write(fixture.path().join(format!("m/app/{SECOND}.sql")), sql).unwrap();
        let (summary, _) = fixture.run(&fake, &fixture.request(Request::up_actions(), &["app"]));
        assert_eq!(error(&summary, "app"), format!("m/app/{SECOND}.sql:2: {problem}"));
        assert!(!touched(&fake));
    }
}

#[test]
fn what_a_migration_requires_is_applied_before_it_runs() {
    let (fixture, fake) = requiring();
    assert_eq!(outcomes(&fixture.up_all(&fake)), "core: done, app: done");
    // Somebody takes it back behind our back, and there is more to do in `app`.
    let forced = Request {
        ignore_dependents: true,
        ..fixture.request(vec![Action::Rollback(Back::Count(1))], &["app"])
    };
    fixture.run(&fake, &forced);
    let forced = Request { targets: fixture.keys(&["core"]), ..forced };
    fixture.run(&fake, &forced);
    let to = dbctl_runner::Migrate { to: Some("20260101000000".to_owned()), ..Default::default() };
    fixture.run(&fake, &fixture.request(vec![Action::Migrate(to)], &["core"]));
    fs::remove_file(fixture.path().join(format!("m/core/{SECOND}.down.sql"))).unwrap();
    let core = fixture.path().join(format!("m/core/{SECOND}.sql"));
    let moved = fixture.path().join(SECOND);
    fs::rename(&core, &moved).unwrap();
    let (summary, _) = fixture.run(&fake, &fixture.request(migrate(), &["app"]));
    assert_eq!(
        error(&summary, "app"),
        format!("m/app/{SECOND}.sql:1: `core` has no migration `20260102000000`")
    );
    fs::rename(&moved, &core).unwrap();
    assert_eq!(
        outcomes(&fixture.run(&fake, &fixture.request(migrate(), &["app"])).0),
        "core: done, app: done"
    );
}

#[test]
fn what_another_database_requires_is_not_rolled_back() {
    let (fixture, fake) = requiring();
    fixture.up_all(&fake);
    let back = |names: &[&str]| fixture.request(vec![Action::Rollback(Back::Count(1))], names);
    let (summary, _) = fixture.run(&fake, &back(&["core"]));
    assert_eq!(
        error(&summary, "core"),
        format!("{SECOND} is required by {SECOND}, which is applied to `app`")
    );
    assert_eq!(fake.applied("core_db", "m/core").len(), 2);
    // Both together walk backwards: `app` first, and then nobody requires it.
    assert_eq!(outcomes(&fixture.run(&fake, &back(&["core", "app"])).0), "core: done, app: done");
    fixture.up_all(&fake);
    let forced = Request { ignore_dependents: true, ..back(&["core"]) };
    assert_eq!(outcomes(&fixture.run(&fake, &forced).0), "core: done");
}
