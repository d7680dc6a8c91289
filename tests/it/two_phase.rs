//! `migrate --atomic=two-phase`: killed at every step of its protocol, the next run finishes what was recorded.
//!
//! No step is guessed by time: a commit waits for a standby that is not there, or for a lock that the test holds, and so
//! stops at a known point.

use std::time::Duration;

use crate::{
    held::{Held, hold},
    process::{self, Running},
    support::{Ran, Sandbox, binary},
};

const MANIFEST: &str = "workspace: two
databases:
  core:
    migrations: [{ path: core, format: native }]
    seeds: { path: seeds/core }
  app:
    depends_on: [core]
    migrations: [{ path: app, format: node-pg-migrate }]
    seeds: { path: seeds/app }
  lone:
    migrations: [{ path: lone, format: native }]
    seeds: { path: seeds/lone }
";

pub(crate) const DATABASES: [&str; 3] = ["core", "app", "lone"];

/// A workspace on the embedded server, which keeps prepared transactions; each database has one migration that is applied.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) rounds: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self::bare();
        world.sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
        world
    }

    /// The same, with nothing applied yet.
    pub(crate) fn bare() -> Self {
        let sandbox = Sandbox::new(
            MANIFEST,
            &[
                ("core/20260101000000_users.sql", "create table users (id int);\n"),
                ("app/1700000000000_orders.sql", "create table orders (id int);\n"),
                ("lone/20260101000000_notes.sql", "create table notes (id int);\n"),
                ("seeds/core/001_users.sql", "insert into users values (1);\n"),
                ("seeds/app/001_orders.sql", "insert into orders values (1);\n"),
                ("seeds/lone/001_notes.sql", "insert into notes values (1);\n"),
            ],
        );
        sandbox.ok(&["create", "--all"]);
        Self { sandbox, rounds: 0 }
    }

    /// As the superuser, waiting for no standby.
    pub(crate) fn admin(&self, sql: &str) -> String {
        let url = self.sandbox.ok(&["server", "url"]);
        self.sandbox.query_url(&format!("{}?options=-csynchronous_commit%3Dlocal", url.trim()), sql)
    }

    /// The next migration of every database.
    pub(crate) fn next(&mut self) {
        self.rounds += 1;
        let n = self.rounds;
        for (path, version) in [("core", "2026020100"), ("app", "17000000"), ("lone", "2026020100")] {
            let file =
                format!("{path}/{version}{n:0>width$}_next.sql", width = if path == "app" { 5 } else { 4 });
            let wait = if path == "lone" { "lock table notes in access share mode;\n" } else { "" };
            self.sandbox.write(&file, format!("{wait}create table next_{n} (id int);\n"));
        }
    }

    pub(crate) fn start(&self) -> Running {
        Running::start(self.sandbox.command(binary()).args(["migrate", "--all", "--atomic=two-phase"]))
    }

    /// Commits in this database wait for a standby from now on, and in no other.
    pub(crate) fn only_waits(&self, waiting: &str) {
        for database in DATABASES {
            let mode = if database == waiting { "on" } else { "local" };
            self.admin(&format!("alter database {database} set synchronous_commit = {mode}"));
        }
    }

    pub(crate) fn standby(&self, missing: bool) {
        let name = if missing { "nobody" } else { "" };
        self.admin(&format!("alter system set synchronous_standby_names = '{name}'"));
        self.admin("select pg_reload_conf()");
        if !missing {
            return;
        }
        // It holds once the server's other processes have heard of it: then a commit of ours waits.
        let url = self.sandbox.ok(&["server", "url"]).trim().to_owned();
        let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query ~ '^select pg_logical'";
        process::until("a commit waits", || {
            let url = url.clone();
            let commit = "select pg_logical_emit_message(true, 'test', 'x')";
            let probe = std::thread::spawn(move || crate::support::query(&url, commit).is_ok());
            process::until("the probe waits or is done", || {
                probe.is_finished() || self.admin(waits) != "0\n"
            });
            !probe.is_finished()
        });
    }

    /// Waits until dbctl's session in that database waits in a statement that begins so.
    pub(crate) fn stands_at(&self, database: &str, statement: &str, event: &str) {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = '{database}' and wait_event = '{event}' \
             and query ilike '{statement}%' and application_name like 'dbctl migrate %'"
        );
        process::until(&format!("{statement} in {database}"), || self.admin(&sql) == "1\n");
    }

    /// A run that waits while this database prepares. Until all transactions are open its last migration waits.
    pub(crate) fn prepares(&self, database: &str) -> Running {
        self.only_waits(database);
        let lock = hold(&self.sandbox.url("lone"), "begin; lock table notes in access exclusive mode");
        let run = self.start();
        self.stands_at("lone", "lock table notes", "relation");
        let open = "select count(*) from pg_stat_activity where application_name like 'dbctl migrate %' \
                    and state = 'idle in transaction'";
        process::until("the others have done their work", || self.admin(open) == "2\n");
        self.standby(true);
        drop(lock);
        self.stands_at(database, "PREPARE TRANSACTION", "SyncRep");
        run
    }

    pub(crate) fn nobody_is_left(&self) {
        let sql = "select count(*) from pg_stat_activity where application_name like 'dbctl %'";
        process::until("every session has ended", || self.admin(sql) == "0\n");
    }

    pub(crate) fn lock_decisions(&self) -> Held {
        hold(&self.sandbox.url("core"), "begin; lock table dbctl.decisions in access exclusive mode")
    }

    /// Which of the databases have the last migration.
    pub(crate) fn applied(&self) -> Vec<&str> {
        let sql = format!("select to_regclass('next_{}') is not null", self.rounds);
        DATABASES.into_iter().filter(|database| self.sandbox.query(database, &sql) == "t\n").collect()
    }

    /// The databases of which `status` says that something is prepared.
    pub(crate) fn in_doubt(&self) -> Vec<String> {
        let (code, status) = self.sandbox.json(&["status", "--all", "--check"]);
        let databases = status["databases"].as_array().unwrap();
        let open = databases.iter().filter(|database| database["prepared"].is_array());
        let open: Vec<String> = open.map(|database| database["key"].as_str().unwrap().to_owned()).collect();
        assert!(open.is_empty() || code == 4, "{status}");
        open
    }
}

