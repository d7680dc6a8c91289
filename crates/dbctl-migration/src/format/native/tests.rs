use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

const NATIVE: Native = Native { dialect: Dialect::Postgres };

fn folder(files: &[(&str, &str)]) -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let folder = Folder::new(dir.path().to_owned(), "m");
    (dir, folder)
}

fn errors(files: &[(&str, &str)]) -> String {
    let (_dir, folder) = folder(files);
    NATIVE.read(&folder).unwrap_err().to_string()
}

#[test]
fn files_are_read_in_the_order_of_their_versions() {
    let (dir, folder) = folder(&[
        ("20260102000000_b.sql", "\u{feff}-- dbctl:no-transaction\r\nselect 2;"),
        ("20260101000000_größe_2.sql", ""),
        ("20260102000000_b.down.sql", "-- nothing said\nselect -2;"),
        ("20260103000000_c.sql", "-- dbctl:requires core@1\nselect 3;"),
        ("20260103000000_c.down.sql", "-- dbctl:no-transaction\nselect -3;"),
        ("README.md", "# not a migration"),
        ("20260104000000_d.sql~", "backup"),
        ("20260104000000_d.sql.orig", "backup"),
        ("#20260104000000_d.sql#", "backup"),
        (".20260104000000_d.sql.swp", "backup"),
        (".hidden.sql", "no"),
    ]);
    std::fs::create_dir(dir.path().join("20260105000000_folder.sql")).unwrap();
    let migrations = NATIVE.read(&folder).unwrap();
    let names: Vec<_> = migrations.iter().map(|migration| migration.name.as_str()).collect();
    assert_eq!(names, ["20260101000000_größe_2", "20260102000000_b", "20260103000000_c"]);

    let [first, second, third] = &migrations[..] else { panic!() };
    assert_eq!((first.version.as_str(), first.down.is_none()), ("20260101000000", true));
    assert_eq!(second.checksum, Checksum::of_text("-- dbctl:no-transaction\nselect 2;"));
    assert_eq!(second.up.path, Path::new("m/20260102000000_b.sql"));
    assert_eq!(second.up.sql, "-- dbctl:no-transaction\r\nselect 2;");
    let how = |migration: &Migration| {
        (migration.up.transaction, migration.down.as_ref().map(|down| down.transaction))
    };
    assert_eq!(how(second), (Transaction::None, Some(Transaction::One)));
    assert_eq!(how(third), (Transaction::One, Some(Transaction::None)));
    assert_eq!(third.directives.requires[0].database, "core");
}

#[cfg(unix)]
#[test]
fn links_to_files_are_followed() {
    use std::os::unix::fs::symlink;
    let (dir, folder) = folder(&[("target.txt", "select 1;")]);
    symlink(dir.path().join("target.txt"), dir.path().join("20260101000000_a.sql")).unwrap();
    symlink(dir.path(), dir.path().join("a folder.sql")).unwrap();
    assert_eq!(NATIVE.read(&folder).unwrap()[0].up.sql, "select 1;");
    symlink(dir.path().join("gone"), dir.path().join("20260102000000_b.sql")).unwrap();
    let message = NATIVE.read(&folder).unwrap_err().to_string();
    assert!(message.starts_with("cannot read m/20260102000000_b.sql: "), "{message}");
}

