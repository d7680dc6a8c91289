//! What the tools themselves say of SQLite files that dbctl has migrated, and dbctl of theirs.

use serde_json::json;

use super::{rows, run};
use crate::{
    sqlx::tool as sqlx,
    support::{Ran, Sandbox},
    workspaces::migrations,
};

/// dbctl finds nothing to do.
#[track_caller]
fn settled(sandbox: &Sandbox, target: &str) {
    sandbox.ok(&["status", target, "--check"]);
    let (code, document) = sandbox.json(&["migrate", target]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
}

/// What a table is and what the rows of it are but for times.
fn schema(sandbox: &Sandbox, file: &str) -> String {
    rows(
        sandbox,
        file,
        "select replace(sql, '\"', '') from sqlite_schema where sql is not null and name not like 'dbctl_%' and tbl_name not \
         like 'dbctl_%' and name not like 'sqlite_%' order by name",
    )
}

/// A workspace of files that `mine`, `its` and `both` are.
fn judged(folder: &str, files: &[(&str, &str)], around: &[(&str, &str)]) -> Sandbox {
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
