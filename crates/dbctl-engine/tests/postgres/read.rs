use std::os::unix::fs::PermissionsExt;

use dbctl_engine::{Endpoint, Engine, EngineError, PgVars, Postgres, SourceRef, Target};
use dbctl_migration::TableName;
use secrecy::ExposeSecret;

use crate::bench::{OWN, Peer, Run, ask, client, endpoint_of, engine, migration, names, rows, target};

#[tokio::test]
async fn a_reader_writes_nothing() {
    let run = Run::new();
    let target = run.create("read_only").await;
    let before = ask("read_only", "select count(*) from pg_class").await;
    let peer = Peer(TableName::new("public", "pgmigrations"));
    let source = SourceRef { name: "m", history: Some(&peer), migrations: &[] };
    let mut reader = engine().open(&target, &run.session()).await.unwrap();
    assert!(reader.applied(&source).await.unwrap().is_empty());
    assert!(reader.applied(&OWN).await.unwrap().is_empty());
    assert!(reader.inventory().await.unwrap().tables.is_empty());
    reader.close().await;
    assert_eq!(ask("read_only", "select count(*) from pg_class").await, before);
}

#[tokio::test]
async fn a_role_that_may_only_read_reads() {
    ask("postgres", "create role onlooker login password 'secret'").await;
    let run = Run::new();
    let mut writer = run.writer("looked_at").await;
    writer.apply(&OWN, &migration("1_a", "create table a (id int);", None), None).await.unwrap();
    writer.close().await;
    let looking = Target { endpoint: endpoint_of("onlooker", "looked_at"), ..target("looked_at") };

    // What may not be seen is an error with the way out, never "nothing applied".
    let mut reader = engine().open(&looking, &run.session()).await.unwrap();
    let EngineError::Sql(error) = reader.applied(&OWN).await.unwrap_err() else { panic!() };
    assert_eq!((error.code.as_str(), error.location), ("42501", None));
    let hint = error.hint.unwrap();
    rows(&client("looked_at").await, &hint).await;
    assert_eq!(names(&reader.applied(&OWN).await.unwrap()), "1_a");
    assert_eq!(reader.environment().await.unwrap().as_deref(), Some("test"));
    let mine = reader.identity().await.unwrap();
    reader.close().await;

    let mut reader = engine().open(&target("looked_at"), &run.session()).await.unwrap();
    assert_eq!(reader.identity().await.unwrap(), mine, "whatever the role, it is the same database");
    reader.close().await;
}

#[tokio::test]
async fn where_the_identifier_may_not_be_read_something_stands_in() {
    ask("postgres", "create role stranger login password 'secret'").await;
    let run = Run::new();
    for name in ["strange_a", "strange_b"] {
        run.create(name).await;
        rows(&client(name).await, "revoke execute on function pg_control_system() from public").await;
    }
    let mut found = Vec::new();
    for name in ["strange_a", "strange_a", "strange_b"] {
        let target = Target { endpoint: endpoint_of("stranger", name), ..target(name) };
        let mut reader = engine().open(&target, &run.session()).await.unwrap();
        found.push(reader.identity().await.unwrap());
        reader.close().await;
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0].system, found[2].system);
    assert_ne!(found[0], found[2]);
}

#[tokio::test]
async fn what_is_passed_over_in_the_settings_is_said_once_per_database() {
    let home = tempfile::tempdir().unwrap();
    let passfile = home.path().join(".pgpass");
    std::fs::write(&passfile, "*:*:*:*:x\n").unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o644)).unwrap();
    ask("postgres", "create role noted login password 'secret' in role insider").await;
    ask("postgres", "create database noted").await;
    let Endpoint::ConnInfo { text, .. } = endpoint_of("noted", "noted") else { panic!() };
    let without_password = text.expose_secret().replace(":secret@", "@");
    let vars = PgVars::from_vars([("HOME", home.path().to_str().unwrap())]);
    let noted = |endpoint| Target { endpoint, ..target("noted") };
    let wrong = noted(Endpoint::ConnInfo { text: without_password.into(), vars });
    let run = Run::new();
    let engine = Postgres::new();
    for _ in 0..2 {
        let error = engine.open(&wrong, &run.session()).await.err().unwrap();
        assert!(error.to_string().contains("wants a password"), "{error}");
    }
    let other = Target { key: "other".to_owned(), ..wrong };
    engine.open(&other, &run.session()).await.err().unwrap();
    let said = format!(
        "the password file {} is ignored: others may read it; chmod 0600 makes it count",
        passfile.display()
    );
    assert_eq!(run.heard.notices(), [said.as_str(), &said]);
}
