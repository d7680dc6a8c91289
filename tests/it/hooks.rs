//! Hooks: which run when, what they see, and what comes of one that fails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    process::{self, Running, until},
    support::{Sandbox, binary, password_of},
};

/// Every hook of `core` writes its name and what it finds there into `log`.
const MANIFEST: &str = "\
workspace: a
databases:
  core:
    name: core_db
    package: packages/core
    migrations: [{ path: m, format: native }]
    seeds: { path: s, skip_in: [test] }
    hooks:
      before_create: [echo before_create >> log]
      after_create: 'echo after_create $(sh ../../look) >> log'
      before_migrate: 'echo before_migrate $(sh ../../look) >> log'
      after_migrate: ['echo after_migrate $(sh ../../look) >> log']
      before_seed: 'echo before_seed $(sh ../../look) >> log'
      after_seed: 'echo after_seed $(sh ../../look) >> log'
      before_clean: 'echo before_clean $(sh ../../look) >> log'
      after_clean: 'echo after_clean $(sh ../../look) >> log'
  app: { name: app_db, package: apps/app, depends_on: [core], env: { CORE_URL: core }, migrations: [{ path: m, format: native }] }
";

/// How many rows there are, or that there is no table.
const LOOK: &str = "psql -qXAt 2>/dev/null -c 'select count(*) from t' || echo none\n";

fn sandbox() -> Sandbox {
    Sandbox::new(
        MANIFEST,
        &[
            ("look", LOOK),
            ("packages/core/m/20260101000000_t.sql", "create table t (id int);\n"),
            ("packages/core/m/20260101000000_t.down.sql", "drop table t;\n"),
            ("packages/core/s/rows.sql", "insert into t values (1);\n"),
            ("apps/app/m/20260101000000_u.sql", "create table u (id int);\n"),
        ],
    )
}

/// What the hooks have written since they were last asked.
fn log(sandbox: &Sandbox) -> String {
    let path = sandbox.root().join("packages/core/log");
    let log = std::fs::read_to_string(&path).unwrap_or_default();
    // It is not there where none ran.
    let _ = std::fs::remove_file(path);
    log.lines().collect::<Vec<_>>().join(", ")
}

#[test]
fn a_hook_runs_around_what_is_done_and_not_where_there_is_nothing_to_do() {
    let mut sandbox = sandbox();
    sandbox.ok(&["up", "--all"]);
    assert_eq!(
        log(&sandbox),
        "before_create, after_create none, before_migrate none, after_migrate 0, before_seed 0, after_seed 1"
    );
    for args in [
        &["up", "--all"][..],
        &["create", "core"],
        &["migrate", "core"],
        &["status", "--all"],
        &["plan", "reset", "core", "--state"],
    ] {
        sandbox.ok(args);
        assert_eq!(log(&sandbox), "", "{args:?}");
    }
    sandbox.write("packages/core/m/20260102000000_more.sql", "insert into t values (2);\n");
    sandbox.write("packages/core/m/20260102000000_more.down.sql", "delete from t where id = 2;\n");
    for (args, ran) in [
        (&["migrate", "core", "--dry-run"][..], ""),
        (&["plan", "migrate", "core", "--state"], ""),
        (&["migrate", "core", "--to", "20260101000000"], ""),
        (&["migrate", "core", "--no-hooks"], ""),
        (&["rollback", "core", "--yes"], ""),
        (&["migrate", "core", "--fake", "--yes"], ""),
        (&["rollback", "core", "--yes"], ""),
        (&["migrate", "core"], "before_migrate 1, after_migrate 2"),
        (&["redo", "core", "--yes"], "before_migrate 2, after_migrate 2"),
        (&["clean", "core", "--yes"], "before_clean 2, after_clean 0"),
        (&["clean", "core", "--yes", "--no-hooks"], ""),
        (&["seed", "core"], "before_seed 0, after_seed 1"),
        (
            &["reset", "core", "--yes", "--ignore-dependents"],
            "before_create, after_create none, before_migrate none, after_migrate 1, before_seed 1, after_seed 2",
        ),
        (&["reset", "core", "--yes", "--ignore-dependents", "--no-hooks"], ""),
    ] {
        sandbox.ok(args);
        assert_eq!(log(&sandbox), ran, "{args:?}");
    }
    // What a hook writes is run with the rest.
    let written = MANIFEST
        .replace(
            "echo before_migrate $(sh ../../look) >> log",
            "echo \"select 9;\" > m/20260102120000_written.sql",
        )
        .replace(
            "echo before_seed $(sh ../../look) >> log",
            "echo \"insert into t values (9);\" > s/written.sql",
        );
    sandbox.write("workspace.yaml", written);
    sandbox.write("packages/core/m/20260102110000_pending.sql", "select 8;\n");
    let (_, document) = sandbox.json(&["migrate", "core"]);
    assert_eq!(document["databases"][0]["migrations"][1]["name"], "20260102120000_written", "{document}");
    let (_, document) = sandbox.json(&["seed", "core"]);
    assert_eq!(document["databases"][0]["seeds"][1]["file"], "written.sql", "{document}");
    assert_eq!(log(&sandbox), "after_migrate 2, after_seed 4");
    sandbox.write("workspace.yaml", MANIFEST);
    sandbox.query("core", "delete from t where id = 9");
    // A migration that fails has no after, and what was applied before it no second one.
    sandbox.write("packages/core/m/20260103000000_good.sql", "insert into t values (3);\n");
    sandbox.write("packages/core/m/20260104000000_bad.sql", "select 1/0;\n");
    sandbox.dbctl(&["migrate", "core"]).fails(1);
    assert_eq!(log(&sandbox), "before_migrate 3");
    // What stops a migration stops it before its hook.
    sandbox.write("packages/core/m/20260101000000_t.sql", "create table t (id bigint);\n");
    let said = sandbox.dbctl(&["migrate", "core"]).fails(1);
    assert!(said.contains("changed on disk"), "{said}");
    assert_eq!(log(&sandbox), "");
    sandbox.set("DBCTL_ENV", "test");
    sandbox.ok(&["seed", "core"]);
    assert_eq!(log(&sandbox), "", "where seeds are skipped, so is what stands around them");
}