#[test]
fn names_that_do_not_fit_show_what_would() {
    let pattern = "not `<14 digits>_<snake_name>.sql` (or `.down.sql`)";
    let cases = [
        ("2026010100000_add_users.sql", "`20260131093000_add_users.sql`"),
        ("20260101000000-add-users.sql", "`20260101000000_add_users.sql`"),
        ("20260101000000_AddUsers.sql", "`20260101000000_add_users.sql`"),
        ("20260101000000_a copy.sql", "`20260101000000_a_copy.sql`"),
        ("20260101000000_a.up.sql", "`20260101000000_a_up.sql`"),
        ("20260101000000_a b.down.sql", "`20260101000000_a_b.down.sql`"),
        ("20260101000000_.sql", "`20260101000000_add_users.sql`"),
        ("20260101000000.sql", "`20260101000000_add_users.sql`"),
        ("20260101000000_a.SQL", "`20260101000000_a.sql`"),
        ("helpers.sql", "`20260131093000_helpers.sql`"),
    ];
    for (name, fits) in cases {
        assert_eq!(errors(&[(name, "")]), format!("m/{name}: {pattern}; {fits} would fit"));
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let (dir, folder) = folder(&[
        ("20260101000000_a.sql", ""),
        ("20260101000000_b.sql", ""),
        ("20260102000000_c.down.sql", ""),
        ("20260103000000_d.sql", "-- dbctl:no-transction"),
        ("20260104000000_e.sql", ""),
        ("20260104000000_e.down.sql", "\n-- dbctl:lock-timeout x"),
    ]);
    std::fs::write(dir.path().join("20260105000000_f.sql"), b"select '\xE9'").unwrap();
    let message = NATIVE.read(&folder).unwrap_err().to_string();
    assert_eq!(
        message.lines().collect::<Vec<_>>(),
        [
            "m/20260102000000_c.down.sql: there is no `20260102000000_c.sql` that it would revert",
            "m/20260103000000_d.sql:1:10: unknown directive `no-transction`",
            "m/20260104000000_e.down.sql:2:23: `x` is not a duration",
            "m/20260105000000_f.sql:1:9: the file is not UTF-8",
            "m/20260101000000_a.sql and m/20260101000000_b.sql have the same version 20260101000000",
        ]
    );
}

#[test]
fn a_folder_has_to_be_there() {
    let (dir, folder) = folder(&[("file", "")]);
    let gone = Folder { path: dir.path().join("gone"), ..folder.clone() };
    assert_eq!(NATIVE.read(&gone).unwrap_err().to_string(), "the migration folder m does not exist");
    let file = Folder { path: dir.path().join("file"), ..folder };
    assert!(NATIVE.read(&file).unwrap_err().to_string().starts_with("cannot read m: "));
}

#[test]
fn new_files_have_the_next_free_version() {
    let now: Timestamp = "2026-01-31T23:59:59.9Z".parse().unwrap();
    let (dir, folder) = folder(&[]);
    let new = |name: &str| NATIVE.new_file(&folder, name, now).map(|new| new.files);
    let files = new("Add Users").unwrap();
    assert_eq!(
        files,
        [(
            PathBuf::from("20260131235959_add_users.sql"),
            "-- add_users\n-- Runs in one transaction. What reverts it goes into \
             20260131235959_add_users.down.sql.\n\n"
                .to_owned()
        )]
    );
    std::fs::write(dir.path().join(&files[0].0), &files[0].1).unwrap();
    std::fs::write(dir.path().join("20260201000000_x.down.sql"), "").unwrap();
    assert_eq!(new("b").unwrap()[0].0, Path::new("20260201000001_b.sql"));

    let gone = Folder { path: dir.path().join("gone"), ..folder.clone() };
    assert_eq!(NATIVE.new_file(&gone, "b", now).unwrap().files[0].0, Path::new("20260131235959_b.sql"));
    let last = Timestamp::MAX;
    let version = last.strftime("%Y%m%d%H%M%S").to_string();
    std::fs::write(dir.path().join(format!("{version}_end.sql")), "").unwrap();
    let cases = [
        (new(" -_! ").unwrap_err(), "m: a migration needs a name, such as `add users`"),
        (
            new(&"x".repeat(240)).unwrap_err(),
            "m: the name makes a file name of 264 bytes, of which file systems keep 255",
        ),
        (NATIVE.new_file(&folder, "b", last).unwrap_err(), "m: there is no free version left"),
    ];
    for (error, message) in cases {
        assert_eq!(error.to_string(), message);
    }
    let file = Folder { path: dir.path().join(&files[0].0), ..folder };
    assert!(matches!(NATIVE.new_file(&file, "b", now), Err(FormatError::Io { .. })));
}

#[test]
fn free_text_becomes_snake_case() {
    let cases = [
        ("add users", "add_users"),
        ("  Add--Users!! ", "add_users"),
        ("addUsersTable", "add_users_table"),
        ("RLS on HTTPLog2", "rls_on_httplog2"),
        ("größe ändern", "größe_ändern"),
        ("x\n; drop table y;", "x_drop_table_y"),
        ("İstanbul", "istanbul"),
        ("../../etc", "etc"),
        ("", ""),
    ];
    for (text, slug) in cases {
        assert_eq!(snake_case(text), slug);
        assert!(slug.is_empty() || is_stem(&format!("20260101000000_{slug}")), "{slug}");
    }
}
