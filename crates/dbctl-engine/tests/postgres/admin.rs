use dbctl_engine::{
    ConnectFailure, Creation, Endpoint, Engine, EngineError, Target,
    embedded::{self, EmbeddedSpec},
};
use dbctl_migration::DatabaseName;

use crate::bench::{OWN, Run, ask, client, endpoint_of, engine, migration, rows, show, target};

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
    let owner = Some("postgres".to_owned());
    let helped = Target { admin: Some(target("x").endpoint), owner, ..humble.clone() };
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
async fn whether_a_database_could_be_made_again_is_known_before_it_is_dropped() {
    let admin = client("postgres").await;
    rows(&admin, "create role lowly login password 'secret' in role insider").await;
    rows(&admin, "create role mason login createdb password 'secret' in role insider").await;
    rows(&admin, "create role \"The Tenant\"; create role mates; grant mates to mason").await;
    let run = Run::new();
    let session = run.session();
    let of = |role: &str| Target { endpoint: endpoint_of(role, "anew"), ..target("anew") };
    let owned = |role: &str, owner: &str| Target { owner: Some(owner.to_owned()), ..of(role) };
    let extended = |extension: &str| Target {
        extensions: vec!["pgcrypto".to_owned(), extension.to_owned()],
        ..of("mason")
    };
    for fine in
        [target("anew"), of("mason"), owned("mason", "mates"), owned("mason", "mason"), extended("uuid-ossp")]
    {
        engine().may_create(&fine, &session).await.unwrap();
    }
    let cases = [
        (of("lowly"), "42501", "the role \"lowly\" may not create databases", "\"lowly\" CREATEDB"),
        (
            Target { admin: Some(endpoint_of("mason", "postgres")), ..of("lowly") },
            "42501",
            "the role \"mason\" may not hand it to \"lowly\"",
            "GRANT \"lowly\" TO \"mason\"",
        ),
        (
            owned("mason", "The Tenant"),
            "42501",
            "the role \"mason\" may not hand it to \"The Tenant\"",
            "GRANT \"The Tenant\" TO \"mason\"",
        ),
        (owned("mason", "no one"), "42704", "its owner \"no one\" does not exist", "CREATE ROLE \"no one\""),
        (
            extended("no such"),
            "0A000",
            "the server does not have the extension \"no such\"",
            "installed on the server",
        ),
    ];
    for (target, code, why, hint) in cases {
        let EngineError::Sql(error) = engine().may_create(&target, &session).await.unwrap_err() else {
            panic!()
        };
        assert_eq!(
            (error.code.as_str(), error.message),
            (code, format!("\"anew\" could not be made again: {why}"))
        );
        assert!(error.hint.as_deref().unwrap().contains(hint), "{:?}", error.hint);
        // So it is.
        assert!(engine().create(&target, &session).await.is_err(), "{why}");
        ask("postgres", "drop database if exists anew").await;
    }
}

#[tokio::test]
async fn what_an_admin_makes_belongs_to_whoever_works_in_it() {
    ask("postgres", "create role worker login password 'secret'").await;
    ask("postgres", "create role maker login createdb password 'secret' in role insider").await;
    let run = Run::new();
    let session = run.session();
    let made = Target {
        admin: Some(target("x").endpoint),
        endpoint: endpoint_of("worker", "made"),
        ..target("made")
    };
    assert!(engine().create(&made, &session).await.unwrap().created);
    let owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'made'";
    assert_eq!(ask("made", owner).await, "worker");
    let mut writer = engine().open_exclusive(&made, &[], &session).await.unwrap();
    writer.prepare(&[], "test").await.unwrap();
    let table = migration("1_t", "create table public.t (id int)", None);
    writer.apply(&OWN, &table, None).await.unwrap();
    writer.close().await;

    // What the manifest says goes first, and who may not hand a database over is told how to.
    let kept = Target { owner: Some("postgres".to_owned()), ..made.clone() };
    engine().create(&kept, &session).await.unwrap();
    assert_eq!(ask("made", owner).await, "postgres");
    let not_handed = Target {
        name: DatabaseName::parse("not_handed").unwrap(),
        admin: Some(endpoint_of("maker", "postgres")),
        ..made
    };
    let EngineError::Sql(error) = engine().create(&not_handed, &session).await.unwrap_err() else { panic!() };
    assert_eq!(error.code, "42501");
    assert!(error.hint.as_deref().unwrap().contains("GRANT \"worker\" TO \"maker\""), "{:?}", error.hint);
}

