//! Runs on SQLite files that are killed, race, or meet mistakes, and files beside servers in one graph.

use std::{fs, io::Write as _, thread, time::Duration};

use super::{rows, run};
use crate::{
    killed::{kills, moments},
    process::Running,
    support::{Sandbox, binary},
};

/// What a run may take that has to wait for nineteen others.
const BOUND: Duration = Duration::from_secs(300);

const FILES: &str = "workspace: files
databases:
  core:
    url: sqlite:data/core.db
    migrations: [{ path: core, format: native }]
    seeds: { path: seeds/core }
  app:
    url: sqlite:data/app.db
    depends_on: [core]
    migrations: [{ path: app, format: dbmate }]
";

/// Every file notes in `log` that it ran, so that one that runs twice shows; counting makes each moment long enough to be
/// hit.
fn files() -> Sandbox {
    let log = "create table log (n integer primary key, what text not null);\n";
    let count = "insert into log (what) select 'counted' from (with recursive n(i) as (select 1 union all select i + 1 from n \
                 where i < 100000) select max(i) as i from n) where i = 100000;\n";
    let step = |name: &str| format!("insert into log (what) values ('{name}');\n{count}");
    let table =
        |name: &str| format!("{}create table {name} (id integer primary key);\n{}", step(name), step(name));
    let dbmate = |sql: &str| format!("-- migrate:up\n{sql}\n-- migrate:down\n");
    Sandbox::new(
        FILES,
        &[
            ("core/20260101000000_log.sql", log),
            ("core/20260102000000_users.sql", &table("users")),
            (
                "core/20260103000000_steps.sql",
                &format!("-- dbctl:no-transaction\n{}vacuum;\n{}vacuum;\n", step("one"), step("two")),
            ),
            ("core/20260104000000_roles.sql", &table("roles")),
            ("app/20260101000000_log.sql", &dbmate(log)),
            ("app/20260102000000_orders.sql", &dbmate(&table("orders"))),
            ("app/20260103000000_lines.sql", &dbmate(&table("lines"))),
            ("seeds/core/001_users.sql", &format!("insert into users values (1), (2);\n{count}")),
            ("seeds/core/002_roles.csv", "id\n7\n"),
        ],
    )
}

/// All that a run leaves behind, but for times and run ids.
fn state(sandbox: &Sandbox) -> String {
    let mut state = String::new();
    for file in ["data/core.db", "data/app.db"] {
        for sql in [
            "select type, name, sql from sqlite_schema order by type, name",
            "select what from log order by n",
            "select source, name, statements_done, statement_started, reverting from dbctl_migration_history order by source, name",
            "select file from dbctl_seed_history order by 1",
            "pragma integrity_check",
        ] {
            state += &rows(sandbox, file, sql);
        }
    }
    state += &rows(sandbox, "data/core.db", "select id from users union all select id from roles");
    state + &rows(sandbox, "data/app.db", "select version from schema_migrations order by version")
}

#[test]
fn a_killed_run_is_finished_by_the_next() {
    let sandbox = files();
    sandbox.ok(&["up", "--all"]);
    sandbox.ok(&["drop", "--all", "--yes"]);
    let started = std::time::Instant::now();
    sandbox.ok(&["up", "--all"]);
    let took = started.elapsed();
    let expected = state(&sandbox);
    for moment in moments(kills()) {
        sandbox.ok(&["drop", "--all", "--yes"]);
        let run = Running::start(sandbox.command(binary()).args(["up", "--all"]));
        thread::sleep(took.mul_f64(moment));
        // Dropping it is SIGKILL.
        drop(run);
        let again = Running::start(sandbox.command(binary()).args(["up", "--all"])).wait(BOUND);
        assert_eq!(again.code, 0, "killed after {moment} of {took:?}: {again}");
        assert_eq!(state(&sandbox), expected, "killed after {moment} of {took:?}");
    }
    // No lock stays behind, and no server was ever started.
    let left: Vec<_> = fs::read_dir(sandbox.root().join("data")).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(!sandbox.has_server());
}

#[test]
fn twenty_runs_at_once_apply_everything_once() {
    let sandbox = files();
    let start = |wait: &str| Running::start(sandbox.command(binary()).args(["up", "--all", "--wait", wait]));
    let runs: Vec<_> = (0..20).map(|at| (at % 2, start(if at % 2 == 0 { "5m" } else { "0s" }))).collect();
    for (is_hasty, run) in runs {
        let ran = run.wait(BOUND);
        match is_hasty {
            0 => assert_eq!(ran.code, 0, "{ran}"),
            _ => assert!(ran.code == 0 || ran.code == 5, "{ran}"),
        }
    }
    let undisturbed = files();
    undisturbed.ok(&["up", "--all"]);
    assert_eq!(state(&sandbox), state(&undisturbed));
}

#[test]
fn whoever_cannot_wait_is_told_who_holds_the_lock() {
    let sandbox = files();
    sandbox.ok(&["create", "--all"]);
    let mut lock = fs::File::create(sandbox.root().join("data/core.db-dbctl")).unwrap();
    lock.lock().unwrap();
    lock.write_all(b"4711\ndbctl migrate 0123\n2026-01-01T00:00:00Z\n").unwrap();
    let refused = sandbox.dbctl(&["migrate", "core", "--wait", "0s"]);
    assert_eq!(refused.code, 5, "{refused}");
    let who = "another run holds the lock of core.db: pid 4711, dbctl migrate 0123, from this machine, since 2026-01-01T00:00:00Z";
    assert!(refused.stderr.contains(who), "{refused}");
    assert!(refused.stderr.contains("or end that process: `kill 4711`"), "{refused}");
    drop(lock);
    sandbox.ok(&["migrate", "core", "--wait", "0s"]);
}

