//! The Atriz example: a fresh machine, daily work, and what people do wrong.

use serde_json::json;

use crate::support::{Sandbox, password_of};

const KEYS: [&str; 4] = ["core", "atriz", "mextrack", "pshop"];

#[test]
fn a_fresh_machine_has_four_databases_after_one_command() {
    let sandbox = Sandbox::atriz();
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(document["outcome"], "done");
    let names: Vec<&str> =
        document["databases"].as_array().unwrap().iter().map(|db| db["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["atriz_shared", "atriz_db", "mextrack_db", "pshop_db"]);
    for database in document["databases"].as_array().unwrap() {
        assert_eq!(database["outcome"], "done");
        assert_eq!(database["migrations"].as_array().unwrap().len(), 4, "{database}");
    }
    assert_eq!(
        sandbox.query("core", "select email from users where email = 'admin@atriz.dev'"),
        "admin@atriz.dev\n"
    );
    assert_ne!(sandbox.query("pshop", "select count(*) from products"), "0\n");
    let orphans = "select count(*) from vehicles where user_id is null";
    assert_eq!(sandbox.query("mextrack", orphans), "0\n");

    let (code, again) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 0, "{again}");
    for database in again["databases"].as_array().unwrap() {
        assert_eq!(database["outcome"], "unchanged", "{again}");
    }
    sandbox.ok(&["status", "--all", "--check"]);
}

#[test]
fn the_summary_is_one_table_and_progress_is_plain_lines() {
    let sandbox = Sandbox::atriz();
    let ran = sandbox.dbctl(&["up", "--all"]);
    assert_eq!(ran.code, 0, "{ran}");
    for key in KEYS {
        assert!(ran.stdout.lines().filter(|line| line.contains(key)).count() >= 1, "{ran}");
        assert!(ran.stderr.contains(&format!("{key}: ")), "{ran}");
    }
    assert!(!ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'), "no colors in a pipe: {ran}");
    assert!(ran.stderr.contains("1760864400000_create_users"), "{ran}");
}

#[test]
fn a_package_folder_is_its_own_target() {
    let sandbox = Sandbox::atriz();
    sandbox.dbctl_in("apps/mextrack", &["up"]).ok();
    assert_ne!(sandbox.query("core", "select count(*) from users"), "0\n");
    let ran = sandbox.dbctl_in("apps/mextrack", &["status", "--format", "json"]).ok();
    let status: serde_json::Value = serde_json::from_str(&ran).unwrap();
    assert_eq!(status["databases"].as_array().unwrap().len(), 1);
    assert_eq!(status["databases"][0]["key"], "mextrack");
    let said = sandbox.dbctl(&["migrate"]).fails(2);
    for key in KEYS {
        assert!(said.contains(key), "{said}");
    }
    for target in ["mextrack", "mextrack_db", "@atriz/mextrack-api", "apps/mextrack", "./apps/mextrack/"] {
        let (code, document) = sandbox.json(&["status", target]);
        assert_eq!((code, &document["databases"][0]["key"]), (0, &json!("mextrack")), "{target}");
    }
}

#[test]
fn a_broken_migration_is_shown_where_it_breaks_and_nothing_is_lost() {
    let sandbox = Sandbox::atriz();
    let path = "apps/mextrack/migrations/1761732000000_create_drivers.sql";
    let good = sandbox.read(path);
    let at = good.find("CREATE TABLE").unwrap();
    let broken = format!("{}CREATE TABEL{}", &good[..at], &good[at + "CREATE TABLE".len()..]);
    sandbox.write(path, &broken);
    let line = broken[..at].lines().count() + 1;

    let ran = sandbox.dbctl(&["up", "--all"]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stderr.contains(&format!("{path}:{line}:8")), "{ran}");
    assert!(ran.stderr.contains("syntax error at or near \"TABEL\""), "{ran}");
    assert!(ran.stderr.contains("CREATE TABEL"), "the line itself is shown: {ran}");
    assert!(ran.stderr.contains("42601"), "{ran}");
    // The first file is whole, the broken one left nothing, the others went on.
    assert_eq!(sandbox.query("mextrack", "select count(*) from pgmigrations"), "1\n");
    assert_ne!(sandbox.query("pshop", "select count(*) from products"), "0\n");

    sandbox.write(path, &good);
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(document["databases"][2]["migrations"].as_array().unwrap().len(), 3, "{document}");
}

#[test]
fn dependents_of_a_failure_are_skipped_with_the_reason() {
    let sandbox = Sandbox::atriz();
    sandbox.write("packages/core/migrations/1760864400001_broken.sql", "-- Up Migration\nselect 1/0;\n");
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 1, "{document}");
    assert_eq!(document["outcome"], "failed");
    let core = &document["databases"][0];
    assert_eq!(core["error"]["code"], "22012", "{core}");
    assert_eq!(core["error"]["path"], "packages/core/migrations/1760864400001_broken.sql");
    assert_eq!(core["error"]["line"], 2);
    for database in &document["databases"].as_array().unwrap()[1..] {
        assert_eq!((&database["outcome"], &database["needs"]), (&json!("skipped"), &json!("core")));
    }
}

#[test]
fn the_server_is_stopped_underneath_and_comes_back() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "core"]);
    sandbox.ok(&["server", "stop"]);
    let (code, document) = sandbox.json(&["up", "core"]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
}

