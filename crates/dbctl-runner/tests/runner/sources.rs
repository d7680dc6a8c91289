//! Databases with several migration folders.

use std::fs;

use dbctl_engine::fake::Fake;
use dbctl_migration::{Back, OutOfOrder};
use dbctl_runner::{Action, Migrate};

use crate::fixture::{Fixture, error, migrate, outcomes, touched};

const MANIFEST: &str = "workspace: test
databases:
  core:
    migrations: [{ path: tables, format: native }, { path: rules, format: native }]
";

const FILES: [&str; 4] = [
    "tables/20260101000000_users",
    "tables/20260103000000_roles",
    "rules/20260101000000_policies",
    "rules/20260102000000_triggers",
];

/// All four are applied, folder by folder, and then a late one of the first folder.
fn applied() -> (Fixture, Fake) {
    let (fixture, fake) = (Fixture::written(MANIFEST, &[]), Fake::default());
    fs::create_dir_all(fixture.path().join("tables")).unwrap();
    fs::create_dir_all(fixture.path().join("rules")).unwrap();
    for path in FILES {
        write(&fixture, path);
    }
    fixture.up_all(&fake);
    write(&fixture, "tables/20260104000000_teams");
    fixture.run(&fake, &fixture.request(migrate(), &["core"]));
    (fixture, fake)
}

fn write(fixture: &Fixture, path: &str) {
    for suffix in ["sql", "down.sql"] {
        fs::write(fixture.path().join(format!("{path}.{suffix}")), "select 1;\n").unwrap();
    }
}

/// What is undone, last first, or why nothing is.
fn undone(back: Back) -> String {
    let (fixture, fake) = applied();
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![Action::Rollback(back)], &["core"]));
    if summary.databases[0].outcome.is_success() {
        let names = summary.databases[0].migrations.iter().map(|done| &done.migration.name[15..]);
        return names.collect::<Vec<_>>().join(" ");
    }
    assert_eq!(fake.applied("core", "tables").len() + fake.applied("core", "rules").len(), 5);
    error(&summary, "core")
}

#[test]
fn what_was_applied_last_is_undone_first_whatever_its_folder() {
    let text = str::to_owned;
    for (back, expected) in [
        (Back::Count(1), "teams"),
        (Back::Count(2), "teams triggers"),
        (Back::Count(9), "teams triggers policies roles users"),
        (Back::All, "teams triggers policies roles users"),
        (Back::To(text("20260103000000")), "teams triggers policies"),
        (Back::To(text("20260102000000_triggers")), "teams"),
        (Back::To(text("rules/20260101000000")), "teams triggers"),
        (Back::To(text("tables/20260101000000_users")), "teams triggers policies roles"),
        (Back::To(text("20260104000000")), ""),
        (Back::Only(text("teams")), "there is no migration `teams`"),
        (Back::Only(text("20260104000000")), "teams"),
        (Back::Only(text("tables/20260104000000_teams.sql")), "teams"),
    ] {
        assert_eq!(undone(back.clone()), expected, "{back:?}");
    }
}

#[test]
fn one_alone_is_not_undone_where_a_later_one_stands_in_another_folder() {
    assert_eq!(
        undone(Back::Only("20260102000000".to_owned())),
        "migration rules/20260102000000_triggers cannot be rolled back alone, since later ones are applied: \
         tables/20260104000000_teams"
    );
    assert_eq!(
        undone(Back::Only("20260103000000".to_owned())),
        "migration tables/20260103000000_roles cannot be rolled back alone, since later ones are applied: \
         tables/20260104000000_teams, rules/20260102000000_triggers, rules/20260101000000_policies"
    );
}

#[test]
fn a_version_of_two_folders_has_to_be_said_with_its_folder() {
    let both = "`20260101000000` could be any of tables/20260101000000_users, rules/20260101000000_policies";
    assert_eq!(undone(Back::To("20260101000000".to_owned())), both);
    assert_eq!(undone(Back::Only("20260101000000".to_owned())), both);

    let to = |to: &str| vec![Action::Migrate(Migrate { to: Some(to.to_owned()), ..Migrate::default() })];
    let (fixture, _) = applied();
    let fake = Fake::default();
    let (summary, _) = fixture.run(&fake, &fixture.request(to("20260101000000"), &["core"]));
    assert_eq!(error(&summary, "core"), both);
    assert!(!touched(&fake));
    fixture.run(&fake, &fixture.request(vec![Action::Create], &["core"]));
    fixture.run(&fake, &fixture.request(to("tables/20260101000000"), &["core"]));
    assert_eq!((fake.applied("core", "tables").len(), fake.applied("core", "rules").len()), (1, 0));
    fixture.run(&fake, &fixture.request(to("rules/20260101000000_policies"), &["core"]));
    assert_eq!((fake.applied("core", "tables").len(), fake.applied("core", "rules").len()), (3, 1));
}

#[test]
fn redo_takes_what_was_applied_last() {
    let (fixture, fake) = applied();
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![Action::Redo], &["core"]));
    let names: Vec<&str> =
        summary.databases[0].migrations.iter().map(|done| done.migration.name.as_str()).collect();
    assert_eq!(names, ["20260104000000_teams", "20260104000000_teams"]);
}

const MIXED: &str = "workspace: test
databases:
  ours: { migrations: [{ path: ours, format: native }] }
  theirs: { migrations: [{ path: theirs, format: node-pg-migrate }] }
";

#[test]
fn a_file_that_is_gone_stops_what_its_own_tool_would_stop_at() {
    let files = ["1700000000000_a", "1700000001000_b"]
        .map(|name| (format!("theirs/{name}.sql"), "-- Up Migration\nselect 1;\n"));
    let ours =
        ["20260101000000_a", "20260102000000_b"].map(|name| (format!("ours/{name}.sql"), "select 1;\n"));
    let files: Vec<(&str, &str)> =
        files.iter().chain(&ours).map(|(path, text)| (path.as_str(), *text)).collect();
    let (fixture, fake) = (Fixture::written(MIXED, &files), Fake::default());
    assert_eq!(outcomes(&fixture.up_all(&fake)), "ours: done, theirs: done");
    fs::remove_file(fixture.path().join("theirs/1700000001000_b.sql")).unwrap();
    fs::remove_file(fixture.path().join("ours/20260102000000_b.sql")).unwrap();
    // The tool compares as many rows as there are files, and does not notice either.
    let (summary, _) = fixture.run(&fake, &fixture.request(migrate(), &["ours", "theirs"]));
    assert_eq!(outcomes(&summary), "ours: unchanged, theirs: unchanged");
    for (at, warning) in [
        "20260102000000_b is applied, but its file is no longer in ours",
        "1700000001000_b is applied, but its file is no longer in theirs",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(summary.databases[at].warnings, [warning]);
    }
    fs::write(fixture.path().join("theirs/1700000002000_c.sql"), "-- Up Migration\nselect 1;\n").unwrap();
    let (summary, _) = fixture.run(&fake, &fixture.request(migrate(), &["theirs"]));
    assert_eq!(outcomes(&summary), "theirs: failed");
    assert_eq!(error(&summary, "theirs"), "theirs: applied migrations are missing on disk: 1700000001000_b");
    let allow = Migrate { out_of_order: Some(OutOfOrder::Allow), ..Migrate::default() };
    let (summary, _) = fixture.run(&fake, &fixture.request(vec![Action::Migrate(allow)], &["theirs"]));
    assert_eq!(outcomes(&summary), "theirs: done");
    assert_eq!(
        summary.databases[0].warnings,
        ["1700000001000_b is applied, but its file is no longer in theirs"]
    );
}
