//! A tool takes back what dbctl applied and applies it anew, from a file that has changed: what dbctl knew of the first
//! time says nothing of the second.

use serde_json::json;

use crate::{
    dbmate::{self, dbmate},
    supabase::{self, supabase},
    support::Sandbox,
    tools::{self, node_pg_migrate},
};

/// The states of a database's migrations, and the runs that applied them where dbctl knows: `applied r`.
fn states(sandbox: &Sandbox, target: &str) -> Vec<String> {
    let (_, document) = sandbox.json(&["history", "show", target]);
    let rows = document["sources"][0]["rows"].as_array().unwrap_or_else(|| panic!("{document}"));
    rows.iter()
        .map(|row| {
            let known = if row["run"].is_null() { "" } else { " by dbctl" };
            format!("{} {}{known}", row["state"].as_str().unwrap(), row["checksum"].as_str().unwrap())
        })
        .collect()
}

/// Writes every row of the tables anew, each table in a transaction of its own, as restoring a dump does.
fn restore(sandbox: &Sandbox, target: &str, table: &str, column: &str) {
    for sql in [
        "update dbctl.migration_history set source = source".to_owned(),
        format!("update {table} set {column} = {column}"),
    ] {
        sandbox.query(target, &sql);
    }
}

const SAME: &str = "applied same by dbctl";
const CHANGED: &str = "changed changed by dbctl";
const ANEW: &str = "applied unknown";

fn dbmate_file(table: &str) -> String {
    format!("-- migrate:up\nCREATE TABLE {table} ();\n-- migrate:down\nDROP TABLE {table};\n")
}

#[test]
fn by_dbmate_whose_rows_say_only_which() {
    let manifest = "workspace: w\ndatabases: { a: { migrations: [{ path: db/migrations }] } }\n";
    let one = ("db/migrations/1_one.sql", &*dbmate_file("one"));
    let sandbox = Sandbox::new(manifest, &[one, ("db/migrations/2_two.sql", &dbmate_file("two"))]);
    let version = dbmate::VERSIONS[0];
    sandbox.ok(&["up", "a"]);
    assert_eq!(states(&sandbox, "a"), [SAME, SAME]);
    dbmate(&sandbox, version, "a", &["rollback"]).ok();
    sandbox.write("db/migrations/2_two.sql", dbmate_file("too"));
    dbmate(&sandbox, version, "a", &["up"]).ok();
    assert_eq!(states(&sandbox, "a"), [SAME, ANEW]);
    sandbox.ok(&["status", "a", "--check"]);

    // dbctl takes it back and applies it, and knows it again.
    sandbox.ok(&["rollback", "a", "--yes"]);
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(states(&sandbox, "a"), [SAME, SAME]);
    sandbox.write("db/migrations/1_one.sql", dbmate_file("won"));
    assert_eq!(states(&sandbox, "a"), [CHANGED, SAME]);
    // What moves rows without writing them changes nothing, nor does a dump that is restored.
    sandbox.query("a", "vacuum (full, freeze) schema_migrations");
    sandbox.query("a", "vacuum (full, freeze) dbctl.migration_history");
    assert_eq!(states(&sandbox, "a"), [CHANGED, SAME]);
    restore(&sandbox, "a", "schema_migrations", "version");
    assert_eq!(states(&sandbox, "a"), [CHANGED, SAME]);

    // Repaired, it is known from then on.
    sandbox.ok(&["history", "repair", "a", "--yes"]);
    assert_eq!(states(&sandbox, "a"), [SAME, SAME]);
    sandbox.write("db/migrations/1_one.sql", dbmate_file("one"));
    assert_eq!(states(&sandbox, "a"), [CHANGED, SAME]);
    sandbox.query("a", "delete from schema_migrations where version = '1'");
    sandbox.query("a", "insert into schema_migrations values ('1')");
    assert_eq!(states(&sandbox, "a"), [ANEW, SAME]);
}

/// Outside a transaction the rows are written in one of their own, and marks of dbctl's beside them.
#[test]
fn by_dbmate_in_every_way_that_dbctl_records() {
    let manifest = "workspace: w\ndatabases: { a: { migrations: [{ path: db/migrations }] } }\n";
    let outside = "-- migrate:up transaction:false\nCREATE TABLE three ();\nVACUUM three;\n-- migrate:down\nDROP TABLE three;\n";
    let files = [
        ("db/migrations/1_one.sql", &*dbmate_file("one")),
        (
            "db/migrations/2_own.sql",
            &dbmate_file("own").replace("CREATE", "BEGIN;\nCREATE").replace("();", "();\nCOMMIT;"),
        ),
        ("db/migrations/3_outside.sql", outside),
    ];
    for how in [
        &["migrate", "a"][..],
        &["migrate", "a", "--atomic"],
        &["baseline", "a", "--through", "latest", "--yes"],
        &["migrate", "a", "--fake", "--yes"],
    ] {
        let sandbox = Sandbox::new(manifest, &files);
        sandbox.ok(&["create", "a"]);
        sandbox.query("a", "create table full_already ()");
        if how.contains(&"--atomic") {
            std::fs::remove_file(sandbox.root().join("db/migrations/2_own.sql")).unwrap();
            std::fs::remove_file(sandbox.root().join("db/migrations/3_outside.sql")).unwrap();
        }
        sandbox.ok(how);
        for file in std::fs::read_dir(sandbox.root().join("db/migrations")).unwrap() {
            let file = file.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(file, text.replacen("CREATE", "-- changed\nCREATE", 1)).unwrap();
        }
        let before = states(&sandbox, "a");
        assert!(!before.is_empty() && before.iter().all(|state| state == CHANGED), "{how:?} {before:?}");
        sandbox.query("a", "create table kept as table schema_migrations; truncate schema_migrations");
        sandbox.query("a", "insert into schema_migrations table kept");
        let after = states(&sandbox, "a");
        assert!(after.len() == before.len() && after.iter().all(|state| state == ANEW), "{how:?} {after:?}");
    }
}

