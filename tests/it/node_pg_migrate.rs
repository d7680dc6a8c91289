//! Folders as people have them, run by dbctl and by every major of the real node-pg-migrate: what they make of a folder
//! and of each other's databases has to be the same.

use std::fmt::Write as _;

use serde_json::json;

use crate::{
    support::{Ran, Sandbox},
    tools::{VERSIONS, node_pg_migrate},
};

/// Databases that run the same folder: dbctl's, and one for each of the tool's majors.
struct Folder {
    sandbox: Sandbox,
    options: Vec<&'static str>,
}

impl Folder {
    /// A folder with these files; `source` ends its entry in the manifest, `options` end the tool's command line.
    fn new(files: &[(&str, &str)], source: &str, options: &[&'static str]) -> Self {
        let mut manifest = "workspace: judged\ndatabases:\n".to_owned();
        for key in std::iter::once("mine").chain(VERSIONS.map(key)) {
            let source = format!("{{ path: migrations, format: node-pg-migrate{source} }}");
            writeln!(manifest, "  {key}: {{ migrations: [{source}] }}").unwrap();
        }
        let sandbox = Sandbox::new(&manifest, &[]);
        for (name, text) in files {
            sandbox.write(&format!("migrations/{name}"), text);
        }
        sandbox.ok(&["create", "--all"]);
        Self { sandbox, options: options.to_vec() }
    }

    fn tool(&self, version: &str, target: &str, args: &[&str]) -> Ran {
        node_pg_migrate(&self.sandbox, version, target, "", &[args, &self.options].concat())
    }

    #[track_caller]
    fn finds_nothing(&self, version: &str, target: &str, args: &[&str]) {
        let ran = self.tool(version, target, &[&["up"], args].concat());
        assert!(ran.stdout.contains("No migrations to run!") && ran.code == 0, "{version}: {ran}");
    }

    fn history(&self, target: &str) -> String {
        self.sandbox.query(target, "select name from pgmigrations order by run_on, id")
    }

    /// The columns of all tables but the histories.
    fn columns(&self, target: &str) -> String {
        let sql = "select table_name, column_name, data_type from information_schema.columns where table_schema = \
                   'public' and table_name <> 'pgmigrations' order by 1, 2";
        self.sandbox.query(target, sql)
    }

    fn outcome(&self, args: &[&str]) -> (i32, String) {
        let (code, document) = self.sandbox.json(args);
        (code, document["databases"][0]["outcome"].as_str().unwrap_or_default().to_owned())
    }
}

/// The database that a version of the tool migrates.
fn key(version: &str) -> &'static str {
    match version.as_bytes()[0] {
        b'6' => "v6",
        b'7' => "v7",
        b'8' => "v8",
        _ => "v9",
    }
}

/// 6 counts an up part's length from the start of the file, so that under a header it runs into the down part; and it
/// sorts files of one number by their bare names.
fn since_7() -> impl Iterator<Item = &'static str> {
    VERSIONS.into_iter().filter(|version| !version.starts_with('6'))
}

const LOGGED: &str = "-- Up Migration\nINSERT INTO log (name) VALUES ('NAME');\n\
                      -- Down Migration\nDELETE FROM log WHERE name = 'NAME';\n";

fn logged(name: &str) -> String {
    LOGGED.replace("NAME", name)
}

/// Index, 13 digits (milliseconds), 14 digits (a number as any other), 17 digits (a date in UTC), in one folder.
#[test]
fn mixed_numbers_run_in_the_same_order() {
    let names = [
        "0001_log",
        "2_second",
        "10_tenth",
        "1699999999999_before",
        "20231114221320000_the-same-moment-by-date",
        "1700000000001_after",
        "20231114221321500_later-by-date",
        "1700000002000_last-of-times",
        "20231114221320_a-great-number",
    ];
    let create = "-- Up Migration\nCREATE TABLE log (id serial, name text);\nINSERT INTO log (name) VALUES \
                  ('0001_log');\n-- Down Migration\nDROP TABLE log;\n";
    let texts: Vec<(String, String)> =
        names[1..].iter().map(|name| (format!("{name}.sql"), logged(name))).collect();
    let mut files: Vec<(&str, &str)> = texts.iter().rev().map(|(name, text)| (&**name, &**text)).collect();
    files.push(("0001_log.sql", create));
    let folder = Folder::new(&files, "", &[]);
    let expected: String = names.map(|name| format!("{name}\n")).concat();

    folder.sandbox.ok(&["migrate", "mine"]);
    assert_eq!(folder.history("mine"), expected);
    for version in VERSIONS {
        folder.tool(version, key(version), &["up"]).ok();
        assert_eq!(folder.history(key(version)), expected, "{version}");
        let log = "select name from log order by id";
        assert_eq!(folder.sandbox.query(key(version), log), folder.sandbox.query("mine", log), "{version}");
        folder.finds_nothing(version, "mine", &[]);
        // They take the same one back.
        folder.tool(version, "mine", &["down"]).ok();
        assert_eq!(folder.history("mine").lines().count(), names.len() - 1);
        folder.sandbox.ok(&["rollback", key(version), "--yes"]);
        assert_eq!(folder.history(key(version)), folder.history("mine"), "{version}");
        folder.sandbox.ok(&["migrate", "mine", key(version)]);
        assert_eq!(folder.history("mine"), expected, "{version}");
    }
    folder.sandbox.ok(&["status", "--all", "--check"]);
}