#[test]
fn a_hook_may_take_every_lock_that_dbctl_takes() {
    let mut sandbox = Sandbox::new(
        "workspace: a\ndatabases:\n  a:\n    migrations: [{ path: m, format: node-pg-migrate }]\n    seeds: { path: s }\n    hooks:\n      before_migrate: '\"$DBCTL\" migrate a --to 1700000000001 --no-hooks --wait 0 -q'\n      after_migrate: '\"$DBCTL\" redo a --yes --no-hooks --wait 0 -q'\n      before_seed: '\"$DBCTL\" clean a --yes --no-hooks --wait 0 -q'\n      after_seed: '\"$DBCTL\" clean a --yes --no-hooks --wait 0 -q'\n",
        &[
            (
                "m/1700000000001_a.sql",
                "-- Up Migration\ncreate table a (id int);\n-- Down Migration\ndrop table a;\n",
            ),
            (
                "m/1700000000002_b.sql",
                "-- Up Migration\ncreate table b (id int);\n-- Down Migration\ndrop table b;\n",
            ),
            ("s/a.sql", "insert into a values (1);\n"),
        ],
    );
    sandbox.set("DBCTL", binary());
    let (code, document) = sandbox.json(&["up", "a"]);
    assert_eq!(code, 0, "{document}");
    let done = document["databases"][0]["migrations"].as_array().unwrap();
    assert_eq!(done.len(), 1, "the other one was the hook's: {document}");
    assert_eq!(sandbox.query("a", "select count(*) from a"), "0\n");
    sandbox.ok(&["status", "a", "--check"]);
}

#[test]
fn a_hook_sees_its_package_and_its_database_and_is_heard() {
    let mut sandbox = sandbox();
    sandbox.write("apps/app/.env", "OF_PACKAGE='x y'\n");
    sandbox.set("DATABASE_URL", "postgres://elsewhere/x");
    sandbox.write(
        "workspace.yaml",
        MANIFEST.replace(
            "env: { CORE_URL: core }",
            "env: { CORE_URL: core }, hooks: { after_migrate: ['env > seen.env; pwd > seen.pwd', 'echo on its output of $OF_PACKAGE; echo \"at $DATABASE_URL and $PGPASSWORD\" >&2'] }",
        ),
    );
    let ran = sandbox.dbctl(&["up", "app", "--format", "ndjson"]);
    assert_eq!(ran.code, 0, "{ran}");
    let (url, core) = (sandbox.url("app"), sandbox.url("core"));
    let seen = sandbox.read("apps/app/seen.env");
    for line in [format!("DATABASE_URL={url}"), format!("CORE_URL={core}"), "PGDATABASE=app_db".to_owned()] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is missing: {seen}");
    }
    let folder = sandbox.root().join("apps/app").canonicalize().unwrap();
    assert_eq!(sandbox.read("apps/app/seen.pwd").trim_end(), folder.to_str().unwrap());

    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_app = events.iter().filter(|event| event["database"] == "app");
    let heard: Vec<&Value> = of_app
        .filter(|event| {
            ["hook_started", "hook_finished", "output"].contains(&event["event"].as_str().unwrap())
        })
        .collect();
    assert_eq!(heard.len(), 6, "{heard:?}");
    assert_eq!(heard[0]["event"], "hook_started");
    assert_eq!(heard[0]["hook"], "after_migrate");
    assert_eq!(heard[1]["command"], "env > seen.env; pwd > seen.pwd");
    assert!(heard[1]["elapsed_ms"].is_u64());
    let lines: Vec<&Value> =
        heard.iter().map(|event| &event["line"]).filter(|line| !line.is_null()).collect();
    let hidden = url.replace(&password_of(&url), "***");
    assert!(lines.contains(&&json!("on its output of x y")), "{lines:?}");
    assert!(lines.contains(&&json!(format!("at {hidden} and ***"))), "{lines:?}");

    sandbox.write("apps/app/m/20260102000000_v.sql", "create table v (id int);\n");
    let said = sandbox.dbctl(&["migrate", "app"]);
    assert_eq!(said.code, 0, "{said}");
    for line in ["app: on its output of x y\n", "app: ran after_migrate: env > seen.env; pwd > seen.pwd ("] {
        assert!(said.stderr.contains(line), "{line:?} is missing: {said}");
    }
}

