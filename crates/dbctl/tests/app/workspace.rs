//! An application that opens the workspace it belongs to.

use dbctl::{Error, Workspace, migrate};
use secrecy::ExposeSecret;

use crate::{OWN, ask, private_server::SERVER};

fn workspace(folder: &std::path::Path) -> Workspace {
    let server = SERVER.1.url("postgres");
    let manifest = format!(
        "workspace: w\nservers:\n  main: {{ url: \"{}\" }}\ndatabases:\n  core: {{ name: w_core, server: main, migrations: [{{ \
         path: core, format: native }}] }}\n  web: {{ name: w_web, server: main, depends_on: [core], migrations: [{{ path: web, \
         format: native }}] }}\n",
        server.expose_secret()
    );
    for (path, text) in [
        ("workspace.yaml", &*manifest),
        ("core/20260101000000_users.sql", "create table users (id int);"),
        (
            "web/20260102000000_orders.sql",
            "-- dbctl:requires core@20260101000000\ncreate table orders (id int);",
        ),
    ] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Workspace::open(folder.join("workspace.yaml")).unwrap()
}

fn database(url: &str) -> &str {
    url.rsplit('/').next().unwrap().split('?').next().unwrap()
}

#[tokio::test]
async fn copies_are_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path());
    assert_eq!(database(workspace.url("web").await.unwrap().expose_secret()), "w_web");
    let unknown = workspace.url("wed").await.unwrap_err();
    assert_eq!(unknown.to_string(), "the manifest has no database `wed`, but core, web");

    let (first, second) = (workspace.copy("web").await.unwrap(), workspace.copy("web").await.unwrap());
    assert_ne!(first.url(), second.url());
    let names =
        [first.url(), first.url_of("core").unwrap(), second.url()].map(|url| database(url).to_owned());
    assert!(names[0].starts_with("w_web_") && names[1].starts_with("w_core_"), "{names:?}");
    assert_eq!(ask(&names[0], "select to_regclass('orders')::text").await, "orders");
    assert_eq!(ask(&names[1], "select to_regclass('users')::text").await, "users");
    // It is a database like any other.
    assert_eq!(migrate(&second, &OWN).await.unwrap().migrations.len(), 2);
    first.drop().await.unwrap();
    drop(second);
    let left = "select count(*)::text from pg_database where datname like 'w\\_%'";
    assert_eq!(ask("postgres", left).await, "0");
}

#[tokio::test]
async fn a_copy_that_cannot_be_migrated_is_not_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path());
    std::fs::write(folder.path().join("core/20260103000000_wrong.sql"), "selec 1;").unwrap();
    let error = workspace.copy("core").await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert!(error.to_string().starts_with("core/20260103000000_wrong.sql:1:1: syntax error"), "{error}");
    let missing = Workspace::open(folder.path().join("nope.yaml")).unwrap_err();
    assert!(missing.to_string().contains("cannot read the manifest"), "{missing}");
}
