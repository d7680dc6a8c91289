//! What is refused before anything is touched.

use std::fs;

use dbctl_engine::fake::{Behaviour, CallKind, Fake, Fault, Record};
use dbctl_migration::Back;
use dbctl_runner::{Action, Migrate, Outcome, Request};

use crate::fixture::{Fixture, SECOND, error, migrate, outcomes, touched};

const PAIR: [(&str, &[&str]); 2] = [("core", &[]), ("app", &["core"])];

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
fn nothing_is_dropped_that_could_not_be_made_again() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    let refusing = fake.with_script(|call| Behaviour {
        fault: (call.database == "app_db" && call.kind == CallKind::MayCreate).then_some(Fault::Error),
        ..Behaviour::default()
    });
    let before = fake.log().len();
    let request = fixture.request(Request::reset_actions(false), &["core", "app"]);
    let (summary, _) = fixture.run(&refusing, &request);
    assert_eq!(outcomes(&summary), "core: skipped, halted by app, app: failed");
    assert!(!fake.log()[before..].iter().any(|record| matches!(record, Record::Started(call)
        if matches!(call.kind, CallKind::Lock | CallKind::Drop | CallKind::Create))));
    // Whoever only drops, or only creates, is not asked.
    let drop = fixture.request(vec![Action::Drop { disconnect: false }], &["core", "app"]);
    assert_eq!(outcomes(&fixture.run(&refusing, &drop).0), "core: done, app: done");
    assert_eq!(outcomes(&fixture.up_all(&refusing)), "core: done, app: done");
}

#[test]
fn two_keys_on_one_database_touch_nothing() {
    let extra =
        "environments: { clash: { databases: { app: { name: core_db, url: 'postgres://h/core_db' } } } }\n";
    let (fixture, fake) = (Fixture::with_extra(&PAIR, extra).under("clash"), Fake::default());
    let summary = fixture.up_all(&fake);
    assert_eq!(error(&summary, "app"), "`core` leads to the same database (core_db)");
    assert_eq!(outcomes(&summary), "core: skipped, halted by app, app: failed");
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
    assert_eq!(outcomes(&summary), "core: failed, app: skipped, halted by core");
    assert_eq!(fake.applied("app_db", "m/app").len(), 2);
}

/// `core` ← `app` ← `report`, and `other` apart.
const CHAIN: [(&str, &[&str]); 4] = [("core", &[]), ("app", &["core"]), ("report", &["app"]), ("other", &[])];

#[test]
fn a_broken_file_stops_its_database_before_it_is_made_and_what_depends_on_it() {
    let (fixture, fake) = (Fixture::new(&CHAIN), Fake::default());
    fs::write(fixture.path().join("m/app/20260103000000_bad.sql"), [0x66, 0xff]).unwrap();
    let summary = fixture.up_all(&fake);
    assert!(error(&summary, "app").contains("20260103000000_bad.sql:1:2"), "{}", error(&summary, "app"));
    assert_eq!(outcomes(&summary), "core: done, app: failed, other: done, report: skipped, needs app");
    assert_eq!(fake.databases(), ["core_db", "other_db"]);
}

#[test]
fn what_destroys_and_what_leaves_dependencies_out_is_refused_whole() {
    let all = ["core", "app", "report", "other"];
    for (actions, no_deps) in [
        (Request::reset_actions(false), false),
        (vec![Action::Clean], false),
        (vec![Action::Migrate(Migrate { fake: true, ..Migrate::default() })], true),
        (migrate(), true),
    ] {
        let (fixture, fake) = (Fixture::new(&CHAIN), Fake::default());
        fixture.up_all(&fake);
        fs::write(fixture.path().join("m/app/20260103000000_bad.sql"), [0x66, 0xff]).unwrap();
        let before = fake.log().len();
        let request = Request { no_deps, ..fixture.request(actions, &all) };
        let (summary, _) = fixture.run(&fake, &request);
        assert_eq!(
            outcomes(&summary),
            "core: skipped, halted by app, app: failed, other: skipped, halted by app, report: skipped, halted by app"
        );
        assert!(!fake.log()[before..].iter().any(|record| matches!(record, Record::Started(call)
            if matches!(call.kind, CallKind::Lock | CallKind::Drop | CallKind::Create))));
    }
}

#[test]
fn a_migration_that_is_nowhere_stops_the_run_before_anything_is_touched() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    let to = Migrate { to: Some("19990101000000".to_owned()), ..Migrate::default() };
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![Action::Migrate(to)], &["app"]));
    assert_eq!(error(&summary, "app"), "no migration `19990101000000` in m/app");
    assert_eq!(outcomes(&summary), "core: skipped, halted by app, app: failed");
    assert!(!touched(&fake));
}

#[test]
fn a_changed_file_is_refused_and_named() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    fs::write(fixture.path().join(format!("m/core/{SECOND}.sql")), "select 'changed';\n").unwrap();
    let (summary, _) = fixture.run(&fake, &fixture.request(migrate(), &["app"]));
    assert_eq!(error(&summary, "core"), format!("m/core: applied migrations have changed on disk: {SECOND}"));
    assert_eq!(outcomes(&summary), "core: failed, app: skipped, needs core");
}
