//! Killed at any moment, dbctl or the server under it: the next run finds a state that it understands, and ends where an
//! undisturbed run would have. `DBCTL_KILLS=200` tries that many moments of each kind.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    process::{self, Running},
    support::{Sandbox, binary},
    tools::schema,
};

/// How many moments are tried unless somebody asks for more.
const KILLS: u32 = 20;

/// What a run may take that has to clean up first: a killed client's statement goes on in the server for a while.
const BOUND: Duration = Duration::from_secs(60);

const MANIFEST: &str = "workspace: killed
databases:
  core:
    migrations: [{ path: core, format: native }]
    seeds: { path: seeds/core }
  app:
    depends_on: [core]
    migrations: [{ path: app, format: native }]
    seeds: { path: seeds/app }
  side:
    migrations: [{ path: side, format: node-pg-migrate }]
";

/// Every file notes in `log` that it ran, so that one that runs twice shows; the waits make each moment long enough to be
/// hit.
fn sandbox() -> Sandbox {
    let log = "create table log (what text not null);\n";
    let step = |name: &str| format!("insert into log values ('{name}');\nselect pg_sleep(0.03);\n");
    let table = |name: &str| {
        format!("{}create table {name} (id int, at timestamptz default now());\n{}", step(name), step(name))
    };
    Sandbox::new(
        MANIFEST,
        &[
            ("core/20260101000000_log.sql", log),
            ("core/20260102000000_users.sql", &table("users")),
            (
                "core/20260103000000_by_id.sql",
                "-- dbctl:no-transaction\ninsert into log values ('by_id');\n\
                 create index concurrently users_id on users (id);\ninsert into log values ('by_at');\n\
                 create index concurrently users_at on users (at);\ninsert into log values ('both');\nvacuum users;\n",
            ),
            ("core/20260104000000_roles.sql", &table("roles")),
            ("app/20260101000000_log.sql", log),
            ("app/20260102000000_orders.sql", &table("orders")),
            (
                "app/20260103000000_status.sql",
                "create type status as enum ('open');\nalter table orders add status status;\ninsert into log values ('status');\n",
            ),
            (
                "app/20260104000000_paid.sql",
                "-- dbctl:no-transaction\nalter type status add value if not exists 'paid';\ninsert into log values ('paid');\n",
            ),
            ("side/1700000000000_log.sql", log),
            ("side/1700000001000_notes.sql", &table("notes")),
            ("side/1700000002000_by_id.sql", "create unique index concurrently notes_id on notes (id);\n"),
            (
                "seeds/core/001_users.sql",
                "insert into users select generate_series(1, 3);\nselect pg_sleep(0.03);\n",
            ),
            ("seeds/app/001_orders.sql", "insert into orders select generate_series(1, 3);\n"),
        ],
    )
}

/// All that a run leaves behind, but for times and run ids.
fn state(sandbox: &Sandbox) -> String {
    let mut state = String::new();
    for target in ["core", "app", "side"] {
        state += &schema(sandbox, target);
        for sql in [
            "select what from log order by ctid",
            "select source, name, statements_done, statement_started, reverting from dbctl.migration_history order by source, name",
            "select file from dbctl.seed_history order by 1",
            "select indexrelid::regclass from pg_index where not indisvalid",
        ] {
            state += &sandbox.query(target, sql);
        }
    }
    state += &sandbox.query("core", "select id from users order by 1");
    state += &sandbox.query("app", "select id from orders order by 1");
    state + &sandbox.query("side", "select name from pgmigrations order by run_on, id")
}

/// The same numbers every time: a moment that failed can be tried again.
pub(crate) fn moments(count: u32) -> impl Iterator<Item = f64> {
    // Kronecker's sequence of the golden ratio: every prefix of it is spread evenly.
    (0..count).map(|at| (f64::from(at) * 0.618_033_988_749_895 + 0.5).fract())
}

pub(crate) fn kills() -> u32 {
    std::env::var("DBCTL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

/// Runs `up --all` over nothing, undisturbed; gives what it leaves and how long it took.
fn undisturbed(sandbox: &Sandbox) -> (String, Duration) {
    sandbox.ok(&["up", "--all"]);
    sandbox.ok(&["drop", "--all", "--yes"]);
    let started = Instant::now();
    sandbox.ok(&["up", "--all"]);
    let took = started.elapsed();
    (state(sandbox), took)
}

fn check(kill: impl Fn(&Sandbox, Running), count: u32) {
    let sandbox = sandbox();
    let (expected, took) = undisturbed(&sandbox);
    for moment in moments(count) {
        sandbox.ok(&["drop", "--all", "--yes", "--disconnect"]);
        let run = Running::start(sandbox.command(binary()).args(["up", "--all"]));
        thread::sleep(took.mul_f64(moment));
        kill(&sandbox, run);
        let again = Running::start(sandbox.command(binary()).args(["up", "--all"])).wait(BOUND);
        assert_eq!(again.code, 0, "killed after {moment} of {took:?}: {again}");
        assert_eq!(state(&sandbox), expected, "killed after {moment} of {took:?}");
    }
}

#[test]
fn a_killed_run_is_finished_by_the_next() {
    // Dropping it is SIGKILL.
    check(|_, run| drop(run), kills());
}

#[test]
fn a_run_whose_server_was_killed_is_finished_by_the_next() {
    let kill = |sandbox: &Sandbox, run: Running| {
        let (_, status) = sandbox.json(&["server", "status"]);
        let data = status["servers"][0]["data"].as_str().unwrap_or_else(|| panic!("{status}"));
        let pid = std::fs::read_to_string(format!("{data}/postmaster.pid")).unwrap();
        // SIGQUIT is an immediate stop: no checkpoint, and the next start recovers.
        process::signal(pid.lines().next().unwrap(), "QUIT");
        let ran = run.wait(BOUND);
        assert!(ran.code == 0 || ran.code == 1, "{ran}");
    };
    check(kill, kills() / 2);
}
