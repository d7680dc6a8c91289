//! Several runs at once.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    held::hold,
    own_server::OwnServer,
    support::{Ran, Sandbox, binary},
};

#[test]
fn eight_runs_at_once_do_everything_once() {
    let sandbox = Sandbox::atriz();
    // A migration that would not run twice, and one that shows how often it ran.
    sandbox.write(
        "packages/core/migrations/1799999999999_count.sql",
        "-- Up Migration\ncreate table runs (n serial);\ninsert into runs default values;\nselect pg_sleep(0.2);\n",
    );
    sandbox.write("packages/core/seeds/999_count.sql", "insert into runs default values;\n");
    let runs: Vec<_> = (0..8)
        .map(|_| {
            let mut command = sandbox.command(binary());
            command.args(["up", "--all", "--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let ran: Vec<Ran> = runs.into_iter().map(|run| Ran::of(run.wait_with_output().unwrap())).collect();
    let mut applied: Vec<String> = Vec::new();
    let mut created = 0;
    for ran in &ran {
        assert_eq!(ran.code, 0, "{ran}");
        let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        for database in document["databases"].as_array().unwrap() {
            created += usize::from(database["created"] == true);
            let migrations = database["migrations"].as_array().map(Vec::as_slice).unwrap_or_default();
            applied.extend(migrations.iter().map(|m| format!("{} {}", database["key"], m["name"])));
        }
    }
    assert_eq!((created, applied.len()), (4, 17), "{applied:?}");
    applied.sort();
    applied.dedup();
    assert_eq!(applied.len(), 17);
    assert_eq!(
        sandbox.query("core", "select count(*) from runs"),
        "2\n",
        "the migration once, the seed once"
    );
    assert_eq!(sandbox.query("core", "select count(*), count(distinct name) from pgmigrations"), "5|5\n");
    sandbox.ok(&["status", "--all", "--check"]);
}

#[test]
fn whoever_holds_the_lock_is_named() {
    let server = OwnServer::start();
    let sandbox = Sandbox::new(
        &format!(
            "workspace: a\nservers: {{ main: {{ url: '{}' }} }}\ndatabases:\n  a: {{ name: a_db, migrations: [{{ path: m, format: native }}] }}\n  b: {{ name: b_db, migrations: [{{ path: m, format: node-pg-migrate }}] }}\n",
            server.url("postgres")
        ),
        &[("m/20260101000000_t.sql", "create table t (id int);\n")],
    );
    sandbox.ok(&["create", "--all"]);
    let url =
        |database: &str| format!("{}?application_name=dbctl%20migrate%20by%20hand", server.url(database));
    // The bytes `dbctl`; node-pg-migrate's own lock.
    for (key, database, lock) in [("a", "a_db", "431147414636"), ("b", "b_db", "7241865325823964")] {
        let holder = hold(&url(database), &format!("select pg_advisory_lock({lock})"));
        let started = Instant::now();
        for verb in ["migrate", "up"] {
            let ran = sandbox.dbctl(&[verb, key, "--wait", "0s"]);
            assert_eq!(ran.code, 5, "{ran}");
            for word in [
                "another run holds the lock",
                database,
                &holder.pid,
                "dbctl migrate by hand",
                "--wait",
                "pg_terminate_backend",
            ] {
                assert!(ran.stderr.contains(word), "{word:?} is missing: {ran}");
            }
        }
        // Not as long as without `--wait`.
        assert!(started.elapsed() < Duration::from_secs(100));
        let (code, document) = sandbox.json(&["migrate", key, "--wait", "200ms"]);
        assert_eq!((code, &document["databases"][0]["error"]["code"]), (5, &"locked".into()), "{document}");
        // Whoever only reads needs no lock.
        sandbox.ok(&["status", key]);
        assert_eq!(
            server.query(database, "select to_regclass('t'), to_regclass('pgmigrations')"),
            "NULL|NULL\n"
        );

        // One that waits says so, and goes on as soon as it can.
        let mut command = sandbox.command(binary());
        let mut waiting =
            command.args(["migrate", key]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        assert!(first.contains("waiting for another run") && first.contains(&holder.pid), "{first}");
        drop(holder);
        let rest: Vec<String> = said.map(Result::unwrap).collect();
        assert!(waiting.wait().unwrap().success(), "{rest:?}");
        assert_eq!(server.query(database, "select to_regclass('t')"), "t\n");
    }
}

#[test]
fn a_server_is_never_asked_for_more_than_its_cap() {
    let server = OwnServer::start();
    let databases: String =
        (0..6).map(|n| format!("  d{n}: {{ migrations: [{{ path: m, format: native }}] }}\n")).collect();
    let sandbox = Sandbox::new(
        &format!(
            "workspace: a\nservers: {{ main: {{ url: '{}', max_connections: 2 }} }}\ndatabases:\n{databases}",
            server.url("postgres")
        ),
        // Each asks how many are at work.
        &[(
            "m/20260101000000_t.sql",
            "create table t as select count(*) as n from pg_stat_activity where application_name like 'dbctl %';\nselect pg_sleep(0.1);\n",
        )],
    );
    sandbox.ok(&["up", "--all", "--jobs", "6"]);
    for n in 0..6 {
        let most: usize = server.query(&format!("d{n}"), "select n from t").trim().parse().unwrap();
        assert!((1..=2).contains(&most), "{most}");
    }
}
