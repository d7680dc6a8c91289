//! The real Supabase CLI, from npm, judges databases that dbctl migrated, and the other way round.

use serde_json::json;

use crate::{
    support::{Ran, Sandbox},
    tools::{npm, schema},
};

/// The latest version, and one of those in Go, whose order is that of the file names.
pub(crate) const VERSIONS: [&str; 2] = ["3.1.0", "2.104.0"];

/// What people have in such folders, each with a trap of its own.
const FILES: [(&str, &str); 15] = [
    // Written by the tool's first versions, which it passes over.
    ("20210101000000_init.sql", "CREATE TABLE never ();\n"),
    (
        "20240101000000_remote_schema.sql",
        "SET statement_timeout = 0;\nSET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', \
         false);\nSET row_security = off;\n\nCREATE TYPE \"public\".\"mood\" AS ENUM (\n    'sad'\n);\n\nCREATE TABLE \
         IF NOT EXISTS \"public\".\"profiles\" (\n    \"id\" integer NOT NULL,\n    \"bio\" text DEFAULT \
         'it''s; me'::text\n);\n\nRESET ALL;\n",
    ),
    ("20240102000000_mood.sql", "ALTER TYPE mood ADD VALUE 'happy';"),
    ("20240103000000_uses_it.sql", "ALTER TABLE profiles ADD mood mood DEFAULT 'happy';\n-- trailing"),
    (
        "20240104000000_own.sql",
        "-- head; of it\r\nBEGIN;\r\nCREATE TABLE own (id int);\r\nINSERT INTO own VALUES (1);\r\nCOMMIT;\r\n",
    ),
    (
        "20240105000000_lock.sql",
        "BEGIN;\nSET LOCAL lock_timeout = '1234ms';\nCREATE TABLE lock AS SELECT current_setting('lock_timeout') AS \
         l;\nCOMMIT;\n",
    ),
    (
        "20240106000000_f.sql",
        "CREATE OR REPLACE FUNCTION public.f() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''\nAS \
         $function$\nBEGIN\n  RETURN 'a;b';\nEND;\n$function$;\n\nCREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN \
         ATOMIC SELECT 1; SELECT 2; END;\n",
    ),
    (
        "20240107000000_rls.sql",
        "DO $$ BEGIN\n  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'anon') THEN CREATE ROLE anon; END IF;\n\
         END $$;\nALTER TABLE profiles ENABLE ROW LEVEL SECURITY;\n/* who; */\nCREATE POLICY \"Everybody; reads\" ON \
         profiles FOR SELECT TO anon USING (true);\nGRANT ALL ON TABLE \"public\".\"profiles\" TO \"anon\";\n",
    ),
    ("20240108000000_index.sql", "CREATE INDEX CONCURRENTLY by_bio ON profiles (bio);\nANALYZE profiles;\n"),
    ("20240109000000_.sql", ""),
    ("20240110000000_only a comment.sql", "-- nothing; yet\n"),
    (
        "20240111000000_delta.sql",
        "-- pg-delta: transaction=false\nVACUUM profiles;\nCREATE TABLE delta ();\n",
    ),
    (
        "20240112000000_last.sql",
        "INSERT INTO own VALUES (2);;\n;\nSELECT E'it\\'s; it';\nCREATE FUNCTION h() RETURNS int \
         LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 2 END; END;\n",
    ),
    ("data_users.sql", "DROP TABLE own;\n"),
    ("README.md", "Not a migration.\n"),
];

/// Those at which the older version fails.
const NEWER: [&str; 3] = ["20240108000000_index.sql", "20240111000000_delta.sql", "20240112000000_last.sql"];

const ROWS: &str =
    "select version, name, to_json(statements) from supabase_migrations.schema_migrations order by 1";

const VERSIONS_APPLIED: &str = "select string_agg(substr(version, 5, 4), ' ' order by version) from \
                                supabase_migrations.schema_migrations";

/// Databases that dbctl and the tool migrate.
fn project(files: &[(&str, &str)]) -> Sandbox {
    let source = "migrations: [{ path: supabase/migrations }]";
    let manifest = format!(
        "workspace: judged\ndatabases:\n  mine: {{ {source} }}\n  its: {{ {source} }}\n  both: {{ {source} }}\n"
    );
    let mut sandbox = Sandbox::new(&manifest, &[("supabase/config.toml", "project_id = \"judged\"\n")]);
    sandbox.set("SUPABASE_TELEMETRY_DISABLED", "1").set("DO_NOT_TRACK", "1").set("PGSSLMODE", "disable");
    std::fs::create_dir(sandbox.root().join("supabase/migrations")).unwrap();
    sandbox.ok(&["create", "--all"]);
    for (name, text) in files {
        write(&sandbox, name, text);
    }
    sandbox
}

