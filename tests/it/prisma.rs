//! The real Prisma, from npm, judges databases that dbctl migrated, and the other way round.
//!
//! Its native engine is not in the registry, so its command line runs the same engine compiled to WebAssembly, which the
//! package carries for driver adapters.

use serde_json::json;

use crate::{
    support::{Ran, Sandbox, query, repository, set_mode},
    tools::{npm, schema},
};

/// The last version whose command line takes a driver adapter.
const PACKAGES: [&str; 2] = ["prisma@6.19.3", "@prisma/adapter-pg@6.19.3"];

const SCHEMA: &str = "datasource db {\n  provider = \"postgresql\"\n  url      = env(\"DATABASE_URL\")\n}\n";

const FILES: [(&str, &str); 5] = [
    (
        "20240101000000_init/migration.sql",
        "CREATE TABLE \"User\" (\"id\" SERIAL PRIMARY KEY, \"email\" TEXT);\r\n",
    ),
    (
        "20240102000000_same_time/migration.sql",
        "CREATE UNIQUE INDEX \"User_email_key\" ON \"User\"(\"email\");\n",
    ),
    ("20240102000000_same_time/down.sql", "DROP INDEX \"User_email_key\";\n"),
    // In no transaction, and without a marker that would say so.
    (
        "20240102000000_same_time_too/migration.sql",
        "CREATE INDEX CONCURRENTLY \"by_email\" ON \"User\"(\"email\" DESC);",
    ),
    (
        "20241812144402_no_date/migration.sql",
        "-- CreateFunction\nCREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'a;b'; $$;",
    ),
];

const NAMES: [&str; 4] = [
    "20240101000000_init",
    "20240102000000_same_time",
    "20240102000000_same_time_too",
    "20241812144402_no_date",
];