#[test]
fn by_node_pg_migrate_whose_rows_have_numbers() {
    let file = |table: &str| {
        format!("-- Up Migration\nCREATE TABLE {table} ();\n-- Down Migration\nDROP TABLE {table};\n")
    };
    let manifest = "workspace: w\ndatabases: { a: { migrations: [{ path: migrations }] } }\n";
    let [one, two] = ["migrations/1700000000000_one.sql", "migrations/1700000000001_two.sql"];
    let sandbox = Sandbox::new(manifest, &[(one, &file("one")), (two, &file("two"))]);
    let run = sandbox.ok(&["up", "a", "--format", "json"]);
    let run = serde_json::from_str::<serde_json::Value>(&run).unwrap()["run"].clone();
    assert_eq!(states(&sandbox, "a"), [SAME, SAME]);
    let version = tools::VERSIONS[3];
    node_pg_migrate(&sandbox, version, "a", "", &["down"]).ok();
    sandbox.write(two, file("too"));
    node_pg_migrate(&sandbox, version, "a", "", &["up"]).ok();
    assert_eq!(states(&sandbox, "a"), [SAME, ANEW]);
    sandbox.ok(&["status", "a", "--check"]);
    // What the tool applied is not of dbctl's run, and stays; so nothing before it can go.
    let said = sandbox.dbctl(&["rollback", "a", "--run", run.as_str().unwrap(), "--yes"]).fails(1);
    assert!(said.contains("1700000000001_two"), "{said}");
    assert_eq!(sandbox.query("a", "select to_regclass('one'), to_regclass('too')"), "one|too\n");

    sandbox.write(one, file("won"));
    restore(&sandbox, "a", "pgmigrations", "id");
    assert_eq!(states(&sandbox, "a"), [CHANGED, ANEW]);
    sandbox.write(one, file("one"));
    // A table that was made anew counts from 1 again.
    sandbox.query("a", "drop table one, too, pgmigrations");
    node_pg_migrate(&sandbox, version, "a", "", &["up"]).ok();
    assert_eq!(states(&sandbox, "a"), [ANEW, ANEW]);
}

#[test]
fn by_supabase_whose_way_is_to_repair() {
    let manifest = "workspace: w\ndatabases: { a: { migrations: [{ path: supabase/migrations }] } }\n";
    let file = "supabase/migrations/20260101000000_a.sql";
    let mut sandbox = Sandbox::new(
        manifest,
        &[("supabase/config.toml", "project_id = \"w\"\n"), (file, "CREATE TABLE a ();\n")],
    );
    sandbox.set("SUPABASE_TELEMETRY_DISABLED", "1").set("DO_NOT_TRACK", "1").set("PGSSLMODE", "disable");
    sandbox.ok(&["up", "a"]);
    sandbox.write(file, "CREATE TABLE b ();\n");
    assert_eq!(states(&sandbox, "a"), [CHANGED]);
    let version = supabase::VERSIONS[0];
    for status in ["reverted", "applied"] {
        supabase(&sandbox, version, "a", &["repair", "--status", status, "20260101000000"]).ok();
    }
    assert_eq!(states(&sandbox, "a"), [ANEW]);
}