/// Of one number, names decide, as people would sort them.
#[test]
fn files_of_one_number_run_in_the_same_order() {
    let names = ["1_log", "0003_a", "3_a2", "03_a10", "3_B", "3_b-2", "3_c", "4_Z", "4_z"];
    let texts: Vec<(String, String)> =
        names.iter().map(|name| (format!("{name}.sql"), format!("select '{name}';"))).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (&**name, &**text)).collect();
    let folder = Folder::new(&files, "", &[]);
    folder.sandbox.ok(&["migrate", "mine"]);
    for version in since_7() {
        folder.tool(version, key(version), &["up"]).ok();
        assert_eq!(folder.history(key(version)), folder.history("mine"), "{version}");
        folder.finds_nothing(version, "mine", &[]);
    }
}

#[test]
fn files_as_people_write_them_mean_the_same() {
    let files = [
        (
            "01_header.sql",
            "-- Who: me\n\n/* why */\n-- Up Migration\nCREATE TABLE header (id int);\n\n-- Down Migration\nDROP TABLE header;\n",
        ),
        (
            "02_dos.sql",
            "-- Up Migration\r\nCREATE TABLE dos (\r\n  id int\r\n);\r\n-- Down Migration\r\nDROP TABLE dos;\r\n",
        ),
        (
            "03_turned.sql",
            "-- down migration\nDROP TABLE turned;\n--UP MIGRATION of 2023\nCREATE TABLE turned (id int)",
        ),
        ("04_empty.sql", "-- Up Migration\n\n-- Down Migration\n"),
        (
            "05_several.sql",
            "-- Up Migration\nCREATE TABLE several (id int); INSERT INTO several VALUES (1);\nCREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'a;{b}'::text $$;\n-- Down Migration\nDROP FUNCTION f(); DROP TABLE several",
        ),
    ];
    let folder = Folder::new(&files, "", &[]);
    folder.sandbox.ok(&["migrate", "mine"]);
    for version in since_7() {
        folder.tool(version, key(version), &["up"]).ok();
        assert_eq!(folder.history(key(version)), folder.history("mine"), "{version}");
        assert_eq!(folder.columns(key(version)), folder.columns("mine"), "{version}");
        folder.finds_nothing(version, "mine", &[]);
        // Each undoes what the other did.
        folder.sandbox.ok(&["rollback", key(version), "--to", "zero", "--yes"]);
        folder.tool(version, "mine", &["down", "100"]).ok();
        for target in [key(version), "mine"] {
            assert_eq!(folder.columns(target) + &folder.history(target), "", "{version} {target}");
        }
        folder.sandbox.ok(&["migrate", "mine"]);
    }
}

/// Without an up marker the whole file is the up part; what stands under a down marker, too.
#[test]
fn files_without_an_up_marker_mean_the_same() {
    let files = [
        ("01_plain.sql", "CREATE TABLE plain (id int);\r\nCREATE TABLE gone (id int);\r\n"),
        ("02_half.sql", "CREATE TABLE half (id int);\n-- Down Migration\nDROP TABLE IF EXISTS gone;\n"),
    ];
    let folder = Folder::new(&files, "", &[]);
    folder.sandbox.ok(&["migrate", "mine"]);
    assert_eq!(folder.columns("mine"), "half|id|integer\nplain|id|integer\n");
    let said = folder.sandbox.dbctl(&["rollback", "mine", "--count", "2", "--yes"]).fails(1);
    assert!(said.contains("01_plain"), "{said}");
    for version in VERSIONS {
        folder.tool(version, key(version), &["up"]).ok();
        assert_eq!(folder.columns(key(version)), folder.columns("mine"), "{version}");
        folder.finds_nothing(version, "mine", &[]);
        // The tool finds out when it gets there.
        let ran = folder.tool(version, key(version), &["down", "2"]);
        assert!(ran.code != 0 && ran.stderr.contains("01_plain"), "{version}: {ran}");
    }
    assert_eq!(folder.history("mine").lines().count(), 2, "refused before anything ran");
}

