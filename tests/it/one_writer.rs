//! One writer per database, whatever the others do and however it ends.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    held::hold,
    process::{Running, signal, until},
    support::{Sandbox, binary},
};

/// dbctl's own key, the bytes `dbctl`, and node-pg-migrate's.
const KEYS: &str = "(431147414636, 7241865325823964)";

/// What a run may take that has to wait.
const BOUND: Duration = Duration::from_secs(60);

/// A workspace whose first migration of `a` waits for the test.
fn gated() -> Sandbox {
    let gate = "-- dbctl:lock-timeout 5m\ncreate table ran (n serial, name text);\nselect pg_advisory_xact_lock(42);\n";
    Sandbox::new(
        "workspace: one\ndatabases:\n  a: { migrations: [{ path: a, format: node-pg-migrate }] }\n  b: { depends_on: [a], migrations: [{ path: b, format: native }] }\n",
        &[
            ("a/1700000000000_gate.sql", gate),
            ("a/1700000001000_next.sql", "insert into ran (name) values ('next');\n"),
            ("a/1700000002000_index.sql", "create index concurrently ran_name on ran (name);\n"),
            ("a/1700000003000_last.sql", "insert into ran (name) values ('last');\n"),
            (
                "b/20260101000000_ran.sql",
                "create table ran (n serial, name text);\ninsert into ran (name) values ('first');\n",
            ),
            ("b/20260102000000_more.sql", "insert into ran (name) values ('more');\n"),
        ],
    )
}

/// Every migration that runs say they have applied.
fn applied(documents: &[Value]) -> Vec<String> {
    let mut applied = Vec::new();
    for document in documents {
        for database in document["databases"].as_array().unwrap() {
            let migrations = database["migrations"].as_array().map(Vec::as_slice).unwrap_or_default();
            applied.extend(
                migrations.iter().map(|m| {
                    format!("{}/{}", database["key"].as_str().unwrap(), m["name"].as_str().unwrap())
                }),
            );
        }
    }
    applied.sort();
    applied
}

#[test]
fn twenty_runs_at_once_apply_everything_once_or_name_who_does() {
    let sandbox = gated();
    sandbox.ok(&["create", "--all"]);
    let gate = hold(&sandbox.url("a"), "select pg_advisory_lock(42)");
    let start = |wait: &str| {
        let args = ["migrate", "--all", "--wait", wait, "--format", "json"];
        Running::start(sandbox.command(binary()).args(args))
    };
    let patient: Vec<_> = (0..10).map(|_| start("5m")).collect();
    let mut hasty: Vec<_> = (0..10).map(|_| start("0s")).collect();
    // Whoever is the writer stands at the gate; every other hasty one leaves.
    until("one waits at the gate", || {
        sandbox.query("a", "select count(*) from pg_locks where locktype = 'advisory' and not granted")
            == "1\n"
    });
    let waited = std::time::Instant::now();
    while hasty.iter_mut().filter_map(|run| run.is_running().then_some(())).count() > 1 {
        assert!(waited.elapsed() < BOUND);
        std::thread::sleep(Duration::from_millis(20));
    }
    // One session has both the tool's lock and dbctl's own.
    let held = format!(
        "select count(distinct pid), count(*) from pg_locks where locktype = 'advisory' and granted \
         and (classid::bigint << 32 | objid::bigint) in {KEYS} and database = (select oid from pg_database where datname = 'a')"
    );
    assert_eq!(sandbox.query("a", &held), "1|2\n");
    let writer = sandbox.query(
        "a",
        "select pid, application_name from pg_stat_activity where query like '%pg_advisory_xact_lock%' \
         and application_name like 'dbctl migrate %'",
    );
    let (pid, name) = writer.trim().split_once('|').unwrap();
    drop(gate);

    let mut documents = Vec::new();
    let mut refused = 0;
    for ran in hasty.into_iter().map(|run| run.wait(BOUND)) {
        let document: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
        if ran.code == 5 {
            refused += 1;
            let message = document["databases"][0]["error"]["message"].as_str().unwrap();
            // The holder: pid, application name, host, since when.
            let holder =
                format!("another run holds the lock of a: pid {pid}, {name}, from 127.0.0.1, since 20");
            assert!(message.starts_with(&holder), "{message}");
            assert_eq!(document["databases"][1]["outcome"], "skipped", "{document}");
        } else {
            assert_eq!(ran.code, 0, "{ran}");
        }
        documents.push(document);
    }
    assert!(refused >= 9, "{refused}");
    for ran in patient.into_iter().map(|run| run.wait(BOUND)) {
        assert_eq!(ran.code, 0, "{ran}");
        documents.push(serde_json::from_str(&ran.stdout).unwrap());
    }
    assert_eq!(
        applied(&documents),
        [
            "a/1700000000000_gate",
            "a/1700000001000_next",
            "a/1700000002000_index",
            "a/1700000003000_last",
            "b/20260101000000_ran",
            "b/20260102000000_more",
        ],
        "each exactly once, by one run or another"
    );
    assert_eq!(sandbox.query("a", "select name from ran order by n"), "next\nlast\n");
    assert_eq!(sandbox.query("b", "select name from ran order by n"), "first\nmore\n");
    sandbox.ok(&["status", "--all", "--check"]);
}

