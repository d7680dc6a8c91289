use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::{FormatKind, SourceOptions};

fn folder(files: &[(&str, &str)]) -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join("migrations").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let folder = Folder::new(dir.path().join("migrations"), "m");
    (dir, folder)
}

fn format() -> Prisma {
    Prisma { history: PrismaMigrations::new(&SourceOptions::default()) }
}

fn read(files: &[(&str, &str)]) -> Vec<Migration> {
    let (_dir, folder) = folder(files);
    format().read(&folder).unwrap()
}

fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let (_dir, folder) = folder(files);
    format().read(&folder).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn every_folder_is_a_migration_by_its_whole_name() {
    let migrations = read(&[
        ("migration_lock.toml", "provider = \"postgresql\"\n"),
        ("README.md", "no migration"),
        ("data_helper.sql", "select 1;"),
        ("20241812144402_impossible_date/migration.sql", "select 1;"),
        ("20240101000000_b/migration.sql", "select 1;"),
        ("20240101000000_a copy/migration.sql", "select 1;"),
        ("20240101000000_a/migration.sql", "select 1;"),
        ("20240101000000_a/README.md", "why"),
        ("0_init/migration.sql", ""),
        ("baseline/migration.sql", "-- comments only"),
        (".git/migration.sql", "select 1;"),
    ]);
    let names: Vec<_> = migrations.iter().map(|one| format!("{} {}", one.version, one.name)).collect();
    assert_eq!(
        names,
        [
            "0 0_init",
            "20240101000000 20240101000000_a",
            "20240101000000 20240101000000_a copy",
            "20240101000000 20240101000000_b",
            "20241812144402 20241812144402_impossible_date",
            "baseline baseline",
        ]
    );
    assert_eq!(migrations[1].up.path, Path::new("m/20240101000000_a/migration.sql"));
}

#[test]
fn down_sql_beside_it_reverts_it() {
    let migrations = read(&[
        ("1_a/migration.sql", "create table a ();"),
        ("1_a/down.sql", "-- dbctl:no-transaction\ndrop table a;"),
        ("2_b/migration.sql", "create table b ();"),
        ("2_b/down.sql", "-- nothing yet"),
        ("3_c/migration.sql", "create table c ();"),
    ]);
    let down = migrations[0].down.as_ref().unwrap();
    assert_eq!(down.path, Path::new("m/1_a/down.sql"));
    assert_eq!((down.transaction, migrations[0].up.transaction), (Transaction::None, Transaction::One));
    assert!(migrations[1].down.is_none() && migrations[2].down.is_none());
}

/// `printf … | sha256sum`; the second has a byte below 16 in it.
#[test]
fn checksums_are_those_of_the_tool_whatever_the_line_endings() {
    let sum = |text: &str| read(&[("1_a/migration.sql", text)]).remove(0);
    let unix = sum("select 1;\n");
    let recorded = "4a45092ccf992ea92250053a80b931b787924ba61648f420555511b84f10ab6c";
    assert_eq!(unix.tool_checksum.as_ref().unwrap().recorded().as_str(), recorded);
    for same in ["select 1;\r\n", "\u{feff}select 1;\n", "\u{feff}select 1;\r\n"] {
        assert!(sum(same).has_checksum(&Checksum::recorded(recorded)), "{same:?}");
    }
    assert!(!sum("select 2;\n").has_checksum(&Checksum::recorded(recorded)));
    // Without the zeros of 09, 05, 07 and so on, as old versions wrote it.
    assert!(unix.has_checksum(&Checksum::recorded(unpadded(recorded))));
    assert_eq!(unpadded("0a100fff00"), "a10fff0");
}

#[test]
fn what_stops_the_tool_stops_dbctl() {
    assert_eq!(
        errors(&[
            ("migration_lock.toml", "# do not edit\nprovider = \"mysql\" # ours\n"),
            ("20240101000000_gone/README.md", ""),
            ("20240102000000_a/migration.sql", "-- dbctl:no-transactions\nselect 1;"),
        ]),
        [
            "m/20240101000000_gone: the folder has no migration.sql, at which Prisma stops (P3015): put it back, or \
             remove the folder if it is no migration",
            "m/20240102000000_a/migration.sql:1:10: unknown directive `no-transactions`",
            "m/migration_lock.toml:2:13: these migrations are for mysql, and dbctl runs PostgreSQL",
        ]
    );
    for provider in ["postgresql", "postgres"] {
        assert_eq!(read(&[("migration_lock.toml", &format!("provider = '{provider}'"))]), []);
    }
}

#[test]
fn utf_16_is_told() {
    let (_dir, folder) = folder(&[("1_a/migration.sql", "")]);
    let bytes: Vec<u8> = "\u{feff}select 1;".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.path.join("1_a/migration.sql"), bytes).unwrap();
    let error = format().read(&folder).unwrap_err().to_string();
    assert_eq!(error, "m/1_a/migration.sql:1:1: the file is not UTF-8 (it looks like UTF-16 LE)");
}

#[test]
fn new_files_are_as_the_tool_names_them() {
    let (_dir, folder) = folder(&[]);
    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    let new = format().new_file(&folder, "Add users' e-mail", now).unwrap();
    let paths: Vec<_> = new.files.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(paths, ["20260131093000_add_users_e_mail/migration.sql", "migration_lock.toml"]);
    for name in ["", "!"] {
        assert!(format().new_file(&folder, name, now).is_err());
    }
    let long = format().new_file(&folder, &"x".repeat(300), now).unwrap();
    assert_eq!(long.files[0].0.parent().unwrap().as_os_str().len(), 15 + MAX_SLUG_CHARS);
}

#[test]
fn it_is_told_from_its_look_alike() {
    let check = |files: &[(&str, &str)]| {
        let (_dir, folder) = folder(files);
        FormatKind::detect(&folder.path).unwrap().into_iter().map(FormatKind::as_str).collect::<Vec<_>>()
    };
    assert_eq!(check(&[("20240101000000_a/migration.sql", "")]).first(), Some(&"prisma"));
    assert_eq!(check(&[("20240101000000_a/migration.sql", ""), ("migration_lock.toml", "")]), ["prisma"]);
    assert_eq!(check(&[("20240101000000_a/migration.sql", ""), ("../schema.prisma", "")]), ["prisma"]);
    assert!(!check(&[("20240101000000_a/up.sql", "")]).contains(&"prisma"));
    let drizzle = [("20240101000000_a/migration.sql", ""), ("20240101000000_a/snapshot.json", "{}")];
    assert!(!check(&drizzle).contains(&"prisma"));
}
