//! The real command through the real PgBouncer.

use std::time::Duration;

use serde_json::Value;

use crate::{
    own_server::OwnServer,
    pgbouncer::PgBouncer,
    process::Running,
    support::{Sandbox, binary},
};

/// What a run may take that has to wait.
const BOUND: Duration = Duration::from_secs(180);

const FILES: &[(&str, &str)] = &[
    ("a/1700000000000_ran.sql", "create table ran (n serial, name text);\nset work_mem = '64kB';\n"),
    ("a/1700000001000_next.sql", "insert into ran (name) values ('next');\nprepare p as select 1;\n"),
    ("a/1700000002000_index.sql", "create index concurrently ran_name on ran (name);\n"),
    ("a/1700000003000_last.sql", "insert into ran (name) values ('last');\nset statement_timeout = '9s';\n"),
    ("b/20260101000000_ran.sql", "create table ran (n serial, name text);\nset search_path = pg_catalog;\n"),
    ("b/20260102000000_more.sql", "insert into ran (name) values ('more');\n"),
];

/// Two databases on a server of their own, reached by PgBouncer alone; `said` is what else the manifest says of the server.
fn through(pooler: &PgBouncer, server: &OwnServer, said: &str) -> Sandbox {
    let manifest = format!(
        "workspace: pooled\nservers:\n  main: {{ url: \"{}\"{said} }}\ndatabases:\n  \
         a: {{ migrations: [{{ path: a, format: node-pg-migrate }}] }}\n  \
         b: {{ depends_on: [a], migrations: [{{ path: b, format: native }}] }}\n",
        pooler.url("postgres", &server.password, "postgres").replace("/postgres?", "/?"),
    );
    Sandbox::new(&manifest, FILES)
}

fn pooler(server: &OwnServer, mode: &str, more: &str) -> PgBouncer {
    PgBouncer::start(server.port, &[("postgres", &server.password)], mode, more)
}

fn make(server: &OwnServer) {
    for name in ["a", "b"] {
        server.query("postgres", &format!("create database {name}"));
    }
}

/// Everything that was run, and how often it is recorded.
fn ran(server: &OwnServer) -> [String; 4] {
    let names = "select string_agg(name, ' ' order by n) from ran";
    [
        server.query("a", names),
        server.query("b", names),
        server.query("a", "select count(*), count(distinct name) from pgmigrations"),
        server.query("b", "select count(*) from dbctl.migration_history"),
    ]
}

const ONCE: [&str; 4] = ["next last\n", "more\n", "4|4\n", "2\n"];

/// What is set in the sessions that PgBouncer keeps, apart from what it keeps for each client.
fn left_behind(pooler: &PgBouncer, server: &OwnServer, database: &str) -> String {
    let sql = "select current_user, (select string_agg(name, ' ') from pg_settings where source = 'session' and name not in \
               ('client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings', 'application_name')), \
               (select count(*) from pg_prepared_statements), \
               (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), \
               current_setting('application_name') like 'dbctl %'";
    crate::support::query(&pooler.url("postgres", &server.password, database), sql).unwrap()
}

#[test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
fn twenty_runs_through_a_pooler_apply_everything_once() {
    let server = OwnServer::start();
    make(&server);
    let pooler = pooler(&server, "transaction", "default_pool_size = 30\n");
    let sandbox = through(&pooler, &server, ", pooler: transaction");
    let start = |_| {
        let args = ["migrate", "--all", "--wait", "2m", "--format", "json"];
        Running::start(sandbox.command(binary()).args(args))
    };
    let runs: Vec<_> = (0..20).map(start).collect();
    let mut applied = 0;
    for ran in runs.into_iter().map(|run| run.wait(BOUND)) {
        assert_eq!(ran.code, 0, "{ran}");
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        for database in document["databases"].as_array().unwrap() {
            applied += database["migrations"].as_array().map_or(0, Vec::len);
        }
    }
    assert_eq!(applied, 6);
    assert_eq!(ran(&server), ONCE);
    sandbox.ok(&["status", "--all", "--check"]);
    for database in ["a", "b"] {
        assert_eq!(left_behind(&pooler, &server, database), "postgres|NULL|0|0|f\n");
        let held = "select count(*) from pg_locks where locktype = 'advisory'";
        assert_eq!(server.query(database, held), "0\n");
    }
    // Nothing is left to be done, and nothing is done.
    sandbox.ok(&["migrate", "--all"]);
    assert_eq!(ran(&server), ONCE);
}

