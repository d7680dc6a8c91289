//! Folders of sqlx: what dbctl writes is what sqlx wrote, and sqlx-cli itself says so where it is built.
//!
//! sqlx-cli takes minutes to build, so its judgements are ignored here and run by `scripts/judge-sqlx`. What it wrote
//! into its table is kept in `sqlx/rows.txt`, which both sides are held to.

use std::fmt::Write as _;

use serde_json::json;

use crate::{
    held::hold,
    support::{Ran, Sandbox, repository},
    tools::schema,
};

/// The versions that `scripts/judge-sqlx` builds.
const VERSIONS: [&str; 2] = ["0.8.6", "0.9.0"];

/// What people have in such folders, each with a trap of its own.
const FILES: [(&str, &str); 13] = [
    ("0001_first_table.sql", "CREATE TABLE a (id bigint PRIMARY KEY, name text);\n"),
    ("2_pair.up.sql", "CREATE TABLE b (id int);\nINSERT INTO b VALUES (1), (2);\n"),
    ("2_pair.down.sql", "DROP TABLE b;\n"),
    ("9_nine.up.sql", "CREATE TABLE nine ();\r\nCREATE TABLE dos (\r\n  id int\r\n);\r\n"),
    ("9_undo_it.down.sql", "DROP TABLE nine, dos"),
    ("10_ten__of_it.sql", "ALTER TABLE nine ADD n int"),
    ("11_.sql", "-- comments only\n"),
    ("12_empty.sql", ""),
    ("99_index.up.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY a_name ON a (name);\n"),
    ("99_index.down.sql", "-- no-transaction\nDROP INDEX CONCURRENTLY a_name;\n"),
    (
        "20260101000000_f.up.sql",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'a;b'::text $$;\n",
    ),
    ("20260101000000_f.down.sql", "DROP FUNCTION f();\n"),
    ("README.md", "Not a migration.\n"),
];

/// The table as it is, and all that is in it but for times.
const ROWS: &str = "\
    select 'column', ordinal_position::bigint, column_name::text, data_type::text, is_nullable::text, column_default::text, '' \
    from information_schema.columns where table_name = '_sqlx_migrations' union all \
    select 'key', 0, conname::text, pg_get_constraintdef(oid), '', '', '' from pg_constraint where conrelid = \
    '_sqlx_migrations'::regclass and contype = 'p' union all \
    select 'row', version, description, success::text, encode(checksum, 'hex'), (execution_time > 0)::text, \
    (installed_on > now() - interval '1 hour')::text from _sqlx_migrations order by 1, 2";

/// A database that dbctl migrates, and one for each version of the tool.
fn folder(files: &[(&str, &str)]) -> Sandbox {
    let mut manifest = "workspace: judged\ndatabases:\n".to_owned();
    for key in ["mine", "v8", "v9"] {
        writeln!(manifest, "  {key}: {{ migrations: [{{ path: migrations }}] }}").unwrap();
    }
    let sandbox = Sandbox::new(&manifest, &[("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n")]);
    for (name, text) in files {
        sandbox.write(&format!("migrations/{name}"), text);
    }
    sandbox.ok(&["create", "--all"]);
    sandbox
}

