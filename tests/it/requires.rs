//! `-- dbctl:requires` where nothing runs: in plans and graphs, and in the guard of a rollback.

use serde_json::json;

use crate::support::Sandbox;

fn sandbox(requires: &str) -> Sandbox {
    Sandbox::new(
        "workspace: a\ndatabases:\n  core: { migrations: [{ path: c, format: native }] }\n  app: { depends_on: [core], migrations: [{ path: m, format: native }] }\n  web: { depends_on: [app], migrations: [{ path: w, format: native }] }\n  lone: {}\n",
        &[
            ("c/20260101000000_users.sql", "create table users (id int);\n"),
            ("c/20260101000000_users.down.sql", "drop table users;\n"),
            ("c/20260102000000_roles.sql", "create table roles (id int);\n"),
            ("c/20260102000000_roles.down.sql", "drop table roles;\n"),
            ("m/20260101000000_a.sql", "create table a (id int);\n"),
            ("m/20260102000000_b.sql", &format!("-- dbctl:requires {requires}\ncreate table b (id int);\n")),
            ("m/20260102000000_b.down.sql", "drop table b;\n"),
            (
                "w/20260103000000_c.sql",
                "-- dbctl:requires core@20260102000000_roles\n-- dbctl:requires app@20260102000000\nselect 1;\n",
            ),
        ],
    )
}

#[test]
fn plans_and_graphs_show_what_requires_what() {
    let sandbox = sandbox("core@20260101000000");
    insta::assert_snapshot!(sandbox.ok(&["plan", "migrate", "--all"]), @"
    migrate: 4 steps in 4 databases
    core (core): migrate
    └─ app (app): migrate
       │    20260102000000_b requires core@20260101000000
       └─ web (web): migrate
               20260103000000_c requires core@20260102000000_roles
               20260103000000_c requires app@20260102000000
    lone (lone): migrate
    ");
    insta::assert_snapshot!(sandbox.ok(&["plan", "migrate", "app", "web", "--no-deps", "--as", "mermaid"]), @r#"
    flowchart LR
      n0["app (app): migrate<br/>20260102000000_b requires core@20260101000000"]
      n1["web (web): migrate<br/>20260103000000_c requires core@20260102000000_roles"]
      n0 --> n1
      n0 -. "20260103000000_c requires app@20260102000000" .-> n1
    "#);
    insta::assert_snapshot!(sandbox.ok(&["graph"]), @"
    core
    └─ app
       │    20260102000000_b requires core@20260101000000
       └─ web
               20260103000000_c requires core@20260102000000_roles
               20260103000000_c requires app@20260102000000
    lone
    ");
    insta::assert_snapshot!(sandbox.ok(&["graph", "--as", "dot"]), @r#"
    digraph "a" {
      node [shape=box];
      n0 [label="core"];
      n1 [label="app"];
      n2 [label="lone"];
      n3 [label="web"];
      n1 -> n0;
      n3 -> n1;
      n1 -> n0 [style=dotted, constraint=false, label="20260102000000_b requires core@20260101000000"];
      n3 -> n0 [style=dotted, constraint=false, label="20260103000000_c requires core@20260102000000_roles"];
      n3 -> n1 [style=dotted, constraint=false, label="20260103000000_c requires app@20260102000000"];
    }
    "#);
    let (_, graph) = sandbox.json(&["graph"]);
    let b = json!([{ "migration": "20260102000000_b", "database": "core", "version": "20260101000000" }]);
    assert_eq!(graph["databases"][1]["requires"], b, "{graph}");
    let (_, plan) = sandbox.json(&["plan", "up", "app"]);
    let with: Vec<_> =
        plan["steps"].as_array().unwrap().iter().filter(|step| !step["requires"].is_null()).collect();
    assert_eq!(with.len(), 1, "{plan}");
    assert_eq!((&with[0]["action"], &with[0]["requires"]), (&json!("migrate"), &b));
    assert!(!sandbox.has_server(), "files say it all");

    // What is applied requires nothing any more; redoing it does.
    sandbox.ok(&["up", "app"]);
    let said = sandbox.ok(&["plan", "migrate", "--all", "--state"]);
    assert!(
        !said.contains("20260102000000_b requires") && said.contains("20260103000000_c requires app@"),
        "{said}"
    );
    let said = sandbox.ok(&["plan", "redo", "app", "--state"]);
    assert!(said.contains("20260102000000_b requires core@20260101000000"), "{said}");
}

#[test]
fn a_plan_refuses_what_a_run_would() {
    for (requires, problem) in [
        ("lone@1", "`lone` is no database that `app` depends on"),
        ("core@20260109000000", "`core` has no migration `20260109000000`"),
    ] {
        let sandbox = sandbox(requires);
        for verb in ["migrate", "up", "redo", "reset"] {
            let said = sandbox.dbctl(&["plan", verb, "app"]).fails(3);
            assert!(said.contains(problem) && said.contains("m/20260102000000_b.sql:1"), "{said}");
        }
        let (code, document) = sandbox.json(&["plan", "up", "app"]);
        let found = &document["error"]["problems"][0];
        assert_eq!(
            (code, &found["path"], &found["line"]),
            (3, &json!("m/20260102000000_b.sql"), &json!(1)),
            "{document}"
        );
        // What runs no files asks for nothing, and a drawing of the rest is still one.
        for args in [
            &["plan", "create", "app"][..],
            &["plan", "migrate", "core"],
            &["plan", "migrate", "app", "--fake"],
            &["graph"],
        ] {
            sandbox.ok(args);
        }
        assert!(!sandbox.has_server());
        let said = sandbox.dbctl(&["up", "app"]).fails(3);
        assert!(said.contains(problem), "{said}");
    }
    let sandbox = sandbox("core");
    let said = sandbox.dbctl(&["plan", "up", "app"]).fails(3);
    assert!(said.contains("m/20260102000000_b.sql:1:"), "a directive that is malformed: {said}");
}

#[test]
fn a_rollback_wants_to_see_the_folders_of_all_dependents() {
    let sandbox = sandbox("core@20260101000000");
    sandbox.ok(&["create", "core"]);
    sandbox.ok(&["migrate", "core"]);
    let told = sandbox.read("workspace.yaml");
    let untold = told.replace("{ path: w, format: native }", "{ path: x }");
    sandbox.write("workspace.yaml", &untold);
    sandbox.write("x/setup.sql", "select 1;\n");
    let said = sandbox.dbctl(&["rollback", "core", "--yes"]).fails(1);
    insta::assert_snapshot!(sandbox.redact(&said), @"
    error: core: it cannot be told whether files of `web` in x require it
      help: say in the manifest which `format` it is, or use --ignore-dependents
    ");
    let (_, document) = sandbox.json(&["rollback", "core", "--yes"]);
    assert_eq!(document["databases"][0]["error"]["code"], "untold", "{document}");
    assert_eq!(sandbox.query("core", "select to_regclass('roles') is not null"), "t\n");
    sandbox.ok(&["rollback", "core", "--yes", "--ignore-dependents"]);
    assert_eq!(sandbox.query("core", "select to_regclass('roles') is not null"), "f\n");
    sandbox.write("workspace.yaml", &told);
    sandbox.ok(&["rollback", "core", "--yes"]);
}