#[test]
fn a_mistake_has_its_place_and_undoes_its_file() {
    let sandbox = files();
    for verb in ["migrate", "psql"] {
        let missing = sandbox.dbctl(&[verb, "core"]);
        let said = "the database core does not exist: there is no file ";
        assert!(missing.code == 1 && missing.stderr.contains(said), "{missing}");
        assert!(missing.stderr.contains("`dbctl create core`"), "{missing}");
    }
    sandbox.ok(&["up", "--all"]);
    sandbox
        .write("core/20260105000000_bad.sql", "create table bad (id int);\ninsert into bad\n  valuez (1);\n");
    let failed = sandbox.dbctl(&["migrate", "core"]);
    assert_eq!(failed.code, 1, "{failed}");
    insta::assert_snapshot!(sandbox.redact(&failed.stderr), @r#"
    error: core: near "valuez": syntax error (SQLITE_ERROR)
       ╭─[core/20260105000000_bad.sql:3:3]
     3 │   valuez (1);
       ·   ──────
       ╰────
    "#);
    assert_eq!(
        rows(&sandbox, "data/core.db", "select count(*) from sqlite_schema where name = 'bad'"),
        "0\n"
    );
    for (sql, said) in [
        ("select 'a", "20260105000000_bad.sql:1:8"),
        ("insert into log (what) values (null);", "NOT NULL constraint failed: log.what"),
        ("insert into log (what) values (?);", "has a parameter"),
        ("-- dbctl:lock-timeot 1s\nselect 1;", "lock-timeout"),
        (".mode csv\n", "sqlite3"),
        ("select 1;\n\0\n", "a binary file"),
    ] {
        sandbox.write("core/20260105000000_bad.sql", sql);
        let failed = sandbox.dbctl(&["migrate", "core"]);
        assert!(failed.code != 0 && failed.stderr.contains(said), "{sql}: {failed}");
    }
    sandbox.write("core/20260105000000_bad.sql", "create table bad (id int);\n");
    sandbox.ok(&["migrate", "core"]);
}

#[test]
fn one_graph_has_files_and_servers() {
    let sandbox = Sandbox::new(
        "workspace: mixed\nservers:\n  disk: { sqlite: var }\ndatabases:\n  \
           core: { migrations: [{ path: core, format: native }] }\n  \
           cache: { server: disk, depends_on: [core], migrations: [{ path: cache, format: native }] }\n  \
           report: { depends_on: [cache], migrations: [{ path: report, format: native }] }\n",
        &[
            ("core/20260101000000_a.sql", "create table a (id int);"),
            ("core/20260101000000_a.down.sql", "drop table a;"),
            ("cache/20260101000000_b.sql", "-- dbctl:requires core@20260101000000\ncreate table b (id int);"),
            ("cache/20260101000000_b.down.sql", "drop table b;"),
            (
                "report/20260101000000_c.sql",
                "-- dbctl:requires cache@20260101000000\ncreate table c (id int);",
            ),
            ("report/20260101000000_c.down.sql", "drop table c;"),
        ],
    );
    let (code, up) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 0, "{up}");
    assert_eq!(
        rows(&sandbox, "var/cache.db", "select name from dbctl_migration_history"),
        "20260101000000_b\n"
    );
    let refused = sandbox.dbctl(&["rollback", "core", "--yes"]);
    assert!(refused.code != 0 && refused.stderr.contains("cache"), "{refused}");
    sandbox.ok(&["rollback", "report", "--yes"]);
    sandbox.ok(&["rollback", "cache", "--yes"]);
    sandbox.ok(&["migrate", "--all", "--atomic"]);
    let refused = sandbox.dbctl(&["migrate", "--all", "--atomic=two-phase"]);
    assert!(refused.code != 0 && refused.stderr.contains("SQLite"), "{refused}");
    let env = sandbox.ok(&["env", "cache"]);
    assert!(env.contains("sqlite:/") && env.contains("var/cache.db") && !env.contains("PGHOST"), "{env}");
    sandbox.ok(&["reset", "--all", "--yes"]);
    sandbox.ok(&["drop", "--all", "--yes"]);
    assert!(fs::read_dir(sandbox.root().join("var")).unwrap().next().is_none());
}

#[test]
fn a_table_that_wants_more_than_dbctl_writes_is_told_of() {
    let sandbox = Sandbox::new(
        "workspace: own\ndatabases:\n  app:\n    url: sqlite:app.db\n    \
           migrations: [{ path: m, format: custom, table: _migrations }]\n    clean: { keep: [Users] }\n",
        &[("m/001_users.sql", "create table users (id integer primary key);")],
    );
    let table = "create table _migrations (name text not null, at text not null)";
    run(&sandbox, "app.db", table);
    let (code, document) = sandbox.json(&["migrate", "app"]);
    let error = &document["databases"][0]["error"];
    assert_eq!((code, error["code"].as_str()), (1, Some("SQLITE_CONSTRAINT_NOTNULL")), "{document}");
    assert!(error["hint"].as_str().unwrap().contains("`applied_column`"), "{document}");
    // dbctl's own SQL is nobody's to read.
    assert!(error["statement"].as_str().unwrap().chars().count() <= 301, "{document}");
    assert_eq!(rows(&sandbox, "app.db", "select count(*) from sqlite_schema where name = 'users'"), "0\n");
    let refused = sandbox.dbctl(&["clean", "app", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("spell them as the database does"), "{refused}");
}