#[test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
fn a_pooler_that_the_manifest_does_not_know_of_is_refused_with_the_fix() {
    let server = OwnServer::start();
    make(&server);
    let pooler = pooler(&server, "transaction", "");
    let sandbox = through(&pooler, &server, "");
    let refused = sandbox.dbctl(&["migrate", "--all"]).fails(1);
    assert!(refused.contains("is a connection pooler in transaction mode"), "{refused}");
    assert!(refused.contains("`direct_url` of `a` or of its server"), "{refused}");
    assert!(refused.contains("`pooler: transaction`"), "{refused}");
    assert_eq!(server.query("a", "select to_regclass('ran'), to_regnamespace('dbctl')"), "NULL|NULL\n");
    // Looking is no harm.
    sandbox.ok(&["status", "--all"]);

    let direct = through(&pooler, &server, &format!(", direct_url: \"{}\"", server.url("")));
    direct.ok(&["migrate", "--all"]);
    assert_eq!(ran(&server), ONCE);
    assert!(!pooler.log().contains("closing because: client disconnect while server was not ready"));
}

#[test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
fn a_pooler_in_session_mode_needs_nothing() {
    let server = OwnServer::start();
    make(&server);
    let pooler = pooler(&server, "session", "");
    let sandbox = through(&pooler, &server, "");
    sandbox.ok(&["migrate", "--all"]);
    assert_eq!(ran(&server), ONCE);
    sandbox.ok(&["migrate", "--all"]);
}

#[test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
fn all_or_nothing_works_through_a_pooler_in_one_phase_and_is_refused_in_two() {
    let server = OwnServer::start();
    make(&server);
    let pooler = pooler(&server, "transaction", "default_pool_size = 2\n");
    let sandbox = through(&pooler, &server, ", pooler: transaction");
    // Together with others it cannot be.
    std::fs::remove_file(sandbox.root().join("a/1700000002000_index.sql")).unwrap();
    let refused = sandbox.dbctl(&["migrate", "--all", "--atomic=two-phase"]).fails(1);
    assert!(refused.contains("--atomic=two-phase keeps a lock that outlives transactions"), "{refused}");
    assert!(refused.contains("use --atomic=one-phase"), "{refused}");
    assert_eq!(server.query("a", "select to_regclass('ran')"), "NULL\n");

    sandbox.write("b/20260103000000_wrong.sql", "select nothing;\n");
    let failed = sandbox.dbctl(&["migrate", "--all", "--atomic"]).fails(1);
    assert!(failed.contains("nothing"), "{failed}");
    assert_eq!(server.query("a", "select to_regclass('ran')"), "NULL\n");

    sandbox.write("b/20260103000000_wrong.sql", "select 1;\n");
    sandbox.ok(&["migrate", "--all", "--atomic"]);
    sandbox.ok(&["status", "--all", "--check"]);
    assert_eq!(ran(&server)[..2], ONCE[..2]);
    for database in ["a", "b"] {
        assert_eq!(left_behind(&pooler, &server, database), "postgres|NULL|0|0|f\n");
    }
}

#[test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
fn a_killed_run_leaves_no_lock_in_the_pool() {
    let server = OwnServer::start();
    make(&server);
    let pooler = pooler(&server, "transaction", "");
    let sandbox = through(&pooler, &server, ", pooler: transaction");
    sandbox.write("a/1700000004000_slow.sql", "create table slow (n int);\nselect pg_sleep(600);\n");
    let run = Running::start(sandbox.command(binary()).args(["migrate", "a"]));
    crate::process::until("the slow one runs", || {
        server.query("a", "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1\n"
    });
    run.signal("KILL");
    run.wait(BOUND);
    // An older server first finishes the statement of a client that is gone.
    server.query(
        "a",
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep' \
         and current_setting('server_version_num')::int < 140000",
    );
    sandbox.write("a/1700000004000_slow.sql", "create table slow (n int);\n");
    sandbox.ok(&["migrate", "--all", "--wait", "1m"]);
    assert_eq!(ran(&server), ["next last\n", "more\n", "5|5\n", "2\n"]);
    assert_eq!(left_behind(&pooler, &server, "a"), "postgres|NULL|0|0|f\n");
}
