//! `migrate --atomic` on real servers: all databases or none.

use crate::{
    held::hold,
    process::{self, Running},
    support::{Sandbox, binary},
};

const MANIFEST: &str = "workspace: atomic
databases:
  core:
    migrations: [{ path: core, format: native }]
  app:
    depends_on: [core]
    migrations: [{ path: app, format: node-pg-migrate }]
  lone:
    migrations: [{ path: lone, format: native }]
";

/// Three databases that are there and empty; `app`'s first file needs `core`'s second.
fn sandbox(more: &[(&str, &str)]) -> Sandbox {
    let mut files = vec![
        ("core/20260101000000_users.sql", "create table users (id int primary key);\n"),
        ("core/20260102000000_roles.sql", "create table roles (id int primary key);\n"),
        (
            "app/1700000000000_orders.sql",
            "-- dbctl:requires core@20260102000000\ncreate table orders (id int primary key);\n",
        ),
        ("lone/20260101000000_notes.sql", "create table notes (id int primary key);\n"),
    ];
    files.extend(more);
    let sandbox = Sandbox::new(MANIFEST, &files);
    sandbox.ok(&["create", "--all"]);
    sandbox
}

const TABLES: &str = "select string_agg(relname, ' ' order by relname) from pg_class c join pg_namespace n on n.oid = \
                      c.relnamespace where relkind = 'r' and nspname = 'public'";

fn tables(sandbox: &Sandbox) -> [String; 3] {
    ["core", "app", "lone"].map(|target| sandbox.query(target, TABLES).trim_end().to_owned())
}

const NOTHING: [&str; 3] = ["NULL", "NULL", "NULL"];

