//! Databases that are SQLite files: Decant, which migrated itself before dbctl did, and a graph with both kinds.

mod faults;
mod judges;

use std::path::PathBuf;

use rusqlite::{Connection, types::ValueRef};
use serde_json::json;

use crate::{
    support::{Sandbox, set_mode},
    workspaces::migrations,
};

const NAMES: [&str; 3] = ["001_initial_schema", "002_add_indexes", "003_add_tree_indexes"];

/// The rows of a query on a file of the workspace, `a|b` a line.
fn rows(sandbox: &Sandbox, file: &str, sql: &str) -> String {
    let connection = Connection::open(sandbox.root().join(file)).unwrap();
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let columns = statement.column_count();
    let mut found = statement.query([]).unwrap();
    let mut text = String::new();
    while let Some(row) = found.next().unwrap() {
        let values: Vec<String> = (0..columns)
            .map(|at| match row.get_ref(at).unwrap() {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            })
            .collect();
        text += &format!("{}\n", values.join("|"));
    }
    text
}

/// Runs SQL on a file of the workspace.
fn run(sandbox: &Sandbox, file: &str, sql: &str) {
    let path: PathBuf = sandbox.root().join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    Connection::open(path).unwrap().execute_batch(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

fn all(state: &str) -> [String; 3] {
    NAMES.map(|name| format!("{state} {name}"))
}

const FILE: &str = "data/decant.db";
const INDEXES: &str = "select count(*) from sqlite_schema where type = 'index' and name like 'idx_%'";

#[test]
fn decant_goes_up_and_down() {
    let sandbox = Sandbox::example("decant");
    assert_eq!(migrations(&sandbox, "decant"), all("pending"));
    sandbox.ok(&["up", "decant"]);
    assert_eq!(migrations(&sandbox, "decant"), all("applied"));
    let (code, document) = sandbox.json(&["up", "decant"]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
    assert_eq!(
        rows(&sandbox, FILE, "select id, name from _migrations order by id"),
        "1|001_initial_schema\n2|002_add_indexes\n3|003_add_tree_indexes\n"
    );
    assert_eq!(rows(&sandbox, FILE, INDEXES), "10\n");
    assert_eq!(
        rows(&sandbox, FILE, "select title from nodes_fts where nodes_fts match 'alike'"),
        "Vector search in SQLite\n"
    );
    assert_eq!(rows(&sandbox, FILE, "select count(*) from key_concepts"), "1\n");
    assert!(!sandbox.has_server(), "a file needs none");

    // What stands below others is not taken away from under them.
    let said = sandbox.dbctl(&["rollback", "decant", "--only", NAMES[0], "--yes"]).fails(1);
    assert!(said.contains(NAMES[1]) || said.contains(NAMES[2]), "{said}");
    assert_eq!(migrations(&sandbox, "decant"), all("applied"));

    sandbox.ok(&["rollback", "decant", "--only", NAMES[2], "--yes"]);
    assert_eq!(rows(&sandbox, FILE, INDEXES), "8\n");
    sandbox.ok(&["rollback", "decant", "--to", "zero", "--yes"]);
    assert_eq!(migrations(&sandbox, "decant"), all("pending"));
    let left = rows(
        &sandbox,
        FILE,
        "select name from sqlite_schema where name not like 'sqlite_%' and name not like 'dbctl_%' order by name",
    );
    assert_eq!(left, "_migrations\n");
    assert_eq!(rows(&sandbox, FILE, "select count(*) from _migrations"), "0\n");

    sandbox.ok(&["migrate", "decant"]);
    sandbox.ok(&["clean", "decant", "--yes"]);
    assert_eq!(
        rows(&sandbox, FILE, "select count(*) from nodes union all select count(*) from _migrations"),
        "0\n3\n"
    );
    sandbox.ok(&["drop", "decant", "--yes"]);
    assert!(!sandbox.root().join(FILE).exists());
}

#[test]
fn what_decant_has_applied_itself_is_applied() {
    let sandbox = Sandbox::example("decant");
    let own = "CREATE TABLE _migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, applied_at DATETIME \
               DEFAULT CURRENT_TIMESTAMP);";
    let applied = "INSERT INTO _migrations (name, applied_at) VALUES ('001_initial_schema', '2024-01-15 10:30:22'), \
                   ('002_add_indexes', '2024-01-15 10:30:23');";
    let sql = |name: &str| sandbox.read(&format!("migrations/{name}.sql"));
    run(&sandbox, FILE, &format!("{own}{}{}{applied}", sql(NAMES[0]), sql(NAMES[1])));
    let (_, document) = sandbox.json(&["status", "decant"]);
    let shown: Vec<String> = document["databases"][0]["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {} {}",
                one["state"].as_str().unwrap(),
                one["name"].as_str().unwrap(),
                one["applied_at"]
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "applied 001_initial_schema \"2024-01-15T10:30:22Z\"",
            "applied 002_add_indexes \"2024-01-15T10:30:23Z\"",
            "pending 003_add_tree_indexes null",
        ]
    );
    sandbox.ok(&["migrate", "decant"]);
    assert_eq!(migrations(&sandbox, "decant"), all("applied"));
    let last = "select id, name, length(applied_at) from _migrations order by id desc limit 1";
    assert_eq!(rows(&sandbox, FILE, last), "3|003_add_tree_indexes|19\n");
    assert_eq!(rows(&sandbox, FILE, INDEXES), "10\n");
}

#[test]
fn a_new_migration_is_named_after_the_last_one() {
    let sandbox = Sandbox::example("decant");
    sandbox.ok(&["new", "decant", "add tags"]);
    assert!(sandbox.read("migrations/004_add_tags.sql").starts_with("--"));
    sandbox.read("migrations/004_add_tags.down.sql");
    sandbox.ok(&["up", "decant"]);
    sandbox.ok(&["status", "decant", "--check"]);
}

#[test]
fn a_broken_file_leaves_nothing_and_says_where() {
    let sandbox = Sandbox::example("decant");
    sandbox.write(
        "migrations/004_broken.sql",
        "CREATE TABLE tags (id INTEGER);\nINSERT INTO tagz VALUES (1);\n",
    );
    let said = sandbox.dbctl(&["up", "decant"]).fails(1);
    assert!(said.contains("migrations/004_broken.sql:2:1") && said.contains("no such table: tagz"), "{said}");
    assert_eq!(rows(&sandbox, FILE, "select count(*) from sqlite_schema where name = 'tags'"), "0\n");
    assert_eq!(rows(&sandbox, FILE, "select count(*) from _migrations"), "3\n");
}

/// A PostgreSQL database whose data a SQLite file is made from.
fn mixed() -> Sandbox {
    let manifest = "workspace: mixed\ndatabases:\n  core: { migrations: [{ path: core }] }\n  cache: { url: 'sqlite:var/cache.db', depends_on: [core], migrations: [{ path: cache }] }\n";
    Sandbox::new(
        manifest,
        &[
            ("core/20260101000000_users.sql", "create table users (id bigint primary key);\n"),
            ("core/20260101000000_users.down.sql", "drop table users;\n"),
            (
                "cache/20260102000000_hits.sql",
                "-- dbctl:requires core@20260101000000\ncreate table hits (id integer primary key);\n",
            ),
            ("cache/20260102000000_hits.down.sql", "drop table hits;\n"),
        ],
    )
}

#[test]
fn one_graph_has_both_kinds() {
    let sandbox = mixed();
    let plan = sandbox.ok(&["plan", "up", "--all"]);
    assert!(plan.contains("core") && plan.contains("cache"), "{plan}");
    // Neither is applied: two phases are no more than the least of them can do.
    sandbox.ok(&["create", "--all"]);
    let said = sandbox.dbctl(&["migrate", "--all", "--atomic=two-phase"]).fails(1);
    assert!(said.contains("cache is a SQLite file") && said.contains("--atomic=one-phase"), "{said}");
    assert_eq!(migrations(&sandbox, "core"), ["pending 20260101000000_users"]);
    sandbox.ok(&["migrate", "--all", "--atomic"]);
    assert_eq!(migrations(&sandbox, "core"), ["applied 20260101000000_users"]);
    assert_eq!(migrations(&sandbox, "cache"), ["applied 20260102000000_hits"]);
    let said = sandbox.dbctl(&["rollback", "core", "--yes"]).fails(1);
    assert!(said.contains("cache"), "{said}");
    sandbox.ok(&["reset", "--all", "--yes"]);
    sandbox.ok(&["status", "--all", "--check"]);
    let graph = sandbox.ok(&["graph"]);
    assert!(graph.contains("cache"), "{graph}");
    let list = sandbox.ok(&["list"]);
    assert!(list.contains("var/cache.db"), "{list}");
}

#[test]
fn programs_get_the_url_and_no_variables_of_postgres() {
    let mut sandbox = Sandbox::example("decant");
    sandbox.set("PGHOST", "elsewhere").set("PGPASSWORD", "hush");
    let url = format!("sqlite:{}", sandbox.root().canonicalize().unwrap().join(FILE).display());
    assert_eq!(sandbox.ok(&["env", "decant"]), format!("export DATABASE_URL='{url}'\n"));
    let said = sandbox.ok(&[
        "exec",
        "decant",
        "--",
        "sh",
        "-c",
        "echo \"$DATABASE_URL ${PGHOST-none} ${PGPASSWORD-none}\"",
    ]);
    assert_eq!(said, format!("{url} none none\n"));
}

#[test]
#[cfg(unix)]
fn psql_opens_the_shell_of_sqlite() {
    let mut sandbox = Sandbox::example("decant");
    let folder = sandbox.root().join("bin");
    sandbox.set("PATH", folder.to_str().unwrap());
    let said = sandbox.dbctl(&["psql", "decant"]).fails(127);
    assert!(said.contains("sqlite3 was not found") && said.contains(FILE), "{said}");
    sandbox.write("bin/sqlite3", "#!/bin/sh\necho \"$@\"\n");
    set_mode(&folder.join("sqlite3"), 0o755);
    let said = sandbox.dbctl(&["psql", "decant"]).fails(1);
    assert!(said.contains("dbctl create decant"), "{said}");
    sandbox.ok(&["create", "decant"]);
    let said = sandbox.ok(&["psql", "decant", "--", "-json", "select 1"]);
    let file = sandbox.root().canonicalize().unwrap().join(FILE);
    assert_eq!(said, format!("{} -json select 1\n", file.display()));
}

#[test]
fn init_finds_what_is_for_sqlite() {
    let sandbox = Sandbox::new(
        "",
        &[
            ("package.json", "{ \"name\": \"shop\" }"),
            ("apps/api/package.json", "{ \"name\": \"api\" }"),
            ("apps/api/.env", "DATABASE_URL=sqlite:data/api.db\n"),
            (
                "apps/api/db/migrations/20260101000000_a.sql",
                "-- migrate:up\ncreate table a (id integer primary key autoincrement);\n-- migrate:down\ndrop table a;\n",
            ),
        ],
    );
    std::fs::remove_file(sandbox.root().join("workspace.yaml")).unwrap();
    sandbox.ok(&["init"]);
    assert!(sandbox.read("workspace.yaml").contains("${DATABASE_URL:-sqlite:data/api.db}"));
    sandbox.ok(&["up", "--all"]);
    assert_eq!(
        rows(&sandbox, "apps/api/data/api.db", "select version from schema_migrations"),
        "20260101000000\n"
    );
    sandbox.ok(&["status", "--all", "--check"]);
}
