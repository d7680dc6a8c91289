//! Runs: recorded in each database, and undone as a whole.

use std::fs;

use dbctl_engine::fake::{Behaviour, CallKind, Fake, Fault, Record};
use dbctl_runner::{Action, Atomic, Migrate, Request, RunState, Runs, Summary};

use crate::fixture::{FIRST, Fixture, SECOND, error, key, migrate, outcomes, touched};

const THIRD: &str = "20260103000000_third";

fn fixture() -> Fixture {
    Fixture::new(&[("core", &[]), ("app", &["core"])])
}

/// Writes another migration, with a down part or without.
fn write(fixture: &Fixture, database: &str, name: &str, down: bool) {
    let folder = fixture.path().join("m").join(database);
    fs::write(folder.join(format!("{name}.sql")), format!("select '{name}';\n")).unwrap();
    if down {
        fs::write(folder.join(format!("{name}.down.sql")), "select 0;\n").unwrap();
    }
}

fn undo(fixture: &Fixture, fake: &Fake, run: &str, names: &[&str]) -> Summary {
    let request = fixture.request(vec![Action::Undo { run: run.to_owned() }], names);
    fixture.run_as(fake, &request, "undo").0
}

/// What the databases say of each run: `id outcome(migrations, of which applied)` by database.
fn told(fixture: &Fixture, fake: &Fake) -> Vec<String> {
    let one = |runs: &Runs| -> Vec<String> {
        let database = |one: &dbctl_runner::RunDatabase| {
            format!("{} {} {}/{}", one.key, one.outcome.as_str(), one.applied, one.migrations)
        };
        let runs = runs.runs.iter();
        runs.map(|run| {
            let databases: Vec<String> = run.databases.iter().map(database).collect();
            format!("{} {}: {}", run.run, run.outcome.as_str(), databases.join(", "))
        })
        .collect()
    };
    one(&fixture.runs(fake))
}

#[test]
fn every_run_is_told_whatever_came_of_it() {
    let fixture = fixture();
    let fake = Fake::default();
    let up = fixture.request(Request::up_actions(), &["core", "app"]);
    fixture.run_as(&fake, &up, "r1");
    fixture.run_as(&fake, &up, "r2");
    write(&fixture, "core", THIRD, true);
    let broken = fake.with_script(|call| {
        let fails = call.kind == CallKind::Apply(THIRD.to_owned());
        Behaviour { fault: fails.then_some(Fault::Error), ..Behaviour::default() }
    });
    fixture.run_as(&broken, &fixture.request(migrate(), &["core", "app"]), "r3");
    let lost = fake.with_script(|call| {
        let fails = matches!(call.kind, CallKind::Apply(_) | CallKind::EndRun(_));
        Behaviour { fault: fails.then_some(Fault::LostBefore), ..Behaviour::default() }
    });
    fixture.run_as(&lost, &fixture.request(migrate(), &["core"]), "r4");
    // What only looks is no run, and neither is what is refused before anything is touched.
    let dry = Action::Migrate(Migrate { dry_run: true, ..Migrate::default() });
    fixture.run_as(&fake, &fixture.request(vec![dry], &["core"]), "r5");
    undo(&fixture, &fake, "nothing", &["core"]);
    assert_eq!(
        told(&fixture, &fake),
        [
            "undo unchanged: core unchanged 0/0",
            "r4 unfinished: core unfinished 0/0",
            "r3 failed: core failed 0/0",
            "r2 unchanged: core unchanged 0/0, app unchanged 0/0",
            "r1 done: core done 2/2, app done 2/2",
        ]
    );
}

#[test]
fn a_run_that_could_not_be_recorded_is_none_that_fails() {
    let fixture = fixture();
    let fake = Fake::new(|call| Behaviour {
        fault: (call.kind == CallKind::BeginRun).then_some(Fault::Error),
        ..Behaviour::default()
    });
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["core"]));
    let (summary, _) = fixture.run_as(&fake, &fixture.request(migrate(), &["core"]), "r1");
    assert_eq!(outcomes(&summary), "core: done");
    assert_eq!(
        summary.databases[0].warnings,
        ["`dbctl history runs` will not show this run here: the script says so"]
    );
    // What it applied is known all the same.
    assert_eq!(told(&fixture, &fake), ["r1 unknown: core unknown 2/2"]);
    assert_eq!(outcomes(&undo(&fixture, &fake, "r1", &["core"])), "core: done");
    assert!(fake.applied("core_db", "m/core").is_empty());
}

