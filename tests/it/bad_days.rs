//! Bad days: what goes wrong outside of dbctl, provoked for real; what is said then, and that the next run makes it good.

use std::fs;

use crate::{held::hold, own_server::OwnServer, support::Sandbox};

/// A workspace with one database on that server, and these files.
fn workspace(url: &str, files: &[(&str, &str)]) -> Sandbox {
    let database = "databases:\n  a: { name: a_db, migrations: [{ path: migrations, format: native }] }\n";
    Sandbox::new(&format!("workspace: a\nservers: {{ main: {{ url: '{url}' }} }}\n{database}"), files)
}

const TABLE: (&str, &str) = ("migrations/20260101000000_t.sql", "create table t (id int);\n");

/// Runs dbctl, which has to fail with that code; what it said.
#[track_caller]
fn said(sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    sandbox.redact(&sandbox.dbctl(args).fails(code))
}

/// Whatever is written to this file fails as on a disk that is full.
#[cfg(target_os = "linux")]
const FULL: &str = "/dev/full";

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_takes_nothing_but_the_migration_that_met_it() {
    let server = OwnServer::start();
    let sandbox = workspace(
        &server.url("postgres"),
        &[
            TABLE,
            ("migrations/20260102000000_u.sql", "create table u (id int);\ninsert into t values (1);\n"),
            ("migrations/20260103000000_v.sql", "create table v (id int);\n"),
        ],
    );
    sandbox.ok(&["create", "a"]);
    sandbox.ok(&["migrate", "a", "--to", "20260101000000"]);
    let file = server.data().join(server.query("a_db", "select pg_relation_filepath('t')").trim());
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    std::os::unix::fs::symlink(FULL, &file).unwrap();

    let told = said(&sandbox, &["migrate", "a"], 1);
    for words in
        ["No space left on device (53100)", "[migrations/20260102000000_u.sql:2:1]", "Check free disk space"]
    {
        assert!(told.contains(words), "{words:?}: {told}");
    }
    let tables =
        "select string_agg(relname, ' ' order by relname) from pg_class where relname in ('t', 'u', 'v')";
    assert_eq!(server.query("a_db", tables), "t\n");
    // Somebody makes room.
    fs::rename(&aside, &file).unwrap();
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(server.query("a_db", tables), "t u v\n");
    assert_eq!(server.query("a_db", "select count(*) from t"), "1\n");
}

