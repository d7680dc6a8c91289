//! The real dbmate, from npm, judges databases that dbctl migrated, and the other way round.

use serde_json::json;

use crate::{
    support::{Ran, Sandbox},
    tools::{npm, schema},
};

/// The latest version, and one of those whose table has `varchar(128)`.
pub(crate) const VERSIONS: [&str; 2] = ["2.36.0", "2.18.0"];

/// What people have in such folders, each with a trap of its own.
const FILES: [(&str, &str); 10] = [
    (
        "003_first.sql",
        "-- why\n\n-- migrate:up\nCREATE TABLE a (id int, name text);\n-- migrate:down\nDROP TABLE a;\n",
    ),
    // By its name it comes before `2`, by its number behind it.
    (
        "10_dos.sql",
        "-- migrate:up\r\nCREATE TABLE b (\r\n  id int\r\n);\r\n-- migrate:down\r\nDROP TABLE b;\r\n",
    ),
    ("2.sql", "-- migrate:up\nALTER TABLE b ADD n int;\n-- migrate:down\nALTER TABLE b DROP n;\n"),
    ("20260101000000_comments only.sql", "-- migrate:up\n-- nothing yet\n-- migrate:down\n"),
    ("20260101000001_oneway.sql", "-- migrate:up\nCREATE TABLE IF NOT EXISTS oneway ();\n-- migrate:down\n"),
    (
        "20260102000000_index.sql",
        "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_name ON a (name);\n\
         -- migrate:down transaction:false\nDROP INDEX CONCURRENTLY a_name;\n",
    ),
    (
        "20260103000000_f.sql",
        "-- migrate:up\nCREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'a;b'::text $$;\n\
         -- migrate:down\nDROP FUNCTION f();",
    ),
    ("a1_helper.sql", "DROP TABLE a;\n"),
    ("6_upper.SQL", "DROP TABLE a;\n"),
    ("README.md", "Not a migration.\n"),
];

/// Their versions, in the order in which both apply them.
const APPLIED: &str = "003 10 2 20260101000000 20260101000001 20260102000000 20260103000000\n";

const ROWS: &str = "select string_agg(version, ' ' order by version collate \"C\") from schema_migrations";

/// Databases that dbctl, the tool, and both of them migrate.
fn folder(files: &[(&str, &str)]) -> Sandbox {
    let source = "migrations: [{ path: db/migrations }]";
    let manifest = format!(
        "workspace: judged\ndatabases:\n  mine: {{ {source} }}\n  its: {{ {source} }}\n  both: {{ {source} }}\n"
    );
    let sandbox = Sandbox::new(&manifest, &[("db/schema.sql", "-- the tool's\n")]);
    for (name, text) in files {
        sandbox.write(&format!("db/migrations/{name}"), text);
    }
    sandbox.ok(&["create", "--all"]);
    sandbox
}

/// Runs dbmate on a database.
pub(crate) fn dbmate(sandbox: &Sandbox, version: &str, target: &str, args: &[&str]) -> Ran {
    let program = npm(&[&format!("dbmate@{version}")]).join("node_modules/.bin/dbmate");
    let mut command = sandbox.command(program);
    let url = sandbox.url(target);
    let and = if url.contains('?') { '&' } else { '?' };
    command.args(["--no-dump-schema", "--url", &format!("{url}{and}sslmode=disable")]).args(args);
    Ran::of(command.output().unwrap())
}

