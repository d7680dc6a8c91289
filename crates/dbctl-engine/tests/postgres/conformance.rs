//! What every engine does alike, whatever it is made of.

use std::time::Duration;

use dbctl_engine::{ConnectFailure, Engine, EngineError, Note, Target, fake::Fake};
#[cfg(feature = "sqlite")]
use dbctl_engine::{Endpoint, Servers};
use dbctl_migration::Progress;

use crate::bench::{OWN, Run, engine, migration, names, target};

#[tokio::test]
async fn postgres_conforms() {
    conforms(engine(), &target("conformance")).await;
}

#[tokio::test]
async fn the_fake_conforms() {
    conforms(&Fake::default(), &target("conformance")).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/conformance.db");
    let target = Target { endpoint: Endpoint::Sqlite(path), ..target("conformance") };
    conforms(&Servers::new(), &target).await;
}

/// Creates, locks, applies, reverts and drops a database that does not exist yet.
async fn conforms(engine: &dyn Engine, target: &Target) {
    let run = Run { wait: Duration::from_millis(200), ..Run::new() };
    let session = run.session();
    let (one, two) = (
        migration("1_one", "create table one (id int);", Some("drop table one;")),
        migration("2_two", "create table two (id int);", Some("drop table two;")),
    );

    // A missing database is said to be missing.
    assert!(!engine.exists(target, &session).await.unwrap());
    let missing = engine.open(target, &session).await.err().unwrap();
    assert!(
        matches!(&missing, EngineError::Connect(e) if matches!(e.failure, ConnectFailure::NoDatabase { .. } | ConnectFailure::NoFile { .. })),
        "{missing:?}"
    );
    assert!(!engine.drop(target, false, &session).await.unwrap());

    // Whether it could be made is asked before and after.
    engine.may_create(target, &session).await.unwrap();

    // Creating is idempotent.
    assert!(engine.create(target, &session).await.unwrap().created);
    assert!(!engine.create(target, &session).await.unwrap().created);
    assert!(engine.exists(target, &session).await.unwrap());
    engine.may_create(target, &session).await.unwrap();

    // A reader finds nothing and makes nothing.
    let mut reader = engine.open(target, &session).await.unwrap();
    assert_eq!(names(&reader.applied(&OWN).await.unwrap()), "");
    assert_eq!(reader.environment().await.unwrap(), None);
    assert!(reader.seeds().await.unwrap().is_empty());
    reader.close().await;

    // One writer at a time.
    let mut writer = engine.open_exclusive(target, &[], &session).await.unwrap();
    let locked = engine.open_exclusive(target, &[], &session).await.err().unwrap();
    assert!(matches!(&locked, EngineError::Locked { .. }), "{locked:?}");

    // Preparing twice keeps the first environment.
    writer.prepare(&[OWN], "test").await.unwrap();
    writer.prepare(&[OWN], "production").await.unwrap();
    assert_eq!(writer.environment().await.unwrap().as_deref(), Some("test"));

    // Apply, fake, revert, in this order.
    writer.apply(&OWN, &one, None).await.unwrap();
    writer.fake(&OWN, &two).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_one 2_two");
    let applied = writer.applied(&OWN).await.unwrap();
    assert_eq!(applied[0].checksum.as_ref(), Some(&one.checksum));
    writer.revert(&OWN, &one).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "2_two");
    writer.apply(&OWN, &one, None).await.unwrap();
    writer.close().await;

    // Closing gives the lock back at once, and what was done stays.
    let writer = engine.open_exclusive(target, &[], &session).await.unwrap();
    writer.close().await;
    let mut reader = engine.open(target, &session).await.unwrap();
    assert_eq!(names(&reader.applied(&OWN).await.unwrap()), "2_two 1_one");
    reader.close().await;

    // Several notes are one change; a baseline brings its past along, and itself where it is a migration.
    let mut writer = engine.open_exclusive(target, &[], &session).await.unwrap();
    let (past, last) = (migration("3_past", "select 3;", None), migration("9_last", "select 9;", None));
    let all = migration("all", "create table everything (id int);", None);
    assert!(writer.belongings(&[]).await.unwrap().iter().any(|name| name.ends_with("one")));
    writer.note(&[Note::Begun(OWN, &all), Note::Forgotten(OWN, "2")]).await.unwrap();
    let begun = Progress::Partial { done: 0, started: false, digest: None };
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_one all (0)");
    writer.note(&[Note::Reached { source: OWN, name: "all", done: 0, as_it_is: true }]).await.unwrap();
    assert_eq!(writer.applied(&OWN).await.unwrap()[1].progress, begun);
    writer.baseline(&OWN, &all, &[&two, &past], false, None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_one 2_two 3_past");
    writer.note(&[Note::Forgotten(OWN, "2"), Note::Forgotten(OWN, "3")]).await.unwrap();
    writer.baseline(&OWN, &last, &[&past], true, None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_one 3_past 9_last");
    writer.note(&[Note::Begun(OWN, &two), Note::Withdrawn(OWN, &two)]).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_one 3_past 9_last");
    writer.close().await;

    // A stopped run does nothing any more.
    let stopped = Run::new();
    let session = stopped.session();
    let mut writer = engine.open_exclusive(target, &[], &session).await.unwrap();
    stopped.cancel.cancel();
    let error = writer.revert(&OWN, &one).await.unwrap_err();
    assert!(matches!(error, EngineError::Cancelled), "{error:?}");
    writer.close().await;

    let session = run.session();
    assert!(engine.drop(target, false, &session).await.unwrap());
    assert!(!engine.exists(target, &session).await.unwrap());
}