/// A workspace whose `core` has these hooks.
fn with(hooks: &str) -> Sandbox {
    let sandbox = sandbox();
    let (head, tail) = MANIFEST.split_once("    hooks:\n").unwrap();
    let (_, tail) = tail.split_once("  app:").unwrap();
    sandbox.write("workspace.yaml", format!("{head}    hooks: {{ {hooks} }}\n  app:{tail}"));
    sandbox
}

#[test]
fn a_hook_that_fails_fails_its_database() {
    let sandbox = with(
        "before_migrate: ['echo first', 'exec >&2; for n in 1 2 3 4 5 6 7 8 9 10; do echo line $n; done; echo \"at $PGPASSWORD\"; exit 3', 'echo never > log']",
    );
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 1, "{document}");
    let core = &document["databases"][0];
    assert_eq!((&core["outcome"], &core["created"]), (&json!("failed"), &json!(true)), "{core}");
    let error = &core["error"];
    assert_eq!(error["code"], "hook");
    assert!(
        error["message"].as_str().unwrap().contains("before_migrate")
            && error["message"].as_str().unwrap().ends_with("exited with 3"),
        "{error}"
    );
    let tail: Vec<&str> =
        error["output"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(tail.len(), 10, "{error}");
    assert!(tail.contains(&"line 10") && tail.contains(&"at ***") && !tail.contains(&"first"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--no-hooks"), "{error}");
    assert_eq!(
        (&document["databases"][1]["outcome"], &document["databases"][1]["needs"]),
        (&json!("skipped"), &json!("core"))
    );
    assert_eq!(
        sandbox.query("core", "select to_regclass('t')"),
        "NULL\n",
        "what comes after it does not run"
    );
    assert_eq!(log(&sandbox), "");
    sandbox.ok(&["up", "--all", "--no-hooks"]);
    sandbox.ok(&["status", "--all", "--check"]);

    let after = with("after_migrate: 'echo why >&2; kill -9 $$'");
    let said = after.dbctl(&["up", "--all", "-q"]).fails(1);
    insta::assert_snapshot!(after.redact(&said), @"
    error: core: the hook after_migrate, `echo why >&2; kill -9 $$`, was ended by a signal
      output: why
      help: the migrations are applied; once the command is mended, run it by hand: `dbctl exec core -- COMMAND`
    ");
    assert_eq!(after.query("core", "select count(*) from t"), "0\n", "what it came after stays");
    after.ok(&["up", "--all"]);

    let before = with("before_create: no-such-program");
    let said = before.dbctl(&["up", "core"]).fails(1);
    assert!(said.contains("exited with 127") && said.contains("not found"), "{said}");
    assert_eq!(before.json(&["status", "core"]).1["databases"][0]["exists"], false);
}

#[test]
fn a_hook_ends_with_the_run() {
    let sandbox = with("before_migrate: 'sleep 60 & echo $! > child; echo $$ > self; wait'");
    sandbox.ok(&["create", "core"]);
    let file = |name: &str| sandbox.root().join("packages/core").join(name);
    let run = Running::start(sandbox.command(binary()).args(["up", "core"]));
    until("the hook runs", || std::fs::read_to_string(file("self")).is_ok_and(|pid| pid.ends_with('\n')));
    run.signal("INT");
    let ran = run.wait(Duration::from_secs(60));
    assert_eq!(ran.code, 130, "{ran}");
    for name in ["self", "child"] {
        let pid = std::fs::read_to_string(file(name)).unwrap();
        until("the hook and its child are gone", || !process::exists(pid.trim()));
    }
    assert_eq!(sandbox.query("core", "select to_regclass('t')"), "NULL\n");
}

#[test]
fn a_plan_shows_the_hooks_that_may_run() {
    let sandbox = with("before_create: [a, b], after_migrate: 'pnpm db:generate', before_clean: c");
    insta::assert_snapshot!(sandbox.ok(&["plan", "up", "core"]), @"
    up: 3 steps in 1 database
    core (core_db): create → migrate → seed
         before_create: a
         before_create: b
         after_migrate: pnpm db:generate
    ");
    let (_, plan) = sandbox.json(&["plan", "migrate", "core"]);
    assert_eq!(
        plan["steps"][0]["hooks"],
        json!([{ "hook": "after_migrate", "command": "pnpm db:generate" }])
    );
    for args in [
        &["plan", "migrate", "core", "--no-hooks"][..],
        &["plan", "migrate", "core", "--fake"],
        &["plan", "rollback", "core"],
        &["plan", "seed", "core"],
    ] {
        let (_, plan) = sandbox.json(args);
        assert!(plan["steps"][0]["hooks"].is_null(), "{args:?}: {plan}");
    }
    assert!(!sandbox.has_server());
}
