use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::SourceOptions;

const NOTHING: &str = "-- migrate:up\n-- migrate:down\n";

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let folder = Folder::new(dir.path().to_owned(), "m");
    (dir, folder)
}

fn read(files: &[(&str, &str)]) -> Result<Vec<Migration>, String> {
    let (_dir, folder) = folder(files);
    (TOOL.open)(&folder, &SourceOptions::default()).read(&folder).map_err(|errors| errors.to_string())
}

fn only(text: &str) -> Migration {
    read(&[("1_a.sql", text)]).unwrap().remove(0)
}

/// Checked with dbmate 2.36.0, which lists the same.
#[test]
fn files_are_ordered_by_their_names_and_known_by_their_digits() {
    let names = [
        "10_a.sql",
        "9_b.sql",
        "2.sql",
        "003x.sql",
        "20260101000000.sql.bak.sql",
        "1.a.sql", // migrations
        "a1.sql",
        ".5_x.sql",
        "6_z.SQL",
        "7_z.sql.bak",
        "README.md",
        "schema.sql",
    ];
    let files: Vec<_> = names.into_iter().map(|name| (name, NOTHING)).collect();
    let (dir, folder) = folder(&files);
    fs::create_dir(dir.path().join("7_dir.sql")).unwrap();
    let found: Vec<_> = (TOOL.open)(&folder, &SourceOptions::default())
        .read(&folder)
        .unwrap()
        .into_iter()
        .map(|migration| format!("{}={}", migration.version, migration.name))
        .collect();
    assert_eq!(
        found,
        ["003=003x", "1=1.a", "10=10_a", "2=2", "20260101000000=20260101000000.sql.bak", "9=9_b"]
    );
}

#[test]
fn two_files_of_one_version_are_an_error() {
    let said = read(&[("1_a.sql", NOTHING), ("1_b.sql", NOTHING), ("01_c.sql", NOTHING)]).unwrap_err();
    assert_eq!(said, "m/1_a.sql and m/1_b.sql have the same version 1");
}

#[test]
fn parts_know_their_lines_and_options() {
    let migration = only("-- why\n\n-- migrate:up transaction:false\na;\n\n-- migrate:down\nb;\n");
    assert_eq!(migration.up.sql, "-- migrate:up transaction:false\na;\n\n");
    assert_eq!((migration.up.first_line, migration.up.transaction), (3, Transaction::None));
    assert_eq!(migration.up.path, Path::new("m/1_a.sql"));
    assert_eq!(migration.tool_checksum, None);
    let down = only("-- migrate:up\na;\n-- migrate:down transaction:false\nb;\n").down.unwrap();
    assert_eq!((down.first_line, down.transaction), (3, Transaction::None));
    assert_eq!(down.sql, "-- migrate:down transaction:false\nb;\n");
    assert_eq!(
        only("-- migrate:up\na;\n-- migrate:down transaction:false\nb;\n").up.transaction,
        Transaction::One
    );
    // The mark keeps the tool from finding its marker.
    assert_eq!(only("\u{feff}-- migrate:up\r\na;\r\n-- migrate:down\r\n").up.sql, "-- migrate:up\r\na;\r\n");
}

#[test]
fn an_empty_way_back_is_none() {
    assert_eq!(only("-- migrate:up\na;\n-- migrate:down\n").down, None);
    assert_eq!(only("-- migrate:up\na;\n-- migrate:down\n-- nothing\n").down, None);
    assert!(only(NOTHING).down.is_some(), "there is nothing to revert");
}

#[test]
fn directives_stand_above_a_part_or_at_its_top() {
    let above = only("-- dbctl:no-transaction\n-- migrate:up\na;\n-- migrate:down\nb;\n");
    assert_eq!(above.up.transaction, Transaction::None);
    assert_eq!(above.down.unwrap().transaction, Transaction::None);
    let within =
        only("-- migrate:up\n-- dbctl:no-transaction\n-- dbctl:requires core@1\na;\n-- migrate:down\nb;\n");
    assert_eq!(within.up.transaction, Transaction::None);
    assert_eq!(within.directives.requires[0].line, 3);
    assert_eq!(within.down.unwrap().transaction, Transaction::One);
    let said = read(&[("1_a.sql", "-- migrate:up\na;\n-- migrate:down\nb;\n-- dbctl:no-transaction\n")])
        .unwrap_err();
    assert!(said.starts_with("m/1_a.sql:5:10: the directive `no-transaction` stands below"), "{said}");
    let said = read(&[("1_a.sql", "\n-- dbctl:no\n-- migrate:up\n-- migrate:down\n")]).unwrap_err();
    assert!(said.starts_with("m/1_a.sql:2:10: unknown directive"), "{said}");
}

#[test]
fn everything_that_is_wrong_is_told_with_its_line() {
    let said = read(&[
        ("1_a.sql", "select 1;\n"),
        ("2_b.sql", "-- migrate:up\n"),
        ("3_c.sql", "-- x\n\nselect 1;\n-- migrate:up\n-- migrate:down\n"),
        ("4_d.sql", "-- migrate:up\n-- migrate:down\n\n-- migrate:up\n-- migrate:down\n"),
        ("5_e.sql", NOTHING),
    ])
    .unwrap_err();
    assert_eq!(said.lines().count(), 4, "{said}");
    for (line, start) in said.lines().zip([
        "m/1_a.sql:1:1: there is no line `-- migrate:up`",
        "m/2_b.sql:1:1: there is no line `-- migrate:down`",
        "m/3_c.sql:3:1: dbmate fails at what stands above",
        "m/4_d.sql:4:1: a second `-- migrate:up`",
    ]) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn new_files_are_the_tools_own() {
    let (_dir, folder) = folder(&[("20260131093000_x.sql", NOTHING)]);
    let format = (TOOL.open)(&folder, &SourceOptions::default());
    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    let new = format.new_file(&folder, "Add users!", now).unwrap();
    assert_eq!(new.files, [(PathBuf::from("20260131093001_Add_users.sql"), TEMPLATE.to_owned())]);
    assert!(format.new_file(&folder, "!", now).unwrap_err().to_string().contains("needs a name"));
    assert!(format.new_file(&folder, &"a".repeat(300), now).is_err());
}

#[test]
fn folders_are_recognised_by_their_markers() {
    let likeness = |files: &[(&str, &str)]| {
        let (dir, _) = folder(files);
        recognise(&Sample::take(dir.path()).unwrap())
    };
    assert_eq!(likeness(&[("1_a.sql", NOTHING)]), Likeness::Sure);
    assert_eq!(likeness(&[("a.sql", NOTHING)]), Likeness::No);
    assert_eq!(likeness(&[("20260101000000_a.sql", "select 1;\n")]), Likeness::No);
    // Rails.
    assert_eq!(
        likeness(&[("20260101000000_a.rb", "class A < ActiveRecord::Migration[7.1]\nend\n")]),
        Likeness::No
    );
}
