//! Runners that people write themselves take turns with dbctl: the usual forty lines of JavaScript, with the files, the
//! table and the spelling of rows of four such projects.

use std::fmt::Write as _;

use serde_json::json;

use crate::{
    support::{Ran, Sandbox},
    tools::{npm, schema},
};

/// Reads a folder in the order of its names and applies what its table does not have, each file in a transaction.
/// `down` takes the last one back.
const RUNNER: &str = r#"
const fs = require("fs"), { Client } = require("pg");
const { folder, ddl, table, column, stamp, spell } = JSON.parse(process.argv[2]);
const spelled = { name: f => f.slice(0, -4), file: f => f, path: f => `${folder}/${f}`,
  number: f => parseInt(f.replace(/^V/, ""), 10) }[spell];
(async () => {
  const db = new Client({ connectionString: process.env.DATABASE_URL });
  await db.connect();
  await db.query(ddl);
  const files = fs.readdirSync(folder).filter(f => /^V?\d.*\.sql$/.test(f) && !f.endsWith(".down.sql")).sort();
  const done = new Set((await db.query(`SELECT ${column} AS it FROM ${table}`)).rows.map(r => String(r.it)));
  const open = files.filter(f => !done.has(String(spelled(f))));
  const run = async (sql, history, file) => {
    await db.query("BEGIN");
    await db.query(fs.readFileSync(sql, "utf8"));
    await db.query(history, [spelled(file)]);
    await db.query("COMMIT");
  };
  if (process.argv[3] === "down") {
    const last = files.filter(f => done.has(String(spelled(f)))).pop();
    await run(`${folder}/${last.slice(0, -4)}.down.sql`, `DELETE FROM ${table} WHERE ${column} = $1`, last);
    console.log(`reverted ${last}`);
  } else {
    const columns = stamp ? `${column}, ${stamp}` : column, values = stamp ? "$1, NOW()" : "$1";
    for (const f of open.slice(0, Number(process.argv[3] || 1000))) {
      await run(`${folder}/${f}`, `INSERT INTO ${table} (${columns}) VALUES (${values})`, f);
      console.log(`applied ${f}`);
    }
    if (open.length === 0) console.log("nothing to do");
  }
  await db.end();
})().catch(e => { console.error(e.message); process.exit(1); });
"#;

