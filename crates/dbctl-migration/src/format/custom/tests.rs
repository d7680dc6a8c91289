use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{Applied, Progress, Value};

struct Site(TempDir, SourceOptions);

impl Site {
    fn new(pattern: Option<&str>, files: &[(&str, &str)]) -> Self {
        let options = SourceOptions {
            table: Some("done".to_owned()),
            pattern: pattern.map(str::to_owned),
            ..SourceOptions::default()
        };
        check(&options).unwrap();
        let site = Self(tempfile::tempdir().unwrap(), options);
        for (name, text) in files {
            let path = site.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        site
    }

    fn named(pattern: Option<&str>, names: &[&str]) -> Self {
        Self::new(pattern, &names.iter().map(|name| (*name, "select 1;\n")).collect::<Vec<_>>())
    }

    fn folder(&self) -> Folder {
        Folder::new(self.0.path().to_owned(), "m")
    }

    fn format(&self) -> Box<dyn Format> {
        (TOOL.open)(&self.folder(), &self.1)
    }

    fn read(&self) -> Result<Vec<Migration>, String> {
        self.format().read(&self.folder()).map_err(|errors| errors.to_string())
    }

    fn names(&self) -> Vec<String> {
        self.read().unwrap().into_iter().map(|migration| migration.name).collect()
    }

    fn new_names(&self, name: &str) -> Result<Vec<String>, String> {
        let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
        let new = self.format().new_file(&self.folder(), name, now).map_err(|error| error.to_string())?;
        Ok(new.files.iter().map(|(path, _)| path.display().to_string()).collect())
    }
}

#[test]
fn files_of_many_runners_are_read_in_the_order_of_their_numbers() {
    let cases: [(Option<&str>, &[&str], &[&str]); 6] = [
        (
            None,
            &["20260123_1800_accounts.sql", "20260123_0900_users.sql", "20260122_2300_first.sql"],
            &["20260122_2300_first", "20260123_0900_users", "20260123_1800_accounts"],
        ),
        (
            None,
            &[
                "10_c.sql",
                "9_b.sql",
                "001_a.sql",
                "100_d.sql",
                "README.md",
                "data_users.sql",
                ".x.sql",
                "11_x.sql.bak",
            ],
            &["001_a", "9_b", "10_c", "100_d"],
        ),
        (
            Some("V{version}__{name}.sql"),
            &["V2__b.sql", "V12__c.sql", "V1_10__a.sql", "V1_9__z.sql"],
            &["V1_9__z", "V1_10__a", "V2__b", "V12__c"],
        ),
        (
            None,
            &["2025-11-05_telemetry.sql", "2025-11-05_audit.sql", "2025-9-30_x.sql"],
            &["2025-9-30_x", "2025-11-05_audit", "2025-11-05_telemetry"],
        ),
        (Some("{version}.sql"), &["2.sql", "1.sql", "seed.sql"], &["1", "2"]),
        (
            Some("migration-{version}.sql"),
            &["migration-2.sql", "migration-10.sql", "roles.sql"],
            &["migration-2", "migration-10"],
        ),
    ];
    for (pattern, files, expected) in cases {
        let site = Site::named(pattern, files);
        fs::create_dir(site.0.path().join("3_folder.sql")).unwrap();
        assert_eq!(site.names(), expected, "{pattern:?}");
    }
    let versions = Site::named(None, &["20260123_1800_accounts.sql"]).read().unwrap();
    assert_eq!(versions[0].version.as_str(), "20260123_1800");
    assert_eq!(versions[0].up.path, Path::new("m/20260123_1800_accounts.sql"));
}

#[test]
fn what_reverts_stands_beside_or_below() {
    let site = Site::named(
        None,
        &[
            "1_a.sql",
            "1_a.down.sql",
            "2_b.up.sql",
            "2_b.down.sql",
            "3_c.sql",
            "down/3_c.sql",
            "4_d.sql",
            "down/4_d.down.sql",
            "5_e.sql",
            "down/notes.md",
            "down/helper.sql",
        ],
    );
    let read = site.read().unwrap();
    let found: Vec<_> = read
        .iter()
        .map(|migration| {
            let down = migration.down.as_ref().map(|down| down.path.display().to_string());
            (migration.name.as_str(), down.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("1_a", "m/1_a.down.sql".to_owned()),
            ("2_b", "m/2_b.down.sql".to_owned()),
            ("3_c", "m/down/3_c.sql".to_owned()),
            ("4_d", "m/down/4_d.down.sql".to_owned()),
            ("5_e", String::new()),
        ]
    );
    let site = Site::named(Some("{version}-{name}.up.sql"), &["1-a.up.sql", "1-a.down.sql"]);
    let read = site.read().unwrap();
    assert_eq!((read.len(), &*read[0].name, read[0].down.is_some()), (1, "1-a.up", true));
}

#[test]
fn a_typing_error_makes_no_migration_vanish() {
    let site = Site::named(
        None,
        &[
            "001_a.sql",
            "002-b.sql",
            "O03_c.sql",
            "004_.sql",
            "005_e.SQL",
            "006_f.down.sql",
            "007_g.sql",
            "007_g.up.sql",
            "001_a.down.sql",
            "down/001_a.sql",
            "data_1.sql",
        ],
    );
    let said = site.read().unwrap_err();
    let lines: Vec<&str> = said.lines().collect();
    let starts = [
        "m/002-b.sql: not `{version}_{name}.sql`, though it looks like one: rename it",
        "m/004_.sql: not ",
        "m/005_e.SQL: not ",
        "m/007_g.sql and m/007_g.up.sql have the same version 007_g",
        "m/O03_c.sql: not ",
        "m/006_f.down.sql: there is no `006_f.sql` that it would revert",
        "m/001_a.down.sql and m/down/001_a.sql have the same version 001_a",
    ];
    assert_eq!(lines.len(), starts.len(), "{said}");
    for start in starts {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
    let site = Site::named(Some("migration-{version}.sql"), &["a.sql", "b.sql", "c.sql", "d.sql"]);
    let said = site.read().unwrap_err();
    assert_eq!(
        said,
        "m: none of its .sql files fits the pattern `migration-{version}.sql`: `a.sql`, `b.sql`, `c.sql`, …"
    );
    assert_eq!(Site::named(None, &["README.md"]).names(), [] as [String; 0]);
}

#[test]
fn options_are_checked() {
    let options = |change: fn(&mut SourceOptions)| {
        let mut options = SourceOptions { table: Some("t".to_owned()), ..SourceOptions::default() };
        change(&mut options);
        check(&options).map_err(|error| (error.option, error.message, error.hint.unwrap()))
    };
    assert_eq!(options(|_| {}), Ok(()));
    let (option, message, _) = options(|options| options.table = None).unwrap_err();
    assert_eq!(option, "table");
    assert!(message.contains("needs `table`"), "{message}");
    let (option, _, hint) = options(|options| options.table = Some("app.done".to_owned())).unwrap_err();
    assert_eq!((option, &*hint), ("table", "write `schema: app, table: done`"));
    let (option, _, hint) = options(|options| options.records = Some("names".to_owned())).unwrap_err();
    assert_eq!((option, &*hint), ("records", "write `name`, `file` or `version`"));
    let (option, ..) = options(|options| options.pattern = Some("x".to_owned())).unwrap_err();
    assert_eq!(option, "pattern");
    let (option, ..) = options(|options| options.applied_column = Some(String::new())).unwrap_err();
    assert_eq!(option, "applied_column");
}

#[test]
fn new_files_are_named_like_those_that_are_there() {
    let cases: [(Option<&str>, &[&str], &[&str]); 9] = [
        (None, &[], &["20260131093000_add_users.sql"]),
        (None, &["20260123_1800_accounts.sql"], &["20260131_0930_add_users.sql"]),
        (None, &["001_a.sql", "010_b.sql", "009_c.sql"], &["011_add_users.sql"]),
        (None, &["2025-11-05_telemetry-data.sql"], &["2026-01-31_add-users.sql"]),
        (Some("V{version}__{name}.sql"), &["V12__x.sql"], &["V13__add_users.sql"]),
        (Some("{version}.sql"), &["0001.sql"], &["0002.sql"]),
        (None, &["1_a.sql", "1_a.down.sql"], &["2_add_users.sql", "2_add_users.down.sql"]),
        (None, &["1_a.up.sql", "1_a.down.sql"], &["2_add_users.up.sql", "2_add_users.down.sql"]),
        (None, &["1_a.sql", "down/1_a.sql"], &["2_add_users.sql", "down/2_add_users.sql"]),
    ];
    for (pattern, files, expected) in cases {
        assert_eq!(Site::named(pattern, files).new_names("Add users").unwrap(), expected, "{files:?}");
    }
    let said = Site::named(None, &["1_a.sql"]).new_names(" ! ").unwrap_err();
    assert!(said.contains("needs a name"), "{said}");
    let said = Site::named(None, &["1_a.sql"]).new_names("2 3rd").unwrap_err();
    assert!(said.contains("start the name with a letter"), "{said}");
}

fn row(name: &str) -> Applied {
    Applied {
        version: Version::new(""),
        name: name.to_owned(),
        checksum: None,
        at: None,
        elapsed: None,
        progress: Progress::Whole,
        tool_row: None,
    }
}

#[test]
fn rows_are_recognised_however_they_are_written() {
    let identify = |files: &[&str], rows: &[&str]| -> Vec<String> {
        let site = Site::named(None, files);
        let (format, local) = (site.format(), site.read().unwrap());
        let rows = format.history().unwrap().identify(rows.iter().map(|name| row(name)).collect(), &local);
        rows.into_iter().map(|row| format!("{}|{}", row.version, row.name)).collect()
    };
    let files = ["001_a.sql", "002_b.sql", "012_c.sql"];
    assert_eq!(identify(&files, &["001_a", "002_b"]), ["001|001_a", "002|002_b"]);
    assert_eq!(identify(&files, &["001", "2", "12"]), ["001|001_a", "002|002_b", "012|012_c"]);
    assert_eq!(identify(&files, &["003_gone", "4", "what"]), ["003|003_gone", "4|4", "|what"]);
    let files = ["20260123_1800_a.sql", "20260124_0900_b.sql"];
    assert_eq!(
        identify(&files, &["202601231800", "20260124"]),
        ["20260123_1800|20260123_1800_a", "20260124_0900|20260124_0900_b"]
    );
    // Who is named is not taken for another one, and what could be two is neither.
    let files = ["1_a.sql", "1_b.sql", "2_c.sql", "001_2024.sql"];
    assert_eq!(identify(&files, &["1_a"]), ["1|1_a"]);
    assert_eq!(identify(&["1_a.sql", "1_b.sql"], &["1"]), ["1|1"]);
    assert_eq!(identify(&["1_a.sql", "1_b.sql"], &["1_a", "1"]), ["1|1_a", "1|1_b"]);
    assert_eq!(
        identify(&["001_2024_x.sql", "002_y.sql"], &["001", "002"]),
        ["001_2024|001_2024_x", "002|002_y"]
    );
}

#[test]
fn only_the_columns_that_are_named_are_written() {
    let site = Site::named(None, &["001_a.sql"]);
    let mut options = site.1.clone();
    options.schema = Some("s".to_owned());
    options.name_column = Some("file \"name\"".to_owned());
    let stamp = crate::RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
    let local = site.read().unwrap();
    let recording =
        crate::Recording { migration: &local[0], elapsed: std::time::Duration::ZERO, stamp: &stamp };
    let sql = |options: &SourceOptions| {
        let format = (TOOL.open)(&site.folder(), options);
        let history = format.history().unwrap();
        let [statement] = &history.record(&recording)[..] else { panic!("one row") };
        (history.create(), statement.sql.clone(), statement.params.clone())
    };
    let (create, insert, params) = sql(&options);
    assert_eq!(
        create,
        [
            r#"CREATE SCHEMA IF NOT EXISTS "s""#,
            r#"CREATE TABLE IF NOT EXISTS "s"."done" (id serial PRIMARY KEY, "file ""name""" text NOT NULL UNIQUE, "applied_at" timestamptz NOT NULL DEFAULT now())"#
        ]
    );
    assert!(insert.starts_with(r#"INSERT INTO "s"."done" ("file ""name""") SELECT "#), "{insert}");
    let texts = ["001_a", "001_a.sql", "001", "001_a"].map(|text| Value::Text(text.to_owned()));
    assert_eq!(params, texts);
    options.applied_column = Some("at".to_owned());
    options.records = Some("version".to_owned());
    let (_, insert, params) = sql(&options);
    assert!(insert.starts_with(r#"INSERT INTO "s"."done" ("file ""name""", "at") SELECT "#), "{insert}");
    assert!(insert.ends_with(", pg_catalog.now()"), "{insert}");
    assert_eq!(params[3], Value::Text("001".to_owned()));
}
