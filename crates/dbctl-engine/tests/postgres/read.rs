use dbctl_engine::{Engine, EngineError, SourceRef, Target};
use dbctl_migration::TableName;

use crate::bench::{OWN, Peer, Run, ask, client, endpoint_of, engine, migration, names, rows, target};

#[tokio::test]
async fn a_reader_writes_nothing() {
    let run = Run::new();
    let target = run.create("read_only").await;
    let before = ask("read_only", "select count(*) from pg_class").await;
    let peer = Peer(TableName::new("public", "pgmigrations"));
    let source = SourceRef { name: "m", history: Some(&peer) };
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