/// A project with its own runner.
struct Project {
    folder: &'static str,
    files: [&'static str; 3],
    ddl: &'static str,
    table: &'static str,
    column: &'static str,
    /// The column that the runner sets to `NOW()`.
    stamp: &'static str,
    spell: &'static str,
    /// The rest of its entry in the manifest.
    source: &'static str,
    /// What the rows hold.
    rows: [&'static str; 3],
}

const PROJECTS: [Project; 4] = [
    Project {
        folder: "a",
        files: ["20260122_2300_first.sql", "20260123_0900_accounts.sql", "20260123_1800_2nd_try.sql"],
        ddl: "CREATE TABLE IF NOT EXISTS migration_history (id SERIAL PRIMARY KEY, migration_name VARCHAR(255) NOT NULL \
              UNIQUE, applied_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), took_ms INTEGER NOT NULL DEFAULT 0, applied_by TEXT \
              NOT NULL DEFAULT CURRENT_USER)",
        table: "migration_history",
        column: "migration_name",
        stamp: "",
        spell: "name",
        source: "table: migration_history, name_column: migration_name, applied_column: applied_at",
        rows: ["20260122_2300_first", "20260123_0900_accounts", "20260123_1800_2nd_try"],
    },
    Project {
        folder: "b",
        files: ["001_first.sql", "002_accounts.sql", "010_last.sql"],
        ddl: "CREATE TABLE IF NOT EXISTS _migrations (id SERIAL PRIMARY KEY, name TEXT NOT NULL, applied_at TIMESTAMP)",
        table: "_migrations",
        column: "name",
        stamp: "applied_at",
        spell: "file",
        source: "table: _migrations, applied_column: applied_at, records: file",
        rows: ["001_first.sql", "002_accounts.sql", "010_last.sql"],
    },
    Project {
        folder: "c",
        files: ["V1__first.sql", "V2__accounts.sql", "V3__last.sql"],
        ddl: "CREATE SCHEMA IF NOT EXISTS ops; CREATE TABLE IF NOT EXISTS ops.schema_version (version INTEGER PRIMARY KEY, \
              done TIMESTAMPTZ NOT NULL)",
        table: "ops.schema_version",
        column: "version",
        stamp: "done",
        spell: "number",
        source: "schema: ops, table: schema_version, pattern: 'V{version}__{name}.sql', name_column: version, \
                 applied_column: done, records: version",
        rows: ["1", "2", "3"],
    },
    Project {
        folder: "d/e",
        files: ["2025-11-05_first.sql", "2025-11-06_accounts.sql", "2025-12-01_last.sql"],
        ddl: "CREATE TABLE IF NOT EXISTS \"Migrations\" (\"File Name\" TEXT PRIMARY KEY)",
        table: "\"Migrations\"",
        column: "\"File Name\"",
        stamp: "",
        spell: "path",
        source: "table: Migrations, name_column: File Name",
        rows: ["d/e/2025-11-05_first.sql", "d/e/2025-11-06_accounts.sql", "d/e/2025-12-01_last.sql"],
    },
];

impl Project {
    /// Runs its runner on a database.
    fn runner(&self, sandbox: &Sandbox, target: &str, args: &[&str]) -> Ran {
        let config = json!({
            "folder": self.folder, "ddl": self.ddl, "table": self.table, "column": self.column, "stamp": self.stamp,
            "spell": self.spell,
        });
        let mut command = sandbox.command("node");
        command.arg("runner.js").arg(config.to_string()).args(args);
        command
            .env("NODE_PATH", npm(&["pg@8.23.1"]).join("node_modules"))
            .env("DATABASE_URL", sandbox.url(target));
        Ran::of(command.output().unwrap())
    }

    fn rows(&self, sandbox: &Sandbox, target: &str) -> String {
        sandbox.query(target, &format!("select {} from {} order by 1", self.column, self.table))
    }

    /// All three are recorded as the runner records them, by whomever, and nothing is left to do for anybody.
    #[track_caller]
    fn is_done(&self, sandbox: &Sandbox, target: &str) {
        let expected: String = self.rows.iter().map(|row| format!("{row}\n")).collect();
        assert_eq!(self.rows(sandbox, target), expected, "{target}");
        assert_eq!(self.runner(sandbox, target, &[]).ok(), "nothing to do\n", "{target}");
        sandbox.ok(&["status", target, "--check"]);
        let (code, document) = sandbox.json(&["migrate", target]);
        assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
    }
}

/// Every project with two databases, `a1` and `a2`.
fn projects() -> Sandbox {
    let mut manifest = "workspace: own\ndatabases:\n".to_owned();
    for Project { folder, source, .. } in &PROJECTS {
        for number in [1, 2] {
            let key = &folder[..1];
            writeln!(
                manifest,
                "  {key}{number}: {{ migrations: [{{ path: {folder}, format: custom, {source} }}] }}"
            )
            .unwrap();
        }
    }
    let sandbox = Sandbox::new(&manifest, &[("runner.js", RUNNER)]);
    for Project { folder, files: [first, second, third], .. } in &PROJECTS {
        let down = |file: &str| format!("{folder}/{}", file.replace(".sql", ".down.sql"));
        sandbox.write(&format!("{folder}/{first}"), "CREATE TABLE users (id int);\n");
        sandbox.write(&down(first), "DROP TABLE users;\n");
        sandbox.write(
            &format!("{folder}/{second}"),
            "CREATE TABLE accounts (id int);\r\nINSERT INTO accounts VALUES (1);\r\n",
        );
        sandbox.write(&down(second), "DROP TABLE accounts;\n");
        sandbox.write(&format!("{folder}/{third}"), "ALTER TABLE accounts ADD owner text");
        sandbox.write(&down(third), "ALTER TABLE accounts DROP owner");
        sandbox.write(&format!("{folder}/README.md"), "-- Not a migration.\n");
        sandbox.write(&format!("{folder}/data_accounts.sql"), "-- Not a migration either.\n");
    }
    sandbox.ok(&["create", "--all"]);
    sandbox
}

#[test]
fn a_runner_and_dbctl_take_turns() {
    let sandbox = projects();
    for project in &PROJECTS {
        let (first, second) = (format!("{}1", &project.folder[..1]), format!("{}2", &project.folder[..1]));
        // The runner begins and dbctl finishes, and each puts back what the other has reverted.
        project.runner(&sandbox, &first, &["1"]).ok();
        sandbox.ok(&["migrate", &first]);
        project.is_done(&sandbox, &first);
        sandbox.ok(&["rollback", &first, "--yes"]);
        assert_eq!(project.runner(&sandbox, &first, &[]).ok(), format!("applied {}\n", project.files[2]));
        project.is_done(&sandbox, &first);
        project.runner(&sandbox, &first, &["down"]).ok();
        project.runner(&sandbox, &first, &["down"]).ok();
        let (_, status) = sandbox.json(&["status", &first]);
        assert_eq!(status["databases"][0]["counts"]["pending"], json!(2), "{status}");
        sandbox.ok(&["migrate", &first]);
        project.is_done(&sandbox, &first);

        // The runner does all of it on another database; without a ledger nothing is forgotten.
        project.runner(&sandbox, &second, &[]).ok();
        project.is_done(&sandbox, &second);
        let dump = |target: &str| {
            sandbox.query(target, "drop schema if exists dbctl cascade");
            schema(&sandbox, target)
        };
        assert_eq!(dump(&first), dump(&second), "{}", project.folder);
        project.is_done(&sandbox, &first);
        sandbox.ok(&["rollback", &second, "--to", "zero", "--yes"]);
        assert_eq!(project.rows(&sandbox, &second), "");
    }
    // Where the runner says when, so does dbctl; where it leaves it to the table, so does dbctl.
    for (target, table, column) in [
        ("a1", "migration_history", "applied_at"),
        ("b1", "_migrations", "applied_at"),
        ("c1", "ops.schema_version", "done"),
    ] {
        let late = format!(
            "select count(*) from {table} where {column} between now() - interval '1 hour' and now()"
        );
        assert_eq!(sandbox.query(target, &late), "3\n", "{target}");
    }
}

/// A database that the runner has never seen gets a plain table, and the runner goes on with it.
#[test]
fn a_runner_goes_on_with_a_table_that_dbctl_made() {
    let sandbox = projects();
    for project in &PROJECTS[..3] {
        let target = format!("{}1", &project.folder[..1]);
        sandbox.ok(&["migrate", &target, "--to", project.files[1]]);
        let ran = project.runner(&sandbox, &target, &[]);
        assert_eq!(ran.ok(), format!("applied {}\n", project.files[2]));
        sandbox.ok(&["status", &target, "--check"]);
    }
}

#[test]
fn what_changes_is_seen_by_the_ledger() {
    let sandbox = projects();
    sandbox.ok(&["migrate", "b1"]);
    sandbox.write("b/002_accounts.sql", "CREATE TABLE accounts (id int);\n");
    let (code, status) = sandbox.json(&["status", "b1", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["changed"]), (4, &json!(1)), "{status}");
    let said = sandbox.dbctl(&["migrate", "b1"]).fails(1);
    assert!(said.contains("002_accounts"), "{said}");
    std::fs::remove_file(sandbox.root().join("b/002_accounts.sql")).unwrap();
    std::fs::remove_file(sandbox.root().join("b/002_accounts.down.sql")).unwrap();
    let (code, status) = sandbox.json(&["status", "b1", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["missing"]), (4, &json!(1)), "{status}");
    // A runner that records failures says so in a column of the usual name.
    sandbox.query(
        "b2",
        "create table _migrations (name text, applied_at timestamptz, success boolean not null); \
                         insert into _migrations values ('001_first.sql', now(), false)",
    );
    let (code, status) = sandbox.json(&["status", "b2", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["failed"]), (4, &json!(1)), "{status}");
}

#[test]
fn tables_that_do_not_fit_are_errors_before_anything_runs() {
    let sandbox = projects();
    // A mistyped column is no empty history.
    sandbox.query(
        "b1",
        "create table _migrations (filename text); insert into _migrations values ('001_first.sql')",
    );
    for command in ["status", "migrate"] {
        let ran = sandbox.dbctl(&[command, "b1"]);
        assert!(ran.code != 0 && ran.stderr.contains("name"), "{ran}");
        assert!(ran.stderr.contains("`name_column`"), "{ran}");
    }
    assert_eq!(sandbox.query("b1", "select to_regclass('users')"), "NULL\n");
    // A column without a default that the manifest does not name stops the file that it belongs to.
    sandbox.query("b2", "create table _migrations (name text, applied_at timestamptz, author text not null)");
    let said = sandbox.dbctl(&["migrate", "b2"]).fails(1);
    assert!(said.contains("author"), "{said}");
    assert_eq!(
        sandbox.query("b2", "select to_regclass('users'), (select count(*) from _migrations)"),
        "NULL|0\n"
    );
    // A misnamed file stops everything.
    sandbox.write("a/20260124-x.sql", "");
    let said = sandbox.dbctl(&["migrate", "a1"]).fails(3);
    assert!(said.contains("a/20260124-x.sql: not `{version}_{name}.sql`"), "{said}");
}

/// Times of every type, and ids of every type.
#[test]
fn rows_are_in_the_order_in_which_they_were_applied() {
    let sandbox = projects();
    let tables = [
        "create table _migrations (id bigint, name varchar, applied_at timestamp)",
        "create table _migrations (id int, name char(20), applied_at text)",
        "create table _migrations (id text, name text, applied_at date)",
        "create table _migrations (id uuid, name text, applied_at timestamptz)",
    ];
    for create in tables {
        sandbox.query("b1", &format!("drop table if exists _migrations; {create}"));
        let id = if create.contains("uuid") { "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'" } else { "'7'" };
        let rows = [
            "('001_first.sql', '2026-01-31 12:00:00')",
            "('gone.sql', null)",
            "('002_accounts.sql', '2026-01-30')",
        ];
        for row in rows {
            let row = row.replacen('(', &format!("({id}, "), 1);
            sandbox.query("b1", &format!("insert into _migrations (id, name, applied_at) values {row}"));
        }
        let (_, status) = sandbox.json(&["status", "b1"]);
        let migrations = status["databases"][0]["migrations"].as_array().unwrap();
        let found: Vec<_> = migrations
            .iter()
            .map(|entry| format!("{} {}", entry["name"].as_str().unwrap(), entry["state"].as_str().unwrap()))
            .collect();
        assert_eq!(
            found,
            ["gone missing", "001_first applied", "002_accounts applied", "010_last pending"],
            "{create}"
        );
        assert!(migrations[1]["applied_at"].as_str().unwrap().starts_with("2026-01-31"), "{status}");
    }
}

#[test]
fn rows_are_written_like_the_last_one() {
    let sandbox = projects();
    let cases = [
        ("d1", "2025-11-05_first", "2025-11-06_accounts"),
        ("d1", "2025-11-05_first.sql", "2025-11-06_accounts.sql"),
        ("d1", "db/it's/2025-11-05_first.sql", "db/it's/2025-11-06_accounts.sql"),
        ("d1", "db/2025-11-05_first", "db/2025-11-06_accounts"),
        ("d1", "2025-11-05", "2025-11-06"),
        ("d1", "20251105", "20251106"),
        ("b1", "001", "002"),
        ("b1", "1", "2"),
        ("b1", "001_first", "002_accounts"),
    ];
    for (target, before, after) in cases {
        let project = PROJECTS.iter().find(|project| target.starts_with(&project.folder[..1])).unwrap();
        let (table, column) = (project.table, project.column);
        let before = before.replace('\'', "''");
        sandbox.query(
            target,
            &format!("drop table if exists {table}, accounts; {}; insert into {table} ({column}) values ('{before}')", project.ddl),
        );
        sandbox.query(target, "drop schema if exists dbctl cascade");
        sandbox.ok(&["migrate", target, "--to", project.files[1]]);
        let others = format!("select {column} from {table} where {column} <> '{before}'");
        assert_eq!(sandbox.query(target, &others), format!("{after}\n"), "{before}");
        sandbox.ok(&["status", target]);
        sandbox.ok(&["rollback", target, "--yes"]);
        assert_eq!(sandbox.query(target, &others), "", "{before}");
        assert_eq!(project.rows(&sandbox, target).lines().count(), 1, "{before}");

        // What is recorded without being run is recorded alike.
        sandbox.ok(&["migrate", target, "--to", project.files[1], "--fake", "--yes"]);
        assert_eq!(sandbox.query(target, &others), format!("{after}\n"), "{before}");
        assert_eq!(sandbox.query(target, "select to_regclass('accounts')"), "NULL\n");
    }
}

#[test]
fn a_file_outside_a_transaction_is_recorded_when_it_is_done() {
    let sandbox = projects();
    let file = "-- dbctl:no-transaction\nCREATE INDEX CONCURRENTLY i ON users (id);\nINSERT INTO nothing VALUES (1);\n";
    sandbox.write("a/20260125_1000_index.sql", file);
    sandbox.dbctl(&["migrate", "a1"]).fails(1);
    let count = "select count(*), to_regclass('i') from migration_history";
    assert_eq!(sandbox.query("a1", count), "3|i\n");
    let (_, status) = sandbox.json(&["status", "a1"]);
    assert_eq!(status["databases"][0]["counts"]["partial"], json!(1), "{status}");
    sandbox.write("a/20260125_1000_index.sql", file.replace("nothing", "users"));
    sandbox.ok(&["migrate", "a1"]);
    assert_eq!(sandbox.query("a1", count), "4|i\n");
    // The history is no data.
    sandbox.ok(&["clean", "a1", "--yes"]);
    assert_eq!(sandbox.query("a1", "select count(*) from users"), "0\n");
    sandbox.ok(&["status", "a1", "--check"]);
}
