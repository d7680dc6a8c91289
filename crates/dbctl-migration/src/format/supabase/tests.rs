use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::SourceOptions;

/// A folder `supabase/migrations`.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("supabase/migrations");
    fs::create_dir_all(&path).unwrap();
    for (name, text) in files {
        fs::write(path.join(name), text).unwrap();
    }
    (dir, Folder::new(path, "m"))
}

fn open(folder: &Folder) -> Box<dyn Format> {
    (TOOL.open)(folder, &SourceOptions::default())
}

fn read(files: &[(&str, &str)]) -> Result<Vec<Migration>, String> {
    let (_dir, folder) = folder(files);
    open(&folder).read(&folder).map_err(|errors| errors.to_string())
}

fn names(files: &[&str]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|name| (*name, "")).collect();
    read(&files).unwrap().into_iter().map(|migration| migration.name).collect()
}

/// Checked with versions 2.104.0 and 3.1.0, which say that they skip what is missing here.
#[test]
fn files_are_ordered_by_their_versions_as_text() {
    let (dir, folder) = folder(
        &[
            "10_ten.sql",
            "9_nine.sql",
            "20260101000000_a.sql",
            "20260101000004_.sql",
            "20260101000005_.sql.sql", // run
            "README.md",
            "helper.sql",
            "20260101000006-dash.sql",
            "20260101000007_up.SQL",
            "_a.sql",
            "2026.sql",
        ]
        .map(|name| (name, "")),
    );
    fs::create_dir(dir.path().join("supabase/migrations/20260101000008_dir.sql")).unwrap();
    let migrations = open(&folder).read(&folder).unwrap();
    let found: Vec<_> =
        migrations.iter().map(|migration| format!("{}={}", migration.version, migration.name)).collect();
    assert_eq!(
        found,
        [
            "10=10_ten",
            "20260101000000=20260101000000_a",
            "20260101000004=20260101000004_",
            "20260101000005=20260101000005_.sql",
            "9=9_nine",
        ]
    );
    assert_eq!(migrations[0].up.path, Path::new("m/10_ten.sql"));
    assert!(migrations.iter().all(|migration| migration.down.is_none() && migration.tool_checksum.is_none()));
    // Version 3.1.0; 2.104.0 has them the other way round.
    assert_eq!(names(&["10_a.sql", "1_z.sql"]), ["1_z", "10_a"]);
}

/// Checked with versions 2.104.0 and 3.1.0.
#[test]
fn what_the_tools_first_versions_wrote_is_passed_over() {
    let cases: [(&[&str], &[&str]); 8] = [
        (&["20210101000000_init.sql"], &[]),
        (&["20201231000000_a.sql", "20210101000000_init.sql"], &["20201231000000_a", "20210101000000_init"]),
        (
            &["00000000000000_init.sql", "20210102000000_init.sql", "20211209000000_init.sql"],
            &["20210102000000_init", "20211209000000_init"],
        ),
        (&["20211209000000_init.sql"], &["20211209000000_init"]),
        (&[".gitkeep", "20210101000000_init.sql"], &["20210101000000_init"]),
        (&["20210101000000_init.sql", "README.md"], &[]),
        (&["120210101000000_init.sql"], &[]),
        (&["1_init.sql"], &["1_init"]),
    ];
    for (files, expected) in cases {
        assert_eq!(names(files), expected, "{files:?}");
    }
    let (dir, folder) = folder(&[("20210101000000_init.sql", "")]);
    fs::create_dir(dir.path().join("supabase/migrations/0_dir.sql")).unwrap();
    assert_eq!(open(&folder).read(&folder).unwrap().len(), 1);
}

#[test]
fn two_files_of_one_version_are_an_error() {
    let said = read(&[("1_a.sql", ""), ("1_b.sql", ""), ("01_c.sql", "")]).unwrap_err();
    assert_eq!(said, "m/1_a.sql and m/1_b.sql have the same version 1");
}

#[test]
fn a_file_may_ask_for_no_transaction() {
    let cases = [
        ("select 1;", Transaction::One),
        ("-- pg-delta: transaction=false\nselect 1;", Transaction::None),
        ("\u{feff}-- pg-delta: transaction=false\r\nselect 1;", Transaction::None),
        ("-- pg-delta: transaction=false", Transaction::None),
        ("-- pg-delta: transaction=false ", Transaction::One),
        ("\n-- pg-delta: transaction=false\n", Transaction::One),
        ("-- why\n-- dbctl:no-transaction\nselect 1;", Transaction::None),
    ];
    for (text, transaction) in cases {
        assert_eq!(read(&[("1_a.sql", text)]).unwrap()[0].up.transaction, transaction, "{text:?}");
    }
    let said = read(&[("1_a.sql", "select 1;\n-- dbctl:no-transaction\n")]).unwrap_err();
    assert!(said.starts_with("m/1_a.sql:2:10: the directive `no-transaction` stands below"), "{said}");
}

#[test]
fn new_files_are_the_tools_own() {
    let (_dir, folder) = folder(&[("20260131093000_x.sql", "")]);
    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    let new = |name: &str| open(&folder).new_file(&folder, name, now);
    assert_eq!(
        new("Add users!").unwrap().files,
        [(PathBuf::from("20260131093001_Add_users.sql"), String::new())]
    );
    assert!(new("!").unwrap_err().to_string().contains("needs a name"));
    assert!(new(&"a".repeat(300)).is_err());
}

#[test]
fn folders_are_recognised_by_where_they_lie() {
    let likeness = |path: &Path| recognise(&Sample::take(path).unwrap());
    let (dir, folder) = folder(&[("20260101000000_a.sql", "")]);
    assert_eq!(likeness(&folder.path), Likeness::Sure);
    let elsewhere = dir.path().join("db/migrations");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::write(elsewhere.join("20260101000000_a.sql"), "").unwrap();
    assert_eq!(likeness(&elsewhere), Likeness::No);
    fs::write(dir.path().join("db/config.toml"), "port = 1\n").unwrap();
    assert_eq!(likeness(&elsewhere), Likeness::No);
    fs::write(dir.path().join("db/config.toml"), "# a\nproject_id = \"x\"\n").unwrap();
    assert_eq!(likeness(&elsewhere), Likeness::Sure);
    fs::remove_file(folder.path.join("20260101000000_a.sql")).unwrap();
    fs::write(folder.path.join("README.md"), "").unwrap();
    assert_eq!(likeness(&folder.path), Likeness::No);
}
