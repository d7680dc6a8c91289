use std::path::Path;

use tempfile::TempDir;

use super::*;

fn folder(files: &[(&str, &str)]) -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let folder = Folder::new(dir.path().to_owned(), "m");
    (dir, folder)
}

fn format() -> NodePgMigrate {
    NodePgMigrate { history: PgMigrations::new(&crate::SourceOptions::default()) }
}

fn read(files: &[(&str, &str)]) -> Vec<Migration> {
    let (_dir, folder) = folder(files);
    format().read(&folder).unwrap()
}

fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let (_dir, folder) = folder(files);
    let errors = format().read(&folder).unwrap_err();
    errors.0.iter().map(ToString::to_string).collect()
}

fn names(migrations: &[Migration]) -> Vec<(&str, &str)> {
    migrations.iter().map(|migration| (migration.version.as_str(), migration.name.as_str())).collect()
}

#[test]
fn files_are_read_in_the_order_of_their_numbers() {
    let migrations = read(&[
        ("1700000000000_b.sql", ""),
        ("20231114221320001_c.SQL", ""),
        ("1600000000000-a b.sql", ""),
        ("0001.sql", ""),
        ("README.md", ""),
        ("1700000000009_x.sql~", ""),
        ("1700000000009_x.sql.bak", ""),
        ("package.json", ""),
        (".1700000000009_x.sql", ""),
        (".eslintrc.js", ""),
    ]);
    let expected = [
        ("0001", "0001"),
        ("1600000000000", "1600000000000-a b"),
        ("1700000000000", "1700000000000_b"),
        ("20231114221320001", "20231114221320001_c"),
    ];
    assert_eq!(names(&migrations), expected);
}

#[test]
fn parts_know_where_they_start() {
    let text = "-- header\nignored;\n\n-- Up Migration\r\nselect 1;\n-- Down Migration\nselect 2;\n";
    let migrations = read(&[("1_a.sql", text), ("2_b.sql", "select 3;\n-- Down Migration\nselect 4;")]);
    let [a, b] = &migrations[..] else { panic!() };
    assert_eq!((a.up.sql.as_str(), a.up.first_line), ("\n-- Up Migration\r\nselect 1;\n", 3));
    let down = a.down.as_ref().unwrap();
    assert_eq!((down.sql.as_str(), down.first_line), ("-- Down Migration\nselect 2;\n", 6));
    assert_eq!(down.path, Path::new("m/1_a.sql"));
    assert_eq!(a.checksum, Checksum::of_text(text));
    assert_eq!((b.up.sql.as_str(), b.up.first_line), ("select 3;\n-- Down Migration\nselect 4;", 1));
    assert_eq!(b.down.as_ref().unwrap().first_line, 2);
    assert!(read(&[("1_a.sql", "select 1")])[0].down.is_none());
}

#[test]
fn directives_above_the_parts_belong_to_both() {
    let no_tx = "-- dbctl:no-transaction\n";
    let (up, down) = ("-- Up Migration\n", "-- Down Migration\n");
    use Transaction::{None, One};
    let cases = [
        ("select 1;".to_owned(), None, false),
        (format!("{no_tx}select 1;"), None, true),
        (format!("{up}a;{down}b;"), One, false),
        (format!("{no_tx}{up}a;\n{down}b;"), None, true),
        (format!("{up}{no_tx}a;\n{down}b;"), One, true),
        (format!("{up}a;\n{down}{no_tx}b;"), None, false),
        (format!("{down}{no_tx}b;\n{up}a;"), None, false),
        (format!("{no_tx}a;\n{down}b;"), One, true),
        (format!("a;\n{down}{no_tx}b;"), None, false),
    ];
    for (text, down_transaction, up_is_outside) in cases {
        let migration = &read(&[("1_a.sql", &text)])[0];
        assert_eq!(migration.directives.no_transaction, up_is_outside, "{text}");
        let expected = if up_is_outside { None } else { One };
        assert_eq!(migration.up.transaction, expected, "{text}");
        if let Some(down) = &migration.down {
            assert_eq!(down.transaction, down_transaction, "{text}");
        }
    }
    let text = "-- dbctl:requires a@1\n-- dbctl:lock-timeout 1s\n\n-- Up Migration\n-- dbctl:requires b@2\n\
                -- dbctl:lock-timeout 2s\nselect 1;";
    let directives = &read(&[("1_a.sql", text)])[0].directives;
    let requires: Vec<_> = directives.requires.iter().map(|it| (it.database.as_str(), it.line)).collect();
    assert_eq!(requires, [("a", 1), ("b", 5)]);
    assert_eq!(directives.lock_timeout, Some(std::time::Duration::from_secs(2)));
}

