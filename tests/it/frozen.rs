//! Frozen plans: exactly what was looked at is done, or nothing is.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, password_of};

const MANIFEST: &str = "workspace: frozen
databases:
  core: { migrations: [{ path: core, format: native }] }
  app: { depends_on: [core], migrations: [{ path: app, format: node-pg-migrate }] }
environments:
  production: { protected: true }
";

const USERS: &str = "core/20260101000000_users.sql";
const ROLES: &str = "core/20260102000000_roles.sql";
const ORDERS: &str = "app/1700000000000_orders.sql";

/// `core` has its users; its roles and all of `app` are pending, and frozen in `plan.json`.
fn frozen() -> Sandbox {
    let sandbox = Sandbox::new(
        MANIFEST,
        &[(USERS, "create table users (id int);\n"), (ORDERS, "create table orders (id int);\n")],
    );
    sandbox.write("core/20260101000000_users.down.sql", "drop table users;\n");
    sandbox.ok(&["create", "--all"]);
    sandbox.ok(&["migrate", "core"]);
    sandbox.write(ROLES, "create table roles (id int);\n");
    let said = sandbox.dbctl(&["plan", "migrate", "app", "-o", "plan.json"]);
    assert!(said.code == 0 && said.stderr.contains("wrote plan.json: 2 migrations in 2 databases"), "{said}");
    assert!(said.stdout.starts_with("migrate: 2 steps in 2 databases\n"), "{said}");
    sandbox
}

fn plan(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read("plan.json")).unwrap()
}

fn tables(sandbox: &Sandbox) -> [String; 2] {
    let sql = "select coalesce(string_agg(tablename, ' ' order by tablename), '') from pg_tables where schemaname = \
               'public' and tablename <> 'pgmigrations'";
    ["core", "app"].map(|database| sandbox.query(database, sql).trim().to_owned())
}

/// What is told of a plan that no longer holds; nothing has been touched.
fn moved(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let before = tables(sandbox);
    let (code, document) = sandbox.json(&[&["migrate", "--plan", "plan.json"], args].concat());
    assert_eq!(code, 4, "{document}");
    assert_eq!(tables(sandbox), before);
    let errors = document["databases"].as_array().into_iter().flatten().filter_map(|one| {
        let error = &one["error"];
        assert!(error.is_null() || error["code"] == "plan_moved", "{document}");
        error["message"].as_str().map(|message| format!("{}: {message}", one["key"].as_str().unwrap()))
    });
    let whole = document["error"]["message"].as_str().map(str::to_owned);
    let hint = document.to_string();
    assert!(hint.contains("dbctl plan migrate TARGET -o FILE"), "{document}");
    errors.chain(whole).collect()
}

