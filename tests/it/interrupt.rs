//! Ctrl-C and SIGTERM: the statement is cancelled on the server, nothing half done stays, the lock is free.

use std::time::Duration;

use crate::{
    own_server::OwnServer,
    process::{self, Running, until},
    support::{Sandbox, binary, set_mode},
};

/// How long an interrupted run may take to end.
const BOUND: Duration = Duration::from_secs(60);

/// A workspace whose second migration sleeps for as long as the table `pace` says.
fn sandbox(server: &OwnServer, head: &str) -> Sandbox {
    Sandbox::new(
        &format!(
            "workspace: a\ndatabases:\n  a:\n    name: a_db\n    url: '{}'\n    migrations: [{{ path: migrations, format: native }}]\n    seeds: {{ path: seeds, runners: {{ sh: 'sh {{file}}' }} }}\n",
            server.url("a_db")
        ),
        &[
            ("migrations/20260101000000_pace.sql", "create table pace as select 60 as seconds;\n"),
            (
                "migrations/20260102000000_slow.sql",
                &format!(
                    "{head}create table slow (id int);\ninsert into slow values (1);\nselect pg_sleep((select seconds from pace));\ncreate table last ();\n"
                ),
            ),
        ],
    )
}

/// Whether the migration's statement runs on the server.
fn sleeps(server: &OwnServer) -> bool {
    let sql = "select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep((select%'";
    server.query("postgres", sql) == "1\n"
}

fn start(sandbox: &Sandbox, server: &OwnServer, args: &[&str]) -> Running {
    let run = Running::start(sandbox.command(binary()).args(args));
    until("the migration sleeps", || sleeps(server));
    run
}

/// What an ended run leaves on the server: sessions of dbctl, and advisory locks.
fn left(server: &OwnServer) -> String {
    server.query(
        "postgres",
        "select (select count(*) from pg_stat_activity where application_name like 'dbctl %'), \
         (select count(*) from pg_locks where locktype = 'advisory')",
    )
}

#[test]
fn an_interrupted_migration_leaves_nothing() {
    let server = OwnServer::start();
    let sandbox = sandbox(&server, "");
    for (signal, args) in [
        ("INT", &["up", "--all"][..]),
        ("TERM", &["migrate", "a", "--format", "json"]),
        ("HUP", &["migrate", "a"]),
        ("INT", &["up", "--all", "--format", "ndjson"]),
    ] {
        let run = start(&sandbox, &server, args);
        run.signal(signal);
        let ran = run.wait(BOUND);
        assert_eq!(ran.code, 130, "{ran}");
        assert_eq!(left(&server), "0|0\n", "at once");
        assert!(!sleeps(&server));
        assert_eq!(
            server
                .query("a_db", "select to_regclass('slow'), (select count(*) from dbctl.migration_history)"),
            "NULL|1\n"
        );
        match args.last() {
            Some(&"json") => {
                let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
                assert_eq!(document["outcome"], "cancelled", "{ran}");
                assert_eq!(document["databases"][0]["outcome"], "cancelled", "{ran}");
            }
            Some(&"ndjson") => {
                let last: serde_json::Value =
                    serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
                assert_eq!((&last["event"], &last["outcome"]), (&"run_finished".into(), &"cancelled".into()));
            }
            _ => assert!(ran.stdout.contains("cancelled"), "{ran}"),
        }
    }
    server.query("a_db", "update pace set seconds = 0");
    sandbox.ok(&["up", "--all"]);
    sandbox.ok(&["status", "--all", "--check"]);
    assert_eq!(server.query("a_db", "select count(*) from slow"), "1\n");
}

#[test]
fn outside_a_transaction_the_next_run_goes_on_where_it_stopped() {
    let server = OwnServer::start();
    let sandbox = sandbox(&server, "-- dbctl:no-transaction\n");
    let run = start(&sandbox, &server, &["up", "--all"]);
    run.signal("INT");
    let ran = run.wait(BOUND);
    assert_eq!(ran.code, 130, "{ran}");
    assert_eq!(left(&server), "0|0\n");
    assert_eq!(server.query("a_db", "select count(*) from slow"), "1\n");
    let (code, status) = sandbox.json(&["status", "--all", "--check"]);
    assert_eq!((code, &status["databases"][0]["counts"]["partial"]), (4, &1.into()), "{status}");
    server.query("a_db", "update pace set seconds = 0");
    sandbox.ok(&["up", "--all"]);
    assert_eq!(
        server.query("a_db", "select count(*), to_regclass('last') from slow"),
        "1|last\n",
        "what was done is not done again"
    );
}

