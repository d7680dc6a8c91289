//! Runs: told of whatever came of them, and undone as a whole or not at all.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::binary;
use crate::{process::Running, support::Sandbox};

const MANIFEST: &str = "workspace: runs
databases:
  core: { migrations: [{ path: core, format: native }] }
  app: { depends_on: [core], migrations: [{ path: app, format: native }] }
  side: { migrations: [{ path: side, format: node-pg-migrate }] }
environments:
  production: { protected: true }
";

const USERS: &str = "20260101000000_users";
const ORDERS: &str = "20260102000000_orders";
const PRICES: &str = "20260103000000_prices";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(MANIFEST, &[]);
    for database in ["core", "app"] {
        table(&sandbox, database, USERS);
    }
    sandbox.write(
        "side/1700000000000_notes.sql",
        "-- Up Migration\ncreate table notes (id int);\n-- Down Migration\ndrop table notes;\n",
    );
    sandbox
}

/// A migration that makes a table of its name, with its down part.
fn table(sandbox: &Sandbox, database: &str, name: &str) {
    let table = name.split_once('_').unwrap().1;
    sandbox.write(&format!("{database}/{name}.sql"), format!("create table {table} (id int);\n"));
    sandbox.write(&format!("{database}/{name}.down.sql"), format!("drop table {table};\n"));
}

fn remove(sandbox: &Sandbox, path: &str) {
    fs::remove_file(sandbox.root().join(path)).unwrap();
}

/// Runs a command and gives the id of its run.
fn run(sandbox: &Sandbox, args: &[&str]) -> String {
    let (_, document) = sandbox.json(args);
    document["run"].as_str().unwrap_or_else(|| panic!("{document}")).to_owned()
}

fn runs(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let (code, document) = sandbox.json(&[&["history", "runs"], args].concat());
    assert_eq!(code, 0, "{document}");
    document["runs"].as_array().unwrap().clone()
}

/// `command outcome migrations: databases` of each run, the last one first.
fn brief(runs: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let one = |run: &Value| {
        let databases = run["databases"].as_array().unwrap().iter();
        let databases: Vec<String> = databases.map(|database| text(&database["key"])).collect();
        let (command, outcome) = (text(&run["command"]), text(&run["outcome"]));
        format!("{command} {outcome} {}: {}", run["migrations"], databases.join(" "))
    };
    runs.iter().map(one).collect()
}

/// Which of the tables there are, and how many runs have left something in the ledger.
fn tables(sandbox: &Sandbox, database: &str) -> String {
    let sql = "select coalesce(string_agg(tablename, ' ' order by tablename), '') from pg_tables where schemaname = \
               'public' and tablename <> 'pgmigrations'";
    sandbox.query(database, sql).trim().to_owned()
}

#[test]
fn every_run_is_listed_with_what_came_of_it() {
    let sandbox = sandbox();
    assert_eq!(sandbox.ok(&["history", "runs"]), "no run is recorded\n");
    let up = run(&sandbox, &["up", "--all"]);
    sandbox.ok(&["migrate", "core"]);
    sandbox.write("core/20260104000000_wrong.sql", "select 1 / 0;\n");
    sandbox.dbctl(&["migrate", "core"]).fails(1);
    remove(&sandbox, "core/20260104000000_wrong.sql");
    sandbox.ok(&["rollback", "side", "--yes"]);
    let listed = runs(&sandbox, &[]);
    assert_eq!(
        brief(&listed),
        [
            "rollback done 1: side",
            "migrate failed 0: core",
            "migrate unchanged 0: core",
            "up done 3: core app side"
        ]
    );
    let first = &listed[3];
    assert_eq!(first["run"], json!(up));
    let database = &first["databases"][0];
    assert_eq!((&database["outcome"], &database["applied"]), (&json!("done"), &json!(1)));
    assert_eq!(database["by"].as_str(), Some(sandbox.query("core", "select session_user").trim()));
    assert_eq!(database["client"], "127.0.0.1");
    assert!(first["started_at"].as_str() < first["ended_at"].as_str() && first["dbctl_version"].is_string());
    // Of what was reverted nothing is applied any more.
    assert_eq!(first["databases"][2]["applied"], 0);
    assert_eq!(brief(&runs(&sandbox, &["side", "--limit", "1"])), ["rollback done 1: side"]);
    let shown = sandbox.redact(&sandbox.ok(&["history", "runs", "core"]));
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let user = sandbox.query("core", "select session_user");
    let line = |rest: &str| format!("[RUN] [AT] {} 127.0.0.1 {rest}", user.trim());
    assert_eq!(
        lines,
        [
            "RUN AT BY FROM COMMAND OUTCOME MIGRATIONS DATABASES".to_owned(),
            line("migrate failed 0 core"),
            line("migrate unchanged 0 core"),
            line("up done 1 core"),
        ]
    );
}