/// Nothing is pending to the tool, nor to dbctl.
#[track_caller]
fn both_find_nothing(sandbox: &Sandbox, version: &str, target: &str) {
    assert_eq!(dbmate(sandbox, version, target, &["up"]).ok(), "", "{version} {target}");
    let status = dbmate(sandbox, version, target, &["status"]).ok();
    assert!(status.contains("Pending: 0\n") && !status.contains("[ ]"), "{version} {target}: {status}");
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
    let sandbox = folder(&FILES);
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(sandbox.query("mine", ROWS), APPLIED);
    dbmate(&sandbox, VERSIONS[0], "its", &["up"]).ok();
    dbmate(&sandbox, VERSIONS[1], "both", &["up"]).ok();
    for version in VERSIONS {
        for target in ["mine", "its", "both"] {
            both_find_nothing(&sandbox, version, target);
            assert_eq!(sandbox.query(target, ROWS), APPLIED);
        }
    }
    let mine = dump(&sandbox, "mine");
    assert_eq!(dump(&sandbox, "its"), mine);
    assert_eq!(dump(&sandbox, "both").replace("varying(128)", "varying"), mine);
    assert_eq!(sandbox.query("mine", "select f(), to_regclass('a_name')"), "a;b|a_name\n");
    assert_eq!(sandbox.read("db/schema.sql"), "-- the tool's\n", "it belongs to the tool");
    // Without the ledger nothing is forgotten.
    both_find_nothing(&sandbox, VERSIONS[0], "mine");
}

#[test]
fn each_finishes_and_reverts_what_the_other_began() {
    let sandbox = folder(&FILES);
    let version = VERSIONS[0];
    sandbox.ok(&["migrate", "mine", "--to", "10"]);
    let ran = dbmate(&sandbox, version, "mine", &["up"]).ok();
    assert!(ran.starts_with("Applying: 2.sql\n"), "{ran}");
    both_find_nothing(&sandbox, version, "mine");

    sandbox.write(
        "db/migrations/20260104000000_late.sql",
        "-- migrate:up\nCREATE TABLE late ();\n-- migrate:down\nDROP TABLE late;\n",
    );
    sandbox.ok(&["migrate", "mine"]);
    let ran = dbmate(&sandbox, version, "mine", &["rollback"]).ok();
    assert!(ran.contains("Rolling back: 20260104000000_late.sql"), "{ran}");
    let (_, status) = sandbox.json(&["status", "mine"]);
    assert_eq!(status["databases"][0]["counts"]["pending"], json!(1), "{status}");
    sandbox.ok(&["rollback", "mine", "--count", "2", "--yes"]);
    let said = dbmate(&sandbox, version, "mine", &["status"]).ok();
    assert!(
        said.contains("[ ] 20260102000000_index.sql\n[ ] 20260103000000_f.sql\n[ ] 20260104000000_late"),
        "{said}"
    );
    assert_eq!(sandbox.query("mine", "select to_regclass('a_name'), to_regproc('f')"), "NULL|NULL\n");

    // An empty way back is none, and so nothing of what was asked for is done; the tool takes the row away.
    let said = sandbox.dbctl(&["rollback", "mine", "--count", "2", "--yes"]).fails(1);
    assert!(said.contains("no down part in db/migrations/20260101000001_oneway.sql"), "{said}");
    let ran = dbmate(&sandbox, version, "mine", &["rollback"]).ok();
    assert!(ran.contains("Rolling back: 20260101000001_oneway.sql"), "{ran}");
    sandbox.ok(&["migrate", "mine"]);
    both_find_nothing(&sandbox, version, "mine");
}

