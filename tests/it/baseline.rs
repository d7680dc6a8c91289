//! Databases that are older than dbctl, and one file in place of many.

use serde_json::{Value, json};

use crate::{support::Sandbox, tools::node_pg_migrate};

/// A monorepo as people have them: one consolidated file with a number that no other reaches, what came after it, and
/// the past in an archive; beside it Prisma's folder.
const SUPABASE: &str = "workspace: web
databases:
  fresh: &db
    migrations:
      - path: supabase/migrations
        format: supabase
        baseline: { file: supabase/migrations/99999999999999_master_consolidated_schema.sql, through: none }
  production: *db
  filled: *db
  both:
    migrations:
      - { path: prisma/migrations, format: prisma }
      - path: supabase/migrations
        format: supabase
        baseline: { file: supabase/migrations/99999999999999_master_consolidated_schema.sql, through: none }
";

const MASTER: &str = "99999999999999_master_consolidated_schema";

fn supabase() -> Sandbox {
    Sandbox::new(
        SUPABASE,
        &[
            (
                &format!("supabase/migrations/{MASTER}.sql"),
                "CREATE TABLE IF NOT EXISTS users (id int PRIMARY KEY);\n\
                 CREATE OR REPLACE FUNCTION touch() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;\n",
            ),
            (
                "supabase/migrations/20250120000000_nps_submissions.sql",
                "CREATE TABLE IF NOT EXISTS nps (id int REFERENCES users);\n",
            ),
            (
                "supabase/migrations_archive/20240101000000_initial_schema.sql",
                "CREATE TABLE users (id int);\n",
            ),
            ("prisma/migrations/20240601000000_init/migration.sql", "CREATE TABLE \"User\" (id int);\n"),
        ],
    )
}

/// What became of each migration of a run, as `name direction`.
fn done(document: &Value) -> Vec<String> {
    let migrations = document["databases"][0]["migrations"].as_array().unwrap();
    let one = |done: &Value| {
        format!("{} {}", done["name"].as_str().unwrap(), done["direction"].as_str().unwrap_or("up"))
    };
    migrations.iter().map(one).collect()
}

fn error(document: &Value) -> (&str, &str) {
    let error = &document["databases"][0]["error"];
    (error["message"].as_str().unwrap_or_default(), error["hint"].as_str().unwrap_or_default())
}

const VERSIONS: &str = "select version from supabase_migrations.schema_migrations order by 1";