#[test]
fn a_run_that_was_killed_is_listed_as_not_ended() {
    let sandbox = sandbox();
    sandbox.ok(&["up", "core"]);
    sandbox.write("core/20260102000000_slow.sql", "select pg_sleep(600);\n");
    let mut command = sandbox.command(binary());
    let mut running = Running::start(command.args(["migrate", "core"]));
    let asleep = "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()";
    let until = Instant::now() + Duration::from_secs(60);
    while sandbox.query("core", asleep) == "0\n" {
        assert!(running.is_running() && Instant::now() < until);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(brief(&runs(&sandbox, &[])), ["migrate unfinished 0: core", "up done 1: core"]);
    running.signal("KILL");
    running.wait(Duration::from_secs(60));
    sandbox.query(
        "core",
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(600)%'",
    );
    assert_eq!(brief(&runs(&sandbox, &[])), ["migrate unfinished 0: core", "up done 1: core"]);
    assert!(sandbox.ok(&["history", "runs"]).contains("migrate  running or killed"));
    // Stopped in good order, it says so.
    let mut command = sandbox.command(binary());
    let running = Running::start(command.args(["migrate", "core"]));
    while sandbox.query("core", asleep) == "0\n" {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(20));
    }
    running.signal("INT");
    assert_eq!(running.wait(Duration::from_secs(60)).code, 130);
    assert_eq!(brief(&runs(&sandbox, &[]))[0], "migrate cancelled 0: core");
}