/// A package that Prisma takes for one of its own, and three databases for it.
fn package(files: &[(&str, &str)]) -> Sandbox {
    let sources = "migrations: [{ path: prisma/migrations, format: prisma }]";
    let manifest = format!(
        "workspace: judged\ndatabases:\n  mine: {{ {sources} }}\n  its: {{ {sources} }}\n  both: {{ {sources} }}\n"
    );
    let sandbox = Sandbox::new(&manifest, &[("prisma/schema.prisma", SCHEMA)]);
    for (name, text) in files {
        sandbox.write(&format!("prisma/migrations/{name}"), text);
    }
    sandbox.write("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    let config = std::fs::read(repository().join("tests/it/prisma/prisma.config.ts")).unwrap();
    sandbox.write("prisma/prisma.config.ts", config);
    let modules = npm(&PACKAGES).join("node_modules");
    std::os::unix::fs::symlink(modules, sandbox.root().join("prisma/node_modules")).unwrap();
    // It looks for its native engine before it finds that it needs none.
    sandbox.write("prisma/no-engine", "#!/bin/sh\n");
    set_mode(&sandbox.root().join("prisma/no-engine"), 0o755);
    sandbox.ok(&["create", "--all"]);
    sandbox
}

/// Runs Prisma on a database.
fn prisma(sandbox: &Sandbox, target: &str, args: &[&str]) -> Ran {
    prisma_with(sandbox, target, args, &[])
}

fn prisma_with(sandbox: &Sandbox, target: &str, args: &[&str], vars: &[(&str, &str)]) -> Ran {
    let home = sandbox.root().join("prisma");
    let mut command = sandbox.command(home.join("node_modules/.bin/prisma"));
    command.args(args).current_dir(&home).env("DATABASE_URL", sandbox.url(target));
    for engine in ["PRISMA_QUERY_ENGINE_LIBRARY", "PRISMA_QUERY_ENGINE_BINARY", "PRISMA_SCHEMA_ENGINE_BINARY"]
    {
        command.env(engine, home.join("no-engine"));
    }
    command.envs(vars.iter().copied()).env("CHECKPOINT_DISABLE", "1").env("PRISMA_HIDE_UPDATE_MESSAGE", "1");
    Ran::of(command.output().unwrap())
}

/// Both find nothing to do.
#[track_caller]
fn check_settled(sandbox: &Sandbox, target: &str) {
    let deploy = prisma(sandbox, target, &["migrate", "deploy"]);
    assert!(deploy.code == 0 && deploy.stdout.contains("No pending migrations to apply."), "{deploy}");
    sandbox.ok(&["status", target, "--check"]);
    let (code, document) = sandbox.json(&["migrate", target]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
}

fn states(sandbox: &Sandbox, target: &str) -> String {
    let (_, document) = sandbox.json(&["status", target]);
    let migrations =
        document["databases"][0]["migrations"].as_array().unwrap_or_else(|| panic!("{document}"));
    migrations.iter().map(|one| one["state"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_finds_nothing_to_do_after_the_other_and_finishes_what_the_other_began() {
    let sandbox = package(&FILES);
    sandbox.ok(&["migrate", "mine"]);
    check_settled(&sandbox, "mine");
    let status = prisma(&sandbox, "mine", &["migrate", "status"]);
    assert!(status.code == 0 && status.stdout.contains("Database schema is up to date!"), "{status}");
    // Without the ledger nothing is forgotten.
    sandbox.query("mine", "drop schema dbctl cascade");
    check_settled(&sandbox, "mine");

    let deploy = prisma(&sandbox, "its", &["migrate", "deploy"]);
    assert!(deploy.stdout.contains("All migrations have been successfully applied."), "{deploy}");
    check_settled(&sandbox, "its");
    assert_eq!(schema(&sandbox, "mine"), schema(&sandbox, "its"));
    let rows = "select migration_name, checksum, applied_steps_count, finished_at > started_at, rolled_back_at, logs, \
                length(id) from _prisma_migrations order by 1";
    assert_eq!(sandbox.query("mine", rows), sandbox.query("its", rows));
    let v4 = "select bool_and(id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') from _prisma_migrations";
    assert_eq!(sandbox.query("mine", v4), "t\n");

    // One begins, the other finishes.
    sandbox.ok(&["migrate", "both", "--to", NAMES[1]]);
    let status = prisma(&sandbox, "both", &["migrate", "status"]);
    let names: Vec<&str> = status.stdout.lines().filter(|line| NAMES.contains(line)).collect();
    assert_eq!((status.code, names), (1, NAMES[2..].to_vec()), "{status}");
    prisma(&sandbox, "both", &["migrate", "deploy"]).ok();
    check_settled(&sandbox, "both");
    assert_eq!(schema(&sandbox, "mine"), schema(&sandbox, "both"));
    sandbox.ok(&["reset", "both", "--yes"]);
    sandbox.ok(&["drop", "both", "--yes"]);
    sandbox.ok(&["create", "both"]);
    for name in &NAMES[..2] {
        let text = sandbox.read(&format!("prisma/migrations/{name}/migration.sql"));
        sandbox.write(&format!("prisma/some/{name}/migration.sql"), text);
    }
    prisma_with(&sandbox, "both", &["migrate", "deploy"], &[("JUDGED_MIGRATIONS", "./some")]).ok();
    assert_eq!(states(&sandbox, "both"), "applied applied pending pending");
    sandbox.ok(&["migrate", "both"]);
    check_settled(&sandbox, "both");
}

#[test]
fn what_is_rolled_back_runs_again_with_either() {
    let sandbox = package(&FILES[..3]);
    for again in ["prisma", "dbctl"] {
        sandbox.ok(&["migrate", "mine"]);
        sandbox.ok(&["rollback", "mine", "--yes"]);
        assert_eq!(states(&sandbox, "mine"), "applied pending");
        let status = prisma(&sandbox, "mine", &["migrate", "status"]);
        assert!(status.code == 1 && status.stdout.contains(NAMES[1]), "{status}");
        match again {
            "prisma" => drop(prisma(&sandbox, "mine", &["migrate", "deploy"]).ok()),
            _ => drop(sandbox.ok(&["migrate", "mine"])),
        }
        check_settled(&sandbox, "mine");
    }
    let refused = sandbox.dbctl(&["rollback", "mine", "--to", "zero", "--yes"]).fails(1);
    assert!(refused.contains("20240101000000_init") && refused.contains("no down part"), "{refused}");
    check_settled(&sandbox, "mine");
}

#[test]
fn a_failure_of_one_is_seen_by_the_other() {
    let sandbox = package(&FILES[..3]);
    let broken = "prisma/migrations/20250101000000_broken/migration.sql";
    sandbox.write(broken, "CREATE TABLE \"broken\" (id int);\nSELECT nothing FROM \"User\";\n");
    let deploy = prisma(&sandbox, "its", &["migrate", "deploy"]);
    assert_eq!(deploy.code, 1, "{deploy}");
    assert_eq!(states(&sandbox, "its"), "applied applied failed");
    let refused = sandbox.dbctl(&["migrate", "its"]).fails(1);
    assert!(refused.contains("recorded as failed") && refused.contains("20250101000000_broken"), "{refused}");
    // Resolved the tool's way and mended, it is dbctl's to run.
    prisma(&sandbox, "its", &["migrate", "resolve", "--rolled-back", "20250101000000_broken"]).ok();
    assert_eq!(states(&sandbox, "its"), "applied applied pending");
    sandbox.write(broken, "CREATE TABLE \"broken\" (id int);\n");
    sandbox.ok(&["migrate", "its"]);
    check_settled(&sandbox, "its");
    // One attempt that was finished does not hide one that was not.
    let again = "insert into _prisma_migrations (id, checksum, migration_name, started_at) select 'x', checksum, \
                 migration_name, started_at - interval '1 hour' from _prisma_migrations where migration_name like '%broken' and \
                 rolled_back_at is null";
    sandbox.query("its", again);
    let deploy = prisma(&sandbox, "its", &["migrate", "deploy"]);
    assert!(deploy.code == 1 && deploy.stderr.contains("P3009"), "{deploy}");
    assert_eq!(states(&sandbox, "its"), "applied applied failed");
    sandbox.ok(&["history", "resolve", "its", "20250101000000_broken", "--applied", "--yes"]);
    check_settled(&sandbox, "its");

    // Half of a file that is outside a transaction keeps the tool from running it again.
    sandbox.ok(&["migrate", "mine"]);
    sandbox.query("mine", "insert into \"broken\" values (1), (1)");
    let index = "prisma/migrations/20250102000000_index/migration.sql";
    let text =
        "CREATE TABLE \"half\" (id int);\nCREATE UNIQUE INDEX CONCURRENTLY \"once\" ON \"broken\" (id);\n";
    sandbox.write(index, text);
    sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert_eq!(states(&sandbox, "mine"), "applied applied applied partial");
    let deploy = prisma(&sandbox, "mine", &["migrate", "deploy"]);
    assert!(deploy.code == 1 && deploy.stderr.contains("P3009"), "{deploy}");
    sandbox.query("mine", "truncate \"broken\"");
    sandbox.ok(&["migrate", "mine"]);
    check_settled(&sandbox, "mine");
    let rows = "select count(*), count(finished_at) from _prisma_migrations";
    assert_eq!(sandbox.query("mine", rows), "4|4\n");
}

#[test]
fn only_another_text_is_a_change() {
    let sandbox = package(&FILES);
    prisma(&sandbox, "its", &["migrate", "deploy"]).ok();
    let first = format!("prisma/migrations/{}/migration.sql", NAMES[0]);
    let text = sandbox.read(&first);
    sandbox.write(&first, format!("\u{feff}{}", text.replace("\r\n", "\n")));
    check_settled(&sandbox, "its");
    sandbox.write(&first, text.replace("TEXT", "VARCHAR"));
    assert_eq!(states(&sandbox, "its"), "changed applied applied applied");
    let refused = sandbox.dbctl(&["migrate", "its"]).fails(1);
    assert!(refused.contains("changed on disk: 20240101000000_init"), "{refused}");
    std::fs::remove_dir_all(sandbox.root().join("prisma/migrations").join(NAMES[3])).unwrap();
    assert_eq!(states(&sandbox, "its"), "changed applied applied missing");
}

#[test]
fn a_schema_of_its_own_is_where_its_files_work() {
    let sandbox = package(&FILES[..3]);
    sandbox.write(
        "workspace.yaml",
        "workspace: judged\ndatabases:\n  mine: { migrations: [{ path: prisma/migrations, format: prisma, schema: 'my_shop' }] }\n",
    );
    sandbox.ok(&["migrate", "mine"]);
    let tables = "select string_agg(schemaname || '.' || tablename, ' ' order by tablename collate \"C\") from pg_tables where schemaname not in \
                  ('pg_catalog', 'information_schema', 'dbctl')";
    assert_eq!(sandbox.query("mine", tables), "my_shop.User my_shop._prisma_migrations\n");
    let deploy = prisma_with(
        &sandbox,
        "mine",
        &["migrate", "deploy"],
        &[("JUDGED_IN_SCHEMA", "my_shop"), ("PGOPTIONS", "-c search_path=my_shop")],
    );
    assert!(deploy.code == 0 && deploy.stdout.contains("No pending migrations to apply."), "{deploy}");
}

#[test]
fn urls_with_its_own_parameters_are_understood() {
    let mut sandbox = package(&FILES[..1]);
    let url = sandbox.url("mine");
    let mark = if url.contains('?') { '&' } else { '?' };
    sandbox.set(
        "DATABASE_URL",
        &format!("{url}{mark}schema=public&connection_limit=5&pool_timeout=0&pgbouncer=false"),
    );
    sandbox.write(
        "workspace.yaml",
        "workspace: judged\ndatabases:\n  mine: { url: '${DATABASE_URL}', migrations: [{ path: prisma/migrations }] }\n",
    );
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(states(&sandbox, "mine"), "applied");

    // In the schema that the URL names it would all run again; Prisma would do it, dbctl asks.
    let shop = |url: &str| format!("{url}{mark}schema=my_shop&connection_limit=5");
    sandbox.set("DATABASE_URL", &shop(&url));
    let refused = sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(refused.contains("\"my_shop\".\"_prisma_migrations\""), "{refused}");
    assert!(refused.contains("in the manifest where its history is: `schema: public`"), "{refused}");
    sandbox.write(
        "workspace.yaml",
        "workspace: judged\ndatabases:\n  mine: { url: '${DATABASE_URL}', migrations: [{ path: prisma/migrations, schema: my_shop }] }\n",
    );
    sandbox.ok(&["migrate", "mine"]);
    let tables = "select count(*) from pg_tables where schemaname = 'my_shop'";
    assert_eq!(query(&url, tables).unwrap(), "2\n");
}

#[test]
fn the_schema_of_a_url_is_where_its_files_work() {
    let mut sandbox = package(&FILES[..1]);
    let manifest = |url: &str| {
        format!(
            "workspace: judged\ndatabases:\n  its: {{ {url}migrations: [{{ path: prisma/migrations }}] }}\n"
        )
    };
    let url = sandbox.url("its");
    let mark = if url.contains('?') { '&' } else { '?' };
    let reach = |sandbox: &mut Sandbox, schema: &str| {
        sandbox.set("ITS", &format!("{url}{mark}schema={schema}"));
        sandbox.write("workspace.yaml", manifest("url: '${ITS}', "));
    };
    let deploy = |sandbox: &Sandbox| {
        sandbox.write("workspace.yaml", manifest(""));
        let path = [("JUDGED_IN_SCHEMA", "my_shop"), ("PGOPTIONS", "-c search_path=my_shop")];
        prisma_with(sandbox, "its", &["migrate", "deploy"], &path).ok()
    };
    let count = |sandbox: &Sandbox, state: &str| {
        let (_, status) = sandbox.json(&["status", "its"]);
        status["databases"][0]["counts"][state].clone()
    };
    reach(&mut sandbox, "my_shop");
    assert_eq!(count(&sandbox, "pending"), json!(1));
    sandbox.ok(&["migrate", "its"]);
    assert!(deploy(&sandbox).contains("No pending migrations to apply."));
    // A name without a schema is looked for there, and nowhere else.
    sandbox
        .write("prisma/migrations/20260101000000_more/migration.sql", "ALTER TABLE \"User\" ADD more int;\n");
    assert!(deploy(&sandbox).contains("20260101000000_more"));
    sandbox.write("prisma/migrations/20260102000000_own/migration.sql", "CREATE TABLE own ();\n");
    sandbox.write("prisma/migrations/20260102000000_own/down.sql", "DROP TABLE own;\n");
    reach(&mut sandbox, "my_shop");
    let up = sandbox.json(&["migrate", "its"]).1;
    assert_eq!(up["databases"][0]["migrations"].as_array().map(Vec::len), Some(1), "{up}");
    let tables = "select string_agg(schemaname || '.' || tablename, ' ' order by tablename collate \"C\") from pg_tables where schemaname not in \
                  ('pg_catalog', 'information_schema', 'dbctl')";
    assert_eq!(query(&url, tables).unwrap(), "my_shop.User my_shop._prisma_migrations my_shop.own\n");
    let (_, shown) = sandbox.json(&["history", "show", "its"]);
    assert_eq!(shown["sources"][0]["table"], "\"my_shop\".\"_prisma_migrations\"");
    sandbox.ok(&["rollback", "its", "--yes"]);
    assert_eq!(query(&url, tables).unwrap(), "my_shop.User my_shop._prisma_migrations\n");
    sandbox.ok(&["migrate", "its", "--atomic"]);
    assert_eq!(count(&sandbox, "applied"), json!(3));
    // Another schema, another history: these files are not in it, and yet they are somewhere.
    reach(&mut sandbox, "other");
    let refused = sandbox.dbctl(&["migrate", "its"]).fails(1);
    assert!(refused.contains("\"my_shop\".\"_prisma_migrations\" says that 3 of the files"), "{refused}");
}