#[test]
fn no_connection_is_left() {
    let server = OwnServer::start();
    server.query("postgres", "create role app login password 'app' createdb");
    let sandbox = workspace(&server.url_as("app", "app", "postgres"), &[TABLE]);
    sandbox.ok(&["create", "a"]);
    server.query("postgres", "alter database a_db connection limit 1");
    let one = hold(&server.url_as("app", "app", "a_db"), "select 1");
    insta::assert_snapshot!(said(&sandbox, &["migrate", "a"], 1), @r#"
    error: a: 127.0.0.1:[PORT] refuses the connection: too many connections for database "a_db" (SQLSTATE 53300)
      settings: servers.main.url (workspace.yaml:2)
      help: ALTER DATABASE … CONNECTION LIMIT raises it; else wait until other sessions end
    "#);
    insta::assert_snapshot!(said(&sandbox, &["status", "a"], 1), @r#"
    error: a: 127.0.0.1:[PORT] refuses the connection: too many connections for database "a_db" (SQLSTATE 53300)
      settings: servers.main.url (workspace.yaml:2)
      help: ALTER DATABASE … CONNECTION LIMIT raises it; else wait until other sessions end
    "#);
    server.query("postgres", "alter database a_db connection limit -1; alter role app connection limit 1");
    insta::assert_snapshot!(said(&sandbox, &["up", "a"], 1), @r#"
    error: a: 127.0.0.1:[PORT] refuses the connection: too many connections for role "app" (SQLSTATE 53300)
      settings: servers.main.url (workspace.yaml:2)
      help: ALTER ROLE … CONNECTION LIMIT raises it; else wait until other sessions end
    "#);
    drop(one);
    server.query("postgres", "alter role app connection limit -1");

    // All that the server has but those kept for superusers.
    let free = server.query(
        "postgres",
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - 1",
    );
    let free: usize = free.trim().parse().unwrap();
    let sessions: Vec<_> =
        (0..=free).map_while(|_| hold_if_free(&server.url_as("app", "app", "postgres"))).collect();
    let told = said(&sandbox, &["migrate", "a"], 1);
    for words in
        ["connection slots are reserved", "(SQLSTATE 53300)", "help: lower max_connections of the server"]
    {
        assert!(told.contains(words), "{words:?}: {told}");
    }
    drop(sessions);
    sandbox.ok(&["migrate", "a"]);
    sandbox.ok(&["status", "a", "--check"]);
}

fn hold_if_free(url: &str) -> Option<crate::held::Held> {
    crate::support::query(url, "select 1").is_ok().then(|| hold(url, "select 1"))
}

#[test]
fn a_database_that_is_read_only() {
    let server = OwnServer::start();
    let sandbox = workspace(&server.url("postgres"), &[TABLE]);
    sandbox.ok(&["create", "a"]);
    server.query("postgres", "alter database a_db set default_transaction_read_only = on");
    insta::assert_snapshot!(said(&sandbox, &["migrate", "a"], 1), @"
    a: warning: `dbctl history runs` will not show this run here: cannot execute INSERT in a read-only transaction
    error: a: cannot execute CREATE TABLE in a read-only transaction (25006)
       ╭─[migrations/20260101000000_t.sql:1:1]
     1 │ create table t (id int);
       · ────────────┬───────────
       ·             ╰── in the statement that starts here
       ╰────
      hint: this server is a replica, or the role or database is set to read-only transactions
    ");
    sandbox.ok(&["status", "a"]);
    server.query("postgres", "alter database a_db reset default_transaction_read_only");
    sandbox.ok(&["migrate", "a"]);
}

#[test]
fn a_replica_is_read_and_not_written() {
    let mut primary = OwnServer::start();
    let sandbox = workspace(&primary.url("postgres"), &[TABLE]);
    sandbox.ok(&["up", "a"]);
    let replica = primary.replica();
    let there = workspace(&replica.url("postgres"), &[TABLE]);
    there.ok(&["status", "a", "--check"]);
    there.ok(&["history", "runs", "a"]);
    there.ok(&["up", "a"]);
    there.write("migrations/20260102000000_u.sql", "create table u (id int);\n");
    there.dbctl(&["status", "a", "--check"]).fails(4);
    insta::assert_snapshot!(said(&there, &["migrate", "a"], 1), @"
    a: warning: `dbctl history runs` will not show this run here: cannot execute INSERT in a read-only transaction
    error: a: cannot execute CREATE TABLE in a read-only transaction (25006)
       ╭─[migrations/20260102000000_u.sql:1:1]
     1 │ create table u (id int);
       · ────────────┬───────────
       ·             ╰── in the statement that starts here
       ╰────
      hint: this server is a replica, or the role or database is set to read-only transactions
    ");
    insta::assert_snapshot!(said(&there, &["drop", "a", "--yes"], 1), @r#"
    error: a: cannot execute DROP DATABASE in a read-only transaction (25006)
      statement: DROP DATABASE "a_db"
      hint: this server is a replica, or the role or database is set to read-only transactions
    "#);
    insta::assert_snapshot!(said(&there, &["clean", "a", "--yes"], 1), @r#"
    error: a: cannot execute TRUNCATE TABLE in a read-only transaction (25006)
      statement: TRUNCATE TABLE "public"."t"
      hint: this server is a replica, or the role or database is set to read-only transactions
    "#);
    assert_eq!(replica.query("a_db", "select to_regclass('u') is null"), "t\n");
}

#[test]
fn no_right_to_keep_records() {
    let server = OwnServer::start();
    // As PostgreSQL 15 has it.
    server.query("postgres", "create role app login password 'app'");
    server.query("postgres", "create database a_db");
    server.query("a_db", "revoke create on schema public from public");
    let sandbox = workspace(&server.url_as("app", "app", "postgres"), &[TABLE]);
    sandbox.ok(&["status", "a"]);
    insta::assert_snapshot!(said(&sandbox, &["migrate", "a"], 1), @r#"
    error: a: permission denied for database a_db (42501)
      statement: CREATE SCHEMA IF NOT EXISTS "dbctl"
      hint: dbctl keeps its records in the schema dbctl, and a history table where its tool does: GRANT CREATE ON DATABASE "a_db" TO "app"; GRANT USAGE, CREATE ON SCHEMA public TO "app";
    "#);
    insta::assert_snapshot!(said(&sandbox, &["up", "a"], 1), @r#"
    a: warning: not recorded as a database of `development`: permission denied for database a_db
    error: a: permission denied for database a_db (42501)
      statement: CREATE SCHEMA IF NOT EXISTS "dbctl"
      hint: dbctl keeps its records in the schema dbctl, and a history table where its tool does: GRANT CREATE ON DATABASE "a_db" TO "app"; GRANT USAGE, CREATE ON SCHEMA public TO "app";
    "#);
    assert_eq!(
        server.query("a_db", "select to_regnamespace('dbctl') is null, to_regclass('t') is null"),
        "t|t\n"
    );
    // What the hint says helps.
    server.query(
        "a_db",
        "GRANT CREATE ON DATABASE \"a_db\" TO \"app\"; GRANT USAGE, CREATE ON SCHEMA public TO \"app\"",
    );
    sandbox.ok(&["migrate", "a"]);
}

#[test]
fn a_server_that_is_too_old() {
    let server = OwnServer::of_major(11);
    assert!(server.query("postgres", "show server_version").starts_with("11."));
    let sandbox = workspace(&server.url("postgres"), &[TABLE]);
    insta::assert_snapshot!(said(&sandbox, &["up", "a"], 1), @"error: a: 127.0.0.1:[PORT] runs PostgreSQL 11.22, and dbctl needs 12 or newer");
    server.query("postgres", "create database a_db");
    for args in [&["create", "a"][..], &["migrate", "a"], &["status", "a"], &["drop", "a", "--yes"]] {
        let said = said(&sandbox, args, 1);
        assert!(
            said.contains("runs PostgreSQL 11.") && said.contains("needs 12 or newer"),
            "{args:?}: {said}"
        );
    }
    assert_eq!(server.databases(), "a_db");
}

#[test]
fn a_clock_that_goes_backwards() {
    let sandbox = Sandbox::new(
        "workspace: a\ndatabases:\n  a: { migrations: [{ path: m, format: native }] }\n  \
         b: { migrations: [{ path: b, format: node-pg-migrate }] }\n",
        &[
            ("m/20260101000000_one.sql", "create table one (id int);\n"),
            ("m/20260101000000_one.down.sql", "drop table one;\n"),
            ("m/20260102000000_two.sql", "create table two (id int);\n"),
            ("m/20260102000000_two.down.sql", "drop table two;\n"),
            (
                "b/1700000000000_one.sql",
                "-- Up Migration\ncreate table one (id int);\n-- Down Migration\ndrop table one;\n",
            ),
            (
                "b/1700000001000_two.sql",
                "-- Up Migration\ncreate table two (id int);\n-- Down Migration\ndrop table two;\n",
            ),
        ],
    );
    sandbox.ok(&["up", "--all"]);
    // Both were applied while the clock was years ahead, and the second before the first as it has it.
    let ahead = "update dbctl.migration_history set applied_at = now() + interval '9 years' - version::numeric % 7 * interval '1 day'; \
                 update dbctl.runs set started_at = started_at + interval '9 years', ended_at = ended_at + interval '9 years';";
    sandbox.query("a", ahead);
    sandbox.query(
        "b",
        &format!(
            "{ahead} update pgmigrations set run_on = now() + interval '9 years' - id * interval '1 day'"
        ),
    );
    sandbox.write("m/20260103000000_three.sql", "create table three (id int);\n");
    sandbox.write("m/20260103000000_three.down.sql", "drop table three;\n");
    let both = "-- Up Migration\ncreate table three (id int);\n-- Down Migration\ndrop table three;\n";
    sandbox.write("b/1700000002000_three.sql", both);
    sandbox.ok(&["status", "--all"]);
    sandbox.ok(&["migrate", "--all"]);
    sandbox.ok(&["status", "--all", "--check"]);
    let tables = "select string_agg(relname, ' ' order by relname) from pg_class where relname in ('one', 'two', 'three')";
    for target in ["a", "b"] {
        for left in ["one two", "one", "NULL"] {
            sandbox.ok(&["rollback", target, "--yes"]);
            assert_eq!(sandbox.query(target, tables).trim(), left, "{target}");
        }
    }
    sandbox.ok(&["migrate", "--all"]);
    sandbox.ok(&["status", "--all", "--check"]);
}

#[test]
#[ignore = "takes minutes: CI runs it once, as `cargo test -- --ignored bad_days`"]
fn five_thousand_migrations_are_pending() {
    let sandbox = Sandbox::new(
        "workspace: a\ndatabases: { a: { migrations: [{ path: m, format: native }] } }\n",
        &[("m/20260101000000_t.sql", "create table t (id int);\n")],
    );
    for n in 1..5000 {
        sandbox.write(
            &format!("m/{}_{n}.sql", 20_260_101_000_000_u64 + n),
            format!("insert into t values ({n});\n"),
        );
    }
    sandbox.ok(&["create", "a"]);
    sandbox.dbctl(&["status", "a", "--check"]).fails(4);
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(sandbox.query("a", "select count(*), count(distinct id), max(id) from t"), "4999|4999|4999\n");
    assert_eq!(sandbox.query("a", "select count(*) from dbctl.migration_history"), "5000\n");
    sandbox.ok(&["status", "a", "--check"]);
    let again = sandbox.ok(&["migrate", "a"]);
    assert!(again.contains("unchanged"), "{again}");
}

/// The most memory that the dbctl had which ran this hook, in KiB.
#[cfg(target_os = "linux")]
fn peak(sandbox: &Sandbox) -> u64 {
    let line = sandbox.read("peak");
    line.split_whitespace().nth(1).unwrap_or_else(|| panic!("{line}")).parse().unwrap()
}

#[cfg(target_os = "linux")]
const PEAK: &str = "hooks: { after_migrate: 'grep VmHWM /proc/$PPID/status > peak' }";

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_50_mb_takes_four_times_its_size_at_most() {
    let manifest = format!(
        "workspace: a\ndatabases:\n  a:\n    migrations: [{{ path: m, format: native }}]\n    {PEAK}\n"
    );
    let row = format!("insert into t values ('{}');\n", "x".repeat(200));
    let many = format!("create table t (text text);\n{}", row.repeat(50 * 1024 * 1024 / row.len()));
    let one =
        format!("create table u (text text);\ninsert into u values ('{}');\n", "é".repeat(25 * 1024 * 1024));
    for text in [many, one] {
        let sandbox = Sandbox::new(&manifest, &[("m/20260101000000_big.sql", &text)]);
        sandbox.ok(&["up", "a"]);
        let (peak, size) = (peak(&sandbox), text.len() as u64 / 1024);
        assert!(peak <= 4 * size, "{peak} KiB for {size} KiB");
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes minutes: CI runs it once, as `cargo test -- --ignored bad_days`"]
fn three_hundred_databases_take_40_mb_at_most() {
    let server = OwnServer::start();
    // The disk has no part in this.
    server.query("postgres", "alter system set fsync = off");
    server.query("postgres", "select pg_reload_conf()");
    let names: Vec<String> = (1..300).map(|n| format!("d{n}")).collect();
    let mut manifest =
        format!("workspace: a\nservers: {{ main: {{ url: '{}' }} }}\ndatabases:\n", server.url("postgres"));
    for name in &names {
        manifest += &format!("  {name}: {{ migrations: [{{ path: m, format: native }}] }}\n");
    }
    // The last of all says what it took.
    manifest += &format!(
        "  last: {{ depends_on: [{}], migrations: [{{ path: m, format: native }}], {PEAK} }}\n",
        names.join(", ")
    );
    let sandbox = Sandbox::new(&manifest, &[("m/20260101000000_t.sql", "create table t (id int);\n")]);
    sandbox.ok(&["up", "--all"]);
    let peak = peak(&sandbox);
    assert!(peak <= 40 * 1024, "{peak} KiB");
    let done = "select count(*) from pg_database where datname ~ '^(d[0-9]+|last)$'";
    assert_eq!(server.query("postgres", done), "300\n");
    assert_eq!(server.query("d299", "select count(*) from t"), "0\n");
}