#[test]
fn late_and_missing_files_are_no_hindrance_to_either() {
    let sandbox = folder(&FILES);
    let version = VERSIONS[0];
    sandbox.ok(&["migrate", "mine"]);
    dbmate(&sandbox, version, "its", &["up"]).ok();
    sandbox.write(
        "db/migrations/20251231000000_late.sql",
        "-- migrate:up\nCREATE TABLE late ();\n-- migrate:down\n",
    );
    let ran = dbmate(&sandbox, version, "its", &["up", "--strict"]);
    assert!(ran.code != 0 && ran.stderr.contains("out of order"), "{ran}");
    let ran = sandbox.dbctl(&["migrate", "mine", "--out-of-order", "deny"]);
    assert!(ran.code == 1 && ran.stderr.contains("20251231000000_late"), "{ran}");
    let ran = sandbox.dbctl(&["migrate", "mine"]);
    assert!(ran.code == 0 && ran.stderr.contains("20251231000000_late"), "{ran}");
    dbmate(&sandbox, version, "its", &["up"]).ok();
    for target in ["mine", "its"] {
        assert_eq!(dbmate(&sandbox, version, target, &["up", "--strict"]).ok(), "");
        both_find_nothing(&sandbox, version, target);
    }
    std::fs::remove_file(sandbox.root().join("db/migrations/20251231000000_late.sql")).unwrap();
    assert_eq!(dbmate(&sandbox, version, "mine", &["up"]).ok(), "");
    let ran = sandbox.dbctl(&["migrate", "mine"]);
    assert!(ran.code == 0 && ran.stderr.contains("20251231000000"), "{ran}");
}

/// What the tool finds out in the middle, dbctl says before it touches anything.
#[test]
fn broken_files_are_refused_before_anything_runs() {
    let sandbox = folder(&[FILES[0]]);
    let twice = "-- migrate:up\nCREATE TABLE x ();\n-- migrate:down\nDROP TABLE x;\n-- migrate:up\nCREATE TABLE y \
                 ();\n-- migrate:down\nDROP TABLE y;\n";
    let cases = [
        (twice, "duplicate key", "5:1: a second `-- migrate:up`"),
        ("SELECT 1;\n", "define an up block", "1:1: there is no line `-- migrate:up`"),
        ("-- migrate:up\nSELECT 1;\n", "define a down block", "1:1: there is no line `-- migrate:down`"),
        (
            "SELECT 1;\n-- migrate:up\n-- migrate:down\n",
            "statements preceding",
            "1:1: dbmate fails at what stands",
        ),
        (
            "-- migrate:up\n-- migrate:down\n-- migrate:down\n",
            "preceded by",
            "3:1: a second `-- migrate:down`",
        ),
    ];
    for (text, tool, ours) in cases {
        sandbox.write("db/migrations/004_broken.sql", text);
        let said = sandbox.dbctl(&["migrate", "mine"]).fails(3);
        assert!(said.contains(&format!("db/migrations/004_broken.sql:{ours}")), "{said}");
        let ran = dbmate(&sandbox, VERSIONS[0], "its", &["up"]);
        assert!(ran.code != 0 && ran.stderr.contains(tool), "{ran}");
        sandbox.query("its", "drop schema public cascade; create schema public");
    }
    assert_eq!(
        sandbox.query("mine", "select to_regclass('a'), to_regclass('schema_migrations')"),
        "NULL|NULL\n"
    );
    std::fs::remove_file(sandbox.root().join("db/migrations/004_broken.sql")).unwrap();
    sandbox.write("db/migrations/003_again.sql", FILES[0].1);
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(3);
    assert!(said.contains("003_first.sql: db/migrations/003_again.sql has the same version 003"), "{said}");
}

#[test]
fn what_fails_leaves_nothing_or_says_where_it_stopped() {
    let sandbox = folder(&[
        FILES[0],
        (
            "004_half.sql",
            "-- migrate:up transaction:false\nCREATE TABLE half (id int);\nVACUUM half;\nINSERT INTO nothing VALUES \
             (1);\n-- migrate:down\nDROP TABLE half;\n",
        ),
    ]);
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(said.contains("db/migrations/004_half.sql:4:13"), "{said}");
    assert_eq!(sandbox.json(&["status", "mine"]).1["databases"][0]["counts"]["partial"], json!(1));
    // The tool's table has no place for that: to the tool the file is pending.
    assert_eq!(sandbox.query("mine", ROWS), "003\n");
    let text = sandbox.read("db/migrations/004_half.sql");
    sandbox.write("db/migrations/004_half.sql", text.replace("nothing", "half"));
    sandbox.ok(&["migrate", "mine"]);
    both_find_nothing(&sandbox, VERSIONS[0], "mine");
    sandbox.write(
        "db/migrations/005_error.sql",
        "-- migrate:up\nCREATE TABLE gone ();\nSELECT 1/0;\n-- migrate:down\n",
    );
    let said = sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(said.contains("db/migrations/005_error.sql:3"), "{said}");
    assert_eq!(
        sandbox.query("mine", "select to_regclass('gone'), count(*) from schema_migrations"),
        "NULL|2\n"
    );
}

