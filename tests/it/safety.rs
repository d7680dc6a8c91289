//! What would lose data is refused before it does.

use crate::support::Sandbox;

const NATIVE: &str = "workspace: w\ndatabases:\n  a:\n    migrations: [{ path: m, format: native }]\n";
const FIRST: (&str, &str) =
    ("m/20260101000000_first.sql", "create table t (n int);\ninsert into t values (1);\n");

#[test]
fn a_folder_that_was_moved_does_not_run_again() {
    let sandbox = Sandbox::new(NATIVE, &[FIRST]);
    sandbox.ok(&["up", "a"]);
    sandbox.write("workspace.yaml", NATIVE.replace("path: m", "path: n"));
    std::fs::rename(sandbox.root().join("m"), sandbox.root().join("n")).unwrap();
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("20260101000000_first is applied already, from the folder `m`"), "{said}");
    assert!(said.contains("--fake"), "{said}");
    sandbox.ok(&["migrate", "a", "--fake", "--yes"]);
    sandbox.ok(&["status", "a", "--check"]);
    assert_eq!(sandbox.query("a", "select n from t"), "1\n");
}

#[test]
fn a_name_in_keep_that_is_no_table_empties_nothing() {
    let manifest = format!("{NATIVE}    clean: {{ keep: [tt] }}\n");
    let sandbox = Sandbox::new(&manifest, &[FIRST]);
    sandbox.ok(&["up", "a"]);
    let said = sandbox.dbctl(&["clean", "a", "--yes"]).fails(1);
    assert!(said.contains("`clean.keep` names no table of this database: tt"), "{said}");
    assert_eq!(sandbox.query("a", "select n from t"), "1\n");
}

#[test]
fn a_database_that_somebody_else_made_gets_its_environment_with_create() {
    let manifest = format!("{NATIVE}environments: {{ staging: {{}} }}\n");
    let sandbox = Sandbox::new(&manifest, &[]);
    let server = sandbox.ok(&["server", "url"]);
    sandbox.query_url(server.trim(), "create database a");
    sandbox.ok(&["create", "a", "--env", "staging"]);
    let said = sandbox.dbctl(&["drop", "a", "--yes"]).fails(1);
    assert!(said.contains("`staging`") && said.contains("`development`"), "{said}");
    sandbox.ok(&["drop", "a", "--yes", "--env", "staging"]);
}

#[test]
fn a_migration_that_rewrites_its_own_history_is_undone() {
    let sandbox = Sandbox::new(&NATIVE.replace("native", "sqlx"), &[("m/1_first.sql", FIRST.1)]);
    sandbox.ok(&["up", "a"]);
    let rows = "select version, encode(checksum, 'hex') from _sqlx_migrations";
    let before = sandbox.query("a", rows);
    sandbox
        .write("workspace.yaml", format!("{}    seeds: {{ path: s }}\n", NATIVE.replace("native", "sqlx")));
    sandbox.write("s/1.sql", "delete from _sqlx_migrations;\n");
    let said = sandbox.dbctl(&["seed", "a"]).fails(1);
    assert!(said.contains("s/1.sql changed the rows of"), "{said}");
    std::fs::remove_file(sandbox.root().join("s/1.sql")).unwrap();
    sandbox.write("m/2_sly.sql", "drop table t;\ndelete from _sqlx_migrations;\n");
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("m/2_sly.sql changed the rows of \"public\".\"_sqlx_migrations\""), "{said}");
    assert!(said.contains("`-- dbctl:changes-history`") && said.contains("[m/2_sly.sql:2:1]"), "{said}");
    assert_eq!((sandbox.query("a", rows), sandbox.query("a", "select n from t")), (before, "1\n".to_owned()));
    let (code, document) = sandbox.json(&["migrate", "a"]);
    assert_eq!((code, &document["databases"][0]["error"]["code"]), (1, &"55000".into()), "{document}");
    sandbox
        .write("m/2_sly.sql", "-- dbctl:changes-history\nupdate _sqlx_migrations set description = 'one';\n");
    sandbox.ok(&["migrate", "a"]);
    sandbox.ok(&["status", "a", "--check"]);
}
