//! `-- dbctl:requires`: what is refused before anything is touched, and what right before a file runs.

use std::fs;

use dbctl_engine::fake::{CallKind, Fake, Record};
use dbctl_migration::Back;
use dbctl_runner::{Action, Request};

use crate::fixture::{FIRST, Fixture, SECOND, error, migrate, outcomes};

const PAIR: [(&str, &[&str]); 2] = [("core", &[]), ("app", &["core"])];

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
        assert_eq!(fake.databases(), ["core_db"]);
    }
}

fn back(fixture: &Fixture, names: &[&str]) -> Request {
    fixture.request(vec![Action::Rollback(Back::Count(1))], names)
}

#[test]
fn what_a_migration_requires_is_applied_before_it_runs() {
    let (fixture, fake) = requiring();
    assert_eq!(outcomes(&fixture.up_all(&fake)), "core: done, app: done");
    let forced = Request { ignore_dependents: true, ..back(&fixture, &["core"]) };
    assert_eq!(outcomes(&fixture.run(&fake, &forced).0), "core: done");
    let redo = fixture.request(vec![Action::Redo], &["app"]);
    assert_eq!(
        error(&fixture.run(&fake, &redo).0, "app"),
        format!("m/app/{SECOND}.sql:1: it requires 20260102000000 of `core`, which is not applied")
    );
    assert_eq!(fake.applied("app_db", "m/app"), [FIRST, SECOND], "it is not half redone");
    // What requires nothing can be redone whatever `core` is.
    fs::remove_file(fixture.path().join(format!("m/app/{SECOND}.sql"))).unwrap();
    fs::remove_file(fixture.path().join(format!("m/app/{SECOND}.down.sql"))).unwrap();
    fixture.run(&fake, &fixture.request(vec![Action::Drop { disconnect: false }], &["app"]));
    let up = Request { ignore_dependents: true, ..fixture.request(Request::up_actions(), &["app"]) };
    fixture.run(&fake, &up);
    assert_eq!(outcomes(&fixture.run(&fake, &redo).0), "app: done");
}

#[test]
fn a_requirement_that_is_gone_from_disk_is_no_requirement_that_is_met() {
    let (fixture, fake) = requiring();
    fixture.up_all(&fake);
    for suffix in ["sql", "down.sql"] {
        fs::remove_file(fixture.path().join(format!("m/core/{SECOND}.{suffix}"))).unwrap();
    }
    let (summary, _) = fixture.run(&fake, &fixture.request(migrate(), &["app"]));
    assert_eq!(
        error(&summary, "app"),
        format!("m/app/{SECOND}.sql:1: `core` has no migration `20260102000000`")
    );
}

#[test]
fn databases_that_are_required_are_looked_at_once_and_before_the_writer_is_opened() {
    let (fixture, fake) = requiring();
    for number in 3..6 {
        let path = fixture.path().join(format!("m/app/2026010{number}000000_more.sql"));
        fs::write(path, "-- dbctl:requires core@20260101000000\nselect 1;\n").unwrap();
    }
    fixture.up_all(&fake);
    let log = fake.log();
    let started = |database: &str, kind: &CallKind| {
        let wanted = |record: &&(usize, &Record)| matches!(record.1, Record::Started(call) if call.database == database && call.kind == *kind);
        let records: Vec<(usize, &Record)> = log.iter().enumerate().collect();
        records.iter().filter(wanted).map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let looks = started("core_db", &CallKind::Open);
    assert_eq!(looks.len(), 1, "{log:?}");
    let (locks, applied) =
        (started("app_db", &CallKind::Lock), started("app_db", &CallKind::Apply(FIRST.to_owned())));
    assert!(
        locks.iter().filter(|lock| **lock < looks[0]).count() == 1,
        "the one that `create` took: {log:?}"
    );
    assert!(looks[0] < applied[0]);

    let (plain, fake) = (Fixture::new(&PAIR), Fake::default());
    plain.up_all(&fake);
    let opened = |record: &Record| matches!(record, Record::Started(call) if call.kind == CallKind::Open);
    assert!(!fake.log().iter().any(opened), "nothing is required, nobody is asked");
}

#[test]
fn a_database_of_the_plan_that_keeps_what_requires_it_is_in_the_way() {
    let (fixture, fake) = requiring();
    for suffix in ["sql", "down.sql"] {
        fs::write(fixture.path().join(format!("m/app/20260103000000_third.{suffix}")), "select 3;\n")
            .unwrap();
    }
    fixture.up_all(&fake);
    let (summary, _) = fixture.run(&fake, &back(&fixture, &["core", "app"]));
    assert_eq!(
        error(&summary, "core"),
        format!("{SECOND} is required by {SECOND}, which is applied to `app`")
    );
    assert_eq!(outcomes(&summary), "core: failed, app: skipped, halted by core");
    assert_eq!(fake.applied("app_db", "m/app").len(), 3, "decided before the run");
}

#[test]
fn files_that_cannot_be_read_may_require_anything() {
    let (fixture, fake) = requiring();
    fixture.up_all(&fake);
    fs::write(fixture.path().join("m/app/20260103000000_bad.sql"), [0x66, 0xff]).unwrap();
    let (summary, _) = fixture.run(&fake, &back(&fixture, &["core"]));
    assert!(error(&summary, "core").contains("20260103000000_bad.sql:1:2"), "{}", error(&summary, "core"));
    let forced = Request { ignore_dependents: true, ..back(&fixture, &["core"]) };
    assert_eq!(outcomes(&fixture.run(&fake, &forced).0), "core: done");
}

#[test]
fn a_database_that_does_not_exist_requires_nothing() {
    let (fixture, fake) = requiring();
    fixture.up_all(&fake);
    fixture.run(&fake, &fixture.request(vec![Action::Drop { disconnect: false }], &["app"]));
    assert_eq!(outcomes(&fixture.run(&fake, &back(&fixture, &["core"])).0), "core: done");
}

#[test]
fn only_what_is_required_has_to_be_reachable() {
    let fixture = requiring().0;
    let needed = |actions: Vec<Action>, names: &[&str]| {
        let plan = fixture.plan(&fixture.request(actions, names));
        let keys = dbctl_runner::needed(&fixture.workspace, &plan);
        keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(needed(vec![Action::Rollback(Back::Count(1))], &["core"]), "app core");
    assert_eq!(needed(vec![Action::Redo], &["app"]), "app core");
    fs::remove_file(fixture.path().join(format!("m/app/{SECOND}.sql"))).unwrap();
    assert_eq!(needed(vec![Action::Rollback(Back::Count(1))], &["core"]), "core");
    assert_eq!(needed(vec![Action::Redo], &["app"]), "app");
}

#[test]
fn what_another_database_requires_is_not_rolled_back() {
    let (fixture, fake) = requiring();
    fixture.up_all(&fake);
    let (summary, _) = fixture.run(&fake, &back(&fixture, &["core"]));
    assert_eq!(
        error(&summary, "core"),
        format!("{SECOND} is required by {SECOND}, which is applied to `app`")
    );
    assert_eq!(fake.applied("core_db", "m/core").len(), 2);
    // Both together walk backwards: `app` first, and then nobody requires it.
    assert_eq!(outcomes(&fixture.run(&fake, &back(&fixture, &["core", "app"])).0), "core: done, app: done");
    fixture.up_all(&fake);
    let forced = Request { ignore_dependents: true, ..back(&fixture, &["core"]) };
    assert_eq!(outcomes(&fixture.run(&fake, &forced).0), "core: done");
}