/// The next line of a command's standard error that holds these words.
fn hears(said: &mut impl Iterator<Item = String>, words: &str) -> String {
    said.find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words:?} was never said"))
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> {
    BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap)
}

#[test]
fn a_waiting_run_does_not_hold_up_the_holders_concurrent_index() {
    let sandbox = Sandbox::new(
        "workspace: w\ndatabases: { a: { migrations: [{ path: m, format: native }] } }\n",
        &[("m/20260101000000_t.sql", "create table t (id int);\n")],
    );
    sandbox.ok(&["up", "a"]);
    sandbox
        .write("m/20260102000000_i.sql", "-- dbctl:no-transaction\ncreate index concurrently i on t (id);\n");
    // The index waits for a transaction that has seen the table; a second run waits for the first.
    let url = sandbox.url("a");
    let reader = hold(&url, "begin isolation level repeatable read; select count(*) from t");
    let first = Running::start(sandbox.command(binary()).args(["migrate", "a"]));
    let building = "select count(*) from pg_stat_activity where query like 'create index concurrently%' and wait_event = 'virtualxid'";
    until("the index waits", || sandbox.query("a", building) == "1\n");
    let mut second = sandbox
        .command(binary())
        .args(["migrate", "a"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = lines(&mut second);
    hears(&mut said, "waiting for another run");
    // Polling, the second holds no snapshot for longer than a moment, so the first ends while the second still waits.
    drop(reader);
    let ran = first.wait(BOUND);
    assert_eq!(ran.code, 0, "{ran}");
    drop(said);
    let mut stdout = String::new();
    second.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(second.wait().unwrap().success(), "{stdout}");
    assert_eq!(
        sandbox.query("a", "select indisvalid, (select count(*) from dbctl.migration_history) from pg_index where indexrelid = 'i'::regclass"),
        "t|2\n"
    );
}

/// A workspace whose second migration sleeps for as long as the table `pace` says, or fails.
fn paced(second: &str) -> Sandbox {
    let sandbox = Sandbox::new(
        "workspace: w\ndatabases: { a: { migrations: [{ path: m, format: node-pg-migrate }] } }\n",
        &[("m/1700000000000_pace.sql", "create table pace as select 600 as seconds;\n")],
    );
    sandbox.ok(&["up", "a"]);
    sandbox.write("m/1700000001000_slow.sql", second);
    sandbox
}

#[test]
fn however_a_run_ends_its_locks_are_free() {
    let sleep = "create table slow (id int);\nselect pg_sleep((select seconds from pace));\n";
    for (end, code) in [("", 1), ("INT", 130), ("TERM", 130), ("KILL", -1), ("the server", 1)] {
        let sandbox = paced(if end.is_empty() { "select nonsense;\n" } else { sleep });
        let run = Running::start(sandbox.command(binary()).args(["migrate", "a"]));
        if !end.is_empty() {
            let sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep((select%' and wait_event = 'PgSleep'";
            until("the migration sleeps", || sandbox.query("a", sleeping) == "1\n");
        }
        match end {
            "" => {}
            "the server" => {
                let (_, status) = sandbox.json(&["server", "status"]);
                let data = status["servers"][0]["data"].as_str().unwrap();
                let pid = std::fs::read_to_string(format!("{data}/postmaster.pid")).unwrap();
                signal(pid.lines().next().unwrap(), "QUIT");
            }
            name => run.signal(name),
        }
        let ran = run.wait(BOUND);
        assert_eq!(ran.code, code, "{end}: {ran}");
        // A server learns within seconds of a client that was killed while its statement ran, and cancels it: PostgreSQL 14
        // and newer. An older one goes on with the statement, and keeps the lock as long as it works for the dead.
        sandbox.ok(&["server", "url"]);
        let new = sandbox.query("a", "select current_setting('server_version_num')::int >= 140000") == "t\n";
        let wait = match (end, new) {
            ("KILL", true) => "20s",
            ("KILL", false) => {
                sandbox.query("a", "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'dbctl migrate %'");
                "20s"
            }
            _ => "0s",
        };
        sandbox.write("m/1700000001000_slow.sql", "create table slow (id int);\n");
        let ran = sandbox.dbctl(&["migrate", "a", "--wait", wait]);
        assert_eq!(ran.code, 0, "after {end:?}: {ran}");
        let left = format!(
            "select count(*) from pg_locks where locktype = 'advisory' and (classid::bigint << 32 | objid::bigint) in {KEYS}"
        );
        assert_eq!(sandbox.query("a", &left), "0\n", "after {end:?}");
    }
}