/// A function whose body is no string wants PostgreSQL 14: before, it is written as a string.
fn write(sandbox: &Sandbox, name: &str, text: &str) {
    const BODIES: [[&str; 2]; 2] = [
        ["BEGIN ATOMIC SELECT 1; SELECT 2; END", "AS 'SELECT 1; SELECT 2'"],
        ["BEGIN ATOMIC SELECT CASE WHEN true THEN 2 END; END", "AS 'SELECT CASE WHEN true THEN 2 END'"],
    ];
    let mut text = text.to_owned();
    if sandbox.query("mine", "select current_setting('server_version_num')::int < 140000") == "t\n" {
        for [body, string] in BODIES {
            text = text.replace(body, string);
        }
    }
    sandbox.write(&format!("supabase/migrations/{name}"), &text);
}

fn remove(sandbox: &Sandbox, name: &str) {
    std::fs::remove_file(sandbox.root().join("supabase/migrations").join(name)).unwrap();
}

/// Runs the tool's `migration` command on a database.
pub(crate) fn supabase(sandbox: &Sandbox, version: &str, target: &str, args: &[&str]) -> Ran {
    let home = npm(&[&format!("supabase@{version}")]);
    let mut command = sandbox.command(home.join("node_modules/.bin/supabase"));
    command.arg("migration").args(args).args(["--yes", "--db-url", &sandbox.url(target)]);
    Ran::of(command.output().unwrap())
}

/// The versions that are only here or only there, as the tool lists them.
fn differences(sandbox: &Sandbox, version: &str, target: &str) -> Vec<String> {
    let listed = supabase(sandbox, version, target, &["list"]).ok();
    let rows = listed.lines().map(|line| line.split('|').map(|cell| cell.trim_matches([' ', '`'])).collect());
    rows.filter(|row: &Vec<&str>| row.len() == 3 && row[2].starts_with("20") && row[0] != row[1])
        .map(|row| format!("{}/{}", row[0], row[1]))
        .collect()
}