fn killed(run: Running) {
    run.signal("KILL");
    drop(run);
}

/// Where a run is to be killed, what is then in doubt, and whether it is going to be committed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    /// While this database prepares, behind the point where it is prepared.
    Prepare(&'static str),
    /// All are prepared, nothing is recorded.
    BeforeDecision,
    /// It is recorded, and nobody has been told.
    Decision,
    /// While this database commits, behind the point where it is committed.
    Commit(&'static str),
}

#[test]
fn killed_at_any_step_the_next_run_finishes_what_was_recorded() {
    let mut world = World::new();
    let all: [&[&str]; 4] = [
        &["migrate", "--all"],
        &["migrate", "lone"],
        &["seed", "core"],
        &["migrate", "--all", "--atomic=two-phase"],
    ];
    for (n, (at, in_doubt, commits)) in [
        (At::Prepare("core"), &["core"][..], false),
        (At::Prepare("app"), &["core", "app"], false),
        (At::Prepare("lone"), &["core", "app", "lone"], false),
        (At::BeforeDecision, &["core", "app", "lone"], false),
        (At::Decision, &["core", "app", "lone"], true),
        (At::Commit("app"), &["lone"], true),
        (At::Commit("lone"), &[], true),
    ]
    .into_iter()
    .enumerate()
    {
        let all_ways = matches!(at, At::BeforeDecision | At::Decision);
        for first in if all_ways { &all[..] } else { &all[n % 4..=n % 4] } {
            world.next();
            let run = stopped_at(&world, at);
            // It is alive: nobody takes its place.
            let other = world.sandbox.dbctl(&["migrate", "lone", "--wait", "0s"]);
            assert_eq!(other.code, 5, "{at:?}: {other}");
            killed(run);
            world.standby(false);
            world.nobody_is_left();

            assert_eq!(world.in_doubt(), in_doubt, "{at:?}");
            let people =
                world.sandbox.dbctl(&["status", "--all", "--check"]).fails_or(4, in_doubt.is_empty());
            assert_eq!(people.contains("in doubt"), !in_doubt.is_empty(), "{at:?}\n{people}");

            // Whatever comes first, what is left of the run is finished in one direction.
            let (code, document) = world.sandbox.json(first);
            assert_eq!(code, 0, "{at:?} {first:?}: {document}");
            world.sandbox.ok(&["seed", "--all"]);
            let expected: Vec<&str> = match (commits, first) {
                (true, _) => DATABASES.to_vec(),
                (false, ["migrate", "--all", ..]) => DATABASES.to_vec(),
                (false, ["migrate", "lone"]) => vec!["lone"],
                (false, _) => Vec::new(),
            };
            assert_eq!(world.applied(), expected, "{at:?} {first:?}");
            assert_eq!(world.in_doubt(), [""; 0], "{at:?} {first:?}");

            world.sandbox.ok(&["migrate", "--all"]);
            assert_eq!(world.applied(), DATABASES);
            world.sandbox.ok(&["status", "--all", "--check"]);
            for database in ["core", "lone"] {
                let once = world.sandbox.query(database, "select count(*) from dbctl.migration_history");
                assert_eq!(once, format!("{}\n", world.rounds + 1), "{at:?} {first:?} {database}");
            }
        }
    }
}

/// A run that stands there.
pub(crate) fn stopped_at(world: &World, at: At) -> Running {
    match at {
        At::Prepare(database) => world.prepares(database),
        At::BeforeDecision => {
            world.only_waits("none");
            let lock = world.lock_decisions();
            let run = world.start();
            world.stands_at("core", "INSERT INTO \"dbctl\".\"decisions\"", "relation");
            // Killed while it waits: what it was about to do must not be done once the lock is free.
            run.signal("STOP");
            drop(lock);
            run
        }
        At::Decision | At::Commit(_) => {
            let (database, statement) = match at {
                At::Commit(database) => (database, "COMMIT PREPARED"),
                At::Prepare(_) | At::BeforeDecision | At::Decision => ("core", "COMMIT"),
            };
            world.only_waits(database);
            let lock = world.lock_decisions();
            let run = world.start();
            world.stands_at("core", "INSERT INTO \"dbctl\".\"decisions\"", "relation");
            world.standby(true);
            drop(lock);
            world.stands_at(database, statement, "SyncRep");
            run
        }
    }
}

impl Ran {
    /// Its standard output, where it has failed with that code or, `well`, not at all.
    fn fails_or(self, code: i32, well: bool) -> String {
        assert!(self.code == code || well, "{self}");
        self.stdout
    }
}

#[test]
fn all_databases_are_committed_and_the_decision_is_kept() {
    let mut world = World::bare();
    let (code, document) = world.sandbox.json(&["migrate", "--all", "--atomic=two-phase"]);
    assert_eq!(code, 0, "{document}");
    let sql = "select decision, keys, databases, run_id = (select run_id from dbctl.migration_history) from dbctl.decisions";
    assert_eq!(world.sandbox.query("core", sql), "commit|{core,app,lone}|{core,app,lone}|t\n");
    assert_eq!(world.sandbox.query("lone", "select to_regclass('dbctl.decisions') is null"), "t\n");
    assert_eq!(world.admin("select count(*) from pg_prepared_xacts"), "0\n");
    // Only what has something to do takes part.
    world.next();
    std::fs::remove_file(world.sandbox.root().join("core/20260201000001_next.sql")).unwrap();
    world.sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
    let sql = "select keys from dbctl.decisions order by decided_at desc limit 1";
    assert_eq!(world.sandbox.query("core", sql), "{app,lone}\n");
    let again = world.sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
    assert!(again.contains("unchanged"), "{again}");
    assert_eq!(world.sandbox.query("core", "select count(*) from dbctl.decisions"), "2\n");
}

#[test]
fn a_server_that_keeps_no_prepared_transactions_is_refused_beforehand() {
    let world = World::bare();
    world.admin("alter system set max_prepared_transactions = 0");
    let sandbox = &world.sandbox;
    sandbox.ok(&["server", "stop"]);
    let (code, document) = sandbox.json(&["migrate", "core", "--atomic=two-phase"]);
    assert_eq!(code, 1, "{document}");
    let error = &document["databases"][0]["error"];
    assert_eq!(error["code"], "max_prepared_transactions");
    let hint = error["hint"].as_str().unwrap();
    assert!(
        hint.contains("ALTER SYSTEM SET max_prepared_transactions") && hint.contains("restart"),
        "{hint}"
    );
    assert_eq!(sandbox.query("core", "select to_regclass('users') is null"), "t\n");
    // Where there is nothing to prepare there is nothing to refuse.
    sandbox.ok(&["migrate", "core", "--atomic"]);
    sandbox.ok(&["migrate", "core", "--atomic=two-phase"]);
}

#[test]
fn what_cannot_be_prepared_rolls_all_databases_back() {
    for (sql, message, hint) in [
        ("create temp table t (id int);\n", "temporary", "--atomic=one-phase"),
        ("notify somebody;\n", "NOTIFY", "--atomic=one-phase"),
        ("select pg_notify('somebody', 'x');\n", "NOTIFY", "--atomic=one-phase"),
        (
            "alter type status add value 'paid';\ncreate table used (s status);\ninsert into used values ('paid');\n",
            "unsafe use of new value",
            "--to",
        ),
        ("declare c cursor with hold for select 1;\n", "", ""),
    ] {
        let mut world = World::new();
        world.next();
        world.sandbox.query("lone", "create type status as enum ('open')");
        world.sandbox.write("lone/20260301000000_more.sql", sql);
        let (code, document) = world.sandbox.json(&["migrate", "--all", "--atomic=two-phase"]);
        if message.is_empty() {
            // It is gone with its file.
            assert_eq!(code, 0, "{document}");
            continue;
        }
        assert_eq!(code, 1, "{document}");
        let lone = document["databases"].as_array().unwrap().iter().find(|one| one["key"] == "lone").unwrap();
        assert!(lone["error"]["message"].as_str().unwrap().contains(message), "{lone}");
        assert!(lone["error"]["hint"].as_str().unwrap().contains(hint), "{lone}");
        assert_eq!(world.applied(), [""; 0]);
        assert_eq!(world.admin("select count(*) from pg_prepared_xacts"), "0\n");
        assert_eq!(lone["rolled_back"], true, "{lone}");
        for database in document["databases"].as_array().unwrap() {
            // What fails in its file may stop the others before they have begun.
            assert!(hint == "--to" || database["rolled_back"] == true, "{database}");
            assert_eq!(database["migrations"].as_array().unwrap().len(), 0, "{database}");
        }
    }
}

#[test]
fn what_is_prepared_is_finished_by_hand() {
    let mut world = World::new();
    for (flag, applied) in [("--commit", &DATABASES[..]), ("--rollback", &[])] {
        world.next();
        let run = stopped_at(&world, At::BeforeDecision);
        let while_it_runs = ["history", "resolve", "lone", "--run", "0", flag, "--yes", "--wait", "0s"];
        killed_in_doubt(&world, run);
        let (_, status) = world.sandbox.json(&["status", "lone"]);
        let id = status["databases"][0]["prepared"][0]["run"].as_str().unwrap().to_owned();
        let resolve = |target: &str, flag: &str| {
            world.sandbox.dbctl(&["history", "resolve", target, "--run", &id, flag, "--yes"])
        };
        assert_eq!(world.sandbox.dbctl(&["history", "resolve", "lone", "--run", &id, flag]).code, 2);
        resolve("lone", flag).ok();
        assert_eq!(world.in_doubt(), ["core", "app"]);
        // What was said once holds for all.
        let other = if flag == "--commit" { "--rollback" } else { "--commit" };
        let refused = resolve("app", other).fails(1);
        assert!(refused.contains("it is recorded"), "{refused}");
        resolve("app", flag).ok();
        world.sandbox.ok(&["seed", "core"]);
        assert_eq!(world.in_doubt(), [""; 0]);
        assert_eq!(world.applied(), applied);
        let nothing = resolve("app", flag).fails(1);
        assert!(nothing.contains("no transaction of a run"), "{nothing}");
        assert_eq!(world.sandbox.dbctl(&while_it_runs).code, 1);
        world.sandbox.ok(&["migrate", "--all"]);
    }
    for usage in [
        &["history", "resolve", "core", "--run", "1"][..],
        &["history", "resolve", "core", "--commit"],
        &["history", "resolve", "core", "1_a", "--run", "1", "--commit"],
        &["history", "resolve", "core", "--run", "1", "--commit", "--rollback"],
        &["history", "resolve", "core", "--applied"],
    ] {
        assert_eq!(world.sandbox.dbctl(usage).code, 2, "{usage:?}");
    }
}

pub(crate) fn killed_in_doubt(world: &World, run: Running) {
    killed(run);
    world.nobody_is_left();
}

/// Where the decision is cannot be reached: nobody guesses, and a person may say.
#[test]
fn nobody_guesses_where_the_decision_cannot_be_reached() {
    let mut world = World::new();
    world.next();
    let run = stopped_at(&world, At::BeforeDecision);
    killed_in_doubt(&world, run);
    world.admin("alter database core with allow_connections false");
    let (code, document) = world.sandbox.json(&["migrate", "lone"]);
    assert_eq!(code, 1, "{document}");
    let error = &document["databases"][0]["error"];
    assert_eq!(error["code"], "in_doubt", "{document}");
    assert!(error["hint"].as_str().unwrap().contains("dbctl history resolve lone --run"), "{document}");
    let (_, status) = world.sandbox.json(&["status", "lone"]);
    let id = status["databases"][0]["prepared"][0]["run"].as_str().unwrap().to_owned();
    let (code, document) =
        world.sandbox.json(&["history", "resolve", "lone", "--run", &id, "--rollback", "--yes"]);
    assert_eq!(code, 0, "{document}");
    assert!(
        document["databases"][0]["warnings"][0].as_str().unwrap().contains("was not asked"),
        "{document}"
    );
    world.admin("alter database core with allow_connections true");
    world.sandbox.ok(&["migrate", "--all"]);
    assert_eq!(world.applied(), DATABASES);
}

/// What destroys finishes first what is left of others, too.
#[test]
fn what_destroys_finishes_first_what_is_prepared() {
    for args in [
        &["drop", "lone", "--yes"][..],
        &["reset", "lone", "--yes"],
        &["rollback", "lone", "--yes"],
        &["clean", "lone", "--yes"],
    ] {
        let mut world = World::new();
        world.next();
        world.sandbox.write("lone/20260201000001_next.down.sql", "drop table next_1;\n");
        world.sandbox.write("lone/20260101000000_notes.down.sql", "drop table notes;\n");
        let run = stopped_at(&world, At::Decision);
        killed(run);
        world.standby(false);
        world.nobody_is_left();
        let (code, document) = world.sandbox.json(args);
        assert_eq!(code, 0, "{args:?}: {document}");
        let warning = document["databases"][0]["warnings"][0].as_str().unwrap();
        assert!(warning.ends_with("is committed"), "{warning}");
        if args[0] == "rollback" {
            assert_eq!(
                document["databases"][0]["migrations"][0]["name"], "20260201000001_next",
                "{document}"
            );
        }
    }
}

#[test]
fn a_run_that_is_stopped_while_it_prepares_leaves_nothing() {
    let mut world = World::new();
    world.next();
    let run = world.prepares("app");
    run.signal("INT");
    world.standby(false);
    let ran = run.wait(Duration::from_secs(60));
    assert_eq!(ran.code, 130, "{ran}");
    assert_eq!(world.in_doubt(), [""; 0]);
    assert_eq!(world.applied(), [""; 0]);
    world.sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
    assert_eq!(world.applied(), DATABASES);
}