#[test]
fn rows_are_those_that_sqlx_wrote() {
    let sandbox = folder(&FILES);
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(sandbox.query("mine", ROWS), include_str!("sqlx/rows.txt"));
    assert_eq!(sandbox.query("mine", "select (f()), count(*) from b"), "a;b|2\n");
    sandbox.ok(&["status", "mine", "--check"]);
    // Without the ledger nothing is forgotten.
    sandbox.query("mine", "drop schema dbctl cascade");
    sandbox.ok(&["status", "mine", "--check"]);
    let (code, document) = sandbox.json(&["migrate", "mine"]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");

    sandbox.ok(&["rollback", "mine", "--count", "2", "--yes"]);
    let last = "select version, to_regclass('a_name') from _sqlx_migrations order by version desc limit 1";
    assert_eq!(sandbox.query("mine", last), "12|NULL\n");
    // These have no statement, so there is nothing to revert.
    sandbox.ok(&["rollback", "mine", "--count", "2", "--yes"]);
    let said = sandbox.dbctl(&["rollback", "mine", "--yes"]).fails(1);
    assert!(said.contains("10_ten__of_it"), "{said}");
}

#[test]
fn what_changes_is_seen_by_the_tools_own_checksum() {
    let sandbox = folder(&FILES);
    sandbox.ok(&["migrate", "mine"]);
    sandbox.query("mine", "drop schema dbctl cascade");
    // Other line endings are no change, other text is.
    sandbox.write("migrations/2_pair.up.sql", FILES[1].1.replace('\n', "\r\n"));
    sandbox.ok(&["status", "mine", "--check"]);
    sandbox.write("migrations/2_pair.up.sql", "CREATE TABLE b (id bigint);\n");
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(said.contains("2_pair"), "{said}");
    let (code, status) = sandbox.json(&["status", "mine", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["changed"]), (4, &json!(1)), "{status}");
}

#[test]
fn what_stops_halfway_is_dirty_until_it_is_finished() {
    let broken =
        "-- no-transaction\nCREATE TABLE half (id int);\nVACUUM half;\nINSERT INTO nothing VALUES (1);\n";
    let sandbox = folder(&[("1_half.sql", broken)]);
    sandbox.dbctl(&["migrate", "mine"]).fails(1);
    let rows = "select version, description, success, execution_time from _sqlx_migrations";
    assert_eq!(sandbox.query("mine", rows), "1|half|f|-1\n");
    let (code, status) = sandbox.json(&["status", "mine", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["partial"]), (4, &json!(1)), "{status}");

    sandbox.write("migrations/1_half.sql", broken.replace("nothing", "half"));
    sandbox.ok(&["migrate", "mine"]);
    let finished =
        "select version, success, execution_time > 0, (select count(*) from half) from _sqlx_migrations";
    assert_eq!(sandbox.query("mine", finished), "1|t|t|1\n");
    let checksum = "select encode(checksum, 'hex') = encode(sha384(convert_to($$-- no-transaction\nCREATE TABLE half \
                    (id int);\nVACUUM half;\nINSERT INTO half VALUES (1);\n$$, 'UTF8')), 'hex') from _sqlx_migrations";
    assert_eq!(sandbox.query("mine", checksum), "t\n");

    // A row that says so without a ledger is the tool's, and nobody knows how far it got.
    sandbox.query("mine", "drop schema dbctl cascade; update _sqlx_migrations set success = false");
    let (code, status) = sandbox.json(&["status", "mine", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["failed"]), (4, &json!(1)), "{status}");
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(said.contains("1_half"), "{said}");
}

#[test]
fn sqlx_toml_names_the_table() {
    let sandbox = folder(&FILES[..3]);
    sandbox.write("sqlx.toml", "[migrate]\ncreate-schemas = ['app']\ntable-name = 'app.done'\n");
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(
        sandbox.query("mine", "select version, description from app.done order by 1"),
        "1|first table\n2|pair\n"
    );
    assert_eq!(sandbox.query("mine", "select to_regclass('_sqlx_migrations')"), "NULL\n");
    sandbox.ok(&["status", "mine", "--check"]);
    sandbox.write("sqlx.toml", "[migrate]\ntable-name = 7\n");
    let said = sandbox.dbctl(&["status", "mine"]).fails(3);
    assert!(said.contains("sqlx.toml: line 2: "), "{said}");
}

/// The key is `crc32("mine") * 0x3d32ad9e`, which an application that migrates itself at its start takes.
#[test]
fn the_librarys_lock_is_waited_for() {
    let sandbox = folder(&FILES);
    let held = hold(&sandbox.url("mine"), "select pg_advisory_lock(1820057931385859002)");
    let said = sandbox.dbctl(&["migrate", "mine", "--wait", "0s"]).fails(5);
    assert!(said.contains(&format!("pid {}", held.pid)), "{said}");
    drop(held);
    sandbox.ok(&["migrate", "mine"]);
}

#[test]
fn what_is_faked_and_what_is_cleaned_stays_recorded() {
    let sandbox = folder(&FILES);
    sandbox.ok(&["migrate", "mine", "--to", "2"]);
    sandbox.ok(&["migrate", "mine", "--fake", "--yes"]);
    let rows = "select count(*), count(*) filter (where success) from _sqlx_migrations";
    assert_eq!(sandbox.query("mine", rows), "8|8\n");
    assert_eq!(sandbox.query("mine", "select to_regclass('nine')"), "NULL\n");
    sandbox.ok(&["clean", "mine", "--yes"]);
    assert_eq!(sandbox.query("mine", "select count(*) from b"), "0\n");
    assert_eq!(sandbox.query("mine", rows), "8|8\n");
    sandbox.ok(&["status", "mine", "--check"]);
}

/// Runs sqlx-cli on a database.
pub(crate) fn tool(sandbox: &Sandbox, version: &str, target: &str, args: &[&str]) -> Ran {
    let judges = std::env::var("DBCTL_JUDGES").expect("scripts/judge-sqlx says where it has built the tool");
    let program = std::path::Path::new(&judges).join(format!("sqlx-{version}+sqlite/bin/sqlx"));
    let mut command = sandbox.command(program);
    command.arg("migrate").args(args).args([
        "--source",
        "migrations",
        "--database-url",
        &sandbox.url(target),
    ]);
    Ran::of(command.output().unwrap())
}

/// The database that a version of the tool migrates.
fn key(version: &str) -> &'static str {
    if version.starts_with("0.8") { "v8" } else { "v9" }
}