#[test]
fn a_server_of_ones_own_is_named_in_env() {
    let server = Sandbox::new("workspace: server\ndatabases: { x: {} }\n", &[]);
    let url = server.ok(&["server", "url"]).trim().to_owned();
    let config: tokio_postgres::Config = url.parse().unwrap();
    let sandbox = Sandbox::atriz();
    let port = config.get_ports()[0];
    let env = sandbox
        .read("env.example")
        .replace("PGPORT=5432", &format!("PGPORT={port}"))
        .replace("PGPASSWORD=postgres", &format!("PGPASSWORD={}", password_of(&url)))
        .replace("PGHOST=localhost", "PGHOST=127.0.0.1");
    assert!(env.contains(&format!("PGPORT={port}")), "{env}");
    sandbox.write(".env", &env);
    sandbox.ok(&["up", "--all"]);
    let mine = server.query_url(&url, "select count(*) from pg_database where datname in ('atriz_shared', 'atriz_db', 'mextrack_db', 'pshop_db')");
    assert_eq!(mine, "4\n");
    sandbox.write(".env", env.replace(&format!("PGPORT={port}"), "PGPORT=1"));
    let said = sandbox.dbctl(&["status", "core"]);
    assert!(said.stdout.contains("127.0.0.1:1") || said.stderr.contains("127.0.0.1:1"), "{said}");
    assert_ne!(said.code, 0, "{said}");
}

#[test]
fn clean_empties_and_seeds_bring_it_back() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "--all"]);
    let rows = "select (select count(*) from vehicles), (select count(*) from drivers), (select count(*) from tracking_data)";
    let before = sandbox.query("mextrack", rows);
    let history = sandbox.query("mextrack", "select * from pgmigrations order by id");

    let refused = sandbox.dbctl(&["clean", "mextrack"]).fails(2);
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(
        sandbox.query("mextrack", rows),
        before,
        "without --yes and without a terminal nothing happens"
    );

    sandbox.ok(&["clean", "--all", "--yes"]);
    assert_eq!(sandbox.query("mextrack", rows), "0|0|0\n");
    assert_eq!(sandbox.query("core", "select count(*) from users"), "0\n");
    assert_eq!(sandbox.query("mextrack", "select * from pgmigrations order by id"), history);
    sandbox.ok(&["status", "--all", "--check"]);
    sandbox.ok(&["seed", "--all"]);
    assert_eq!(sandbox.query("mextrack", rows), before);
    sandbox.ok(&["seed", "--all"]);
    assert_eq!(sandbox.query("mextrack", rows), before, "the example's seeds may run twice");
}

#[test]
fn reset_and_drop_walk_backwards_and_spare_dependencies() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "--all"]);
    let said = sandbox.dbctl(&["drop", "core", "--yes"]).fails(1);
    assert!(said.contains("depends on it"), "{said}");
    sandbox.query(
        "mextrack",
        "insert into vehicles select * from vehicles where false; create table scratch ()",
    );
    sandbox.ok(&["reset", "mextrack", "--yes"]);
    assert_eq!(sandbox.query("mextrack", "select to_regclass('scratch')"), "NULL\n");
    assert_ne!(sandbox.query("mextrack", "select count(*) from vehicles"), "0\n");
    sandbox.ok(&["drop", "--all", "--yes"]);
    let (code, status) = sandbox.json(&["status", "--all", "--check"]);
    assert_eq!(code, 4, "{status}");
    assert!(status["databases"].as_array().unwrap().iter().all(|db| db["exists"] == false), "{status}");
    let (code, again) = sandbox.json(&["drop", "--all", "--yes"]);
    assert_eq!((code, &again["databases"][0]["outcome"]), (0, &json!("unchanged")));
}

#[test]
fn production_is_protected() {
    let mut sandbox = Sandbox::atriz();
    sandbox.ok(&["create", "--all"]);
    let urls: Vec<String> = KEYS.iter().map(|key| sandbox.url(key)).collect();
    sandbox.set("NODE_ENV", "production");
    let said = sandbox.dbctl(&["migrate", "core"]).fails(3);
    assert!(said.contains("SHARED_DATABASE_URL") && said.contains("workspace.yaml:"), "{said}");
    sandbox.set("SHARED_DATABASE_URL", &urls[0]);
    let said = sandbox.dbctl(&["clean", "core", "--yes"]).fails(2);
    assert!(said.contains("--allow-protected production"), "{said}");
    let said = sandbox.dbctl(&["clean", "core", "--yes", "--allow-protected", "production"]).fails(1);
    assert!(said.contains("development"), "the database says it is no production database: {said}");
    let ran = sandbox.dbctl(&["up", "core"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stderr.contains("seeds are skipped"), "{ran}");
    assert_eq!(sandbox.query("core", "select count(*) from users"), "0\n");
}