#[test]
fn a_consolidated_schema_with_the_last_number_of_all() {
    let sandbox = supabase();
    sandbox.ok(&["create", "--all"]);
    let (code, document) = sandbox.json(&["migrate", "fresh"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(done(&document), [format!("{MASTER} up"), "20250120000000_nps_submissions up".to_owned()]);
    assert_eq!(sandbox.query("fresh", VERSIONS), "20250120000000\n99999999999999\n");

    // Production has the past that lies in the archive, and never sees the file.
    sandbox.query(
        "production",
        "create table users (id int primary key); create table nps (id int); create schema supabase_migrations; \
         create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text); \
         insert into supabase_migrations.schema_migrations values ('20240101000000', '{}', 'initial_schema'), \
         ('20250120000000', '{}', 'nps_submissions')",
    );
    let (code, document) = sandbox.json(&["migrate", "production"]);
    let production = &document["databases"][0];
    assert_eq!(
        (code, &production["outcome"], &production["warnings"]),
        (0, &json!("unchanged"), &json!(null))
    );
    assert_eq!(sandbox.query("production", VERSIONS), "20240101000000\n20250120000000\n");

    // What comes later is not late, on either of them.
    sandbox.write("supabase/migrations/20250201000000_more.sql", "CREATE TABLE more (id int);\n");
    for target in ["fresh", "production"] {
        let (code, document) = sandbox.json(&["migrate", target, "--out-of-order", "deny"]);
        assert_eq!((code, done(&document)), (0, vec!["20250201000000_more up".to_owned()]), "{document}");
        sandbox.ok(&["status", target, "--check"]);
    }

    // One that somebody filled by other means has to be adopted.
    sandbox.query("filled", "create table users (id int primary key); create table nps (id int)");
    let before = sandbox.json(&["migrate", "filled"]).1;
    let (message, hint) = error(&before);
    assert_eq!(
        message,
        "supabase/migrations: the database has no history of this folder, but it is not empty: public.nps, public.users"
    );
    let command = format!("`dbctl baseline filled --through {MASTER} --source supabase/migrations`");
    assert!(hint.contains(&command), "{hint}");
    assert_eq!(
        sandbox.json(&["migrate", "filled", "--dry-run"]).1["databases"][0]["error"]["message"],
        message
    );
    let status = sandbox.json(&["status", "filled"]).1;
    assert_eq!(status["databases"][0]["blocked"]["message"], message);
    assert_eq!(status["databases"][0]["counts"]["pending"], 3);
    let plan = sandbox.ok(&["plan", "migrate", "filled", "--state"]);
    assert!(plan.contains(&format!("? {message}")), "{plan}");
    let adopt =
        ["baseline", "filled", "--source", "supabase/migrations", "--through", "20250120000000", "--yes"];
    assert_eq!(done(&sandbox.json(&adopt).1).len(), 2);
    assert_eq!(done(&sandbox.json(&["migrate", "filled"]).1), ["20250201000000_more up"]);
    sandbox.ok(&["status", "filled", "--check"]);
}

/// Prisma's tables are there when Supabase's turn comes: the database was empty all the same.
#[test]
fn another_tool_comes_first() {
    let sandbox = supabase();
    sandbox.ok(&["create", "both"]);
    let good = sandbox.read(&format!("supabase/migrations/{MASTER}.sql"));
    sandbox.write(&format!("supabase/migrations/{MASTER}.sql"), format!("{good}SELECT nothing;\n"));
    let plan = sandbox.ok(&["plan", "migrate", "both", "--state"]);
    let (code, document) = sandbox.json(&["migrate", "both"]);
    assert_eq!((code, error(&document).0), (1, "column \"nothing\" does not exist"));
    assert!(plan.contains(&format!("+ {MASTER}")), "{plan}");
    assert_eq!(
        sandbox.query("both", "select to_regclass('users') is null, to_regclass('\"User\"') is null"),
        "t|f\n"
    );

    sandbox.write(&format!("supabase/migrations/{MASTER}.sql"), good);
    let (code, document) = sandbox.json(&["migrate", "both"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(done(&document), [format!("{MASTER} up"), "20250120000000_nps_submissions up".to_owned()]);
    assert_eq!(sandbox.query("both", VERSIONS), "20250120000000\n99999999999999\n");
    sandbox.ok(&["status", "both", "--check"]);
}

const FILES: [(&str, &str); 3] = [
    (
        "migrations/1700000000000_a.sql",
        "-- Up Migration\nCREATE TABLE a (id int);\n-- Down Migration\nDROP TABLE a;\n",
    ),
    (
        "migrations/1700000001000_b.sql",
        "-- Up Migration\nCREATE TABLE b (id int);\n-- Down Migration\nDROP TABLE b;\n",
    ),
    (
        "migrations/1700000002000_c.sql",
        "-- Up Migration\nCREATE TABLE c (id int);\n-- Down Migration\nDROP TABLE c;\n",
    ),
];

/// A file beside the folder, part of which is outside any transaction, stopped half-way and finished.
#[test]
fn a_file_beside_the_folder_that_node_pg_migrate_never_sees() {
    let manifest = "workspace: judged
databases:
  mine:
    migrations:
      - path: migrations
        format: node-pg-migrate
        baseline: { file: schema.sql, through: 1700000001000 }
";
    let sandbox = Sandbox::new(manifest, &FILES);
    let schema = |last: &str| {
        let sql = "CREATE TABLE a (id int);\nCREATE TABLE b (id int);\nCREATE INDEX CONCURRENTLY by_id ON a (id);\n";
        sandbox.write("schema.sql", format!("{sql}{last}"));
    };
    schema("SELECT nothing;\n");
    // The same is said of a database that is not there yet and of one that is empty.
    for create in [false, true] {
        if create {
            sandbox.ok(&["create", "mine"]);
        }
        let plan = sandbox.ok(&["plan", "migrate", "mine", "--state"]);
        for line in ["= 1700000000000_a (held by schema.sql)", "+ schema.sql", "+ 1700000002000_c"] {
            assert!(plan.contains(line), "{plan}");
        }
        let plan = sandbox.json(&["plan", "migrate", "mine", "--state"]).1;
        assert_eq!(plan["databases"][0]["pending"], json!(["schema.sql", "1700000002000_c"]));
        let status = sandbox.json(&["status", "mine"]).1;
        let held: Vec<_> = status["databases"][0]["migrations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["held_by"].as_str())
            .collect();
        assert_eq!(held, [Some("schema.sql"), Some("schema.sql"), None, None]);
    }
    let (code, document) = sandbox.json(&["migrate", "mine"]);
    assert_eq!((code, error(&document).0), (1, "column \"nothing\" does not exist"));
    assert_eq!(sandbox.query("mine", "select count(*) from pgmigrations"), "0\n");
    let status = sandbox.json(&["status", "mine"]).1;
    assert_eq!(status["databases"][0]["counts"]["partial"], 1, "{status}");

    schema("INSERT INTO b VALUES (1);\n");
    let (code, document) = sandbox.json(&["migrate", "mine"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(
        done(&document),
        ["schema.sql up", "1700000000000_a fake", "1700000001000_b fake", "1700000002000_c up"]
    );
    assert_eq!(sandbox.query("mine", "select count(*) from b"), "1\n");
    let names = "select name from pgmigrations order by run_on, id";
    assert_eq!(sandbox.query("mine", names), "1700000000000_a\n1700000001000_b\n1700000002000_c\n");
    sandbox.ok(&["status", "mine", "--check"]);
    let judged = node_pg_migrate(&sandbox, "9.0.0", "mine", "", &["up"]);
    assert!(judged.code == 0 && judged.stdout.contains("No migrations to run!"), "{judged}");
    // What the baseline holds can be taken back like anything else, and then come file by file.
    sandbox.ok(&["rollback", "mine", "--count", "2", "--yes"]);
    assert_eq!(done(&sandbox.json(&["migrate", "mine"]).1), ["1700000001000_b up", "1700000002000_c up"]);
    sandbox.ok(&["rollback", "mine", "--to", "zero", "--yes"]);
    sandbox.ok(&["status", "mine"]);
}

#[test]
fn a_failed_baseline_leaves_nothing() {
    let manifest = "workspace: w
databases:
  a: { migrations: [{ path: m, format: native, baseline: { file: all.sql, through: 20250101000000 } }] }
";
    let sandbox = Sandbox::new(
        manifest,
        &[
            ("m/20250101000000_a.sql", "CREATE TABLE a (id int);"),
            ("all.sql", "CREATE TABLE a (id int); SELECT x;"),
        ],
    );
    sandbox.ok(&["create", "a"]);
    for _ in 0..2 {
        assert_eq!(error(&sandbox.json(&["migrate", "a"]).1).0, "column \"x\" does not exist");
        assert_eq!(sandbox.query("a", "select count(*) from dbctl.migration_history"), "0\n");
    }
    sandbox.write("all.sql", "CREATE TABLE a (id int);");
    sandbox.ok(&["migrate", "a"]);
    sandbox.ok(&["reset", "a", "--yes"]);
    assert_eq!(sandbox.query("a", "select name from dbctl.migration_history"), "20250101000000_a\n");
}

/// What people make counts, what extensions and tools make does not.
#[test]
fn what_makes_a_database_one_that_is_not_empty() {
    let manifest = "workspace: w
databases:
  a: { migrations: [{ path: m, format: native, baseline: { file: all.sql, through: 20250101000000 } }] }
";
    let sandbox =
        Sandbox::new(manifest, &[("m/20250101000000_a.sql", "SELECT 1;"), ("all.sql", "SELECT 1;")]);
    sandbox.ok(&["create", "a"]);
    let dry = ["migrate", "a", "--dry-run"];
    for (sql, counts) in [
        ("create extension pgcrypto", None),
        ("create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key)", None),
        ("create table _prisma_migrations (id serial primary key)", None),
        ("create schema app", None),
        (
            "create role supabase_admin; create schema auth authorization supabase_admin; create table auth.users (id int); \
          create function auth.uid() returns int language sql as 'select 1'",
            None,
        ),
        ("create view app.v as select 1 as a", Some("app.v")),
        ("drop view app.v; create materialized view app.m as select 1 as a", Some("app.m")),
        (
            "drop materialized view app.m; create function app.f() returns int language sql as 'select 1'",
            Some("app.f"),
        ),
        ("drop function app.f(); create type app.mood as enum ('sad')", Some("app.mood")),
        ("drop type app.mood; create domain app.d as int", Some("app.d")),
        ("drop domain app.d; create sequence app.s", Some("app.s")),
        ("drop sequence app.s; create table app.\"T\" (id serial)", Some("app.T, app.T_id_seq")),
        ("drop table app.\"T\"", None),
    ] {
        sandbox.query("a", sql);
        let (code, document) = sandbox.json(&dry);
        match counts {
            None => assert_eq!(code, 0, "{sql}: {document}"),
            Some(names) => {
                let message =
                    format!("m: the database has no history of this folder, but it is not empty: {names}");
                assert_eq!(error(&document).0, message, "{sql}");
            }
        }
    }
    sandbox.query("a", "drop schema auth cascade; drop role supabase_admin");
}

#[test]
fn a_database_that_exists_is_adopted() {
    let manifest = "workspace: w
databases:
  legacy: { migrations: [{ path: migrations, format: node-pg-migrate }] }
environments:
  production: { protected: true }
";
    let sandbox = Sandbox::new(manifest, &FILES);
    let through = ["baseline", "legacy", "--through", "1700000001000"];
    let gone = sandbox.json(&[&through[..], &["--yes"]].concat()).1;
    assert!(error(&gone).1.contains("`dbctl create legacy`"), "{gone}");
    sandbox.ok(&["create", "legacy"]);
    let empty = sandbox.json(&[&through[..], &["--yes"]].concat()).1;
    assert_eq!(error(&empty).0, "the database is empty, so nothing has been applied to it");

    sandbox.query("legacy", "create table a (id int); create table b (id int)");
    let ran = sandbox.dbctl(&["migrate", "legacy"]).fails(1);
    assert!(
        ran.contains("relation \"a\" already exists") && ran.contains("migrations/1700000000000_a.sql"),
        "{ran}"
    );
    assert!(ran.contains("`dbctl baseline legacy --through VERSION`"), "{ran}");

    let asked = sandbox.dbctl(&through).fails(2);
    assert!(asked.contains("`baseline` records migrations as applied without running them"), "{asked}");
    // All of it is recorded, or nothing.
    sandbox.query(
        "legacy",
        "create function no() returns trigger language plpgsql as $$ begin raise 'not that one'; end $$; create trigger \
         no before insert on pgmigrations for each row when (new.name = '1700000001000_b') execute function no()",
    );
    let half = sandbox.dbctl(&[&through[..], &["--yes"]].concat()).fails(1);
    assert!(half.contains("not that one"), "{half}");
    assert_eq!(sandbox.query("legacy", "select count(*) from pgmigrations"), "0\n");
    sandbox.query("legacy", "drop trigger no on pgmigrations; drop function no()");
    let guarded = sandbox.dbctl(&[&through[..], &["--yes", "--env", "production"]].concat()).fails(2);
    assert!(guarded.contains("--allow-protected production"), "{guarded}");
    let (code, dry) = sandbox.json(&[&through[..], &["--dry-run"]].concat());
    assert_eq!(
        (code, done(&dry)),
        (0, vec!["1700000000000_a dry_run_fake".into(), "1700000001000_b dry_run_fake".into()])
    );
    assert_eq!(sandbox.query("legacy", "select count(*) from pgmigrations"), "0\n");
    let (code, adopted) = sandbox.json(&[&through[..], &["--yes"]].concat());
    assert_eq!(
        (code, done(&adopted)),
        (0, vec!["1700000000000_a fake".into(), "1700000001000_b fake".into()])
    );
    let again = sandbox.json(&[&through[..], &["--yes"]].concat()).1;
    assert_eq!(again["databases"][0]["outcome"], "unchanged");

    // The tool itself goes on from there.
    let judged = node_pg_migrate(&sandbox, "9.0.0", "legacy", "", &["up"]);
    assert!(judged.code == 0 && judged.stdout.contains("1700000002000_c"), "{judged}");
    sandbox.ok(&["status", "legacy", "--check"]);
    assert_eq!(sandbox.json(&["migrate", "legacy"]).1["databases"][0]["outcome"], "unchanged");
}

/// A tool whose versions are numbers knows nothing of a file beside its folder.
#[test]
fn what_was_announced_is_withdrawn() {
    let manifest = "workspace: w
databases:
  a:
    migrations:
      - { path: first, format: native }
      - { path: m, format: sqlx, baseline: { file: all.sql, through: 1 } }
";
    let files = [
        ("first/20250101000000_x.sql", "CREATE TABLE x (id int);"),
        ("m/1_a.sql", "CREATE TABLE a (id int);"),
        ("m/2_b.sql", "CREATE TABLE b (id int);"),
        ("all.sql", "SELECT nothing;"),
    ];
    let sandbox = Sandbox::new(manifest, &files);
    let announced = || {
        sandbox.dbctl(&["reset", "a", "--yes"]).fails(1);
        assert_eq!(sandbox.json(&["status", "a"]).1["databases"][0]["counts"]["partial"], 1);
    };
    let recorded = "select version from _sqlx_migrations order by 1";
    announced();
    assert_eq!(done(&sandbox.json(&["baseline", "a", "--through", "1_a.sql", "--yes"]).1), ["1_a fake"]);
    assert_eq!(done(&sandbox.json(&["migrate", "a"]).1), ["2_b up"]);
    assert_eq!(sandbox.query("a", recorded), "1\n2\n");
    announced();
    sandbox.ok(&["migrate", "a", "--to", "m/1"]);
    assert_eq!(done(&sandbox.json(&["migrate", "a"]).1), ["2_b up"]);
    announced();
    sandbox.ok(&["history", "mark", "a", "all.sql", "--pending", "--yes"]);
    let refused = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(refused.contains("it is not empty: public.x"), "{refused}");
}

#[test]
fn a_number_without_its_zeros_is_recognised() {
    let sandbox = Sandbox::new(
        "workspace: w\ndatabases: { a: { migrations: [{ path: m, format: dbmate }] } }\n",
        &[
            ("m/001_t.sql", "-- migrate:up\ncreate table t (id int);\n-- migrate:down\n"),
            ("m/002_u.sql", "-- migrate:up\ncreate table u (id int);\n-- migrate:down\n"),
        ],
    );
    sandbox.ok(&["create", "a"]);
    sandbox.query("a", "create table t (id int); create table u (id int)");
    for args in [&["baseline", "a", "--through", "2", "--yes"][..], &["migrate", "a", "--to", "2"]] {
        let said = sandbox.dbctl(args).fails(1);
        assert!(said.contains("no migration `2` in m") && said.contains("did you mean `002`?"), "{said}");
    }
    sandbox.ok(&["baseline", "a", "--through", "002", "--yes"]);
    sandbox.ok(&["status", "a", "--check"]);
}
