use std::fs;

use expect::{check, folder, read};

use super::*;
use crate::{Applied, Progress, RunStamp, SourceOptions, split::split};

/// Folders for the tests below.
mod expect {
    use tempfile::TempDir;

    use super::*;

    /// A folder with these files.
    pub(super) fn folder(files: &[(&str, &str)]) -> (TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("drizzle"), "m");
        for (name, text) in files {
            let path = folder.path.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (dir, folder)
    }

    pub(super) fn open(folder: &Folder) -> Box<dyn Format> {
        (TOOL.open)(folder, &SourceOptions::default())
    }

    pub(super) fn read(files: &[(&str, &str)]) -> Result<Vec<Migration>, FormatErrors> {
        let (_dir, folder) = folder(files);
        open(&folder).read(&folder)
    }

    /// `version name` of all, or what is wrong.
    #[track_caller]
    pub(super) fn check(files: &[(&str, &str)], expected: &[&str]) {
        let found = match read(files) {
            Ok(migrations) => migrations.iter().map(|one| format!("{} {}", one.version, one.name)).collect(),
            Err(errors) => errors.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
        };
        assert_eq!(found, expected, "{files:?}");
    }
}

fn journal(entries: &[(&str, i64)]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(idx, (tag, when))| {
            serde_json::json!({ "idx": idx, "version": "7", "when": when, "tag": tag, "breakpoints": true })
        })
        .collect();
    format!("{:#}", serde_json::json!({ "version": "7", "dialect": "postgresql", "entries": entries }))
}

#[test]
fn the_journal_says_what_runs_and_in_which_order() {
    let listed = journal(&[("0001_b", 20), ("0000_a", 30), ("hand made", 10)]);
    let files = [
        (JOURNAL, &*listed),
        ("0000_a.sql", "\u{feff}select 1;\r\n"),
        ("0001_b.sql", ""),
        ("hand made.sql", "-- comments only"),
        ("0002_not_listed.sql", "nonsense"),
        ("README.md", "x"),
        ("20260101000000_empty/snapshot.json", "{}"),
        ("meta/0000_snapshot.json", "{}"),
    ];
    check(&files, &["20 0001_b", "30 0000_a", "10 hand made"]);
    let read = read(&files).unwrap();
    assert_eq!(read[1].up.path, Path::new("m/0000_a.sql"));
    assert_eq!(read[1].up.sql, "select 1;\r\n");
    assert!(read[1].down.is_none());
    // By sha256sum, as it is and with other bytes around the same text.
    let tool = read[1].tool_checksum.as_ref().unwrap();
    assert_eq!(tool.recorded().as_str(), "0ce1a315e8d453541dfee34a980aa24a148ea8cd68ebf96a4b4dde51391e2307");
    let unix = "4a45092ccf992ea92250053a80b931b787924ba61648f420555511b84f10ab6c";
    assert!(tool.covers(&Checksum::recorded(unix)));
}