/// Nothing is pending to the tool, nor to dbctl.
#[track_caller]
fn both_find_nothing(sandbox: &Sandbox, version: &str, target: &str) {
    let ran = supabase(sandbox, version, target, &["up"]);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(ran.code == 0 && said.contains("database is up to date") && !said.contains("Applying"), "{ran}");
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
fn each_finds_nothing_to_do_after_the_other() {
    let sandbox = project(&FILES);
    sandbox.ok(&["migrate", "mine"]);
    supabase(&sandbox, VERSIONS[0], "its", &["up"]).ok();
    let rows = sandbox.query("its", ROWS);
    assert_eq!(sandbox.query("mine", ROWS), rows);
    assert_eq!(rows.lines().count(), 12, "{rows}");
    for target in ["mine", "its"] {
        both_find_nothing(&sandbox, VERSIONS[0], target);
        assert_eq!(differences(&sandbox, VERSIONS[1], target), Vec::<String>::new());
        assert_eq!(
            sandbox.query(target, "select f(), g(), count(*), (select l from lock) from own"),
            "a;b|2|2|1234ms\n"
        );
        assert_eq!(
            sandbox.query(target, "select to_regclass('never'), to_regclass('by_bio')"),
            "NULL|by_bio\n"
        );
    }
    assert_eq!(dump(&sandbox, "mine"), dump(&sandbox, "its"));
    // Without the ledger nothing is forgotten.
    both_find_nothing(&sandbox, VERSIONS[0], "mine");
}

/// The older version runs each file in one implicit transaction, and does not know `E''`.
#[test]
fn the_older_version_records_the_same() {
    let files: Vec<_> = FILES.into_iter().filter(|(name, _)| !NEWER.contains(name)).collect();
    let sandbox = project(&files);
    sandbox.ok(&["migrate", "mine"]);
    supabase(&sandbox, VERSIONS[1], "its", &["up"]).ok();
    // Of an empty file it records no statements at all, where its successor records that there are none.
    sandbox.query(
        "its",
        "update supabase_migrations.schema_migrations set statements = '{}' where statements is null",
    );
    assert_eq!(sandbox.query("mine", ROWS), sandbox.query("its", ROWS));
    both_find_nothing(&sandbox, VERSIONS[1], "mine");
    sandbox.ok(&["status", "its", "--check"]);
    assert_eq!(dump(&sandbox, "mine"), dump(&sandbox, "its"));
}

#[test]
fn each_finishes_what_the_other_began() {
    let sandbox = project(&FILES);
    sandbox.ok(&["migrate", "mine", "--to", "20240105000000"]);
    let pending = differences(&sandbox, VERSIONS[0], "mine");
    assert_eq!((pending.len(), &*pending[0]), (7, "20240106000000/"));
    supabase(&sandbox, VERSIONS[0], "mine", &["up"]).ok();
    both_find_nothing(&sandbox, VERSIONS[0], "mine");

    remove(&sandbox, "20240108000000_index.sql");
    for (name, _) in &FILES[9..13] {
        remove(&sandbox, name);
    }
    supabase(&sandbox, VERSIONS[1], "its", &["up"]).ok();
    for (name, text) in &FILES[8..13] {
        write(&sandbox, name, text);
    }
    sandbox.ok(&["migrate", "its"]);
    both_find_nothing(&sandbox, VERSIONS[0], "its");
    assert_eq!(sandbox.query("mine", ROWS), sandbox.query("its", ROWS));
}

/// The tool refuses what comes late, and everything where a recorded version has no file. dbctl warns and applies, after
/// which the tool has nothing to refuse.
#[test]
fn late_and_missing_files() {
    let sandbox = project(&[
        ("20260101000000_a.sql", "CREATE TABLE a ();\n"),
        ("20260103000000_c.sql", "CREATE TABLE c ();\n"),
    ]);
    for target in ["mine", "its"] {
        sandbox.ok(&["migrate", target]);
    }
    sandbox.write("supabase/migrations/20260102000000_b.sql", "CREATE TABLE b ();\n");
    for version in VERSIONS {
        let ran = supabase(&sandbox, version, "its", &["up"]);
        assert!(
            ran.code != 0 && format!("{ran}").contains("to be inserted before the last migration"),
            "{ran}"
        );
    }
    let said = sandbox.dbctl(&["migrate", "mine", "--out-of-order", "deny"]).fails(1);
    assert!(said.contains("20260102000000_b"), "{said}");
    let ran = sandbox.dbctl(&["migrate", "mine"]);
    assert!(ran.code == 0 && ran.stderr.contains("20260102000000_b"), "{ran}");
    for version in VERSIONS {
        both_find_nothing(&sandbox, version, "mine");
    }
    supabase(&sandbox, VERSIONS[0], "its", &["up", "--include-all"]).ok();
    sandbox.ok(&["status", "its", "--check"]);
    assert_eq!(sandbox.query("mine", ROWS), sandbox.query("its", ROWS));

    remove(&sandbox, "20260102000000_b.sql");
    sandbox.write("supabase/migrations/20260104000000_d.sql", "CREATE TABLE d ();\n");
    for (version, target) in VERSIONS.into_iter().zip(["mine", "its"]) {
        let ran = supabase(&sandbox, version, target, &["up"]);
        assert!(
            ran.code != 0 && format!("{ran}").contains("Remote migration versions not found in local"),
            "{ran}"
        );
        let ran = sandbox.dbctl(&["migrate", target]);
        assert!(ran.code == 0 && ran.stderr.contains("20260102000000_b"), "{ran}");
        let (_, status) = sandbox.json(&["status", target]);
        assert_eq!(status["databases"][0]["counts"]["missing"], json!(1), "{status}");
        assert_eq!(differences(&sandbox, version, target), ["/20260102000000"]);
        // As the tool's message says.
        supabase(&sandbox, version, target, &["repair", "--status", "reverted", "20260102000000"]).ok();
        both_find_nothing(&sandbox, version, target);
    }
    // What the tool is told is applied, is applied.
    sandbox.write("supabase/migrations/20260105000000_e.sql", "CREATE TABLE e ();\n");
    supabase(&sandbox, VERSIONS[0], "mine", &["repair", "--status", "applied", "20260105000000"]).ok();
    both_find_nothing(&sandbox, VERSIONS[0], "mine");
    sandbox.ok(&["migrate", "its", "--fake", "--yes"]);
    both_find_nothing(&sandbox, VERSIONS[0], "its");
    assert_eq!(sandbox.query("mine", ROWS), sandbox.query("its", ROWS));
}

#[test]
fn there_is_no_way_back() {
    let sandbox = project(&FILES[1..3]);
    sandbox.ok(&["migrate", "mine"]);
    for args in [
        &["rollback", "mine", "--yes"][..],
        &["rollback", "mine", "--to", "zero", "--yes"],
        &["redo", "mine", "--yes"],
    ] {
        let said = sandbox.dbctl(args).fails(1);
        assert!(said.contains("no down part in supabase/migrations/20240102000000_mood.sql"), "{said}");
        assert!(said.contains("dbctl new mine"), "{said}");
    }
    assert_eq!(sandbox.query("mine", VERSIONS_APPLIED), "0101 0102\n");
}

/// A row stands for what is done, whoever ended the transaction.
#[test]
fn what_fails_says_where_it_stopped() {
    let sandbox = project(&[(
        "20260101000000_half.sql",
        "BEGIN;\nCREATE TABLE half (id int);\nCOMMIT;\nINSERT INTO nothing VALUES (1);\n",
    )]);
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(said.contains("supabase/migrations/20260101000000_half.sql:4:13"), "{said}");
    assert_eq!(sandbox.query("mine", ROWS), "");
    assert_eq!(sandbox.json(&["status", "mine"]).1["databases"][0]["counts"]["partial"], json!(1));
    let text = sandbox.read("supabase/migrations/20260101000000_half.sql");
    sandbox.write("supabase/migrations/20260101000000_half.sql", text.replace("nothing", "half"));
    sandbox.ok(&["migrate", "mine"]);
    both_find_nothing(&sandbox, VERSIONS[0], "mine");
    supabase(&sandbox, VERSIONS[0], "its", &["up"]).ok();
    assert_eq!(sandbox.query("mine", ROWS), sandbox.query("its", ROWS));

    sandbox.write("supabase/migrations/20260102000000_whole.sql", "CREATE TABLE gone ();\nSELECT 1/0;\n");
    sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert_eq!(sandbox.query("mine", "select to_regclass('gone')"), "NULL\n");
    assert_eq!(sandbox.query("mine", VERSIONS_APPLIED), "0101\n");
}

#[test]
fn two_files_of_one_version_are_refused_before_anything_runs() {
    let sandbox = project(&[("1_a.sql", "CREATE TABLE a ();\n"), ("1_b.sql", "CREATE TABLE b ();\n")]);
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(3);
    assert!(said.contains("1_a.sql has the same version 1"), "{said}");
    assert_eq!(sandbox.query("mine", "select to_regclass('a')"), "NULL\n");
    let ran = supabase(&sandbox, VERSIONS[0], "its", &["up"]);
    assert!(ran.code != 0 && format!("{ran}").contains("duplicate key"), "{ran}");
}

/// The table of the tool's first versions had one column.
#[test]
fn an_old_table_gets_its_columns() {
    let sandbox = project(&FILES[1..3]);
    for target in ["mine", "its"] {
        sandbox.query(
            target,
            "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text not \
             null primary key); insert into supabase_migrations.schema_migrations values ('20240101000000'); create \
             type mood as enum ('sad')",
        );
    }
    let (_, status) = sandbox.json(&["status", "mine"]);
    let counts = &status["databases"][0]["counts"];
    assert_eq!((&counts["applied"], &counts["pending"]), (&json!(1), &json!(1)), "{status}");
    sandbox.ok(&["migrate", "mine"]);
    supabase(&sandbox, VERSIONS[0], "its", &["up"]).ok();
    assert_eq!(sandbox.query("mine", ROWS), sandbox.query("its", ROWS));
    assert_eq!(dump(&sandbox, "mine"), dump(&sandbox, "its"));
}

/// What Supabase's image has and PostgreSQL has not.
#[test]
fn what_only_supabase_has_is_named() {
    let sandbox = project(&[("20260101000000_a.sql", "CREATE TABLE a ();\n")]);
    for (sql, hinted) in [
        ("GRANT SELECT ON a TO authenticated;", true),
        ("CREATE POLICY p ON a TO \"service_role\" USING (true);", true),
        ("CREATE TABLE b (id uuid REFERENCES auth.users);", true),
        ("INSERT INTO storage.buckets (id) VALUES ('x');", true),
        ("CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA extensions;", true),
        ("CREATE POLICY p ON a USING (auth.uid() IS NOT NULL);", true),
        ("GRANT SELECT ON a TO somebody;", false),
        ("SELECT * FROM nothing;", false),
    ] {
        sandbox.write("supabase/migrations/20260102000000_b.sql", sql);
        let said = sandbox.dbctl(&["migrate", "mine"]).fails(1);
        let hint = said.contains("Supabase's image has") && said.contains("source before this one");
        assert_eq!(hint, hinted, "{sql}: {said}");
    }
}

#[test]
fn new_files_are_those_of_the_tool() {
    let sandbox = project(&[("20260101000000_a.sql", "")]);
    let program = npm(&[&format!("supabase@{}", VERSIONS[0])]).join("node_modules/.bin/supabase");
    Ran::of(sandbox.command(program).args(["migration", "new", "add_users"]).output().unwrap()).ok();
    sandbox.ok(&["new", "mine", "add users"]);
    let files: Vec<String> = std::fs::read_dir(sandbox.root().join("supabase/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("_add_users.sql"))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for name in &files {
        assert_eq!(name.len(), "20260101000000_add_users.sql".len());
        assert_eq!(sandbox.read(&format!("supabase/migrations/{name}")), "");
    }
}