/// The tool takes several folders as one; so the rows of all of them are in one table.
#[test]
fn several_folders_share_one_table() {
    let manifest = "workspace: judged\ndatabases:\n  mine: { migrations: [{ path: core }, { path: app, format: dbmate }] }\n  \
                    its: { migrations: [{ path: core }, { path: app }] }\n";
    let file = |table: &str| {
        format!("-- migrate:up\nCREATE TABLE {table} ();\n-- migrate:down\nDROP TABLE {table};\n")
    };
    let sandbox = Sandbox::new(manifest, &[]);
    for (path, table) in [("core/1_a", "a"), ("app/2_b", "b"), ("core/3_c", "c")] {
        sandbox.write(&format!("{path}.sql"), file(table));
    }
    sandbox.ok(&["create", "--all"]);
    let both = |target: &str, command: &str| {
        dbmate(&sandbox, VERSIONS[0], target, &["-d", "core", "-d", "app", command]).ok()
    };
    sandbox.ok(&["migrate", "mine"]);
    both("its", "up");
    for target in ["mine", "its"] {
        assert_eq!(both(target, "up"), "");
        assert_eq!(sandbox.query(target, ROWS), "1 2 3\n");
        sandbox.ok(&["status", target, "--check"]);
        let (code, document) = sandbox.json(&["migrate", target]);
        assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
    }
    // A file that is gone is missing once.
    std::fs::remove_file(sandbox.root().join("app/2_b.sql")).unwrap();
    let (_, status) = sandbox.json(&["status", "mine"]);
    assert_eq!(status["databases"][0]["counts"]["missing"], json!(1), "{status}");
    sandbox.write("app/2_b.sql", file("b"));
    // dbctl takes back what it applied last; the tool what has the last name.
    sandbox.ok(&["rollback", "mine", "--yes"]);
    assert_eq!(sandbox.query("mine", ROWS), "1 3\n");
    assert!(both("its", "rollback").contains("Rolling back: 3_c.sql"));
    sandbox.ok(&["migrate", "its"]);
    assert_eq!(both("mine", "up").lines().next(), Some("Applying: 2_b.sql"));
    assert_eq!(dump(&sandbox, "mine"), dump(&sandbox, "its"));
}

#[test]
fn the_table_may_have_another_name() {
    let sandbox = folder(&FILES[..1]);
    sandbox.write(
        "workspace.yaml",
        "workspace: judged\ndatabases:\n  mine: { migrations: [{ path: db/migrations, schema: app, table: Done }] }\n",
    );
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(sandbox.query("mine", "select version from app.\"Done\""), "003\n");
    let ran = dbmate(&sandbox, VERSIONS[0], "mine", &["--migrations-table", "app.Done", "up"]);
    assert_eq!(ran.ok(), "");
}

#[test]
fn new_files_are_those_of_the_tool() {
    let sandbox = folder(&FILES[..1]);
    dbmate(&sandbox, VERSIONS[0], "its", &["new", "add_users"]).ok();
    sandbox.ok(&["new", "mine", "add users"]);
    let files: Vec<String> = std::fs::read_dir(sandbox.root().join("db/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("_add_users.sql"))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for name in &files {
        assert_eq!(name.len(), "20260101000000_add_users.sql".len());
        assert_eq!(sandbox.read(&format!("db/migrations/{name}")), "-- migrate:up\n\n\n-- migrate:down\n\n");
    }
}
