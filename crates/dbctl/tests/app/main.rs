//! An application that migrates itself, on a real server.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../dbctl-engine/tests/shared/asked_postgres.rs"]
mod asked_postgres;
#[cfg(feature = "sqlite")]
mod lite;
mod pool;
#[path = "../../../dbctl-engine/tests/shared/private_server.rs"]
mod private_server;
mod workspace;

use std::sync::{Arc, Mutex};

use dbctl::{Back, Error, Event, Migrations, Migrator, migrate, migrations, rollback, status};
use futures::future::join_all;
use secrecy::ExposeSecret;

static OWN: Migrations = migrations!("tests/app/migrations");
static OF_SQLX: Migrations =
    migrations!("tests/app/migrations", format = "sqlx", table = "of_sqlx", name = "x");

/// The URL of a database of a test's own, which is not there yet.
fn url(name: &str) -> String {
    private_server::SERVER.1.url(name).expose_secret().to_owned()
}

async fn created(name: &str) -> String {
    let client = private_server::connect(&private_server::SERVER.1, "postgres").await;
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    url(name)
}

async fn ask(name: &str, sql: &str) -> String {
    let client = private_server::connect(&private_server::SERVER.1, name).await;
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn an_application_migrates_itself() {
    let url = created("itself").await;
    let before = status(&url, &OWN).await.unwrap();
    assert!(before.exists);
    let names = ["20260101000000_users", "20260102000000_users_by_name"];
    assert_eq!(before.pending().collect::<Vec<_>>(), names);
    assert_eq!(migrate(&url, &OWN).await.unwrap().migrations, names);
    assert_eq!(migrate(&url, &OWN).await.unwrap().migrations, [""; 0]);
    assert_eq!(status(&url, &OWN).await.unwrap().pending().count(), 0);
    // The command knows the same history.
    let rows = "select string_agg(source || ' ' || name, ', ' order by name) from dbctl.migration_history";
    let expected = names.map(|name| format!("tests/app/migrations {name}")).join(", ");
    assert_eq!(ask("itself", rows).await, expected);

    let refused = rollback(&url, &OWN, Back::Only("20260101000000".to_owned())).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "migration 20260101000000_users cannot be rolled back alone, since later ones are applied: \
         20260102000000_users_by_name"
    );
    let undone = rollback(&url, &OWN, Back::Only("20260102000000_users_by_name".to_owned())).await.unwrap();
    assert_eq!(undone.migrations, names[1..]);
    assert_eq!(rollback(&url, &OWN, Back::All).await.unwrap().migrations, names[..1]);
    assert_eq!(ask("itself", "select coalesce(to_regclass('users')::text, 'none')").await, "none");
}

#[tokio::test]
async fn many_instances_start_at_once() {
    let url = created("instances").await;
    let reports = join_all((0..20).map(|_| migrate(&url, &OWN))).await;
    let applied: Vec<String> = reports.into_iter().flat_map(|report| report.unwrap().migrations).collect();
    assert_eq!(applied, ["20260101000000_users", "20260102000000_users_by_name"]);
}

#[tokio::test]
async fn whoever_asks_hears_what_happens() {
    let url = url("heard");
    let missing = migrate(&url, &OWN).await.unwrap_err();
    assert!(missing.to_string().contains("the database heard does not exist"), "{missing}");
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let hear = move |event: &Event| match event {
        Event::MigrationFinished { migration, .. } => ears.lock().unwrap().push(migration.name.clone()),
        Event::Created { .. } => ears.lock().unwrap().push("created".to_owned()),
        _ => {}
    };
    let report =
        Migrator::new(&url, &OWN).create().environment("staging").on_event(hear).migrate().await.unwrap();
    assert_eq!(report.run.len(), 20);
    assert_eq!(*heard.lock().unwrap(), ["created", "20260101000000_users", "20260102000000_users_by_name"]);
    let environment = ask("heard", "select environment from dbctl.environment").await;
    assert_eq!(environment, "staging");
}

#[tokio::test]
async fn a_tools_own_table_is_kept_true() {
    let url = created("of_a_tool").await;
    let applied = migrate(&url, &OF_SQLX).await.unwrap().migrations;
    assert_eq!(applied, ["20260101000000_users", "20260102000000_users_by_name"]);
    assert_eq!(
        ask("of_a_tool", "select string_agg(description, ',' order by version) from of_sqlx").await,
        "users,users by name"
    );
}

#[tokio::test]
async fn errors_have_their_place() {
    let url = created("wrong").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("20260101000000_a.sql");
    std::fs::write(&file, "create table a (id int);\n\ninsert into b values (1);\n").unwrap();
    let on_disk = Migrations::in_folder(folder.path());
    let error = migrate(&url, &on_disk).await.unwrap_err();
    let expected = format!("{}:3:13: relation \"b\" does not exist (42P01)", file.display());
    assert_eq!((error.to_string(), error.code()), (expected, Some("42P01")));
    let secret = url.split(['@', ':']).nth(2).unwrap();
    let wrong = url.replace(secret, "canary");
    let error = migrate(&wrong, &OWN).await.unwrap_err();
    assert!(error.to_string().contains("refuses the password"), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"));
    assert!(matches!(migrate("postgres://[", &OWN).await, Err(Error::Config(_))));
    assert!(matches!(migrate(&url, &Migrations::in_folder("/nowhere")).await, Err(Error::Folder(_))));
}
