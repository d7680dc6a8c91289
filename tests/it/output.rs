//! What programs read, what commands leave untouched, and the exit codes.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::{
    own_server::OwnServer,
    support::{Ran, Sandbox, binary, repository},
};

/// The names of an object's members.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect()
}

fn by_key<'d>(document: &'d Value, key: &str) -> &'d Value {
    document["databases"].as_array().unwrap().iter().find(|database| database["key"] == key).unwrap()
}

/// The lines of `--format ndjson`.
fn events(sandbox: &Sandbox, args: &[&str], code: i32) -> Vec<Value> {
    let ran = sandbox.dbctl(&[args, &["--format", "ndjson"]].concat());
    assert_eq!(ran.code, code, "{ran}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_documents_of_runs() {
    let sandbox = Sandbox::atriz();
    let (code, up) = sandbox.json(&["up", "mextrack"]);
    assert_eq!(code, 0, "{up}");
    assert_eq!(members(&up), ["command", "workspace", "run", "outcome", "elapsed_ms", "databases"]);
    assert_eq!(
        (&up["command"], &up["workspace"], &up["outcome"]),
        (&json!("up"), &json!("atriz"), &json!("done"))
    );
    assert_eq!(up["run"].as_str().unwrap().len(), 20);
    let keys: Vec<&Value> = up["databases"].as_array().unwrap().iter().map(|db| &db["key"]).collect();
    assert_eq!(keys, ["core", "mextrack"]);
    let core = by_key(&up, "core");
    assert_eq!(
        members(core),
        ["key", "name", "outcome", "elapsed_ms", "created", "extensions", "migrations", "seeds"]
    );
    assert_eq!(members(&core["migrations"][0]), ["source", "version", "name", "elapsed_ms"]);
    assert_eq!(core["migrations"][0]["source"], "migrations");
    assert_eq!(core["migrations"][0]["version"], "1760864400000");
    assert_eq!(core["migrations"][0]["name"], "1760864400000_create_users");
    assert_eq!(members(&core["seeds"][0]), ["file", "elapsed_ms"]);

    let (code, back) = sandbox.json(&["rollback", "mextrack", "--count", "2", "--yes"]);
    assert_eq!(code, 0, "{back}");
    assert_eq!(back["databases"].as_array().unwrap().len(), 1, "never a dependency");
    let migrations = back["databases"][0]["migrations"].as_array().unwrap();
    assert_eq!(migrations.len(), 2);
    assert!(migrations.iter().all(|migration| migration["direction"] == "down"), "{back}");

    let lines = events(&sandbox, &["migrate", "mextrack"], 0);
    let named = |line: &Value| line["event"].as_str().unwrap().to_owned();
    assert_eq!(
        (named(&lines[0]), named(lines.last().unwrap())),
        ("run_started".into(), "run_finished".into())
    );
    assert_eq!(
        lines[0]["databases"],
        json!([{"key": "core", "name": "atriz_shared"}, {"key": "mextrack", "name": "mextrack_db"}])
    );
    let finished: Vec<&Value> = lines.iter().filter(|line| named(line) == "migration_finished").collect();
    assert_eq!(finished.len(), 2, "{lines:?}");
    assert_eq!(
        members(finished[0]),
        ["event", "database", "source", "version", "name", "direction", "elapsed_ms"]
    );
    let steps = |event: &str| lines.iter().filter(|line| named(line) == event).count();
    assert_eq!((steps("step_started"), steps("step_finished"), steps("database_finished")), (2, 2, 2));
    assert_eq!(lines.last().unwrap()["outcome"], "done");

    sandbox.write(
        "apps/mextrack/migrations/1799999999999_bad.sql",
        "-- Up Migration\nselect 1;\n\n  select * from nowhere;\n",
    );
    let (code, failed) = sandbox.json(&["migrate", "--all"]);
    assert_eq!((code, &failed["outcome"]), (1, &json!("failed")));
    let error = &by_key(&failed, "mextrack")["error"];
    assert_eq!(
        (&error["code"], &error["path"], &error["line"], &error["column"]),
        (&json!("42P01"), &json!("apps/mextrack/migrations/1799999999999_bad.sql"), &json!(4), &json!(17)),
        "{error}"
    );
    assert_eq!(error["message"], "relation \"nowhere\" does not exist");
    let lines = events(&sandbox, &["migrate", "mextrack"], 1);
    let ended = lines
        .iter()
        .find(|line| named(line) == "database_finished" && line["database"] == "mextrack")
        .unwrap();
    assert_eq!(ended["error"]["line"], 4, "{ended}");
}

#[test]
fn the_documents_of_what_only_looks() {
    let sandbox = Sandbox::atriz();
    let (code, list) = sandbox.json(&["list"]);
    assert_eq!(code, 0);
    assert_eq!(members(&list), ["workspace", "environment", "databases"]);
    assert_eq!(
        members(&list["databases"][0]),
        ["key", "name", "package", "folder", "server", "depends_on", "tags", "migrations"]
    );
    assert_eq!(by_key(&list, "pshop")["depends_on"], json!(["core"]));
    assert_eq!(events(&sandbox, &["list"], 0).len(), 4);

    let (code, graph) = sandbox.json(&["graph"]);
    assert_eq!((code, graph.is_object()), (0, true), "{graph}");
    let (code, plan) = sandbox.json(&["plan", "up", "--all"]);
    assert_eq!(code, 0);
    assert_eq!(members(&plan), ["command", "workspace", "environment", "steps"]);
    assert_eq!(members(&plan["steps"][0]), ["id", "database", "name", "action", "needs"]);
    assert_eq!(plan["steps"].as_array().unwrap().len(), 12);
    assert!(!sandbox.has_server(), "none of them starts a server");

    sandbox.ok(&["up", "core"]);
    let (code, status) = sandbox.json(&["status", "--all"]);
    assert_eq!(code, 0);
    assert_eq!(members(&status), ["workspace", "databases"]);
    let core = by_key(&status, "core");
    assert_eq!(members(core), ["key", "name", "server", "exists", "migrations", "counts"]);
    assert_eq!(
        members(&core["migrations"][0]),
        ["source", "version", "name", "state", "applied_at", "elapsed_ms"]
    );
    assert_eq!(
        core["counts"],
        json!({"applied": 4, "pending": 0, "out_of_order": 0, "changed": 0, "missing": 0, "failed": 0, "partial": 0})
    );
    assert!(core["migrations"][0]["applied_at"].as_str().unwrap().ends_with('Z'), "{core}");
    let pshop = by_key(&status, "pshop");
    assert_eq!((&pshop["exists"], &pshop["counts"]["pending"]), (&json!(false), &json!(4)));
    assert_eq!(pshop["migrations"][0]["state"], "pending");
    assert_eq!(pshop["migrations"][0]["applied_at"], Value::Null);
    assert_eq!(events(&sandbox, &["status", "--all"], 0).len(), 4);

    let (code, plan) = sandbox.json(&["plan", "migrate", "--all", "--state"]);
    assert_eq!(code, 0);
    assert_eq!(
        members(&by_key(&plan, "core").clone()),
        ["key", "name", "server", "exists", "pending", "not_applied"]
    );
    assert_eq!(by_key(&plan, "core")["pending"], json!([]));
    assert_eq!(by_key(&plan, "atriz")["pending"].as_array().unwrap().len(), 4);
    assert_eq!(sandbox.json(&["status", "atriz"]).1["databases"][0]["exists"], false, "it only looked");
    let text = sandbox.ok(&["plan", "migrate", "--all", "--state"]);
    assert!(text.contains("nothing pending") && text.contains("+ "), "{text}");
}

#[test]
fn every_exit_code_has_its_reason() {
    let sandbox = Sandbox::new(
        "workspace: a\ndatabases: { a: { migrations: [{ path: m, format: native }] } }\n",
        &[("m/20260101000000_t.sql", "create table t (id int);\n")],
    );
    let code = |args: &[&str]| sandbox.dbctl(args).code;
    // 5 and 130 have tests of their own.
    assert_eq!(code(&["status", "--all", "--check"]), 4, "there is no database");
    assert_eq!(code(&["create", "--all"]), 0);
    assert_eq!(code(&["status", "--all", "--check"]), 4, "a migration is pending");
    assert_eq!(code(&["status", "--all"]), 0);
    assert_eq!(code(&["migrate", "--all"]), 0);
    assert_eq!(code(&["status", "--all", "--check"]), 0);
    sandbox.write("m/20260102000000_bad.sql", "select 1/0;\n");
    assert_eq!(code(&["migrate", "--all"]), 1);
    assert_eq!(code(&["migrate"]), 2);
    assert_eq!(code(&["migrate", "--all", "--env", "nowhere"]), 3);
    sandbox.write("m/20260102000000_bad.sql", b"\xff");
    assert_eq!(code(&["migrate", "--all"]), 3);
    std::fs::remove_file(sandbox.root().join("m/20260102000000_bad.sql")).unwrap();
    sandbox.write("m/20260101000000_t.sql", "create table t (id bigint);\n");
    assert_eq!(code(&["status", "--all", "--check"]), 4, "an applied file has changed");
    assert_eq!(code(&["migrate", "--all"]), 1);
    assert_eq!(code(&["server", "status", "--check"]), 0);
    assert_eq!(code(&["server", "stop"]), 0);
    assert_eq!(code(&["server", "status", "--check"]), 4);
    assert_eq!(code(&["exec", "a", "--", "no-such-command"]), 127);
}

#[test]
fn a_dry_run_touches_nothing() {
    let server = OwnServer::start();
    let sandbox = Sandbox::new(
        &format!(
            "workspace: a\nservers: {{ main: {{ url: '{}' }} }}\ndatabases:\n  a: {{ name: a_db, migrations: [{{ path: m, format: native }}] }}\n  b: {{ name: b_db, depends_on: [a], migrations: [{{ path: n, format: node-pg-migrate }}] }}\n",
            server.url("postgres")
        ),
        &[
            ("m/20260101000000_t.sql", "create table t (id int);\n"),
            ("n/1700000000000_u.sql", "-- Up Migration\ncreate table u (id int);\n"),
        ],
    );
    let ran = sandbox.dbctl(&["migrate", "--all", "--dry-run"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("20260101000000_t") && ran.stdout.contains("1700000000000_u"), "{ran}");
    assert!(ran.stderr.contains("a: warning: the database does not exist yet"), "{ran}");
    assert_eq!(server.databases(), "");
    sandbox.ok(&["create", "--all"]);
    let relations = || {
        ["a_db", "b_db"].map(|database| {
            server.query(database, "select oid::regclass from pg_class where oid > 16383 order by 1::text")
        })
    };
    let before = relations();
    let (code, document) = sandbox.json(&["migrate", "--all", "--dry-run"]);
    assert_eq!((code, &document["databases"][0]["migrations"][0]["direction"]), (0, &json!("dry_run")));
    assert_eq!(relations(), before, "no history table either");
    // A role that may only read is enough to look.
    server.query("postgres", "create role reader login password 'reader'");
    for database in ["a_db", "b_db"] {
        server.query(
            database,
            "grant usage on schema dbctl to reader; grant select on all tables in schema dbctl to reader",
        );
    }
    let owner = sandbox.read("workspace.yaml");
    sandbox.write(
        "workspace.yaml",
        owner.replace(&server.url("postgres"), &server.url_as("reader", "reader", "postgres")),
    );
    sandbox.ok(&["status", "--all"]);
    sandbox.ok(&["plan", "migrate", "--all", "--state"]);
    sandbox.ok(&["migrate", "--all", "--dry-run"]);
}

#[test]
fn a_plan_needs_neither_variables_nor_a_server() {
    let sandbox = Sandbox::new(
        "workspace: a\nservers: { main: { url: '${SERVER_URL}' } }\ndatabases:\n  core: {}\n  app: { depends_on: [core], url: '${DATABASE_URL:?set it}' }\n  web: { depends_on: [app] }\n",
        &[],
    );
    insta::assert_snapshot!(sandbox.ok(&["plan", "up", "--all"]), @"
    up: 9 steps in 3 databases
    core (core): create → migrate → seed
    └─ app (app): create → migrate → seed
       └─ web (web): create → migrate → seed
    ");
    insta::assert_snapshot!(sandbox.ok(&["plan", "reset", "app"]), @"
    reset: 4 steps in 1 database
    app (app): drop
    └─ app (app): create → migrate → seed
    ");
    for shape in ["tree", "mermaid", "dot", "json"] {
        for verb in ["up", "create", "migrate", "seed", "clean", "drop", "rollback", "redo", "reset"] {
            assert!(!sandbox.ok(&["plan", verb, "--all", "--as", shape]).is_empty());
        }
        if shape != "json" {
            assert!(!sandbox.ok(&["graph", "--as", shape]).is_empty());
        }
    }
    assert!(!sandbox.has_server());
    let said = sandbox.dbctl(&["plan", "up", "--all", "--state"]).fails(3);
    assert!(
        said.contains("SERVER_URL") && said.contains("DATABASE_URL") && said.contains("set it"),
        "{said}"
    );
}

#[test]
fn shells_and_editors_are_served() {
    let sandbox = Sandbox::new("workspace: a\ndatabases: { a: {} }\n", &[]);
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef dbctl"), ("fish", "complete -c dbctl")] {
        let script = sandbox.ok(&["completions", shell]);
        assert!(script.contains(word) && script.contains("rollback"), "{shell}");
    }
    let committed = std::fs::read_to_string(repository().join("schemas/workspace.schema.json")).unwrap();
    assert!(sandbox.ok(&["schema"]) == committed, "run `dbctl schema > schemas/workspace.schema.json`");
    let help = sandbox.ok(&["--help"]);
    for word in ["up", "migrate", "rollback", "status", "--format"] {
        assert!(help.contains(word), "{word:?} is missing: {help}");
    }
    assert!(sandbox.ok(&["--version"]).starts_with("dbctl "));
    assert_eq!(sandbox.dbctl(&[]).code, 2);
}

#[cfg(unix)]
#[test]
fn whoever_stops_reading_is_no_error() {
    let databases: String = (0..500).map(|n| format!("  database_number_{n}: {{}}\n")).collect();
    let sandbox = Sandbox::new(&format!("workspace: a\ndatabases:\n{databases}"), &[]);
    for command in
        ["list", "list --format json", "graph", "plan up --all", "schema", "--help", "completions bash"]
    {
        let script = format!("{{ {} {command}; echo \"code $?\" >&2; }} | head -1", binary());
        let ran = Ran::of(sandbox.command("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap());
        assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (1, "code 0\n"), "{command}: {ran}");
    }
}

#[test]
fn errors_without_a_position_show_their_statement() {
    let sandbox =
        Sandbox::new("workspace: a\ndatabases: { a: { migrations: [{ path: m, format: native }] } }\n", &[]);
    let said = |sql: &str| {
        sandbox.write("m/20260101000000_bad.sql", sql);
        let text = sandbox.redact(&sandbox.dbctl(&["up", "--all"]).fails(1));
        assert_eq!(sandbox.query("a", "select count(*) from dbctl.migration_history"), "0\n");
        text
    };
    insta::assert_snapshot!(said("create table t (id int);\n\ninsert into t values (1);\n\n-- third\nupdate t\nset id = id / 0;\n\nselect 4;\n"), @"
    a: created
    error: a: division by zero (22012)
       ╭─[m/20260101000000_bad.sql:6:1]
     6 │ update t
       · ────┬───
       ·     ╰── in the statement that starts here
     7 │ set id = id / 0
       ╰────
    ");
    insta::assert_snapshot!(said("select 1;\ndo $$\nbegin\n  perform 1;\n  raise exception 'not like this' using hint = 'another way', detail = 'in a block';\nend\n$$;\n"), @"
    error: a: not like this (P0001)
       ╭─[m/20260101000000_bad.sql:2:1]
     2 │ do $$
       · ──┬──
       ·   ╰── in the statement that starts here
     3 │ begin
     4 │   perform 1;
     5 │   raise exception 'not like this' using hint = 'another way', detail = 'in a block';
     6 │ end
     7 │ $$
       ╰────
      detail: in a block
      context: PL/pgSQL function inline_code_block line 4 at RAISE
      hint: another way
    ");
    insta::assert_snapshot!(said("do $$\nbegin\n  perform nothing_there(1);\nend\n$$;\n"), @"
    error: a: function nothing_there(integer) does not exist (42883)
       ╭─[m/20260101000000_bad.sql:1:1]
     1 │ do $$
       · ──┬──
       ·   ╰── in the statement that starts here
     2 │ begin
     3 │   perform nothing_there(1);
     4 │ end
     5 │ $$
       ╰────
      context: PL/pgSQL function inline_code_block line 3 at PERFORM
               in the query: SELECT nothing_there(1)
      hint: No function matches the given name and argument types. You might need to add explicit type casts.
    ");
    insta::assert_snapshot!(said("create table t (id int primary key);\ninsert into t values (1), (1);\n"), @r#"
    error: a: duplicate key value violates unique constraint "t_pkey" (23505)
       ╭─[m/20260101000000_bad.sql:2:1]
     2 │ insert into t values (1), (1);
       · ───────────────┬──────────────
       ·                ╰── in the statement that starts here
       ╰────
      detail: Key (id)=(1) already exists.
    "#);
    insta::assert_snapshot!(said("create table t (id int primary key deferrable initially deferred);\ninsert into t values (1), (1);\n"), @r#"
    error: a: duplicate key value violates unique constraint "t_pkey" (23505)
       ╭─[m/20260101000000_bad.sql:2:1]
     2 │ insert into t values (1), (1);
       · ───────────────┬──────────────
       ·                ╰── in the statement that starts here
       ╰────
      detail: Key (id)=(1) already exists.
    "#);
    insta::assert_snapshot!(said("create table größe (id int); select 'äöü', größ from größe;\n"), @r#"
    error: a: column "größ" does not exist (42703)
       ╭─[m/20260101000000_bad.sql:1:44]
     1 │ create table größe (id int); select 'äöü', größ from größe;
       ·                                            ────
       ╰────
    "#);
    insta::assert_snapshot!(said("create function f() returns int language sql as 'select nix';\n"), @r#"
    error: a: column "nix" does not exist (42703)
       ╭─[m/20260101000000_bad.sql:1:57]
     1 │ create function f() returns int language sql as 'select nix';
       ·                                                         ───
       ╰────
    "#);
    insta::assert_snapshot!(said("select 'open;\n"), @"
    error: a: this string never ends
       ╭─[m/20260101000000_bad.sql:1:8]
     1 │ select 'open;
       ·        ─
       ╰────
    ");
}