#[test]
fn a_history_table_of_another_name_is_the_same() {
    let files =
        [("1_a.sql", "-- Up Migration\nCREATE TABLE a (id int);\n-- Down Migration\nDROP TABLE a;\n")];
    let folder = Folder::new(
        &files,
        ", schema: My History, table: Done",
        &["--migrations-schema", "My History", "--create-migrations-schema", "--migrations-table", "Done"],
    );
    let rows = |target: &str| folder.sandbox.query(target, r#"select id, name from "My History"."Done""#);
    folder.sandbox.ok(&["migrate", "mine"]);
    for version in VERSIONS {
        folder.finds_nothing(version, "mine", &[]);
        folder.tool(version, key(version), &["up"]).ok();
        assert_eq!(rows(key(version)), rows("mine"), "{version}");
        assert_eq!(folder.outcome(&["migrate", key(version)]), (0, "unchanged".to_owned()), "{version}");
    }
    assert_eq!(folder.sandbox.query("mine", "select to_regclass('pgmigrations')"), "NULL\n");
}

#[test]
fn a_file_that_comes_late_is_refused_by_both_unless_allowed() {
    let folder =
        Folder::new(&[("10_a.sql", "CREATE TABLE a ();"), ("30_c.sql", "CREATE TABLE c ();")], "", &[]);
    folder.sandbox.ok(&["migrate", "--all"]);
    folder.sandbox.write("migrations/20_b.sql", "CREATE TABLE b ();");
    for version in VERSIONS {
        let said = folder.sandbox.dbctl(&["migrate", key(version)]).fails(1);
        assert!(said.contains("20_b") && said.contains("--out-of-order allow"), "{said}");
        let ran = folder.tool(version, key(version), &["up"]);
        let refusal = "Not run migration 20_b is preceding already run migration 30_c";
        assert!(ran.code != 0 && ran.stderr.contains(refusal), "{version}: {ran}");

        // One of them lets it through, and the other one has nothing left to do.
        if version.starts_with(['6', '8']) {
            folder.tool(version, key(version), &["up", "--no-check-order"]).ok();
        } else {
            folder.sandbox.ok(&["migrate", key(version), "--out-of-order", "allow"]);
        }
        assert_eq!(folder.history(key(version)), "10_a\n30_c\n20_b\n", "{version}");
        folder.finds_nothing(version, key(version), &["--no-check-order"]);
        assert_eq!(folder.outcome(&["migrate", key(version)]), (0, "unchanged".to_owned()), "{version}");
    }
}

/// The tool takes the next file for one that was not run; dbctl names the one that is gone.
#[test]
fn a_row_whose_file_is_gone_stops_both_unless_allowed() {
    let files = [("1_a.sql", "select 1;"), ("2_b.sql", "select 2;"), ("3_c.sql", "select 3;")];
    let folder = Folder::new(&files, "", &[]);
    folder.sandbox.ok(&["migrate", "--all"]);
    std::fs::remove_file(folder.sandbox.root().join("migrations/2_b.sql")).unwrap();
    for version in VERSIONS {
        let ran = folder.tool(version, key(version), &["up"]);
        assert!(ran.code != 0 && ran.stderr.contains("3_c is preceding already run migration 2_b"), "{ran}");
    }
    let ran = folder.tool("9.0.0", "v9", &["down", "2", "--no-check-order"]);
    assert!(ran.code != 0 && ran.stderr.contains("2_b have been deleted"), "{ran}");
    let said = folder.sandbox.dbctl(&["rollback", "mine", "--count", "2", "--yes"]).fails(1);
    assert!(said.contains("2_b"), "{said}");
    assert_eq!(folder.history("mine"), "1_a\n2_b\n3_c\n");

    let (code, status) = folder.sandbox.json(&["status", "mine", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["missing"]), (4, &json!(1)), "{status}");
    let said = folder.sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(said.contains("2_b") && said.contains("--out-of-order allow"), "{said}");
    folder.sandbox.write("migrations/4_d.sql", "select 4;");
    let ran = folder.sandbox.dbctl(&["migrate", "mine", "--out-of-order", "allow"]);
    assert!(ran.code == 0 && ran.stderr.contains("2_b is applied, but its file is no longer"), "{ran}");
    assert_eq!(folder.history("mine"), "1_a\n2_b\n3_c\n4_d\n");
    for version in VERSIONS {
        folder.finds_nothing(version, "mine", &["--no-check-order"]);
    }
}