/// Tools that keep checksums are believed anyway; of the others' rows SQL stands for the tool.
#[test]
fn by_the_others() {
    let source = |rest: &str| format!("{{ migrations: [{{ path: sql, {rest} }}] }}");
    let custom = "format: custom, pattern: '{version}_{name}.sql', table: done, name_column: name";
    let manifest = format!(
        "workspace: w\ndatabases:\n  prisma: {{ migrations: [{{ path: prisma, format: prisma }}] }}\n  sqlx: {}\n  \
         drizzle: {{ migrations: [{{ path: drizzle }}] }}\n  plain: {}\n  timed: {}\n  numbered: {}\n",
        source("format: sqlx"),
        source(custom),
        source(&format!("{custom}, applied_column: at, records: version")),
        source(&format!("{custom}, records: file")),
    );
    let journal = json!({ "version": "7", "dialect": "postgresql", "entries": [
        { "idx": 0, "version": "7", "when": 1_767_225_600_000_u64, "tag": "0000_a", "breakpoints": true }
    ]});
    let sandbox = Sandbox::new(
        &manifest,
        &[
            ("sql/001_a.sql", "CREATE TABLE a ();\n"),
            ("prisma/001_a/migration.sql", "CREATE TABLE a ();\n"),
            ("drizzle/0000_a.sql", "CREATE TABLE a ();\n"),
            ("drizzle/meta/_journal.json", &journal.to_string()),
        ],
    );
    sandbox.ok(&["create", "--all"]);
    sandbox.query("plain", "create table done (name text primary key)");
    sandbox.query("timed", "create table done (name text primary key, at timestamptz)");
    sandbox.query("numbered", "create table done (id serial, name text primary key)");
    sandbox.ok(&["migrate", "--all"]);
    let kept = |table: &str, anew: &str| {
        format!(
            "create temp table kept as table {table}; truncate {table}; {anew}; insert into {table} table kept"
        )
    };
    let anew = [
        ("prisma", kept("_prisma_migrations", "update kept set id = 'another'")),
        ("sqlx", kept("_sqlx_migrations", "update kept set installed_on = now()")),
        ("drizzle", kept("drizzle.__drizzle_migrations", "update kept set id = id + 1")),
        ("plain", kept("done", "select")),
        ("timed", kept("done", "update kept set at = now()")),
        ("numbered", kept("done", "update kept set id = id + 1")),
    ];
    for (target, anew) in anew {
        assert_eq!(states(&sandbox, target), [SAME], "{target}");
        let zone = "do $$ begin execute format('alter database %I set timezone to ''Asia/Tokyo''', current_database()); end $$";
        sandbox.query(target, zone);
        assert_eq!(states(&sandbox, target), [SAME], "{target}");
        sandbox.query(target, &anew);
        let known = if ["plain", "timed", "numbered"].contains(&target) { ANEW } else { "applied same" };
        assert_eq!(states(&sandbox, target), [known], "{target}");
    }
    // A view can stand for a table, and has nothing that tells its rows apart.
    sandbox.query("plain", "alter table done rename to really; create view done as table really");
    assert_eq!(states(&sandbox, "plain"), [SAME]);
}

#[test]
fn ledgers_that_do_not_know_rows_are_as_good_as_they_were() {
    let manifest = "workspace: w\ndatabases: { a: { url: '${A}', migrations: [{ path: db/migrations }] } }\n";
    let mut sandbox = Sandbox::new(
        &manifest.replace("url: '${A}', ", ""),
        &[("db/migrations/1_one.sql", &dbmate_file("one"))],
    );
    sandbox.ok(&["up", "a"]);
    let url = sandbox.url("a");
    let own = url.replacen(url.split_once("://").unwrap().1.split_once('@').unwrap().0, "app:app", 1);
    sandbox.query(
        "a",
        "alter table dbctl.migration_history drop column tool_row; create role app login password 'app'; \
         grant usage, create on schema public, dbctl to app; grant all on all tables in schema public, dbctl to app; \
         grant all on all sequences in schema dbctl to app",
    );
    let has_column = "select count(*) from information_schema.columns where table_schema = 'dbctl' and column_name = 'tool_row'";
    sandbox.write("workspace.yaml", manifest);
    sandbox.set("A", &own);
    let anew = |name: &str| {
        sandbox.query_url(&url, &format!("delete from schema_migrations where version = '{name}'"));
        sandbox.query_url(&url, &format!("insert into schema_migrations values ('{name}')"));
    };
    assert_eq!(states(&sandbox, "a"), [SAME]);
    // Whoever does not own the ledger works with it as it is.
    sandbox.write("db/migrations/2_two.sql", dbmate_file("two"));
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(states(&sandbox, "a"), [SAME, SAME]);
    assert_eq!(sandbox.query_url(&url, has_column), "0\n");
    for name in ["1", "2"] {
        anew(name);
    }
    assert_eq!(states(&sandbox, "a"), [SAME, SAME]);
    sandbox.write("db/migrations/1_one.sql", dbmate_file("won"));
    sandbox.ok(&["history", "repair", "a", "--yes"]);
    sandbox.ok(&["rollback", "a", "--yes"]);
    assert_eq!(states(&sandbox, "a"), [SAME]);
    // Its owner adds the column with the next migration, and what is recorded from then on is told apart.
    sandbox.query_url(&url, "alter table dbctl.migration_history owner to app");
    assert_eq!(states(&sandbox, "a"), [SAME]);
    assert_eq!(sandbox.query_url(&url, has_column), "0\n");
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(sandbox.query_url(&url, has_column), "1\n");
    for name in ["1", "2"] {
        anew(name);
    }
    assert_eq!(states(&sandbox, "a"), [SAME, ANEW]);
    sandbox.set("A", &url);
}
