//! What is recorded, mended by hand.

use std::fs;

use dbctl_engine::fake::{CallKind, Fake, Record};
use dbctl_migration::{Applied, Checksum, Progress, Version};
use dbctl_runner::{Action, Edit, Outcome};

use crate::fixture::{Fixture, touched};

const MANIFEST: &str = "workspace: test
databases:
  a: { migrations: [{ path: m, format: native }, { path: n, format: native }] }
";

const FILES: [(&str, &str); 4] = [
    ("m/20250101000000_one.sql", "select 1;"),
    ("m/20250102000000_two.sql", "select 2;"),
    ("m/20250103000000_three.sql", "select 3;"),
    ("n/20250101000000_other.sql", "select 4;"),
];

const PARTIAL: Progress = Progress::Partial { done: 2, started: true, digest: None };

fn row(name: &str, progress: Progress) -> Applied {
    let version = Version::new(name.split('_').next().unwrap_or_default());
    let checksum = Some(Checksum::of_text("something else"));
    Applied { version, name: name.to_owned(), checksum, at: None, elapsed: None, progress, tool_row: None }
}

/// What an edit notes where `two` is recorded in that way; or why nothing is.
fn noted(two: Option<Progress>, edit: Edit) -> String {
    let fixture = Fixture::written(MANIFEST, &FILES);
    let fake = Fake::default();
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["a"]));
    if let Some(progress) = two {
        fake.put("a", "m", row("20250102000000_two", progress));
    }
    fake.put("a", "m", row("20240101000000_gone", Progress::Whole));
    let before = fake.log().len();
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![Action::Edit(edit)], &["a"]));
    let log = &fake.log()[before..];
    let notes = log.iter().find_map(|record| match record {
        Record::Started(call) => match &call.kind {
            CallKind::Note(notes) => Some(notes.join(", ")),
            _ => None,
        },
        Record::Ended(..) => None,
    });
    match &summary.databases[0].outcome {
        Outcome::Failed(error) => {
            let locked =
                |record: &Record| matches!(record, Record::Started(call) if call.kind == CallKind::Lock);
            assert!(notes.is_none() && !log.iter().any(locked), "nothing is touched");
            error.to_string()
        }
        Outcome::Unchanged => {
            assert_eq!(notes, None);
            "unchanged".to_owned()
        }
        outcome => notes.unwrap_or_else(|| outcome.as_str().to_owned()),
    }
}

#[test]
fn marks() {
    let mark = |two: Option<Progress>, version: &str, applied: bool| {
        noted(two, Edit::Mark { version: version.to_owned(), applied })
    };
    let two = "20250102000000";
    for (recorded, version, applied, expected) in [
        (None, two, true, "applied 20250102000000_two"),
        (Some(Progress::Whole), two, true, "unchanged"),
        (Some(Progress::Failed), two, true, "applied 20250102000000_two"),
        (Some(PARTIAL), two, true, "applied 20250102000000_two"),
        (None, two, false, "unchanged"),
        (Some(Progress::Whole), two, false, "forgotten 20250102000000"),
        (Some(PARTIAL), "20250102000000_two.sql", false, "forgotten 20250102000000"),
        (None, "20240101000000_gone", false, "forgotten 20240101000000"),
        (None, "20240101000000_gone", true, "unchanged"),
        (None, "n/20250101000000", true, "applied 20250101000000_other"),
        (
            None,
            "20250101000000",
            true,
            "`20250101000000` could be any of m/20250101000000_one, n/20250101000000_other",
        ),
        (None, "9", true, "no migration `9` in m, n"),
    ] {
        assert_eq!(mark(recorded, version, applied), expected, "{version} {applied}");
    }
}

#[test]
fn resolutions() {
    let resolve = |two: Option<Progress>, applied: bool, done: Option<usize>| {
        noted(two, Edit::Resolve { version: "20250102000000_two".to_owned(), applied, done })
    };
    let stopped = Progress::Partial { done: 2, started: false, digest: None };
    let reverting = Progress::Reverting { done: 1, started: true, digest: None };
    let nothing = "there is nothing to resolve about 20250102000000_two: it is ";
    for (recorded, applied, done, expected) in [
        (Some(PARTIAL), true, None, "reached 20250102000000_two 3".to_owned()),
        (Some(PARTIAL), false, None, "reached 20250102000000_two 2".to_owned()),
        (Some(PARTIAL), false, Some(7), "reached 20250102000000_two 7".to_owned()),
        (Some(stopped.clone()), false, Some(0), "reached 20250102000000_two 0".to_owned()),
        (
            Some(stopped),
            true,
            None,
            format!("{nothing}half applied, and known how far: `migrate` goes on with it"),
        ),
        (Some(reverting.clone()), true, None, "reached 20250102000000_two 2".to_owned()),
        (Some(reverting), false, None, "reached 20250102000000_two 1".to_owned()),
        (Some(Progress::Failed), true, None, "applied 20250102000000_two".to_owned()),
        (Some(Progress::Failed), false, None, "forgotten 20250102000000".to_owned()),
        (
            Some(Progress::Failed),
            false,
            Some(1),
            format!("{nothing}recorded as failed, and nobody knows in which statement"),
        ),
        (Some(Progress::Whole), true, None, format!("{nothing}applied")),
        (None, true, None, format!("{nothing}not applied")),
    ] {
        assert_eq!(resolve(recorded.clone(), applied, done), expected, "{recorded:?} {applied} {done:?}");
    }
}

#[test]
fn repairs() {
    let repair = |two: Option<Progress>, versions: &[&str]| {
        noted(two, Edit::Repair { versions: versions.iter().map(|text| (*text).to_owned()).collect() })
    };
    for (recorded, versions, expected) in [
        (Some(Progress::Whole), &[][..], "repaired 20250102000000_two"),
        (Some(Progress::Whole), &["20250102000000"], "repaired 20250102000000_two"),
        (Some(PARTIAL), &[], "unchanged"),
        (None, &[], "unchanged"),
        (None, &["20240101000000_gone"], "unchanged"),
        (None, &["20250102000000"], "20250102000000_two is not applied"),
        (None, &["9"], "no migration `9` in m, n"),
    ] {
        assert_eq!(repair(recorded, versions), expected, "{versions:?}");
    }
}

#[test]
fn what_is_not_there_has_no_history() {
    let fixture = Fixture::written(MANIFEST, &FILES);
    let fake = Fake::default();
    let edit = Edit::Repair { versions: Vec::new() };
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![Action::Edit(edit.clone())], &["a"]));
    assert!(crate::fixture::error(&summary, "a").contains("does not exist"));
    fs::write(fixture.path().join("m/wrong.sql"), "").unwrap();
    let fake = Fake::default();
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![Action::Edit(edit)], &["a"]));
    assert!(crate::fixture::error(&summary, "a").contains("wrong.sql") && !touched(&fake));
}