/// Nothing is pending to the tool, nor to dbctl.
#[track_caller]
fn both_find_nothing(sandbox: &Sandbox, version: &str, target: &str) {
    assert_eq!(tool(sandbox, version, target, &["run"]).ok(), "", "{version} {target}");
    let info = tool(sandbox, version, target, &["info"]).ok();
    assert!(
        info.contains("/installed") && !info.contains("pending") && !info.contains("different"),
        "{info}"
    );
    sandbox.ok(&["status", target, "--check"]);
    let (code, document) = sandbox.json(&["migrate", target]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
}

/// `pg_dump --schema-only` without dbctl's own schema.
fn dump(sandbox: &Sandbox, target: &str) -> String {
    sandbox.query(target, "drop schema if exists dbctl cascade");
    schema(sandbox, target)
}

#[test]
#[ignore = "scripts/judge-sqlx builds sqlx-cli and runs this"]
fn judge_finds_nothing_to_do_after_dbctl_and_the_other_way_round() {
    let sandbox = folder(&FILES);
    sandbox.ok(&["migrate", "mine"]);
    for version in VERSIONS {
        tool(&sandbox, version, key(version), &["run"]).ok();
        let rows = sandbox.query(key(version), ROWS);
        if std::env::var_os("UPDATE_ROWS").is_some() {
            std::fs::write(repository().join("tests/it/sqlx/rows.txt"), &rows).unwrap();
        }
        assert_eq!(rows, include_str!("sqlx/rows.txt"), "{version}: update them with UPDATE_ROWS=1");
        for target in ["mine", key(version)] {
            both_find_nothing(&sandbox, version, target);
        }
        assert_eq!(dump(&sandbox, key(version)), dump(&sandbox, "mine"), "{version}");
    }
}

#[test]
#[ignore = "scripts/judge-sqlx builds sqlx-cli and runs this"]
fn judge_finishes_and_reverts_what_dbctl_began_and_the_other_way_round() {
    let sandbox = folder(&FILES);
    for version in VERSIONS {
        let target = key(version);
        tool(&sandbox, version, target, &["run", "--target-version", "10"]).ok();
        sandbox.ok(&["migrate", target, "--to", "99"]);
        tool(&sandbox, version, target, &["run"]).ok();
        both_find_nothing(&sandbox, version, target);

        tool(&sandbox, version, target, &["revert"]).ok();
        sandbox.ok(&["rollback", target, "--yes"]);
        let info = tool(&sandbox, version, target, &["info"]).ok();
        assert!(info.contains("99/pending index") && info.contains("20260101000000/pending f"), "{info}");
        let (_, status) = sandbox.json(&["status", target]);
        assert_eq!(status["databases"][0]["counts"]["pending"], json!(2), "{status}");
        tool(&sandbox, version, target, &["run", "--target-version", "99"]).ok();
        sandbox.ok(&["migrate", target]);
        both_find_nothing(&sandbox, version, target);
        assert_eq!(sandbox.query(target, ROWS), include_str!("sqlx/rows.txt"), "{version}");

        // A file that comes late runs in both.
        sandbox.write("migrations/50_late.sql", "CREATE TABLE late ();\n");
        sandbox.ok(&["migrate", target]);
        sandbox.write("migrations/51_later.sql", "CREATE TABLE later ();\n");
        tool(&sandbox, version, target, &["run"]).ok();
        both_find_nothing(&sandbox, version, target);
        for name in ["50_late", "51_later"] {
            std::fs::remove_file(sandbox.root().join(format!("migrations/{name}.sql"))).unwrap();
        }
        let ran = tool(&sandbox, version, target, &["run"]);
        assert!(
            ran.code != 0 && ran.stdout.contains("migration 50 was previously applied but is missing"),
            "{ran}"
        );
        let ran = sandbox.dbctl(&["migrate", target]);
        assert!(ran.code == 0 && ran.stderr.contains("50_late"), "{ran}");
    }
}

#[test]
#[ignore = "scripts/judge-sqlx builds sqlx-cli and runs this"]
fn judge_and_dbctl_refuse_the_same() {
    let broken =
        "-- no-transaction\nCREATE TABLE half (id int);\nVACUUM half;\nINSERT INTO nothing VALUES (1);\n";
    let sandbox = folder(&[("1_a.sql", "SELECT 1;\n"), ("2_half.sql", broken)]);
    for version in VERSIONS {
        let target = key(version);
        sandbox.write("migrations/2_half.sql", broken);
        sandbox.dbctl(&["migrate", target]).fails(1);
        for command in ["run", "revert"] {
            let ran = tool(&sandbox, version, target, &[command]);
            assert!(ran.code != 0 && ran.stdout.contains("migration 2 is partially applied"), "{ran}");
        }
        sandbox.write("migrations/2_half.sql", broken.replace("nothing", "half"));
        sandbox.ok(&["migrate", target]);
        both_find_nothing(&sandbox, version, target);

        sandbox.write("migrations/1_a.sql", "SELECT 2;\n");
        let ran = tool(&sandbox, version, target, &["run"]);
        assert!(
            ran.code != 0 && ran.stdout.contains("migration 1 was previously applied but has been modified"),
            "{ran}"
        );
        let said = sandbox.dbctl(&["migrate", target]).fails(1);
        assert!(said.contains("1_a"), "{said}");
        sandbox.write("migrations/1_a.sql", "SELECT 1;\n");
        both_find_nothing(&sandbox, version, target);
    }
    for (name, text) in [("V3_x.sql", ""), ("3_x.sql", "")] {
        sandbox.write(&format!("migrations/{name}"), text);
    }
    for version in VERSIONS {
        let ran = tool(&sandbox, version, key(version), &["run"]);
        assert!(ran.code != 0 && ran.stdout.contains("error parsing migration filename"), "{ran}");
    }
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(3);
    assert!(said.contains("V3_x.sql"), "{said}");
}

#[test]
#[ignore = "scripts/judge-sqlx builds sqlx-cli and runs this"]
fn judge_reads_the_same_sqlx_toml() {
    let sandbox = folder(&FILES);
    sandbox.write(
        "sqlx.toml",
        "[migrate]\ncreate-schemas = ['app']\ntable-name = 'app.done'\nignored-chars = [\"\\r\", \" \"]\n",
    );
    sandbox.ok(&["migrate", "mine"]);
    both_find_nothing(&sandbox, "0.9.0", "mine");
    tool(&sandbox, "0.9.0", "v9", &["run"]).ok();
    both_find_nothing(&sandbox, "0.9.0", "v9");
    let rows = "select version, description, success, encode(checksum, 'hex') from app.done order by 1";
    assert_eq!(sandbox.query("v9", rows), sandbox.query("mine", rows));
}

/// What `dbctl new` writes is what the tool's own command writes.
#[test]
#[ignore = "scripts/judge-sqlx builds sqlx-cli and runs this"]
fn judge_names_new_files_alike() {
    for first in [&["1_a.sql"][..], &["1_a.up.sql", "1_a.down.sql"], &["8_a.sql", "9_b.sql"]] {
        // 0.9.0 also counts down files when it looks whether versions go on by one.
        let versions = VERSIONS
            .into_iter()
            .filter(|version| first.len() == 1 || !version.starts_with("0.9") || !first[1].contains(".down"));
        for version in versions {
            let names = |sandbox: &Sandbox| {
                let entries = std::fs::read_dir(sandbox.root().join("migrations")).unwrap();
                let mut files: Vec<(String, String)> = entries
                    .map(|entry| {
                        let name = entry.unwrap().file_name().into_string().unwrap();
                        let text = sandbox.read(&format!("migrations/{name}"));
                        (name, text)
                    })
                    .collect();
                files.sort();
                files
            };
            let files: Vec<(&str, &str)> = first.iter().map(|name| (*name, "")).collect();
            let (mine, tools) = (folder(&files), folder(&files));
            mine.ok(&["new", "mine", "add users"]);
            let judges = std::env::var("DBCTL_JUDGES").unwrap();
            let program = std::path::Path::new(&judges).join(format!("sqlx-{version}+sqlite/bin/sqlx"));
            let added = tools.command(program).args(["migrate", "add", "add users"]).output().unwrap();
            Ran::of(added).ok();
            assert_eq!(names(&mine), names(&tools), "{version} {first:?}");
        }
    }
}