#[test]
fn a_plan_is_applied_as_it_was_looked_at() {
    let sandbox = frozen();
    assert_eq!(tables(&sandbox), ["users", ""], "to plan is to look");
    let held = plan(&sandbox);
    assert_eq!((&held["kind"], &held["version"]), (&json!("dbctl-plan"), &json!(1)));
    assert_eq!((&held["environment"], &held["options"]["targets"]), (&json!("development"), &json!(["app"])));
    let core = &held["databases"][0];
    assert_eq!((&core["key"], &core["name"]), (&json!("core"), &json!("core")));
    assert_eq!(
        core["system"],
        sandbox.query("core", "select system_identifier from pg_control_system()").trim()
    );
    assert_eq!(core["pending"][0]["path"], ROLES);
    assert_eq!(core["pending"][0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&core["applied"][0]["version"], &core["applied"][0]["state"]),
        (&json!("20260101000000"), &json!("applied"))
    );
    assert!(!sandbox.read("plan.json").contains(&password_of(&sandbox.url("core"))));

    let (code, dry) = sandbox.json(&["migrate", "--plan", "plan.json", "--dry-run"]);
    assert_eq!((code, &dry["databases"][0]["migrations"][0]["direction"]), (0, &json!("dry_run")), "{dry}");
    // From any folder, and whatever the checkout did to line endings.
    sandbox.write(ROLES, "create table roles (id int);\r\n");
    let done = sandbox.dbctl_in("app", &["migrate", "--plan", "../plan.json"]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(tables(&sandbox), ["roles users", "orders"]);
    assert_eq!(
        moved(&sandbox, &[]),
        [
            "core: the plan no longer holds: 20260102000000_roles has been applied since",
            "app: the plan no longer holds: 1700000000000_orders has been applied since"
        ]
    );
}

#[test]
fn whatever_has_moved_is_told_and_nothing_is_touched() {
    let sandbox = frozen();
    let only = |sandbox: &Sandbox, says: &str| {
        let told = moved(sandbox, &[]);
        assert_eq!(told, [format!("app: the plan no longer holds: {says}")]);
    };
    // Files.
    let orders = sandbox.read(ORDERS);
    sandbox.write(ORDERS, "create table orders (id bigint);\n");
    only(&sandbox, &format!("{ORDERS} has changed"));
    sandbox.write(ORDERS, &orders);
    sandbox.write("app/1700000000001_more.sql", "select 1;\n");
    only(&sandbox, "app/1700000000001_more.sql is pending, and not in the plan");
    fs::remove_file(sandbox.root().join("app/1700000000001_more.sql")).unwrap();
    fs::rename(sandbox.root().join(ORDERS), sandbox.root().join("orders.sql")).unwrap();
    only(&sandbox, &format!("{ORDERS} is gone"));
    fs::rename(sandbox.root().join("orders.sql"), sandbox.root().join(ORDERS)).unwrap();
    // What is applied.
    sandbox.query("app", "create table pgmigrations (id serial primary key, name varchar(255) not null, run_on timestamp not null); \
                          insert into pgmigrations (name, run_on) values ('1600000000000_theirs', now())");
    only(&sandbox, "1600000000000_theirs has been applied since");
    sandbox.query("app", "drop table pgmigrations");
    sandbox.ok(&["rollback", "core", "--yes"]);
    assert_eq!(
        moved(&sandbox, &["--atomic"]),
        [format!(
            "core: the plan no longer holds: 20260101000000_users is not applied any more; {USERS} is pending, and not in \
             the plan"
        )]
    );
    sandbox.ok(&["migrate", "core", "--to", "20260101000000"]);
    // The workspace.
    assert_eq!(
        moved(&sandbox, &["--env", "production"]),
        [
            "plan.json: the plan no longer holds: it is for the environment `development`, and this is `production`"
        ]
    );
    sandbox.write("workspace.yaml", format!("# Changed.\n{MANIFEST}"));
    assert_eq!(moved(&sandbox, &[]), ["plan.json: the plan no longer holds: workspace.yaml has changed"]);
    sandbox.write("workspace.yaml", MANIFEST);
    // What was put back holds again.
    sandbox.ok(&["migrate", "--plan", "plan.json"]);
    assert_eq!(tables(&sandbox), ["roles users", "orders"]);
}

#[test]
fn another_server_is_told_from_the_one_it_was_made_for() {
    let sandbox = frozen();
    let other = frozen();
    other.write("plan.json", sandbox.read("plan.json"));
    let told = moved(&other, &[]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with(
            "core: the plan no longer holds: it is another database: the plan is for core on embedded"
        ),
        "{told:?}"
    );
    // A database of that name which was made anew has lost what was applied.
    sandbox.ok(&["drop", "core", "--yes", "--ignore-dependents"]);
    let gone = sandbox.dbctl(&["migrate", "--plan", "plan.json"]).fails(1);
    assert!(gone.contains("does not exist"), "{gone}");
    assert_eq!(sandbox.query("app", "select to_regclass('orders') is null"), "t\n");
    sandbox.ok(&["create", "core"]);
    let told = moved(&sandbox, &[]);
    assert!(told[0].contains("20260101000000_users is not applied any more"), "{told:?}");
}

#[test]
fn what_moves_while_it_runs_is_noticed_under_the_lock() {
    let sandbox = frozen();
    let hook = MANIFEST.replace(
        "databases:\n  core: {",
        "databases:\n  core: { hooks: { before_migrate: 'echo \"select 1;\" > core/20260103000000_hook.sql' },",
    );
    sandbox.write("workspace.yaml", hook);
    sandbox.ok(&["plan", "migrate", "app", "-o", "plan.json"]);
    let refused = sandbox.dbctl(&["migrate", "--plan", "plan.json"]).fails(4);
    assert!(refused.contains("core/20260103000000_hook.sql is pending, and not in the plan"), "{refused}");
    assert_eq!(tables(&sandbox), ["users", ""]);
    fs::remove_file(sandbox.root().join("core/20260103000000_hook.sql")).unwrap();
    sandbox.ok(&["migrate", "--plan", "plan.json", "--no-hooks"]);
    assert_eq!(tables(&sandbox), ["roles users", "orders"]);
}

#[test]
fn what_is_no_plan_is_refused_with_its_place() {
    let sandbox = frozen();
    let whole = sandbox.read("plan.json");
    let refused = |text: &str, says: &str| {
        sandbox.write("other.json", text);
        let said = sandbox.dbctl(&["migrate", "--plan", "other.json"]).fails(3);
        assert!(said.contains(says), "{said}");
    };
    let half = &whole[..whole.len() / 2];
    let line = half.matches('\n').count() + 1;
    refused(half, &format!("other.json:{line}:"));
    refused(half, "the plan is cut short: ");
    refused("", "other.json:1:1: the plan is cut short: ");
    refused(
        &whole.replacen("\"version\": 1", "\"version\": 99", 1),
        "other.json:3:15: this is a plan of version 99, and this dbctl reads version 1",
    );
    refused("{\"name\": \"a\"}", "missing field `kind`");
    let none = sandbox.dbctl(&["migrate", "--plan", "none.json"]).fails(3);
    assert!(none.contains("none.json: cannot be read"), "{none}");
    let (code, document) = sandbox.json(&["migrate", "--plan", "none.json"]);
    assert_eq!((code, &document["error"]["kind"]), (3, &json!("plan")), "{document}");
    for args in
        [&["core"][..], &["--all"], &["--to", "1"], &["--fake"], &["--no-deps"], &["--out-of-order", "allow"]]
    {
        let both = sandbox.dbctl(&[&["migrate", "--plan", "plan.json"], args].concat()).fails(2);
        assert!(both.contains("cannot be used with"), "{args:?} {both}");
    }
    assert_eq!(tables(&sandbox), ["users", ""]);
}

#[test]
fn nothing_is_written_over_but_another_plan() {
    let sandbox = frozen();
    let first = sandbox.read("plan.json");
    sandbox.write("app/1700000000001_more.sql", "select 1;\n");
    sandbox.ok(&["plan", "migrate", "app", "-o", "plan.json"]);
    assert_ne!(sandbox.read("plan.json"), first);
    sandbox.write("package.json", "{ \"name\": \"app\" }");
    let refused = sandbox.dbctl(&["plan", "migrate", "app", "-o", "package.json"]).fails(2);
    assert!(refused.contains("package.json is there already, and is no plan"), "{refused}");
    assert_eq!(sandbox.read("package.json"), "{ \"name\": \"app\" }");
    sandbox.ok(&["plan", "migrate", "app", "-o", "package.json", "--force"]);
    assert!(sandbox.read("package.json").contains("dbctl-plan"));
    // A link stays one, and what is no file is written to and not replaced.
    let link = sandbox.root().join("link.json");
    std::os::unix::fs::symlink("package.json", &link).unwrap();
    sandbox.ok(&["plan", "migrate", "app", "-o", "link.json"]);
    assert!(link.is_symlink() && sandbox.read("link.json").contains("dbctl-plan"));
    let piped = sandbox.ok(&["plan", "migrate", "app", "-o", "/dev/stdout"]);
    assert!(piped.contains("dbctl-plan"), "{piped}");
    // Only what would run is frozen, and not what would be refused.
    for args in [
        &["up", "app"][..],
        &["rollback", "app"],
        &["migrate", "app", "--dry-run"],
        &["migrate", "--plan", "plan.json"],
    ] {
        let refused = sandbox.dbctl(&[&["plan"], args, &["-o", "new.json"]].concat()).fails(2);
        assert!(refused.contains("only what `migrate` would run can be frozen"), "{args:?} {refused}");
    }
    sandbox.write(USERS, "create table users (id bigint);\n");
    let drifted = sandbox.dbctl(&["plan", "migrate", "app", "-o", "new.json"]).fails(1);
    assert!(drifted.contains("applied migrations have changed on disk"), "{drifted}");
    assert!(!sandbox.root().join("new.json").exists());
    let nowhere = sandbox.dbctl(&["plan", "migrate", "app", "-o", "none/new.json"]);
    assert!(nowhere.code == 1, "{nowhere}");
}