#[test]
fn wrong_directives_have_their_place_in_the_file() {
    let cases = [
        ("-- dbctl:x\n-- Up Migration\n", "m/1_a.sql:1:10: unknown directive `x`"),
        ("\nselect 1;\n-- Up Migration\n-- dbctl:x\n", "m/1_a.sql:4:10: unknown directive `x`"),
        ("-- Up Migration\n;\n-- Down Migration\n\n-- dbctl:x\n", "m/1_a.sql:5:10: unknown directive `x`"),
        (
            "-- Up Migration\na;\n-- Down Migration\nb;\n-- dbctl:no-transaction\n",
            "m/1_a.sql:5:10: the directive `no-transaction` stands below the first statement, where it has no effect",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(errors(&[("1_a.sql", text)]), [message]);
    }
    assert_eq!(
        errors(&[("1_a.up.sql", "-- dbctl:x"), ("1_a.down.sql", "")]),
        ["m/1_a.up.sql:1:10: unknown directive `x`"]
    );
    assert_eq!(
        errors(&[("1_a.up.sql", ""), ("1_a.down.sql", "-- dbctl:y")]),
        ["m/1_a.down.sql:1:10: unknown directive `y`"]
    );
}

#[test]
fn up_and_down_files_are_one_migration() {
    let marked = "-- Up Migration\nx;\n-- Down Migration\ny;";
    let migrations = read(&[
        ("2_b.up.sql", marked),
        ("2_b.down.sql", "-- dbctl:no-transaction\ny"),
        ("1_a.sql", marked),
        ("3_c.up.sql", ""),
        ("4_d.up.sql", ""),
        ("4_d.down.sql", ""),
    ]);
    assert_eq!(names(&migrations), [("1", "1_a"), ("2", "2_b"), ("3", "3_c"), ("4", "4_d")]);
    let [a, b, c, d] = &migrations[..] else { panic!() };
    assert_eq!(a.down.as_ref().unwrap().sql, "-- Down Migration\ny;");
    assert_eq!((b.up.sql.as_str(), b.up.path.as_path()), (marked, Path::new("m/2_b.up.sql")));
    let down = b.down.as_ref().unwrap();
    assert_eq!((down.path.as_path(), down.first_line), (Path::new("m/2_b.down.sql"), 1));
    assert_eq!((b.up.transaction, down.transaction), (Transaction::One, Transaction::None));
    assert!(c.down.is_none() && d.down.is_none());
}

#[test]
fn up_files_alone_are_what_the_default_loader_takes_them_for() {
    let migrations = read(&[("1_a.up.sql", "-- Up Migration\nx;\n-- Down Migration\ny;"), ("2_b.sql", "")]);
    assert_eq!(names(&migrations), [("1", "1_a.up"), ("2", "2_b")]);
    assert!(migrations[0].down.is_some());
}

#[test]
fn what_the_tool_would_run_is_never_skipped() {
    for (name, language) in [
        ("1700000000000_a.js", "JavaScript"),
        ("1700000000000_a.mjs", "JavaScript"),
        ("1700000000000_a.cjs", "JavaScript"),
        ("1700000000000_a.TS", "TypeScript"),
        ("helper.mts", "TypeScript"),
        ("helper.cts", "TypeScript"),
    ] {
        let expected = format!(
            "m/{name}: node-pg-migrate runs this {language} file as a migration, dbctl runs SQL only: write it as \
             SQL, or move it out of the folder if it is none"
        );
        assert_eq!(errors(&[(name, ""), ("1_a.sql", "")]), [expected]);
    }
    assert_eq!(
        errors(&[
            ("add_users.sql", ""),
            ("1_a.sql", ""),
            ("1_a.SQL", ""),
            ("2_b.sql", ""),
            ("2_b.up.sql", ""),
            ("3_c.sql", ""),
            ("3_c.down.sql", ""),
            ("20241812144402123_x.sql", ""),
        ]),
        [
            "m/20241812144402123_x.sql: the 17 digits 20241812144402123 are no date in UTC (yyyymmddhhmmss and \
             milliseconds)",
            "m/add_users.sql: the name does not start with a number, so that node-pg-migrate cannot order it; \
             `1700000000000_add-users.sql` would fit",
            "m/1_a.sql and m/1_a.SQL have the same version 1_a",
            "m/2_b.sql and m/2_b.up.sql have the same version 2_b",
            "m/3_c.down.sql: there is no `3_c.up.sql` that it would revert, and node-pg-migrate would run it as a \
             migration",
        ]
    );
}

#[cfg(unix)]
#[test]
fn links_to_files_are_followed() {
    use std::os::unix::fs::symlink;
    let (dir, folder) = folder(&[("target", "select 1;")]);
    symlink(dir.path().join("target"), dir.path().join("1_a.sql")).unwrap();
    symlink(dir.path(), dir.path().join("2_b.js")).unwrap();
    std::fs::create_dir(dir.path().join("3_c.sql")).unwrap();
    assert_eq!(names(&format().read(&folder).unwrap()), [("1", "1_a")]);
    symlink(dir.path().join("gone"), dir.path().join("4_d.sql")).unwrap();
    std::fs::write(dir.path().join("5_e.sql"), b"\xFF\xFEa\0").unwrap();
    let errors = format().read(&folder).unwrap_err().0;
    assert!(matches!(
        &errors[..],
        [FormatError::Io { .. }, FormatError::Encoding { guess: Some("UTF-16 LE"), .. }]
    ));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_cannot_be_recorded_are_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let (dir, folder) = folder(&[]);
    std::fs::write(dir.path().join(OsStr::from_bytes(b"1_\xE9.sql")), "").unwrap();
    let message = format().read(&folder).unwrap_err().to_string();
    assert!(message.ends_with("the name is not UTF-8, so it cannot be recorded"), "{message}");
}

#[test]
fn a_folder_has_to_be_there() {
    let (dir, folder) = folder(&[]);
    let gone = Folder { path: dir.path().join("gone"), ..folder };
    assert_eq!(format().read(&gone).unwrap_err().to_string(), "the migration folder m does not exist");
}

#[test]
fn new_files_continue_the_style_of_the_folder() {
    let now: Timestamp = "2023-11-14T22:13:20.5Z".parse().unwrap();
    let cases: [(&[&str], &str); 13] = [
        (&[], "1700000000500_add-Users.sql"),
        (&["1700000000500_a.sql", "1700000000501_b.sql"], "1700000000502_add-Users.sql"),
        (&["1600000000000_a.sql", "README.md"], "1700000000500_add-Users.sql"),
        (&["20201114221320000_a.sql"], "20231114221320500_add-Users.sql"),
        (&["20231114221320500_a.sql"], "20231114221320501_add-Users.sql"),
        (&["20231114221320_a.sql"], "20231114221321_add-Users.sql"),
        (&["0001_a.sql", "0009_b.sql", "notes.txt"], "0010_add-Users.sql"),
        (&["9999_a.sql"], "10000_add-Users.sql"),
        (&["0001_a.sql", "1600000000000_b.sql"], "1700000000500_add-Users.sql"),
        // The words are joined as most of the others' are; as many of both, and the tool's own way counts.
        (&["1600000000000_a_b.sql"], "1700000000500_add_Users.sql"),
        (
            &["1600000000000_a_b.sql", "1600000000001_c-d.sql", "1600000000002_e_f_g.sql"],
            "1700000000500_add_Users.sql",
        ),
        (&["1600000000000_a_b.sql", "1600000000001_c-d.sql"], "1700000000500_add-Users.sql"),
        (&["1600000000000_a-b_c.sql", "notes_of_mine.sql", "12_a_b.md"], "1700000000500_add-Users.sql"),
    ];
    for (existing, expected) in cases {
        let files: Vec<_> = existing.iter().map(|name| (*name, "")).collect();
        let (_dir, folder) = folder(&files);
        let new = format().new_file(&folder, " add__Users ", now).unwrap();
        assert_eq!(
            new.files,
            [(PathBuf::from(expected), "-- Up Migration\n\n-- Down Migration\n".to_owned())]
        );
    }
}

#[test]
fn new_names_that_do_not_work_are_refused() {
    let now = Timestamp::UNIX_EPOCH;
    let (dir, folder) = folder(&[]);
    let cases = [
        (" /.. ".to_owned(), "m: a migration needs a name, such as `add users`"),
        ("x".repeat(250), "m: the name makes a file name of 256 bytes, of which file systems keep 255"),
    ];
    for (name, message) in cases {
        assert_eq!(format().new_file(&folder, &name, now).unwrap_err().to_string(), message);
    }
    assert_eq!(folder.slug("users.down", '-').unwrap(), "users-down");
    let last = Timestamp::MAX;
    std::fs::write(dir.path().join(last.strftime("%Y%m%d%H%M%S_end.sql").to_string()), "").unwrap();
    let error = format().new_file(&folder, "x", last).unwrap_err();
    assert_eq!(error.to_string(), "m: there is no free version left");
}

#[test]
fn what_is_appended_to_a_new_file_is_its_down_part() {
    let (_dir, folder) = folder(&[]);
    let new = format().new_file(&folder, "stops", Timestamp::UNIX_EPOCH).unwrap();
    let filled = new.files[0].1.replace("Up Migration\n", "Up Migration\ncreate table stops ();\n");
    let migration = read(&[("1_stops.sql", &format!("{filled}drop table stops;\n"))]).remove(0);
    assert_eq!(migration.down.unwrap().sql, "\n-- Down Migration\ndrop table stops;\n");
}

#[test]
fn a_file_without_a_statement_can_be_reverted() {
    for (text, empty) in
        [("", true), ("-- Up Migration\n\n-- Down Migration\n", true), ("select 1;", false), ("\\x", false)]
    {
        let migration = read(&[("1_a.sql", text)]).remove(0);
        assert_eq!(migration.is_empty(), empty, "{text}");
        assert_eq!(migration.reverted_by().is_some(), empty, "{text}");
    }
}

#[test]
fn a_down_part_that_was_never_written_reverts_nothing_and_counts_as_none() {
    let down = |text: &str| read(&[("1_a.sql", text)]).remove(0).down;
    for empty in ["-- Down Migration\n", "-- Down Migration\n\n-- to be written\n;\n/* later */"] {
        assert!(down(&format!("-- Up Migration\ncreate table t ();\n{empty}")).is_none(), "{empty}");
        // Where nothing was done there is nothing to revert.
        assert!(down(&format!("-- Up Migration\n-- nothing\n{empty}")).is_some(), "{empty}");
    }
    assert!(down("-- Up Migration\nselect 1;\n-- Down Migration\nselect 0;\n").is_some());
}
