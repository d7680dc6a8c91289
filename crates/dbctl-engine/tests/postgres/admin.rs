use dbctl_engine::{Creation, Engine, EngineError, Target};
use dbctl_migration::DatabaseName;

use crate::bench::{Run, ask, client, endpoint_of, engine, rows, show, target};

#[tokio::test]
async fn any_name_can_be_created_and_dropped() {
    let run = Run::new();
    for name in ["a space", "Upper-Case", "quo\"te'd; --", "données", &"x".repeat(63)] {
        let target = target(name);
        let session = run.session();
        assert!(engine().create(&target, &session).await.unwrap().created, "{name}");
        assert!(!engine().create(&target, &session).await.unwrap().created, "{name}");
        assert!(engine().exists(&target, &session).await.unwrap(), "{name}");
        let mut reader = engine().open(&target, &session).await.unwrap();
        assert_eq!(reader.identity().await.unwrap().database, name);
        reader.close().await;
        assert!(engine().drop(&target, false, &session).await.unwrap(), "{name}");
        assert!(!engine().drop(&target, false, &session).await.unwrap(), "{name}");
        assert!(!engine().exists(&target, &session).await.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn many_runs_create_one_database_once() {
    let run = Run::new();
    let session = run.session();
    let target = target("raced");
    let runs = (0..8).map(|_| engine().create(&target, &session));
    let created: Vec<Creation> = futures::future::try_join_all(runs).await.unwrap();
    assert_eq!(created.iter().filter(|creation| creation.created).count(), 1);
    assert_eq!(ask("postgres", "select count(*) from pg_database where datname = 'raced'").await, "1");
}

#[tokio::test]
async fn the_owner_owns_the_database_and_its_public_schema() {
    ask("postgres", "create role \"The Owner\" login password 'secret'; create role other").await;
    let run = Run::new();
    let session = run.session();
    let owned = Target { owner: Some("The Owner".to_owned()), ..target("owned") };
    engine().create(&owned, &session).await.unwrap();
    let owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'owned'";
    assert_eq!(ask("owned", owner).await, "The Owner");

    // What the owner is for: it can make tables.
    let as_owner = Target { endpoint: endpoint_of("The%20Owner", "owned"), ..target("owned") };
    let mut writer = engine().open_exclusive(&as_owner, &[], &session).await.unwrap();
    writer.prepare(&[], "test").await.unwrap();
    writer.close().await;

    // The manifest has changed.
    let handed = Target { owner: Some("other".to_owned()), ..target("owned") };
    assert!(!engine().create(&handed, &session).await.unwrap().created);
    assert_eq!(ask("owned", owner).await, "other");

    let nobody = Target { owner: Some("no body".to_owned()), ..target("orphan") };
    let EngineError::Sql(error) = engine().create(&nobody, &session).await.unwrap_err() else { panic!() };
    assert_eq!((error.code.as_str(), error.location), ("42704", None));
    assert!(error.hint.as_deref().unwrap().contains("CREATE ROLE \"no body\""), "{:?}", error.hint);
    assert!(!engine().exists(&nobody, &session).await.unwrap());
}

#[tokio::test]
async fn a_role_without_the_right_is_told_what_it_lacks() {
    ask("postgres", "create role humble login password 'secret' in role insider").await;
    let run = Run::new();
    let session = run.session();
    let humble = Target { endpoint: endpoint_of("humble", "humbled"), ..target("humbled") };
    let EngineError::Sql(error) = engine().create(&humble, &session).await.unwrap_err() else { panic!() };
    assert_eq!(error.code, "42501");
    let hint = error.hint.unwrap();
    assert!(hint.contains("\"humble\" CREATEDB") && hint.contains("admin_url"), "{hint}");

    // An admin may, and then there is nothing left to do for the humble one.
    let helped = Target { admin: Some(target("x").endpoint), ..humble.clone() };
    assert!(engine().create(&helped, &session).await.unwrap().created);
    assert!(!engine().create(&humble, &session).await.unwrap().created);

    let EngineError::Sql(error) = engine().drop(&humble, false, &session).await.unwrap_err() else {
        panic!()
    };
    assert_eq!(error.code, "42501");
    assert!(error.hint.unwrap().contains("admin_url"));

    // dbctl's own tables need a right, too.
    let mut writer = engine().open_exclusive(&humble, &[], &session).await.unwrap();
    let EngineError::Sql(error) = writer.prepare(&[], "test").await.unwrap_err() else { panic!() };
    assert_eq!((error.code.as_str(), error.location), ("42501", None));
    assert!(error.hint.unwrap().contains("GRANT CREATE ON DATABASE \"humbled\" TO \"humble\""));
    writer.close().await;
}

#[tokio::test]
async fn the_maintenance_database_may_be_closed_to_us() {
    let admin = client("postgres").await;
    rows(&admin, "create role shut login password 'secret'").await;
    rows(&admin, "create database shut_db owner shut").await;
    let run = Run::new();
    let there = Target { endpoint: endpoint_of("shut", "shut_db"), ..target("shut_db") };
    assert!(engine().exists(&there, &run.session()).await.unwrap());
    let gone = Target { name: DatabaseName::parse("shut_gone").unwrap(), ..there.clone() };
    assert!(!engine().exists(&gone, &run.session()).await.unwrap());
    assert!(!engine().create(&there, &run.session()).await.unwrap().created);
}

#[tokio::test]
async fn extensions_are_installed_once_and_in_silence() {
    let run = Run::new();
    let session = run.session();
    let extended =
        Target { extensions: vec!["pgcrypto".to_owned(), "uuid-ossp".to_owned()], ..target("extended") };
    let creation = engine().create(&extended, &session).await.unwrap();
    assert_eq!(creation, Creation { created: true, extensions: extended.extensions.clone() });
    assert_eq!(engine().create(&extended, &session).await.unwrap(), Creation::default());
    assert_eq!(run.heard.notices(), Vec::<String>::new());

    let unknown = Target { extensions: vec!["no such".to_owned()], ..target("extended") };
    let EngineError::Sql(error) = engine().create(&unknown, &session).await.unwrap_err() else { panic!() };
    assert!(error.hint.is_some(), "{error:?}");
}

#[tokio::test]
async fn a_database_in_use_is_dropped_only_by_force() {
    let run = Run::new();
    let session = run.session();
    let target = run.create("busy").await;
    let user = client("busy").await;
    rows(&user, "set application_name = 'the user'").await;
    let EngineError::InUse { database, sessions } =
        engine().drop(&target, false, &session).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!((database.as_str(), sessions.len()), ("busy", 1));
    assert_eq!(sessions[0].application, "the user");
    assert!(sessions[0].pid > 0 && sessions[0].since.is_some() && sessions[0].client.is_some());
    assert!(engine().drop(&target, true, &session).await.unwrap());
    assert!(!engine().exists(&target, &session).await.unwrap());
}

#[tokio::test]
async fn a_session_that_was_just_closed_is_not_in_the_way() {
    let run = Run::new();
    let session = run.session();
    for _ in 0..5 {
        let target = run.create("fleeting").await;
        engine().open(&target, &session).await.unwrap().close().await;
        assert!(engine().drop(&target, false, &session).await.unwrap());
    }
}

#[tokio::test]
async fn a_stopped_run_creates_nothing() {
    let run = Run::new();
    run.cancel.cancel();
    let error = engine().create(&target("never"), &run.session()).await.unwrap_err();
    assert_eq!(show(&error), "cancelled");
}