#[test]
fn all_databases_are_migrated_together() {
    let sandbox = sandbox(&[]);
    let (code, document) = sandbox.json(&["migrate", "--all", "--atomic"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(tables(&sandbox), ["roles users", "orders pgmigrations", "notes"]);
    sandbox.ok(&["status", "--all", "--check"]);
    assert_eq!(sandbox.query("core", "select count(*) from dbctl.migration_history"), "2\n");
    let again = sandbox.dbctl(&["migrate", "--all", "--atomic"]);
    assert!(again.code == 0 && again.stdout.contains("unchanged"), "{again}");
    assert!(!format!("{again}").contains("WARNING"), "{again}");
}

#[test]
fn one_failure_takes_everything_back() {
    let sandbox =
        sandbox(&[("lone/20260102000000_wrong.sql", "create table fine (id int);\nselect nothing;\n")]);
    let (code, document) = sandbox.json(&["migrate", "--all", "--atomic"]);
    assert_eq!(code, 1, "{document}");
    assert_eq!(tables(&sandbox), NOTHING);
    let outcome = |at: usize| {
        let database = &document["databases"][at];
        let text = |name: &str| database[name].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {} {}",
            text("key"),
            text("outcome"),
            text("halted_by"),
            database["rolled_back"],
            database["migrations"]
        )
    };
    let mut outcomes = [outcome(0), outcome(1), outcome(2)];
    outcomes.sort();
    // Whether `app` had begun when `lone` failed is a race; in no case is anything told as done.
    assert!(outcomes[0].starts_with("app skipped lone ") && outcomes[0].ends_with(" []"), "{outcomes:?}");
    assert!(outcomes[1].starts_with("core skipped lone ") && outcomes[1].ends_with(" []"), "{outcomes:?}");
    assert_eq!(outcomes[2], "lone failed - true []");
    assert_eq!(document["databases"][2]["error"]["code"], "42703", "{document}");
    // Not even the tables to record in are left.
    assert_eq!(sandbox.query("lone", "select to_regnamespace('dbctl') is null"), "f\n");
    assert_eq!(sandbox.query("core", "select count(*) from dbctl.migration_history"), "0\n");
    sandbox.write("lone/20260102000000_wrong.sql", "create table fine (id int);\n");
    sandbox.ok(&["migrate", "--all", "--atomic"]);
    assert_eq!(tables(&sandbox), ["roles users", "orders pgmigrations", "fine notes"]);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_begins() {
    for (path, text, message) in [
        (
            "app/1700000001000_by_id.sql",
            "create index concurrently orders_id on orders (id);\n",
            "app/1700000001000_by_id.sql:1: this statement cannot be part of a transaction with others",
        ),
        (
            "core/20260103000000_out.sql",
            "-- dbctl:no-transaction\nselect 1;\n",
            "core/20260103000000_out.sql:1: the file is to run outside a transaction",
        ),
        (
            "core/20260103000000_two.sql",
            "begin;\nselect 1;\ncommit;\nbegin;\nselect 2;\ncommit;\n",
            "core/20260103000000_two.sql:4: this statement cannot be part of a transaction with others",
        ),
        (
            "core/20260103000000_modes.sql",
            "begin isolation level serializable;\nselect 1;\ncommit;\n",
            "core/20260103000000_modes.sql:1: the file begins a transaction with modes of its own",
        ),
    ] {
        let sandbox = sandbox(&[(path, text)]);
        let ran = sandbox.dbctl(&["migrate", "--all", "--atomic"]);
        assert_eq!(ran.code, 1, "{ran}");
        let (place, what) = message.split_once(": ").unwrap();
        assert!(ran.stderr.contains(place) && ran.stderr.contains(what), "{ran}");
        assert_eq!(tables(&sandbox), NOTHING);
    }
}

/// Each file finds what it would find in a session of its own, and what the tool has made of its own transaction is one.
#[test]
fn files_find_a_clean_session_within_the_transaction() {
    let sandbox = sandbox(&[
        (
            "core/20260103000000_leaves.sql",
            "begin;\ncreate schema other;\nset search_path = other;\nset lock_timeout = '1ms';\n\
             create temp table users_copy (id int);\nset role pg_monitor;\nprepare p as select 1;\n\
             declare c cursor with hold for select 1;\ncommit;\n",
        ),
        (
            "core/20260104000000_checks.sql",
            "create table found as select current_setting('search_path') as path, current_user::text as who, \
             to_regclass('users_copy') is null as no_temp, current_setting('lock_timeout') as lock, \
             (select count(*) from pg_prepared_statements where from_sql) as prepared, \
             (select count(*) from pg_cursors where is_holdable) as cursors;\n",
        ),
        // Deferred as they were declared: the child first, in the file that adds the constraint and in a later one.
        (
            "core/20260105000000_deferred.sql",
            "create table child (id int references users deferrable initially deferred);\n\
             insert into child values (1);\ninsert into users values (1);\n",
        ),
        (
            "core/20260106000000_again.sql",
            "insert into child values (2);\ninsert into users values (2);\n\
             create table grandchild (id int references roles deferrable initially deferred);\n\
             insert into grandchild values (1);\ninsert into roles values (1);\n",
        ),
    ]);
    sandbox.ok(&["migrate", "core", "--atomic"]);
    assert_eq!(sandbox.query("core", "select * from found"), "\"$user\", public|postgres|t|5s|0|0\n");
}

#[test]
fn what_a_file_has_deferred_fails_with_that_file() {
    let sandbox = sandbox(&[(
        "core/20260103000000_orphan.sql",
        "create table child (id int references users deferrable initially deferred);\ninsert into child values (7);\n",
    )]);
    let (code, document) = sandbox.json(&["migrate", "core", "--atomic"]);
    assert_eq!(code, 1);
    assert_eq!(document["databases"][0]["error"]["code"], "23503", "{document}");
    assert!(
        document["databases"][0]["error"]["path"].as_str().unwrap().ends_with("_orphan.sql"),
        "{document}"
    );
    assert_eq!(tables(&sandbox)[0], "NULL");
}

#[test]
fn a_new_enum_value_that_is_used_at_once_is_explained() {
    let sandbox = sandbox(&[
        ("core/20260103000000_status.sql", "alter type status add value 'paid';\n"),
        ("core/20260104000000_used.sql", "create table t (s status);\ninsert into t values ('paid');\n"),
    ]);
    sandbox.query("core", "create type status as enum ('open')");
    let (code, document) = sandbox.json(&["migrate", "core", "--atomic"]);
    assert_eq!(code, 1);
    let error = &document["databases"][0]["error"];
    assert_eq!(error["code"], "55P04", "{document}");
    assert!(error["hint"].as_str().unwrap().contains("--atomic"), "{document}");
    assert_eq!(tables(&sandbox)[0], "NULL");
    sandbox.ok(&["migrate", "core"]);
}

/// Killed while transactions are open: nothing of them remains, and nothing is locked.
#[test]
fn killed_before_the_commits_it_has_done_nothing() {
    let sandbox =
        sandbox(&[("lone/20260102000000_slow.sql", "create table slow (id int);\nselect pg_sleep(60);\n")]);
    let url = sandbox.url("lone");
    let run = Running::start(sandbox.command(binary()).args(["migrate", "--all", "--atomic"]));
    let asleep = "select count(*) from pg_stat_activity where application_name like 'dbctl migrate %' \
                  and (query ~ 'pg_sleep' or state = 'idle in transaction')";
    process::until("all transactions are open", || sandbox.query_url(&url, asleep) == "3\n");
    run.signal("KILL");
    drop(run);
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where query ~ '^select pg_sleep'";
    sandbox.query_url(&url, end);
    process::until("their sessions end", || sandbox.query_url(&url, asleep) == "0\n");
    assert_eq!(tables(&sandbox), NOTHING);
    sandbox.write("lone/20260102000000_slow.sql", "create table slow (id int);\n");
    sandbox.ok(&["migrate", "--all", "--atomic", "--wait", "5s"]);
    assert_eq!(tables(&sandbox), ["roles users", "orders pgmigrations", "notes slow"]);
}

#[test]
fn whoever_holds_the_lock_is_waited_for_and_named() {
    let sandbox = sandbox(&[]);
    let held = hold(&sandbox.url("core"), &format!("select pg_advisory_lock({})", 0x64_6263_746c_i64));
    let (code, document) = sandbox.json(&["migrate", "--all", "--atomic", "--wait", "0s"]);
    assert_eq!(code, 5, "{document}");
    assert_eq!(document["databases"][0]["error"]["code"], "locked", "{document}");
    drop(held);
    assert_eq!(tables(&sandbox), NOTHING);
    sandbox.ok(&["migrate", "--all", "--atomic"]);
}

#[test]
fn hooks_run_before_the_first_and_after_the_last_transaction() {
    let manifest = MANIFEST.replace(
        "  lone:\n",
        "    hooks: { before_migrate: 'echo before >> hooks.log', after_migrate: 'echo after >> hooks.log' }\n  lone:\n",
    );
    let sandbox = sandbox(&[]);
    sandbox.write("workspace.yaml", &manifest);
    sandbox.ok(&["migrate", "--all", "--atomic"]);
    assert_eq!(sandbox.read("hooks.log"), "before\nafter\n");
    sandbox.ok(&["migrate", "--all", "--atomic"]);
    assert_eq!(sandbox.read("hooks.log"), "before\nafter\n");
}

#[test]
fn what_makes_no_sense_together_is_a_usage_error() {
    let sandbox = Sandbox::new(MANIFEST, &[]);
    for args in [
        &["migrate", "--all", "--atomic", "--fake", "--yes"][..],
        &["migrate", "--all", "--atomic=sometimes"],
        &["rollback", "core", "--atomic"],
    ] {
        assert_eq!(sandbox.dbctl(args).code, 2, "{args:?}");
    }
}
