//! What `migrate --atomic=two-phase` leaves under worse luck than a kill: nothing is lost, doubled or guessed.

use std::time::Duration;

use serde_json::Value;

use crate::{
    held::hold,
    own_server::OwnServer,
    process::{self, Running},
    support::{Sandbox, binary},
    two_phase::{At, DATABASES, World, killed_in_doubt, stopped_at},
};

fn warnings(document: &Value) -> String {
    document["databases"][0]["warnings"].to_string()
}

/// The run that prepared something in the database.
fn run_of(sandbox: &Sandbox, target: &str) -> String {
    let (_, status) = sandbox.json(&["status", target]);
    status["databases"][0]["prepared"][0]["run"].as_str().unwrap().to_owned()
}

/// PostgreSQL's immediate shutdown: no session is told anything, and the log is replayed.
#[test]
fn a_server_that_crashes_between_the_phases_keeps_what_was_decided() {
    let mut world = World::new();
    for (at, committed) in [
        (At::Prepare("app"), false),
        (At::BeforeDecision, false),
        (At::Decision, true),
        (At::Commit("app"), true),
    ] {
        world.next();
        let run = stopped_at(&world, at);
        let pid = world.admin("select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
        process::signal(pid.trim(), "QUIT");
        process::until("the server is gone", || !process::exists(pid.trim()));
        // What the log has is done; nobody is to wait for a standby any more.
        world.standby(false);
        if matches!(at, At::BeforeDecision) {
            run.signal("CONT");
        }
        let ran = run.wait(Duration::from_secs(60));
        assert!(committed || ran.code != 0, "{at:?}: {ran}");
        world.sandbox.ok(&["seed", "--all"]);
        assert_eq!(world.in_doubt(), [""; 0], "{at:?}");
        let all: &[&str] = if committed { &DATABASES } else { &[] };
        assert_eq!(world.applied(), all, "{at:?}: {ran}");
        assert_eq!(world.admin("select count(*) from pg_prepared_xacts"), "0\n");
        world.sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
        assert_eq!(world.applied(), DATABASES);
        world.sandbox.ok(&["status", "--all", "--check"]);
    }
}

#[test]
fn runs_at_once_take_turns() {
    for how in ["--atomic", "--atomic=two-phase"] {
        let mut world = World::new();
        world.next();
        let start = || {
            Running::start(world.sandbox.command(binary()).args(["migrate", "--all", how, "--wait", "5m"]))
        };
        let runs: Vec<Running> = (0..4).map(|_| start()).collect();
        for run in runs {
            run.wait(Duration::from_secs(120)).ok();
        }
        assert_eq!(world.applied(), DATABASES);
        assert_eq!(world.admin("select count(*) from pg_prepared_xacts"), "0\n");
        world.sandbox.ok(&["status", "--all", "--check"]);
        assert_eq!(world.sandbox.query("lone", "select count(*) from dbctl.migration_history"), "2\n");
    }
}

/// Each has a database of its own first, and then two that the other wants, too.
#[test]
fn runs_over_different_databases_do_not_wait_for_each_other_forever() {
    let database = |key: char| format!("  {key}: {{ migrations: [{{ path: {key}, format: native }}] }}\n");
    let manifest: String = ('a'..='d').map(database).collect();
    let sandbox = Sandbox::new(&format!("workspace: turns\ndatabases:\n{manifest}"), &[]);
    let next = |round: u32| {
        for key in 'a'..='d' {
            let path = format!("{key}/2026010{round}000000_next.sql");
            sandbox.write(&path, format!("create table next_{round} (id int);\n"));
        }
    };
    next(0);
    sandbox.ok(&["up", "--all"]);
    for round in 1..=6 {
        next(round);
        let how = if round % 2 == 0 { "--atomic" } else { "--atomic=two-phase" };
        // Both have their first one, and wait for the next, when it is free.
        let holder = hold(&sandbox.url("c"), &format!("select pg_advisory_lock({})", 0x64_6263_746c_i64));
        let start = |databases: [&str; 3]| {
            let args = ["migrate", how, "--wait", "1h"];
            Running::start(sandbox.command(binary()).args(args).args(databases))
        };
        let runs = [start(["a", "c", "d"]), start(["b", "c", "d"])];
        let waiting = "select count(distinct application_name) from pg_stat_activity \
                       where datname = 'c' and application_name like 'dbctl migrate %'";
        process::until("both wait", || sandbox.query("c", waiting) == "2\n");
        drop(holder);
        for run in runs {
            run.wait(Duration::from_secs(120)).ok();
        }
        sandbox.ok(&["status", "--all", "--check"]);
    }
}

#[test]
fn places_that_are_taken_are_counted() {
    let mut world = World::new();
    world.admin("alter system set max_prepared_transactions = 4");
    world.sandbox.ok(&["server", "stop"]);
    world.next();
    let take = |n: u32| {
        world.admin(&format!("begin; create table taken_{n} (); prepare transaction 'somebody {n}'"));
    };
    take(1);
    take(2);
    let (code, document) = world.sandbox.json(&["migrate", "--all", "--atomic=two-phase"]);
    let error = &document["databases"][0]["error"];
    assert_eq!((code, &error["code"]), (1, &Value::from("max_prepared_transactions")), "{document}");
    assert!(error["message"].as_str().unwrap().contains("of which 2 are taken"), "{error}");
    world.admin("rollback prepared 'somebody 2'");
    // Taken only once the run is at work.
    let lock = hold(&world.sandbox.url("lone"), "begin; lock table notes in access exclusive mode");
    let run = world.start();
    world.stands_at("lone", "lock table notes", "relation");
    take(3);
    drop(lock);
    let ran = run.wait(Duration::from_secs(60));
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stdout.contains("raise max_prepared_transactions")
            || ran.stderr.contains("raise max_prepared_transactions"),
        "{ran}"
    );
    assert_eq!(world.applied(), [""; 0]);
    assert_eq!(world.in_doubt(), [""; 0]);
    world.admin("rollback prepared 'somebody 3'");
    world.sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
    assert_eq!(world.applied(), DATABASES);
    assert_eq!(world.admin("select gid from pg_prepared_xacts"), "somebody 1\n");
}

