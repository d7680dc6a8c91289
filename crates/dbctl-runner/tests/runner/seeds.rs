//! Seeds: which run, and what is seen of them before anything is touched.

use std::fs;

use dbctl_engine::fake::{CallKind, Fake, Record};
use dbctl_runner::{Action, Request};

use crate::fixture::{Fixture, error, outcomes};

const PAIR: [(&str, &[&str]); 2] = [("core", &[]), ("app", &["core"])];

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
fn seeds_are_looked_at_before_anything_is_touched() {
    for (name, bytes, message) in [
        ("002_more.ts", &b""[..], "s/core/002_more.ts: no runner for `.ts` seeds"),
        ("3.PY", b"", "s/core/3.PY: no runner for `.py` seeds"),
        ("9.SQL", b"\xff", "s/core/9.SQL:1:1: the file is not UTF-8"),
    ] {
        for actions in
            [Request::reset_actions(false), vec![Action::Seed { missing_only: false }], Request::up_actions()]
        {
            let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
            fixture.up_all(&fake);
            let before = fake.log().len();
            fs::write(fixture.path().join("s/core").join(name), bytes).unwrap();
            let (summary, _) = fixture.run(&fake, &fixture.request(actions, &["core"]));
            assert_eq!(error(&summary, "core"), message);
            let touched = |record: &Record| {
                matches!(record, Record::Started(call)
                if matches!(call.kind, CallKind::Lock | CallKind::Drop | CallKind::Create))
            };
            assert!(!fake.log()[before..].iter().any(touched), "{name}");
            assert_eq!(fake.databases(), ["app_db", "core_db"]);
        }
    }
}

#[test]
fn a_folder_of_seeds_that_cannot_be_listed_is_no_empty_one() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    fixture.up_all(&fake);
    fs::remove_dir_all(fixture.path().join("s/core")).unwrap();
    fs::write(fixture.path().join("s/core"), "a file").unwrap();
    let request = fixture.request(Request::reset_actions(false), &["core", "app"]);
    let (summary, _) = fixture.run(&fake, &request);
    assert!(error(&summary, "core").starts_with("cannot read s/core: "), "{}", error(&summary, "core"));
    assert_eq!(fake.databases(), ["app_db", "core_db"]);
}

#[test]
fn extensions_may_be_written_in_capitals() {
    let manifest =
        "workspace: test\ndatabases: { core: { seeds: { path: s, runners: { PY: 'true {file}' } } } }\n";
    let files = [("s/1.SQL", "select 1;\n"), ("s/2_users.CSV", "id\n1\n"), ("s/3.py", ""), ("s/4.PY", "")];
    let (fixture, fake) = (Fixture::written(manifest, &files), Fake::default());
    assert_eq!(outcomes(&fixture.up_all(&fake)), "core: done");
    assert_eq!(fake.seeded("core"), ["1.SQL", "2_users.CSV", "3.py", "4.PY"]);
}

#[test]
fn what_is_no_seed_is_told_of_once() {
    let (fixture, fake) = (Fixture::new(&PAIR), Fake::default());
    for name in ["README.md", "notes.TXT", "rows.jsonl"] {
        fs::write(fixture.path().join("s/core").join(name), "").unwrap();
    }
    let (summary, _) = fixture.run(&fake, &fixture.request(Request::up_actions(), &["core"]));
    assert_eq!(
        summary.databases[0].warnings,
        ["s/core/rows.jsonl is not a seed that dbctl knows; it is left alone"]
    );
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
