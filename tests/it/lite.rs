//! Databases that are SQLite files: Decant, which migrated itself before dbctl did, and a graph with both kinds.

use std::path::PathBuf;

use rusqlite::{Connection, types::ValueRef};
use serde_json::json;

use crate::support::{Ran, Sandbox, set_mode};

const NAMES: [&str; 3] = ["001_initial_schema", "002_add_indexes", "003_add_tree_indexes"];

/// The rows of a query on a file of the workspace, `a|b` a line.
pub(crate) fn rows(sandbox: &Sandbox, file: &str, sql: &str) -> String {
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
pub(crate) fn run(sandbox: &Sandbox, file: &str, sql: &str) {
    let path: PathBuf = sandbox.root().join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    Connection::open(path).unwrap().execute_batch(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

/// What `status` says of each migration of a database.
fn migrations(sandbox: &Sandbox, target: &str) -> Vec<String> {
    let (_, document) = sandbox.json(&["status", target]);
    let migrations = document["databases"][0]["migrations"].as_array().unwrap();
    migrations
        .iter()
        .map(|one| format!("{} {}", one["state"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect()
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

/// What other tools say of these files is judged in their own modules.
#[track_caller]
pub(crate) fn settled(sandbox: &Sandbox, target: &str) {
    sandbox.ok(&["status", target, "--check"]);
    let (code, document) = sandbox.json(&["migrate", target]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
}

/// What a table is and what the rows of it are but for times.
pub(crate) fn schema(sandbox: &Sandbox, file: &str) -> String {
    rows(
        sandbox,
        file,
        "select replace(sql, '\"', '') from sqlite_schema where sql is not null and name not like 'dbctl_%' and tbl_name not \
         like 'dbctl_%' and name not like 'sqlite_%' order by name",
    )
}

/// A workspace of files that `mine`, `its` and `both` are.
pub(crate) fn judged(folder: &str, files: &[(&str, &str)], around: &[(&str, &str)]) -> Sandbox {
    let source = format!("migrations: [{{ path: {folder} }}]");
    let manifest = format!(
        "workspace: judged\nservers: {{ files: {{ sqlite: data }} }}\ndatabases:\n  mine: {{ {source} }}\n  its: {{ {source} }}\n  both: {{ {source} }}\n"
    );
    let sandbox = Sandbox::new(&manifest, around);
    for (name, text) in files {
        sandbox.write(&format!("{folder}/{name}"), text);
    }
    sandbox.ok(&["create", "--all"]);
    sandbox
}

/// dbmate's files, each with a trap of its own.
const DBMATE: [(&str, &str); 5] = [
    (
        "003_first.sql",
        "-- migrate:up\nCREATE TABLE a (id integer primary key, name text);\n-- migrate:down\nDROP TABLE a;\n",
    ),
    (
        "10_dos.sql",
        "-- migrate:up\r\nCREATE TABLE b (\r\n  id int\r\n);\r\n-- migrate:down\r\nDROP TABLE b;\r\n",
    ),
    (
        "2.sql",
        "-- migrate:up\nALTER TABLE b ADD COLUMN n int;\n-- migrate:down\nALTER TABLE b DROP COLUMN n;\n",
    ),
    (
        "20260101000000_trigger.sql",
        "-- migrate:up\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  INSERT INTO b (id) VALUES (new.id);\n  UPDATE b SET n = 1;\nEND;\n\
         INSERT INTO a (name) VALUES ('x;y');\n-- migrate:down\nDROP TRIGGER t;\n",
    ),
    (
        "20260102000000_alone.sql",
        "-- migrate:up transaction:false\nPRAGMA user_version = 7;\nVACUUM;\n-- migrate:down transaction:false\nPRAGMA user_version = 0;\n",
    ),
];

fn dbmate(sandbox: &Sandbox, version: &str, target: &str, args: &[&str]) -> Ran {
    let program = crate::tools::npm(&[&format!("dbmate@{version}")]).join("node_modules/.bin/dbmate");
    let mut command = sandbox.command(program);
    command.args(["--no-dump-schema", "--url", &sandbox.url(target)]).args(args);
    Ran::of(command.output().unwrap())
}

#[test]
fn dbmate_and_dbctl_agree() {
    let sandbox = judged("db/migrations", &DBMATE, &[]);
    let versions =
        "select group_concat(version, ' ') from (select version from schema_migrations order by version)";
    sandbox.ok(&["migrate", "mine"]);
    let [last, first] = crate::dbmate::VERSIONS;
    dbmate(&sandbox, last, "its", &["up"]).ok();
    dbmate(&sandbox, first, "both", &["up"]).ok();
    for version in [last, first] {
        for target in ["mine", "its", "both"] {
            assert_eq!(dbmate(&sandbox, version, target, &["up"]).ok(), "", "{version} {target}");
            let status = dbmate(&sandbox, version, target, &["status"]).ok();
            assert!(
                status.contains("Pending: 0\n") && !status.contains("[ ]"),
                "{version} {target}: {status}"
            );
            settled(&sandbox, target);
            assert_eq!(
                rows(&sandbox, &format!("data/{target}.db"), versions),
                "003 10 2 20260101000000 20260102000000\n"
            );
        }
    }
    assert_eq!(schema(&sandbox, "data/its.db"), schema(&sandbox, "data/mine.db"));
    assert_eq!(
        rows(&sandbox, "data/mine.db", "select id, n from b"),
        rows(&sandbox, "data/its.db", "select id, n from b")
    );
    assert_eq!(rows(&sandbox, "data/mine.db", "pragma user_version"), "7\n");

    // Each takes back what the other applied, and puts it on again.
    dbmate(&sandbox, last, "mine", &["rollback"]).ok();
    assert_eq!(migrations(&sandbox, "mine")[4], "pending 20260102000000_alone");
    sandbox.ok(&["rollback", "mine", "--yes"]);
    let status = dbmate(&sandbox, last, "mine", &["status"]).ok();
    assert!(status.contains("[ ] 20260101000000_trigger.sql\n[ ] 20260102000000_alone.sql"), "{status}");
    dbmate(&sandbox, last, "mine", &["up"]).ok();
    settled(&sandbox, "mine");
    sandbox.ok(&["rollback", "its", "--to", "zero", "--yes"]);
    assert_eq!(rows(&sandbox, "data/its.db", "select count(*) from schema_migrations"), "0\n");
    dbmate(&sandbox, last, "its", &["up"]).ok();
    settled(&sandbox, "its");
}

/// sqlx's files, each with a trap of its own.
const SQLX: [(&str, &str); 7] = [
    ("0001_first_table.sql", "CREATE TABLE a (id integer PRIMARY KEY, name text);\n"),
    ("2_pair.up.sql", "CREATE TABLE b (id int);\nINSERT INTO b VALUES (1), (2);\n"),
    ("2_pair.down.sql", "DROP TABLE b;\n"),
    ("9_dos.up.sql", "CREATE TABLE dos (\r\n  id int\r\n);\r\n"),
    ("9_dos.down.sql", "DROP TABLE dos"),
    ("11_.sql", "-- comments only\n"),
    ("12_trigger.sql", "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (new.id); END;\n"),
];

/// The rows of sqlx's table but for times, and what its own queries depend on.
const SQLX_ROWS: &str = "select version, description, success, hex(checksum), typeof(version) || typeof(checksum) || \
                         typeof(success) || typeof(installed_on) || length(installed_on), execution_time > 0 from \
                         _sqlx_migrations order by version";

fn sqlx(sandbox: &Sandbox, version: &str, target: &str, args: &[&str]) -> Ran {
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

#[test]
#[ignore = "scripts/judge-sqlx builds sqlx-cli and runs this"]
fn judge_sqlx_and_dbctl_agree() {
    let around = [("Cargo.toml", "[dependencies]\nsqlx = { version = \"0.8\", features = [\"sqlite\"] }\n")];
    let sandbox = judged("migrations", &SQLX, &around);
    sandbox.ok(&["migrate", "mine"]);
    sqlx(&sandbox, "0.8.6", "its", &["run"]).ok();
    sqlx(&sandbox, "0.9.0", "both", &["run"]).ok();
    let mine = rows(&sandbox, "data/mine.db", SQLX_ROWS);
    for target in ["mine", "its", "both"] {
        for version in ["0.8.6", "0.9.0"] {
            assert_eq!(sqlx(&sandbox, version, target, &["run"]).ok(), "", "{version} {target}");
            let info = sqlx(&sandbox, version, target, &["info"]).ok();
            assert!(
                info.contains("/installed") && !info.contains("pending") && !info.contains("different"),
                "{info}"
            );
        }
        settled(&sandbox, target);
        assert_eq!(rows(&sandbox, &format!("data/{target}.db"), SQLX_ROWS), mine, "{target}");
        assert_eq!(
            schema(&sandbox, &format!("data/{target}.db")),
            schema(&sandbox, "data/mine.db"),
            "{target}"
        );
    }
    // Each finishes what the other began.
    for (version, target) in [("0.8.6", "its"), ("0.9.0", "both")] {
        sandbox.write("migrations/13_later.up.sql", "CREATE TABLE later (id int);\n");
        sandbox.write("migrations/13_later.down.sql", "DROP TABLE later;\n");
        sandbox.ok(&["migrate", target]);
        sqlx(&sandbox, version, target, &["revert"]).ok();
        assert_eq!(migrations(&sandbox, target)[5], "pending 13_later");
        sqlx(&sandbox, version, target, &["run"]).ok();
        settled(&sandbox, target);
        sandbox.ok(&["rollback", target, "--yes"]);
        let info = sqlx(&sandbox, version, target, &["info"]).ok();
        assert!(info.contains("13/pending later"), "{info}");
        // A row that says that it stopped half-way stops both.
        run(
            &sandbox,
            &format!("data/{target}.db"),
            "update _sqlx_migrations set success = false where version = 12",
        );
        let ran = sqlx(&sandbox, version, target, &["run"]);
        assert!(ran.code != 0 && ran.stdout.contains("migration 12 is partially applied"), "{ran}");
        let said = sandbox.dbctl(&["migrate", target]).fails(1);
        assert!(said.contains("12_trigger"), "{said}");
        run(&sandbox, &format!("data/{target}.db"), "update _sqlx_migrations set success = true");
        sandbox.write("migrations/0001_first_table.sql", "CREATE TABLE other (id int);\n");
        let ran = sqlx(&sandbox, version, target, &["run"]);
        assert!(ran.code != 0 && ran.stdout.contains("has been modified"), "{ran}");
        sandbox.dbctl(&["migrate", target]).fails(1);
        sandbox.write("migrations/0001_first_table.sql", SQLX[0].1);
        sandbox.ok(&["migrate", target]);
    }
}

/// What an application does when it starts.
const DRIZZLE: &str = "
    const { drizzle } = require('drizzle-orm/libsql');
    const { migrate } = require('drizzle-orm/libsql/migrator');
    const { createClient } = require('@libsql/client');
    const [file, migrationsFolder] = process.argv.slice(1);
    const client = createClient({ url: 'file:' + file });
    migrate(drizzle({ client }), { migrationsFolder })
        .catch((error) => { console.error(error.message, error.cause?.message ?? ''); process.exitCode = 1; })
        .finally(() => client.close());
";

/// The tool's own `migrate()`, of 0.x or of 1.0.
fn drizzle(sandbox: &Sandbox, version: &str, target: &str) -> Ran {
    let home = crate::tools::npm(&[&format!("drizzle-orm@{version}"), "@libsql/client@0.18.0"]);
    let mut command = sandbox.command("node");
    command.args(["-e", DRIZZLE]).arg(sandbox.root().join(format!("data/{target}.db")));
    command.arg(sandbox.root().join("drizzle"));
    Ran::of(command.current_dir(home).output().unwrap())
}

const FIRST: &str = "CREATE TABLE `users` (`id` integer PRIMARY KEY NOT NULL);\n--> statement-breakpoint\nCREATE TABLE \
                     `posts` (`id` integer PRIMARY KEY NOT NULL, `author` integer REFERENCES `users`(`id`) ON DELETE \
                     cascade);\n--> statement-breakpoint\nINSERT INTO `users` VALUES (1);--> statement-breakpoint\nINSERT \
                     INTO `posts` VALUES (1, 1);\n";

/// A table that is rebuilt, as drizzle-kit writes it: with foreign keys on, its posts would be gone.
const SECOND: &str = "PRAGMA foreign_keys=OFF;--> statement-breakpoint\nCREATE TABLE `__new_users` (`id` integer PRIMARY KEY \
                      NOT NULL, `name` text);\n--> statement-breakpoint\nINSERT INTO `__new_users`(`id`) SELECT `id` FROM \
                      `users`;--> statement-breakpoint\nDROP TABLE `users`;--> statement-breakpoint\nALTER TABLE \
                      `__new_users` RENAME TO `users`;--> statement-breakpoint\nPRAGMA foreign_keys=ON;\n";

#[test]
fn drizzle_and_dbctl_agree() {
    let journal = |entries: usize| {
        let tags = ["0000_first", "0001_second"];
        let entry = |at: usize| json!({ "idx": at, "version": "6", "when": 1_769_851_800_000_i64 + 1000 * i64::try_from(at).unwrap(), "tag": tags[at], "breakpoints": true });
        let entries: Vec<_> = (0..entries).map(entry).collect();
        json!({ "version": "7", "dialect": "sqlite", "entries": entries }).to_string()
    };
    let old = [("0000_first.sql", FIRST), ("0001_second.sql", SECOND)];
    let new =
        [("20260131093000_first/migration.sql", FIRST), ("20260131093001_second/migration.sql", SECOND)];
    for (version, files) in [("0.45.4", old), ("1.0.0-rc.5", new)] {
        let sandbox = judged("drizzle", &files, &[]);
        let is_old = version.starts_with('0');
        // The tool begins where dbctl goes on.
        if is_old {
            sandbox.write("drizzle/meta/_journal.json", journal(1));
        } else {
            let second = sandbox.root().join("drizzle/20260131093001_second");
            std::fs::rename(&second, sandbox.root().join("later")).unwrap();
        }
        drizzle(&sandbox, version, "both").ok();
        if is_old {
            sandbox.write("drizzle/meta/_journal.json", journal(2));
        } else {
            let second = sandbox.root().join("drizzle/20260131093001_second");
            std::fs::rename(sandbox.root().join("later"), second).unwrap();
        }
        sandbox.ok(&["migrate", "both"]);
        sandbox.ok(&["migrate", "mine"]);
        drizzle(&sandbox, version, "its").ok();
        let name = if is_old { "''" } else { "name || typeof(applied_at) || length(applied_at)" };
        let table = format!(
            "select coalesce(id, 'none'), hash, created_at, typeof(created_at), {name} from __drizzle_migrations order by created_at"
        );
        let expected = rows(&sandbox, "data/its.db", &table);
        assert_eq!(expected.lines().count(), 2, "{expected}");
        for target in ["mine", "its", "both"] {
            let file = format!("data/{target}.db");
            settled(&sandbox, target);
            drizzle(&sandbox, version, target).ok();
            assert_eq!(rows(&sandbox, &file, &table), expected, "{version} {target}");
            assert_eq!(rows(&sandbox, &file, "select id, author from posts"), "1|1\n", "{version} {target}");
            assert_eq!(
                rows(
                    &sandbox,
                    &file,
                    "select name, type, \"notnull\", pk from pragma_table_info('__drizzle_migrations')"
                ),
                rows(
                    &sandbox,
                    "data/its.db",
                    "select name, type, \"notnull\", pk from pragma_table_info('__drizzle_migrations')"
                ),
            );
        }
    }
}

/// The folder of 0.x made one of 1.0, and what was applied by then stays applied.
#[test]
fn drizzles_old_table_is_brought_up_to_date_as_1_0_does() {
    let files = [("0000_first.sql", FIRST), ("0001_second.sql", SECOND)];
    let journal = r#"{"version":"7","dialect":"sqlite","entries":[{"idx":0,"version":"6","when":1769851800123,"tag":"0000_first","breakpoints":true}]}"#;
    let sandbox = judged("drizzle", &files, &[]);
    sandbox.write("drizzle/meta/_journal.json", journal);
    for target in ["mine", "its", "both"] {
        drizzle(&sandbox, "0.45.4", target).ok();
    }
    std::fs::remove_dir_all(sandbox.root().join("drizzle")).unwrap();
    sandbox.write("drizzle/20260131093000_first/migration.sql", FIRST);
    sandbox.write("drizzle/20260131093001_second/migration.sql", SECOND);
    let (_, status) = sandbox.json(&["status", "mine"]);
    assert_eq!(status["databases"][0]["counts"]["pending"], json!(1), "{status}");
    sandbox.ok(&["migrate", "mine"]);
    drizzle(&sandbox, "1.0.0-rc.5", "its").ok();
    let table =
        "select hash, created_at, name, typeof(applied_at) from __drizzle_migrations order by created_at";
    assert_eq!(rows(&sandbox, "data/mine.db", table), rows(&sandbox, "data/its.db", table));
    for target in ["mine", "its"] {
        settled(&sandbox, target);
        drizzle(&sandbox, "1.0.0-rc.5", target).ok();
        assert_eq!(
            rows(&sandbox, &format!("data/{target}.db"), "select count(*) from __drizzle_migrations"),
            "2\n"
        );
    }
}