#[test]
fn runs_that_are_all_or_nothing_are_told_too() {
    let fixture = fixture();
    let fake = Fake::default();
    fixture.run_as(&fake, &fixture.request(vec![Action::Create], &["core", "app"]), "r0");
    let atomic = Action::Migrate(Migrate { atomic: Some(Atomic::OnePhase), ..Migrate::default() });
    let request = fixture.request(vec![atomic], &["core", "app"]);
    let broken = fake.with_script(|call| Behaviour {
        fault: (call.database == "app_db" && call.kind == CallKind::Apply(SECOND.to_owned()))
            .then_some(Fault::Error),
        ..Behaviour::default()
    });
    fixture.run_as(&broken, &request, "r1");
    fixture.run_as(&fake, &request, "r2");
    fixture.run_as(&fake, &request, "r3");
    assert_eq!(
        told(&fixture, &fake)[..3],
        [
            "r3 unchanged: core unchanged 0/0, app unchanged 0/0",
            "r2 done: core done 2/2, app done 2/2",
            "r1 failed: core cancelled 0/0, app failed 0/0",
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_hook_that_fails_afterwards_has_failed_the_run() {
    let fixture = Fixture::with_extra(&[("core", &[])], "    hooks: { after_migrate: 'exit 3' }\n");
    let fake = Fake::default();
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["core"]));
    let (summary, _) = fixture.run_as(&fake, &fixture.request(migrate(), &["core"]), "r1");
    assert_eq!(outcomes(&summary), "core: failed");
    assert_eq!(told(&fixture, &fake), ["r1 failed: core failed 2/2"]);
}

#[test]
fn one_run_is_undone_everywhere_dependents_first() {
    let fixture = fixture();
    let fake = Fake::default();
    fixture.run_as(&fake, &fixture.request(Request::up_actions(), &["core", "app"]), "r1");
    write(&fixture, "core", THIRD, true);
    write(&fixture, "app", THIRD, true);
    fixture.run_as(&fake, &fixture.request(migrate(), &["core", "app"]), "r2");
    let before = fake.log().len();
    assert_eq!(outcomes(&undo(&fixture, &fake, "r2", &["core", "app"])), "core: done, app: done");
    let reverted: Vec<String> = fake.log()[before..]
        .iter()
        .filter_map(|record| match record {
            Record::Ended(call, true) => match &call.kind {
                CallKind::Revert(name) => Some(format!("{} {name}", call.database)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(reverted, [format!("app_db {THIRD}"), format!("core_db {THIRD}")]);
    for database in ["core", "app"] {
        assert_eq!(fake.applied(&format!("{database}_db"), &format!("m/{database}")), [FIRST, SECOND]);
    }
    // Once more there is nothing left to do.
    assert_eq!(outcomes(&undo(&fixture, &fake, "r2", &["core", "app"])), "core: unchanged, app: unchanged");
    assert_eq!(outcomes(&undo(&fixture, &fake, "r1", &["core", "app"])), "core: done, app: done");
    assert!(fake.applied("core_db", "m/core").is_empty());
}

/// Why undoing `r1` of both databases is refused, with nothing touched in either.
fn refused(change: impl Fn(&Fixture, &Fake)) -> String {
    let fixture = fixture();
    let fake = Fake::default();
    fixture.run_as(&fake, &fixture.request(Request::up_actions(), &["core", "app"]), "r1");
    change(&fixture, &fake);
    let again = fake.with_script(|_| Behaviour::default());
    let before = again.log().len();
    let summary = undo(&fixture, &again, "r1", &["core", "app"]);
    let touching = |record: &Record| {
        matches!(record, Record::Started(call)
            if !matches!(call.kind, CallKind::Exists | CallKind::Open | CallKind::Applied(_) | CallKind::Close))
    };
    assert!(touched(&again) && !again.log()[before..].iter().any(touching), "nothing is touched");
    assert_eq!(outcomes(&summary), "core: failed, app: skipped, halted by core");
    error(&summary, "core")
}

#[test]
fn what_cannot_be_undone_as_a_whole_is_refused_before_anything_is_touched() {
    let down = refused(|fixture, _| {
        fs::remove_file(fixture.path().join(format!("m/core/{FIRST}.down.sql"))).unwrap();
    });
    assert_eq!(down, format!("no down part in m/core/{FIRST}.sql"));
    let gone = refused(|fixture, _| {
        for name in ["sql", "down.sql"] {
            fs::remove_file(fixture.path().join(format!("m/core/{SECOND}.{name}"))).unwrap();
        }
    });
    assert_eq!(gone, format!("applied migrations are missing on disk: {SECOND}"));
    let later = refused(|fixture, fake| {
        write(fixture, "core", THIRD, true);
        fixture.run_as(fake, &fixture.request(migrate(), &["core"]), "r2");
    });
    assert_eq!(
        later,
        format!(
            "migration {SECOND} cannot be rolled back, since later ones stay that may build on it: {THIRD} (run r2)"
        )
    );
}

#[test]
fn what_was_applied_from_a_folder_that_moved_is_not_passed_over() {
    let fixture = fixture();
    let fake = Fake::default();
    fixture.run_as(&fake, &fixture.request(Request::up_actions(), &["core"]), "r1");
    let manifest = fixture.path().join("workspace.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::rename(fixture.path().join("m/core"), fixture.path().join("moved")).unwrap();
    fs::write(&manifest, text.replace("path: m/core,", "path: moved,")).unwrap();
    let moved = fixture.under("development");
    let refused = error(&undo(&moved, &fake, "r1", &["core"]), "core");
    assert_eq!(refused, format!("applied migrations are missing on disk: m/core/{FIRST}, m/core/{SECOND}"));
}

#[test]
fn a_file_that_was_merged_late_goes_and_what_was_there_before_it_stays() {
    let fixture = fixture();
    let fake = Fake::default();
    fixture.run_as(&fake, &fixture.request(Request::up_actions(), &["core"]), "r1");
    const LATE: &str = "20260101120000_late";
    write(&fixture, "core", LATE, true);
    fixture.run_as(&fake, &fixture.request(migrate(), &["core"]), "r2");
    assert_eq!(fake.applied("core_db", "m/core"), [FIRST, SECOND, LATE]);
    assert_eq!(outcomes(&undo(&fixture, &fake, "r2", &["core"])), "core: done");
    assert_eq!(fake.applied("core_db", "m/core"), [FIRST, SECOND]);
    // The other way round: it runs before the second on an empty database, and builds on the first.
    fixture.run_as(&fake, &fixture.request(migrate(), &["core"]), "r3");
    let refused = error(&undo(&fixture, &fake, "r1", &["core"]), "core");
    assert!(
        refused.contains(&format!("{FIRST} cannot be rolled back")) && refused.contains(LATE),
        "{refused}"
    );
}

#[test]
fn a_run_is_meant_by_how_its_id_begins() {
    let fixture = fixture();
    let fake = Fake::default();
    fixture.run_as(&fake, &fixture.request(vec![Action::Create], &["core"]), "0000");
    for run in ["0a1", "0a12", "0b3"] {
        fixture.run_as(&fake, &fixture.request(migrate(), &["core"]), run);
    }
    let fake_it = Action::Migrate(Migrate { fake: true, ..Migrate::default() });
    write(&fixture, "core", THIRD, true);
    fixture.run_as(&fake, &fixture.request(vec![fake_it], &["core"]), "0c4");
    let runs = fixture.runs(&fake);
    let ids: Vec<&str> = runs.runs.iter().map(|entry| entry.run.as_str()).collect();
    assert_eq!(ids, ["0c4", "0b3", "0a12", "0a1", "0000"]);
    let first = runs.runs.iter().find(|entry| entry.run == "0a1").unwrap();
    assert_eq!((first.outcome, first.migrations()), (RunState::Done, 2));
    let which = |typed: &str| match runs.which(typed, &[key("core")]) {
        Ok(entry) => entry.run.clone(),
        Err(error) => error.to_string(),
    };
    for (typed, expected) in [
        ("0a1", "0a1"),
        ("0a12", "0a12"),
        ("0b", "0b3"),
        ("0a", "`0a` could be any of 0a12, 0a1"),
        ("", "no run `` is recorded in core"),
        ("1", "no run `1` is recorded in core"),
        ("0b34", "no run `0b34` is recorded in core"),
        ("0c4", "the run 0c4 was `migrate --fake`, which records migrations without running them"),
    ] {
        assert_eq!(which(typed), expected, "{typed}");
    }
}
