//! Where databases are, and how people learn of it.

use std::fs;

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn a_run_says_which_private_server_it_is_on() {
    let sandbox = Sandbox::new("workspace: w\ndatabases: { a: {}, b: { extensions: [pgcrypto] } }\n", &[]);
    let lines = |args: &[&str]| {
        let said = sandbox.dbctl(args).stderr;
        said.lines().filter(|line| line.contains("private PostgreSQL")).map(str::to_owned).collect::<Vec<_>>()
    };
    let started = lines(&["up", "--all"]);
    let (_, server) = sandbox.json(&["server", "status"]);
    let server = &server["servers"][0];
    let at = format!("127.0.0.1:{}", server["port"]);
    let version = server["postgres"].as_str().unwrap();
    let data = server["data"].as_str().unwrap();
    assert_eq!(started, [format!("started a private PostgreSQL {version} on {at}, its data in {data}")]);
    assert_eq!(lines(&["migrate", "--all"]), [format!("on the private PostgreSQL {version} at {at}")]);
    assert_eq!(lines(&["-q", "migrate", "--all"]), [""; 0]);
    assert_eq!(lines(&["migrate", "--all", "--format", "json"]), [""; 0]);
}

#[test]
fn errors_of_connecting_say_who_led_there() {
    let sandbox = Sandbox::new(
        "workspace: w\ndatabases:\n  a:\n    package: apps/a\n    url: ${DATABASE_URL}\n  b: {}\n",
        &[
            // Nobody listens on port 1.
            ("apps/a/.env", "# here\nDATABASE_URL=postgres://u:hush@127.0.0.1:1/a\n"),
            (".env", "PGHOST=127.0.0.1\nPGPORT=1\nPGPASSWORD=hush\n"),
        ],
    );
    let a = "settings: databases.a.url (workspace.yaml:5), DATABASE_URL from apps/a/.env:2\n";
    let b = "settings: PGHOST from .env:1, PGPORT from .env:2, PGPASSWORD from .env:3\n";
    for args in [&["up", "--all"][..], &["status", "--all"], &["migrate", "a", "b"]] {
        let said = sandbox.dbctl(args).fails(1);
        assert!(said.contains(a) && said.contains(b) && !said.contains("hush"), "{said}");
    }
    let said = sandbox.dbctl(&["psql", "a"]).fails(1);
    assert!(said.contains(a) && !said.contains("hush"), "{said}");
    let (_, status) = sandbox.json(&["status", "b"]);
    assert_eq!(
        status["databases"][0]["error"]["settings"],
        json!(b.trim_end().trim_start_matches("settings: "))
    );
}

#[test]
fn psql_says_how_to_make_what_is_missing() {
    let sandbox = Sandbox::new("workspace: w\ndatabases: { a: { name: a_db } }\n", &[]);
    let said = sandbox.dbctl(&["psql", "a"]).fails(1);
    assert!(said.contains("the database a_db does not exist") && said.contains("`dbctl create a`"), "{said}");
    sandbox.ok(&["create", "a"]);
    assert_eq!(sandbox.ok(&["psql", "a", "--", "-Atc", "select 1"]), "1\n");
}

#[test]
fn extensions_that_come_later_are_told_of() {
    let sandbox = Sandbox::new("workspace: w\ndatabases: { a: {} }\n", &[]);
    sandbox.ok(&["create", "a"]);
    sandbox.write("workspace.yaml", "workspace: w\ndatabases: { a: { extensions: [pgcrypto, citext] } }\n");
    let (_, document) = sandbox.json(&["create", "a"]);
    let a = &document["databases"][0];
    assert_eq!((&a["outcome"], &a["created"]), (&json!("done"), &json!(null)), "{a}");
    assert_eq!(a["extensions"], json!(["pgcrypto", "citext"]));
    sandbox.query("a", "drop extension citext");
    assert!(sandbox.ok(&["create", "a"]).contains("done     installed citext"));
}

#[test]
fn the_server_knows_who_is_on_it_and_goes_when_told_to() {
    let sandbox = Sandbox::new(
        "workspace: w\nservers: { far: { url: 'postgres://db.example' }, own: { embedded: true } }\n\
         databases: { a: { server: own, name: a_db }, b: { server: far }, c: { server: own } }\n\
         environments: { production: { protected: true } }\n",
        &[],
    );
    assert_eq!(
        sandbox.ok(&["server", "status"]),
        "embedded: stopped\n  for a (a_db), c\nelsewhere: b on far (db.example:5432)\n"
    );
    assert_eq!(sandbox.ok(&["server", "remove", "--yes"]), "embedded: there is none\n");
    sandbox.ok(&["create", "a", "c"]);
    let (_, status) = sandbox.json(&["server", "status"]);
    assert_eq!(status["servers"][0]["databases"], json!(["a", "c"]));
    assert_eq!(status["elsewhere"], json!([{ "key": "b", "name": "b", "server": "far (db.example:5432)" }]));
    let data = std::path::PathBuf::from(status["servers"][0]["data"].as_str().unwrap());
    let folder = data.parent().unwrap();

    let said = sandbox.dbctl(&["server", "remove"]).fails(2);
    assert!(said.contains(&folder.display().to_string()) && said.contains("--yes"), "{said}");
    let production = ["server", "remove", "--yes", "--env", "production"];
    let said = sandbox.dbctl(&production).fails(2);
    assert!(said.contains("--allow-protected production"), "{said}");
    assert!(folder.is_dir(), "nothing was removed");
    sandbox.query("a", "create table t (id int)");

    let said = sandbox.ok(&["server", "remove", "--yes"]);
    assert!(said.ends_with(&format!("removed, with {}\n", folder.display())), "{said}");
    assert!(!folder.exists() && fs::read_dir(sandbox.root().join(".dbctl")).is_ok());
    assert_eq!(sandbox.json(&["server", "remove", "--yes"]).1, json!({ "servers": [] }));
    sandbox.ok(&["up", "a"]);
    assert_eq!(sandbox.query("a", "select to_regclass('t')"), "NULL\n");
}

#[test]
fn problems_of_several_databases_stand_in_the_order_of_the_manifest() {
    let urls = ["d", "b", "c", "a"]
        .map(|key| format!("  {key}: {{ url: '${{{}_URL:?set it}}' }}\n", key.to_uppercase()));
    let sandbox = Sandbox::new(&format!("workspace: w\ndatabases:\n{}", urls.concat()), &[]);
    let (code, document) = sandbox.json(&["migrate", "--all"]);
    let lines =
        document["error"]["problems"].as_array().unwrap().iter().map(|problem| problem["line"].as_u64());
    assert_eq!((code, lines.collect::<Option<Vec<_>>>().unwrap()), (3, vec![3, 4, 5, 6]), "{document}");
}