#[test]
fn what_is_wrong_with_a_journal_is_told_with_its_place() {
    let a = ("a.sql", "");
    check(&[(JOURNAL, r#"{ "dialect": "pg", "entries": [{ "when": 1, "tag": "a" }] }"#), a], &["1 a"]);
    check(&[(JOURNAL, r#"{ "entries": [] }"#), a], &[]);
    for (text, message) in [
        ("", "m/meta/_journal.json:1:1: not what drizzle-kit writes: EOF while parsing a value"),
        (
            "{\n  \"entries\": [\n",
            "m/meta/_journal.json:3:1: not what drizzle-kit writes: EOF while parsing a list",
        ),
        (
            "\n [\"pg\", []]",
            "m/meta/_journal.json:2:2: not what drizzle-kit writes: a list in place of an object",
        ),
        (
            "{ \"version\": \"7\" }",
            "m/meta/_journal.json:1:18: not what drizzle-kit writes: missing field `entries`",
        ),
        (
            "{ \"entries\": [\n{ \"when\": \"ä\", \"tag\": \"a\" }\n] }",
            "m/meta/_journal.json:2:13: not what drizzle-kit writes: invalid type: string \"ä\", expected i64",
        ),
        (
            "{ \"entries\": [\n<<<<<<< HEAD\n{ \"when\": 1, \"tag\": \"a\" }\n=======\n] }",
            "m/meta/_journal.json:2:1: not what drizzle-kit writes: expected value; there are marks of a merge conflict in \
             the file",
        ),
        (
            "{\n  \"dialect\": \"mysql\", \"entries\": [] }",
            "m/meta/_journal.json:2:3: these migrations are for mysql, and this database is one for postgresql",
        ),
        (
            "{ \"entries\": [\n  { \"when\": 1, \"tag\": \"gone\" },\n  { \"when\": 2, \"tag\": \"a\" } ] }",
            "m/meta/_journal.json:2:23: the journal lists `gone`, and there is no gone.sql: put the file back, or take the \
             entry out",
        ),
        (
            "{ \"entries\": [\n  { \"when\": 1, \"tag\": \"a\" },\n  { \"when\": 2, \"tag\": \"a\" } ] }",
            "m/meta/_journal.json:3:23: the journal lists `a` twice: take one of them out",
        ),
    ] {
        check(&[(JOURNAL, text), a], &[message]);
    }
    check(
        &[("0000_a.sql", "")],
        &[
            "m/0000_a.sql: there is no meta/_journal.json that lists this file: drizzle runs only what its journal \
           lists, and fails without one. Put it back, or say another `format` if this is no folder of drizzle",
        ],
    );
    let (_dir, stray) = folder(&[("0000_a.sql", "")]);
    expect::open(&stray).new_file(&stray, "b", Timestamp::UNIX_EPOCH).unwrap_err();
    let (_dir, list) = folder(&[(JOURNAL, "[\"pg\", []]")]);
    expect::open(&list).new_file(&list, "b", Timestamp::UNIX_EPOCH).unwrap_err();
    let full = r#"{ "entries": [{ "idx": 18446744073709551615, "when": 1, "tag": "a" }] }"#;
    let (_dir, full) = folder(&[(JOURNAL, full), a]);
    expect::open(&full).new_file(&full, "b", Timestamp::UNIX_EPOCH).unwrap();
}

#[test]
fn migrations_of_one_time_are_told_apart_by_their_hashes() {
    let listed = journal(&[("a", 5), ("b", 7), ("c", 5)]);
    let files = [(JOURNAL, &*listed), ("a.sql", "a"), ("b.sql", "b"), ("c.sql", "c")];
    // By sha256sum.
    check(&files, &["5-ca978112 a", "7 b", "5-2e7d2c03 c"]);
    let files = [(JOURNAL, &*listed), ("a.sql", "a"), ("b.sql", "b"), ("c.sql", "a")];
    check(
        &files,
        &[
            "m/meta/_journal.json:23:14: `a` and `c` have the same `when` and the same SQL, so that nothing tells their \
           rows apart: give the later one another `when`",
        ],
    );
    assert_eq!(journal::parts("5-ca978112"), ("5", Some("ca978112")));
    assert_eq!(journal::parts("-5"), ("-5", None));
    assert_eq!(journal::parts("5"), ("5", None));
}

#[test]
fn folders_are_read_by_name() {
    check(
        &[
            ("20260101000000_b/migration.sql", "b"),
            ("20260101000000_B/migration.sql", ""),
            ("20260101000000/migration.sql", "-- dbctl:no-transaction\n"),
            ("20241812144402_a day that never was/migration.sql", "a"),
            ("20260102000000_no_sql/snapshot.json", "{}"),
            ("schema.ts", ""),
            ("0000_old.sql", "nonsense"),
            ("meta/0000_snapshot.json", "{}"),
        ],
        &[
            "20241812144402 20241812144402_a day that never was",
            "20260101000000 20260101000000",
            "20260101000000 20260101000000_b",
            "20260101000000 20260101000000_B",
        ],
    );
    check(
        &[("0000_a/migration.sql", ""), ("20260101000000_b/migration.sql", "-- dbctl:nonsense")],
        &[
            "m/0000_a: the name does not start with a time of 14 digits, without which drizzle cannot record it; \
             `20260101120000_users` would fit",
            "m/20260101000000_b/migration.sql:1:10: unknown directive `nonsense`",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_folder_whose_name_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let (_dir, folder) = folder(&[("20260101000000_a/migration.sql", "")]);
    let bytes = b"20260101000000_\xFF";
    let strange = folder.path.join(std::ffi::OsStr::from_bytes(bytes));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join(MIGRATION), "").unwrap();
    let errors = expect::open(&folder).read(&folder).unwrap_err().0;
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert!(error.to_string().ends_with("the name is not UTF-8, so it cannot be recorded"), "{error}");
}

#[test]
fn a_folder_of_both_kinds_is_refused() {
    let listed = journal(&[("0000_a", 1)]);
    check(
        &[(JOURNAL, &listed), ("0000_a.sql", ""), ("20260101000000_b/migration.sql", "")],
        &[
            "m/20260101000000_b: this is a folder of drizzle-kit 1.0 beside the journal meta/_journal.json of 0.x: 1.0 \
           refuses to run, and 0.x passes the folder over; run `drizzle-kit up` of 1.0, which makes folders of all \
           migrations",
        ],
    );
}

#[test]
fn a_breakpoint_ends_a_statement() {
    let sql = "CREATE TABLE a (id int);--> statement-breakpoint\nALTER TABLE a ADD b int;--> statement-breakpoint\n\
               --> statement-breakpoint\n\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n--> statement-breakpoint\n\
               select 1 $$;\r\n--> statement-breakpoint\r\nselect 'é' -- é --> statement-breakpoint\nselect 1 as \"--> \"\n\
               --> statement-breakpoint";
    let ended = ended(sql.to_owned(), Dialect::Postgres);
    assert_eq!(ended.len(), sql.len());
    let statements = split(&ended).unwrap();
    let texts: Vec<_> =
        statements.iter().map(|one| sql[one.range.clone()].trim_end().replace('\n', " ")).collect();
    assert_eq!(
        texts,
        [
            "CREATE TABLE a (id int)",
            "ALTER TABLE a ADD b int",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ --> statement-breakpoint select 1 $$",
            "select 'é'",
            "select 1 as \"--> \"",
        ]
    );
}

#[test]
fn folders_are_told_from_those_of_other_tools() {
    let listed = journal(&[("0000_a", 1)]);
    let detect = |files: &[(&str, &str)]| {
        let (_dir, folder) = folder(files);
        crate::FormatKind::detect(&folder.path)
            .unwrap()
            .into_iter()
            .map(|kind| kind.as_str())
            .collect::<Vec<_>>()
    };
    let new = ("20260101000000_a/migration.sql", "");
    assert_eq!(detect(&[(JOURNAL, &listed), ("0000_a.sql", "")]), ["drizzle"]);
    assert_eq!(detect(&[(JOURNAL, &listed), ("20260101000000_a.sql", "")]), ["drizzle"]);
    assert_eq!(detect(&[(JOURNAL, "{}"), new]), ["drizzle"]);
    assert_eq!(detect(&[new, ("20260101000000_a/snapshot.json", "{}")]), ["drizzle"]);
    assert_eq!(detect(&[new]), ["prisma", "drizzle"]);
    assert_eq!(detect(&[new, ("migration_lock.toml", "")]), ["prisma"]);
    assert_eq!(detect(&[("0000_a.sql", "select 1;\n  --> statement-breakpoint\n")]), ["drizzle"]);
    assert_eq!(detect(&[("meta/0000_snapshot.json", ""), ("0000_a.sql", "")]), [""; 0]);
}

/// The package says which of the two an empty folder is to be.
#[test]
fn the_first_migration_is_of_the_packages_version() {
    let first = |package: &str| {
        let (dir, folder) = folder(&[]);
        fs::write(dir.path().join("package.json"), package).unwrap();
        let now = "2026-01-31T09:30:00Z".parse().unwrap();
        expect::open(&folder).new_file(&folder, "a b", now).unwrap().files[0].0.clone()
    };
    let version = |version: &str| format!(r#"{{ "devDependencies": {{ "drizzle-kit": "{version}" }} }}"#);
    for old in ["^0.31.1", "latest", "workspace:*", "catalog:", "~0.20", ""] {
        assert_eq!(first(&version(old)), Path::new("0000_a_b.sql"), "{old}");
    }
    for new in ["1.0.0-rc.5", "^1.0.0-beta.2-abc", "beta", "rc", ">=2", "npm:drizzle-kit@1.0.0"] {
        assert_eq!(first(&version(new)), Path::new("20260131093000_a_b/migration.sql"), "{new}");
    }
    assert_eq!(first("{ broken"), Path::new("0000_a_b.sql"));
    let orm = r#"{ "dependencies": { "drizzle-orm": "1.0.0" } }"#;
    assert_eq!(first(orm), Path::new("20260131093000_a_b/migration.sql"));
}

const SNAPSHOT_7: &str =
    r#"{ "id": "one", "prevId": "zero", "version": "7", "tables": { "a": {} }, "_meta": { "x": 1 } }"#;

#[test]
fn a_new_file_follows_the_last_one() {
    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    let ms = now.as_millisecond();
    for (tags, when, file, snapshot, recorded) in [
        (vec!["0000_a"], 5, "0001_x.sql", "meta/0001_snapshot.json", ms),
        // A clock that is behind: the tool would never run the new one.
        (vec!["0000_a"], ms + 5_000, "0001_x.sql", "meta/0001_snapshot.json", ms + 5_001),
        (vec!["20250101000000_a"], 5, "20260131093000_x.sql", "meta/20260131093000_snapshot.json", ms),
        // Of the same second.
        (
            vec!["20260131093000_a"],
            ms,
            "20260131093001_x.sql",
            "meta/20260131093001_snapshot.json",
            ms + 1_001,
        ),
        (vec!["1700000000_a"], 5, "1769851800_x.sql", "meta/1769851800_snapshot.json", ms),
        (vec!["_a"], 5, "_x.sql", "meta/_snapshot.json", ms),
        (vec!["init", "0007_b"], 5, "0002_x.sql", "meta/0002_snapshot.json", ms),
    ] {
        let listed = journal(&tags.iter().zip(when..).map(|(tag, when)| (*tag, when)).collect::<Vec<_>>());
        let recorded = if when > ms { recorded + i64::try_from(tags.len()).unwrap() - 1 } else { recorded };
        let (_dir, folder) = folder(&[
            (JOURNAL, &listed),
            ("meta/0000_snapshot.json", "{}"),
            ("meta/0003_snapshot.json", SNAPSHOT_7),
        ]);
        let new = expect::open(&folder).new_file(&folder, "x", now).unwrap();
        let names: Vec<_> = new.files.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(names, [file, snapshot]);
        assert_eq!(new.files[0].1, "-- Custom SQL migration file, put your code below! --");
        let made: serde_json::Value = serde_json::from_str(&new.files[1].1).unwrap();
        assert_eq!(made["prevId"], "one");
        assert_eq!(made["tables"], serde_json::json!({ "a": {} }));
        assert_eq!(made["_meta"], serde_json::json!({ "columns": {}, "schemas": {}, "tables": {} }));
        let [(path, text)] = &new.rewritten[..] else { panic!("{:?}", new.rewritten) };
        assert_eq!(path, Path::new(JOURNAL));
        let mut before: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let tag = file.strip_suffix(".sql").unwrap();
        before["entries"].as_array_mut().unwrap().push(serde_json::json!({
            "idx": tags.len(), "version": "7", "when": recorded, "tag": tag, "breakpoints": true
        }));
        assert_eq!(*text, format!("{before:#}"), "order and spaces stay");
    }
    // There is one for all.
    let (_dir, bare) = folder(&[(JOURNAL, &journal(&[("_a", 1)])), ("meta/_snapshot.json", SNAPSHOT_7)]);
    assert_eq!(expect::open(&bare).new_file(&bare, "x", now).unwrap().files.len(), 1);
    let (_dir, broken) =
        folder(&[(JOURNAL, &journal(&[("0000_a", 1)])), ("meta/0000_snapshot.json", "{\n}}")]);
    let error = expect::open(&broken).new_file(&broken, "x", now).unwrap_err().to_string();
    assert!(error.starts_with("m/meta/0000_snapshot.json:2:2: not what drizzle-kit writes: "), "{error}");
    expect::open(&bare).new_file(&bare, "--", now).unwrap_err();
    for tag in ["20260101000000_a", "9223372036_a"] {
        let (_dir, late) = folder(&[(JOURNAL, &journal(&[("9223372036854775_a", 1), (tag, i64::MAX)]))]);
        expect::open(&late).new_file(&late, "x", now).unwrap_err();
    }
}

#[test]
fn on_sqlite_new_files_are_its_own() {
    let options = SourceOptions { dialect: Dialect::Sqlite, ..SourceOptions::default() };
    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    for (files, named, version) in [
        (&[][..], "0000_x.sql", "6"),
        (
            &[("package.json", r#"{ "devDependencies": { "drizzle-kit": "1.0.0" } }"#)],
            "20260131093000_x/migration.sql",
            "7",
        ),
    ] {
        let (_dir, folder) = folder(files);
        let new = (TOOL.open)(&folder, &options).new_file(&folder, "x", now).unwrap();
        assert_eq!(new.files[0].0, Path::new(named));
        for (path, text) in &new.files[1..] {
            let made: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(made["dialect"], "sqlite", "{}", path.display());
        }
        let snapshot: serde_json::Value = serde_json::from_str(&new.files[1].1).unwrap();
        assert_eq!(snapshot["version"], version);
    }
}

#[test]
fn a_new_folder_follows_all_leaves() {
    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    let new = |files: &[(&str, &str)]| {
        let (_dir, folder) = folder(files);
        let new = expect::open(&folder).new_file(&folder, "x", now).unwrap();
        assert!(new.rewritten.is_empty());
        let made: serde_json::Value = serde_json::from_str(&new.files[1].1).unwrap();
        (new.files[0].0.to_str().unwrap().to_owned(), made)
    };
    let (name, made) = new(&[
        ("20260101000000_a/migration.sql", ""),
        (
            "20260101000000_a/snapshot.json",
            r#"{ "id": "a", "prevIds": ["0"], "version": "8", "ddl": [1], "renames": [] }"#,
        ),
        ("20260102000000_b/migration.sql", ""),
        (
            "20260102000000_b/snapshot.json",
            r#"{ "id": "b", "prevIds": ["a"], "version": "8", "ddl": [2], "renames": [3] }"#,
        ),
        ("20260131093000_c/migration.sql", ""),
        (
            "20260131093000_c/snapshot.json",
            r#"{ "id": "c", "prevIds": ["a"], "version": "8", "ddl": [4], "renames": [5] }"#,
        ),
    ]);
    assert_eq!(name, "20260131093001_x/migration.sql");
    assert_eq!(made["prevIds"], serde_json::json!(["b", "c"]));
    assert_eq!((&made["ddl"], &made["renames"]), (&serde_json::json!([4]), &serde_json::json!([])));
    assert_eq!(made["version"], "8");

    let (name, made) = new(&[
        ("20250101000000_a/migration.sql", ""),
        (
            "20250101000000_a/snapshot.json",
            r#"{ "type": "base", "id": "a", "prevIds": ["0"], "version": "9", "dialect": "postgres", "ddl": [1] }"#,
        ),
    ]);
    assert_eq!(name, "20260131093000_x/migration.sql");
    assert_eq!((&made["type"], &made["version"]), (&"diff".into(), &"9".into()));
    assert_eq!(made["prevIds"], serde_json::json!(["a"]));
    assert_eq!(made["deltas"], serde_json::json!([]));
    // Written by hand, without snapshots.
    let (_, made) = new(&[("20250101000000_a/migration.sql", "")]);
    assert_eq!(made["type"], "base");
}

fn row(version: &str, name: &str, hash: &str) -> Applied {
    Applied {
        version: Version::new(version),
        name: name.to_owned(),
        checksum: Some(Checksum::recorded(hash)),
        at: None,
        elapsed: None,
        progress: Progress::Whole,
        tool_row: None,
    }
}

/// The rows as `version name checksum`, as they are known by what is on disk.
fn identified(files: &[(&str, &str)], rows: Vec<Applied>) -> Vec<String> {
    let (_dir, folder) = folder(files);
    let format = expect::open(&folder);
    let local = format.read(&folder).unwrap();
    let known = |row: Applied| {
        let checksum = row.checksum.map_or_else(|| "-".to_owned(), |checksum| checksum.to_string());
        format!("{} {} {}", row.version, row.name, checksum.get(..4).unwrap_or(&checksum))
    };
    format.history().unwrap().identify(rows, &local).into_iter().map(known).collect()
}

/// By sha256sum.
const A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
const C: &str = "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6";

#[test]
fn rows_of_0_x_are_known_by_their_time() {
    let listed = journal(&[("a", 5), ("b", 7), ("c", 5)]);
    let files = [(JOURNAL, &*listed), ("a.sql", "a"), ("b.sql", "b"), ("c.sql", "c")];
    let rows = vec![row("5", "", C), row("7", "", "changed"), row("5", "", A), row("9", "", A)];
    assert_eq!(identified(&files, rows), ["5-2e7d2c03 c 2e7d", "7 b chan", "5-ca978112 a ca97", "9  ca97"]);
    // What nobody's hash is goes to the one that is left, and what there are too many of to nobody.
    let rows = vec![row("5", "", "x"), row("5", "", A), row("5", "", "y")];
    assert_eq!(identified(&files, rows), ["5-2e7d2c03 c -", "5-ca978112 a ca97", "5  y"]);
    assert_eq!(identified(&files, vec![row("5", "", "x")]), ["5-ca978112 a -"]);
}

#[test]
fn rows_of_0_x_are_known_to_1_0_as_it_matches_them() {
    let files = [
        ("20260131093000_a/migration.sql", "a"),
        ("20260131093000_c/migration.sql", "c"),
        ("20260131093001_b/migration.sql", "b"),
    ];
    let rows = vec![
        row("1769851800123", "", C),
        row("1769851801999", "", "changed"),
        row("1769851800000", "", "x"),
        row("1", "", A),
        row("", "", "x"),
        row("1769851801000", "20260131093001_gone", "x"),
        row("1769851801000", "20260131093001_b", "x"),
    ];
    assert_eq!(
        identified(&files, rows),
        [
            "20260131093000 20260131093000_c 2e7d",
            "20260131093001 20260131093001_b chan",
            "1769851800000 1769851800000 x",
            "20260131093000 20260131093000_a ca97",
            "  x",
            "20260131093001 20260131093001_gone x",
            "20260131093001 20260131093001_b x",
        ]
    );
}

#[test]
fn tables_are_those_of_the_two_versions() {
    let sql = |files: &[(&str, &str)], options: &SourceOptions| {
        let (_dir, folder) = folder(files);
        let format = (TOOL.open)(&folder, options);
        let migrations = format.read(&folder).unwrap();
        let history = format.history().unwrap();
        let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        let recording =
            crate::Recording { migration: &migrations[0], elapsed: std::time::Duration::ZERO, stamp: &stamp };
        let rows = history.record(&recording).into_iter().map(|one| format!("{} {:?}", one.sql, one.params));
        (history.create(), rows.collect::<Vec<_>>(), history.upgrade(&migrations).is_some())
    };
    let old = journal(&[("a", 5)]);
    let schema = r#"CREATE SCHEMA IF NOT EXISTS "drizzle""#;
    let (create, rows, upgrades) = sql(&[(JOURNAL, &old), ("a.sql", "a")], &SourceOptions::default());
    let table = r#"CREATE TABLE IF NOT EXISTS "drizzle"."__drizzle_migrations" (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint"#;
    assert_eq!(create, [schema.to_owned(), format!("{table})")]);
    assert_eq!(
        rows,
        [format!(
            r#"INSERT INTO "drizzle"."__drizzle_migrations" (hash, created_at) VALUES ($1::text, $2::text::bigint) [Text("{A}"), Text("5")]"#
        )]
    );
    assert!(!upgrades);
    let new = [("20260131093000_a/migration.sql", "a")];
    let (create, rows, upgrades) = sql(&new, &SourceOptions::default());
    let since = ", name text, applied_at timestamp with time zone DEFAULT now())";
    assert_eq!(create, [schema.to_owned(), format!("{table}{since}")]);
    assert!(
        rows[0].ends_with(&format!(r#"[Text("{A}"), Text("1769851800000"), Text("20260131093000_a")]"#)),
        "{rows:?}"
    );
    assert!(upgrades);
    let public = SourceOptions { schema: Some("public".to_owned()), ..SourceOptions::default() };
    assert_eq!(sql(&new, &public).0.len(), 1);
}