#[tokio::test]
async fn the_maintenance_database_may_be_closed_to_us() {
    let admin = client("postgres").await;
    rows(&admin, "create role shut login password 'secret'").await;
    rows(&admin, "create database shut_db owner shut").await;
    let run = Run::new();
    let there = Target { endpoint: endpoint_of("shut", "shut_db"), ..target("shut_db") };
    assert!(engine().exists(&there, &run.session()).await.unwrap());
    assert!(!engine().create(&there, &run.session()).await.unwrap().created);
    let EngineError::Sql(error) = engine().drop(&there, false, &run.session()).await.unwrap_err() else {
        panic!()
    };
    assert!(error.hint.unwrap().contains("admin_url"));

    // From nowhere a database can be made, and one that is missing is not passed over.
    let gone = Target {
        name: DatabaseName::parse("shut_gone").unwrap(),
        endpoint: endpoint_of("shut", "shut_gone"),
        ..there
    };
    assert!(!engine().exists(&gone, &run.session()).await.unwrap());
    assert!(!engine().drop(&gone, false, &run.session()).await.unwrap());
    let EngineError::Sql(error) = engine().create(&gone, &run.session()).await.unwrap_err() else { panic!() };
    assert!(error.message.starts_with("\"shut_gone\" cannot be made"), "{}", error.message);
    assert!(error.detail.unwrap().contains("permission denied for database \"postgres\""));
    assert!(error.hint.unwrap().contains("admin_url"));
}

#[tokio::test]
async fn a_server_that_refuses_the_log_in_is_not_passed_over() {
    let admin = client("postgres").await;
    rows(&admin, "create role crowded login password 'secret' connection limit 0 in role insider").await;
    rows(&admin, "create role barred nologin password 'secret'").await;
    rows(&admin, "create database refusing").await;
    let run = Run::new();
    for (role, expected) in [("crowded", "53300"), ("barred", "28000")] {
        let refused = Target { endpoint: endpoint_of(role, "refusing"), ..target("refusing") };
        let errors = [
            engine().create(&refused, &run.session()).await.unwrap_err(),
            engine().exists(&refused, &run.session()).await.unwrap_err(),
            engine().drop(&refused, false, &run.session()).await.unwrap_err(),
        ];
        for error in errors {
            let EngineError::Connect(error) = error else { panic!("{role}: {error}") };
            assert!(
                matches!(&error.failure, ConnectFailure::Refused { code, .. } if code == expected),
                "{role}: {error}"
            );
        }
    }
    let unknown = Target { endpoint: endpoint_of("no_such_role", "refusing"), ..target("refusing") };
    let error = engine().create(&unknown, &run.session()).await.unwrap_err();
    assert!(matches!(error, EngineError::Connect(_)), "{error}");
}

#[tokio::test]
async fn the_database_that_a_url_names_is_a_maintenance_database() {
    let admin = client("postgres").await;
    rows(&admin, "create role hosted login createdb password 'secret'").await;
    rows(&admin, "create database defaultdb owner hosted").await;
    let run = Run::new();
    let session = run.session();
    let of_server = Target { endpoint: endpoint_of("hosted", "defaultdb"), ..target("hosted_one") };
    let of_admin = Target {
        endpoint: endpoint_of("hosted", "hosted_two"),
        admin: Some(endpoint_of("hosted", "defaultdb")),
        ..target("hosted_two")
    };
    for hosted in [of_server, of_admin] {
        assert!(engine().create(&hosted, &session).await.unwrap().created);
        assert!(engine().exists(&hosted, &session).await.unwrap());
        assert!(engine().drop(&hosted, false, &session).await.unwrap());
    }
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

#[tokio::test]
async fn an_admin_url_that_leads_to_another_server_creates_and_drops_nothing() {
    let run = Run::new();
    let session = run.session();
    let here = run.create("guarded").await;
    let Endpoint::Embedded(spec) = &here.endpoint else { panic!("it is on the embedded server") };
    let elsewhere = EmbeddedSpec { workspace: spec.workspace.join("another"), ..spec.clone() };
    std::fs::create_dir_all(&elsewhere.workspace).unwrap();
    embedded::ensure(&elsewhere).await.unwrap();
    let astray = Target { admin: Some(Endpoint::Embedded(elsewhere.clone())), ..here.clone() };
    for refused in [
        engine().create(&astray, &session).await.unwrap_err(),
        engine().drop(&astray, false, &session).await.unwrap_err(),
    ] {
        assert!(refused.to_string().contains("leads to another server"), "{refused}");
    }
    assert!(engine().exists(&here, &session).await.unwrap());
    // The other way round there is a database on the admin's server, and none here.
    let there = Target {
        endpoint: Endpoint::Embedded(elsewhere.clone()),
        admin: Some(here.endpoint.clone()),
        ..here.clone()
    };
    engine().drop(&there, false, &session).await.unwrap_err();
    assert!(
        engine().exists(&here, &session).await.unwrap(),
        "what the admin reaches is not what was asked for"
    );
    embedded::stop(&elsewhere).await.unwrap();
}