#[test]
fn a_second_signal_leaves_at_once() {
    let server = OwnServer::start();
    let sandbox = sandbox(&server, "");
    let mut run = start(&sandbox, &server, &["up", "--all"]);
    // A server process that does not react to being cancelled.
    let pid = server.query(
        "postgres",
        "select pid from pg_stat_activity where query like 'select pg_sleep((select%' and state = 'active'",
    );
    process::signal(pid.trim(), "STOP");
    while run.is_running() {
        run.signal("INT");
        std::thread::sleep(Duration::from_millis(100));
    }
    process::signal(pid.trim(), "CONT");
    let ran = run.wait(BOUND);
    assert_eq!(ran.code, 130, "{ran}");
    assert!(!ran.stdout.contains("cancelled"), "it has not waited until there is a report: {ran}");
    until("the server has noticed", || left(&server) == "0|0\n");
    assert_eq!(server.query("a_db", "select to_regclass('slow')"), "NULL\n");
    server.query("a_db", "update pace set seconds = 0");
    sandbox.ok(&["up", "--all"]);
}

#[test]
fn a_seeds_runner_is_ended() {
    let server = OwnServer::start();
    let sandbox = sandbox(&server, "");
    std::fs::remove_file(sandbox.root().join("migrations/20260102000000_slow.sql")).unwrap();
    // The runner's own child must go as well.
    sandbox.write("seeds/slow.sh", "sleep 60 & echo $! > child; echo $$ > self; wait\n");
    for signal in ["INT", "TERM"] {
        for name in ["self", "child"] {
            // It is not there the first time.
            let _ = std::fs::remove_file(sandbox.root().join(name));
        }
        let run = Running::start(sandbox.command(binary()).args(["up", "--all"]));
        until("the runner runs", || {
            sandbox.root().join("self").exists() && sandbox.read("self").ends_with('\n')
        });
        run.signal(signal);
        let ran = run.wait(BOUND);
        assert_eq!(ran.code, 130, "{ran}");
        for name in ["self", "child"] {
            let pid = sandbox.read(name);
            until("the runner and its child are gone", || !process::exists(pid.trim()));
        }
        assert_eq!(left(&server), "0|0\n");
        assert_eq!(server.query("a_db", "select count(*) from dbctl.seed_history"), "0\n");
    }
    sandbox.write("seeds/slow.sh", "exit 0\n");
    sandbox.ok(&["up", "--all"]);
    assert_eq!(server.query("a_db", "select count(*) from dbctl.seed_history"), "1\n");
}

/// Whether an orphan has ended; who inherited it may not have noticed yet.
fn ended(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_seeds_runner_does_not_outlive_a_run_that_is_killed() {
    let server = OwnServer::start();
    let sandbox = sandbox(&server, "");
    std::fs::remove_file(sandbox.root().join("migrations/20260102000000_slow.sql")).unwrap();
    // It can be asked for as long as one likes.
    sandbox
        .write("seeds/slow.sh", "trap '' HUP INT TERM\nsleep 60 & echo $! > child; echo $$ > self; wait\n");
    let run = Running::start(sandbox.command(binary()).args(["up", "--all"]));
    until("the runner runs", || sandbox.root().join("self").exists() && sandbox.read("self").ends_with('\n'));
    run.signal("KILL");
    drop(run);
    for name in ["self", "child"] {
        let pid = sandbox.read(name);
        until("the runner and its child have ended", || ended(pid.trim()));
    }

    // What a runner leaves behind on purpose stays, and its input is as empty as ever.
    sandbox
        .write("seeds/slow.sh", "test -z \"$(cat)\" || exit 1\nsleep 30 >/dev/null 2>&1 & echo $! > child\n");
    sandbox.ok(&["up", "--all"]);
    std::thread::sleep(Duration::from_millis(300));
    let child = sandbox.read("child");
    assert!(process::exists(child.trim()));
    process::signal(child.trim(), "KILL");
}

/// npm is a script of a version manager's here, as often.
#[test]
fn what_fetches_a_server_ends_with_the_command() {
    let mut sandbox = Sandbox::new(
        "workspace: a\nservers: { old: { embedded: true, postgres: '11' } }\ndatabases: { a: {} }\n",
        &[("bin/npm", "#!/bin/sh\nsleep 300 &\necho $$ $! > \"${0%/*}/pids\"\nwait\n")],
    );
    set_mode(&sandbox.root().join("bin/npm"), 0o755);
    let path = format!("{}:{}", sandbox.root().join("bin").display(), std::env::var("PATH").unwrap());
    let cache = sandbox.root().join("cache");
    sandbox.set("PATH", &path).set("DBCTL_CACHE_DIR", cache.to_str().unwrap());
    let pids = sandbox.root().join("bin/pids");
    for args in [&["up", "--all"][..], &["status", "--all"], &["env", "a"], &["server", "start"]] {
        drop(std::fs::remove_file(&pids));
        let run = Running::start(sandbox.command(binary()).args(args));
        until("npm is at work", || std::fs::read_to_string(&pids).is_ok_and(|pids| pids.ends_with('\n')));
        run.signal("INT");
        let ran = run.wait(BOUND);
        assert_eq!(ran.code, 130, "{args:?}: {ran}");
        for pid in sandbox.read("bin/pids").split_whitespace() {
            until("it has ended", || ended(pid));
        }
    }
}