#[test]
fn only_who_has_prepared_it_finishes_it() {
    let mut world = World::new();
    let superuser = world.sandbox.url("lone");
    let (_, rest) = superuser.split_once('@').unwrap();
    let app = format!("postgresql://app:app@{rest}");
    world.sandbox.query(
        "lone",
        "create role app login password 'app'; alter schema dbctl owner to app; \
         alter table dbctl.migration_history owner to app; alter table dbctl.runs owner to app; \
         alter table dbctl.environment owner to app; grant create, usage on schema public to app",
    );
    world.next();
    killed_in_doubt(&world, stopped_at(&world, At::BeforeDecision));
    let manifest = world.sandbox.read("workspace.yaml").replace("  lone:\n", "  lone:\n    url: ${LONE}\n");
    world.sandbox.write("workspace.yaml", manifest);
    world.sandbox.set("LONE", &app);
    for args in [&["migrate", "lone"][..], &["migrate", "--all", "--atomic=two-phase"]] {
        let (code, document) = world.sandbox.json(args);
        assert_eq!(code, 1, "{document}");
        let lone = document["databases"].as_array().unwrap().iter().find(|one| one["key"] == "lone").unwrap();
        let hint = lone["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("only who has prepared it may finish it, postgres"), "{document}");
        assert_eq!(lone["migrations"].as_array().unwrap().len(), 0, "{document}");
    }
    let (code, status) = world.sandbox.json(&["status", "lone", "--check"]);
    assert_eq!((code, &status["databases"][0]["prepared"][0]["owner"]), (4, &Value::from("postgres")));
    world.sandbox.set("LONE", &superuser);
    world.sandbox.ok(&["migrate", "--all"]);
    assert_eq!(world.applied(), DATABASES);
}

/// The decision goes with its database: while others wait for it, it stays; where it is gone, nobody guesses.
#[test]
fn a_decision_that_others_wait_for_is_not_dropped() {
    let mut world = World::new();
    world.next();
    let run = stopped_at(&world, At::Decision);
    run.signal("KILL");
    drop(run);
    world.standby(false);
    world.nobody_is_left();
    for verb in ["drop", "reset"] {
        let (code, document) = world.sandbox.json(&[verb, "core", "app", "--yes"]);
        assert_eq!(code, 1, "{document}");
        let core = document["databases"].as_array().unwrap().iter().find(|one| one["key"] == "core").unwrap();
        assert_eq!(core["error"]["code"], "decides", "{document}");
        assert!(
            core["error"]["message"]
                .as_str()
                .unwrap()
                .ends_with("has prepared in lone, and that is not finished"),
            "{document}"
        );
    }
    assert_eq!(world.in_doubt(), ["lone"]);
    // By somebody else.
    world.admin("drop database core");
    for make in [false, true] {
        if make {
            world.sandbox.ok(&["up", "core"]);
        }
        let (code, document) = world.sandbox.json(&["migrate", "lone"]);
        assert_eq!(
            (code, &document["databases"][0]["error"]["code"]),
            (1, &Value::from("in_doubt")),
            "{document}"
        );
    }
    let id = run_of(&world.sandbox, "lone");
    let (code, document) =
        world.sandbox.json(&["history", "resolve", "lone", "--run", &id, "--commit", "--yes"]);
    assert_eq!(code, 0, "{document}");
    assert!(warnings(&document).contains("was not asked"), "{document}");
    world.sandbox.ok(&["up", "--all"]);
    assert_eq!(world.applied(), DATABASES);
    world.sandbox.ok(&["status", "--all", "--check"]);
}

/// All of them may go together.
#[test]
fn everything_is_dropped_whatever_is_prepared() {
    for args in [&["drop", "--all", "--yes"][..], &["reset", "--all", "--yes"]] {
        let mut world = World::new();
        world.next();
        killed_in_doubt(&world, stopped_at(&world, At::BeforeDecision));
        world.sandbox.ok(args);
        world.sandbox.ok(&["up", "--all"]);
        assert_eq!(world.applied(), DATABASES);
        world.sandbox.ok(&["status", "--all", "--check"]);
    }
}

#[test]
fn a_decision_on_another_server_is_found() {
    let server = OwnServer::start();
    let mut sandbox = Sandbox::new(
        "workspace: far\ndatabases:\n  core:\n    url: ${CORE}\n    migrations: [{ path: core, format: native }]\n  \
         lone:\n    migrations: [{ path: lone, format: native }]\n",
        &[
            ("core/20260101000000_users.sql", "create table users (id int);\n"),
            ("lone/20260101000000_notes.sql", "create table notes (id int);\n"),
        ],
    );
    sandbox.set("CORE", &server.url("core"));
    sandbox.ok(&["create", "--all"]);
    sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
    for (n, commits) in [(1, false), (2, true)] {
        for path in ["core", "lone"] {
            let sql = format!("create table next_{n} (id int);\n");
            sandbox.write(&format!("{path}/2026020{n}000000_next.sql"), sql);
        }
        let table = format!("select to_regclass('next_{n}') is not null");
        let lock = hold(&server.url("core"), "begin; lock table dbctl.decisions in access exclusive mode");
        let run = Running::start(sandbox.command(binary()).args(["migrate", "--all", "--atomic=two-phase"]));
        let deciding = "select count(*) from pg_stat_activity where wait_event = 'relation' \
                        and query ilike 'insert into%decisions%' and application_name like 'dbctl migrate %'";
        process::until("it is about to decide", || server.query("postgres", deciding) == "1\n");
        if commits {
            // Its session on the other server hears of nothing any more.
            let of_run =
                "select pid from pg_stat_activity where datname = 'lone' and application_name like 'dbctl %'";
            let pid = sandbox.query("lone", of_run).trim().to_owned();
            process::signal(&pid, "STOP");
            drop(lock);
            process::until("the first is committed", || server.query("core", &table) == "t\n");
            run.signal("KILL");
            drop(run);
            process::signal(&pid, "KILL");
        } else {
            run.signal("KILL");
            drop(run);
            drop(lock);
        }
        let url = server.url("core");
        sandbox.set("CORE", "");
        let in_doubt = || {
            let (code, document) = sandbox.json(&["migrate", "lone"]);
            (code == 1).then(|| document["databases"][0]["error"]["code"] == "in_doubt")
        };
        process::until("the other server is up", || in_doubt() == Some(true));
        assert_eq!(sandbox.query("lone", &table), "f\n");
        sandbox.set("CORE", &url);
        let (code, document) = sandbox.json(&["migrate", "lone"]);
        assert_eq!(code, 0, "{document}");
        let done = if commits { "is committed" } else { "is rolled back" };
        assert!(warnings(&document).contains(done), "{document}");
        assert_eq!(document["databases"][0]["migrations"].as_array().unwrap().len(), usize::from(!commits));
        assert_eq!(server.query("core", &table), if commits { "t\n" } else { "f\n" });
        sandbox.ok(&["migrate", "--all"]);
        sandbox.ok(&["status", "--all", "--check"]);
    }
}

/// What is recorded may not have come to a standby yet: it is not asked, and nobody takes its silence for a no.
#[cfg(unix)]
#[test]
fn a_standby_does_not_decide() {
    let mut server = OwnServer::start();
    let mut sandbox = Sandbox::new(
        "workspace: far\ndatabases:\n  core:\n    url: ${CORE}\n    migrations: [{ path: core, format: native }]\n  \
         lone:\n    migrations: [{ path: lone, format: native }]\n",
        &[
            ("core/20260101000000_users.sql", "create table users (id int);\n"),
            ("lone/20260101000000_notes.sql", "create table notes (id int);\n"),
        ],
    );
    sandbox.set("CORE", &server.url("core"));
    sandbox.ok(&["create", "--all"]);
    sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
    let replica = server.replica();
    let primary = server.url("core");
    sandbox.set("CORE", &primary);
    replica.query("postgres", "select pg_wal_replay_pause()");

    for path in ["core", "lone"] {
        sandbox.write(&format!("{path}/20260201000000_next.sql"), "create table next (id int);\n");
    }
    let lock = hold(&primary, "begin; lock table dbctl.decisions in access exclusive mode");
    let run = Running::start(sandbox.command(binary()).args(["migrate", "--all", "--atomic=two-phase"]));
    let deciding = "select count(*) from pg_stat_activity where wait_event = 'relation' \
                    and query ilike 'insert into%decisions%' and application_name like 'dbctl migrate %'";
    process::until("it is about to decide", || server.query("postgres", deciding) == "1\n");
    // The other database hears of nothing any more.
    let of_run =
        "select pid from pg_stat_activity where datname = 'lone' and application_name like 'dbctl %'";
    let pid = sandbox.query("lone", of_run).trim().to_owned();
    process::signal(&pid, "STOP");
    drop(lock);
    let next = "select to_regclass('next') is not null";
    process::until("the first is committed", || server.query("core", next) == "t\n");
    run.signal("KILL");
    drop(run);
    process::signal(&pid, "KILL");

    sandbox.set("CORE", &replica.url("core"));
    process::until("the other server is up", || sandbox.dbctl(&["status", "lone"]).code == 0);
    let (code, document) = sandbox.json(&["migrate", "lone"]);
    let error = &document["databases"][0]["error"];
    assert_eq!((code, &error["code"]), (1, &Value::from("in_doubt")), "{document}");
    assert!(error["message"].as_str().unwrap().contains("core is a standby"), "{error}");
    assert_eq!(sandbox.query("lone", next), "f\n");
    // A standby is read.
    let (code, status) = sandbox.json(&["status", "--all", "--check"]);
    let databases = status["databases"].as_array().unwrap();
    let pending = |key: &str| &databases.iter().find(|one| one["key"] == key).unwrap()["counts"]["pending"];
    assert_eq!((code, pending("core"), pending("lone")), (4, &Value::from(1), &Value::from(1)), "{status}");

    sandbox.set("CORE", &primary);
    let (code, document) = sandbox.json(&["migrate", "lone"]);
    assert_eq!(code, 0, "{document}");
    assert!(warnings(&document).contains("is committed"), "{document}");
    assert_eq!(sandbox.query("lone", next), "t\n");
    sandbox.ok(&["status", "--all", "--check"]);
}