#[test]
fn a_run_is_undone_in_every_database_and_nothing_else_is() {
    let sandbox = sandbox();
    let up = run(&sandbox, &["up", "--all"]);
    for database in ["core", "app"] {
        table(&sandbox, database, ORDERS);
        table(&sandbox, database, PRICES);
    }
    let second = run(&sandbox, &["migrate", "core", "app"]);
    // Nobody can be asked.
    let asked = sandbox.dbctl(&["rollback", "--run", &second]).fails(2);
    assert!(asked.contains("`rollback` destroys data") && asked.contains("add --yes"), "{asked}");
    let guarded = sandbox.dbctl(&["rollback", "--run", &second, "--yes", "--env", "production"]).fails(2);
    assert!(guarded.contains("--allow-protected production"), "{guarded}");
    let other =
        ["rollback", "--run", &second, "--yes", "--env", "production", "--allow-protected", "production"];
    assert!(sandbox.dbctl(&other).fails(1).contains("belongs to the environment `development`"));
    assert_eq!(tables(&sandbox, "core"), "orders prices users");

    // The first one has later ones on it: it is told which, and nothing is touched.
    let refused = sandbox.dbctl(&["rollback", "--run", &up, "--yes"]).fails(1);
    let later = format!(
        "{USERS} cannot be rolled back, since later ones stay that may build on it: {PRICES} (run {second})"
    );
    assert!(refused.contains(&later), "{refused}");
    assert_eq!(tables(&sandbox, "side"), "notes");

    let plan = sandbox.ok(&["plan", "rollback", "--run", &second]);
    assert_eq!(plan, "rollback: 2 steps in 2 databases\napp (app): rollback\n└─ core (core): rollback\n");
    // By how its id begins, from the folder of a package that is none of its databases'.
    let begins = &second[..14];
    let (code, document) = sandbox.json(&["rollback", "--run", begins, "--yes"]);
    assert_eq!(code, 0, "{document}");
    let reverted = |at: usize| -> Vec<String> {
        let migrations = document["databases"][at]["migrations"].as_array().unwrap().iter();
        migrations
            .map(|one| format!("{} {}", one["direction"].as_str().unwrap(), one["name"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(document["databases"].as_array().unwrap().len(), 2);
    assert_eq!(reverted(0), [format!("down {PRICES}"), format!("down {ORDERS}")]);
    assert_eq!((tables(&sandbox, "core"), tables(&sandbox, "app")), ("users".to_owned(), "users".to_owned()));
    // Once more there is nothing to do.
    let (code, again) = sandbox.json(&["rollback", "--run", &second, "--yes"]);
    assert_eq!((code, &again["databases"][0]["outcome"]), (0, &json!("unchanged")), "{again}");
    // Now the first one can go, in one database alone too.
    sandbox.ok(&["rollback", "app", "--run", &up, "--yes"]);
    assert_eq!((tables(&sandbox, "core"), tables(&sandbox, "app")), ("users".to_owned(), String::new()));
    sandbox.ok(&["rollback", "--run", &up, "--yes"]);
    assert_eq!((tables(&sandbox, "core"), tables(&sandbox, "side")), (String::new(), String::new()));
}

#[test]
fn what_cannot_be_undone_everywhere_is_undone_nowhere() {
    let sandbox = sandbox();
    let up = run(&sandbox, &["up", "--all"]);
    let refused = |sandbox: &Sandbox, says: &str| {
        let (code, document) = sandbox.json(&["rollback", "--run", &up, "--yes"]);
        assert_eq!((code, &document["outcome"]), (1, &json!("failed")), "{document}");
        let errors = document["databases"].as_array().unwrap().iter();
        let errors: Vec<&str> = errors.filter_map(|one| one["error"]["message"].as_str()).collect();
        assert!(errors.len() == 1 && errors[0].contains(says), "{errors:?}");
        assert!(document["databases"].as_array().unwrap().iter().all(|one| one["migrations"] == json!([])));
        for (database, has) in [("core", "users"), ("app", "users"), ("side", "notes")] {
            assert_eq!(tables(sandbox, database), has);
        }
    };
    // No down part, in the database that would come last.
    remove(&sandbox, &format!("core/{USERS}.down.sql"));
    refused(&sandbox, &format!("no down part in core/{USERS}.sql"));
    table(&sandbox, "core", USERS);
    // No file.
    for extension in ["sql", "down.sql"] {
        remove(&sandbox, &format!("core/{USERS}.{extension}"));
    }
    refused(&sandbox, &format!("applied migrations are missing on disk: {USERS}"));
    table(&sandbox, "core", USERS);
    // The format insists on its order.
    sandbox
        .write("side/1700000000001_more.sql", "-- Up Migration\nselect 1;\n-- Down Migration\nselect 2;\n");
    sandbox.ok(&["migrate", "side"]);
    refused(&sandbox, "1700000000000_notes cannot be rolled back, since later ones stay");
    sandbox.ok(&["rollback", "side", "--yes"]);
    // What somebody else has to keep.
    sandbox.write("app/20260105000000_needs.sql", format!("-- dbctl:requires core@{USERS}\nselect 1;\n"));
    sandbox.ok(&["migrate", "app"]);
    let (code, document) = sandbox.json(&["rollback", "core", "--run", &up, "--yes"]);
    let message = document["databases"][0]["error"]["message"].as_str().unwrap_or_default();
    assert!(code == 1 && message.contains("required by 20260105000000_needs"), "{document}");
    sandbox.ok(&["rollback", "core", "--run", &up, "--yes", "--ignore-dependents"]);
    assert_eq!(tables(&sandbox, "core"), "");
}

#[test]
fn a_run_has_to_be_meant() {
    let sandbox = sandbox();
    sandbox.ok(&["up", "--all"]);
    sandbox.ok(&["migrate", "core"]);
    table(&sandbox, "core", ORDERS);
    let faked = run(&sandbox, &["migrate", "core", "--fake", "--yes"]);
    for (typed, says) in [
        ("nothing", "no run `nothing` is recorded in core, app, side"),
        ("0", "`0` could be any of 0"),
        ("", "no run `` is recorded"),
        (&faked, "was `migrate --fake`, which records migrations without running them"),
    ] {
        let refused = sandbox.dbctl(&["rollback", "--run", typed, "--yes"]).fails(2);
        assert!(refused.contains(says), "{refused}");
    }
    let both = sandbox.dbctl(&["rollback", "--run", "0", "--count", "2"]).fails(2);
    assert!(both.contains("cannot be used with"), "{both}");
    // A database that cannot be read may have something of it.
    let manifest = sandbox.read("workspace.yaml");
    sandbox.write(
        "workspace.yaml",
        manifest.replace(
            "environments:",
            "  gone: { url: 'postgresql://u:hush@127.0.0.1:1/gone' }\nenvironments:",
        ),
    );
    let (code, document) = sandbox.json(&["rollback", "--run", &faked, "--yes"]);
    assert_eq!((code, &document["error"]["kind"]), (1, &json!("server")), "{document}");
    assert_eq!(document["error"]["problems"][0]["database"], "gone");
    let (code, document) = sandbox.json(&["history", "runs"]);
    assert_eq!((code, &document["errors"][0]["key"]), (1, &json!("gone")), "{document}");
    assert_eq!(document["runs"].as_array().unwrap().len(), 3);
    assert!(!document.to_string().contains("hush"));
}

#[test]
fn ledgers_of_older_versions_are_read_and_brought_up_to_date() {
    let mut sandbox = sandbox();
    let up = run(&sandbox, &["up", "core"]);
    sandbox.query(
        "core",
        "drop table dbctl.runs; create role app login password 'app'; create role reader login password 'reader'; \
         alter schema dbctl owner to app; alter table dbctl.migration_history owner to app; \
         alter table dbctl.seed_history owner to app; alter table dbctl.environment owner to app; \
         grant usage, create on schema public to app; grant usage on schema dbctl to reader; \
         grant select on dbctl.migration_history to reader",
    );
    let url = sandbox.url("core");
    let own = |role: &str| {
        let (_, rest) = url.split_once('@').unwrap();
        format!("postgresql://{role}:{role}@{rest}")
    };
    let manifest = sandbox.read("workspace.yaml").replace("core: {", "core: { url: '${CORE}',");
    sandbox.write("workspace.yaml", manifest);
    // A role that may write nothing.
    sandbox.set("CORE", &own("reader"));
    let listed = runs(&sandbox, &["core"]);
    assert_eq!(brief(&listed), ["- unknown 1: core"]);
    assert_eq!((&listed[0]["run"], &listed[0]["command"]), (&json!(up), &json!(null)));
    // One that owns dbctl's schema, but may make none: the next run that writes is recorded.
    sandbox.set("CORE", &own("app"));
    table(&sandbox, "core", ORDERS);
    let second = run(&sandbox, &["migrate", "core"]);
    assert_eq!(brief(&runs(&sandbox, &["core"])), ["migrate done 1: core", "- unknown 1: core"]);
    sandbox.ok(&["rollback", "core", "--run", &second, "--yes"]);
    assert_eq!(tables(&sandbox, "core"), "users");
    // One that may not even make the table works all the same, and says that it goes unrecorded.
    sandbox.query_url(
        &url,
        "drop table dbctl.runs; alter schema dbctl owner to current_user; grant usage on schema dbctl to app",
    );
    let (code, document) = sandbox.json(&["migrate", "core"]);
    assert_eq!(code, 0, "{document}");
    let warning = document["databases"][0]["warnings"][0].as_str().unwrap();
    assert_eq!(
        warning,
        "`dbctl history runs` will not show this run here: permission denied for schema dbctl"
    );
    assert_eq!(tables(&sandbox, "core"), "orders users");
    sandbox.set("CORE", &url);
}
