use std::time::{Duration, Instant};

use dbctl_engine::{Engine, EngineError};

use crate::bench::{OWN, Run, ask, client, engine, migration, names, rows};

#[tokio::test]
async fn the_second_writer_is_told_who_holds_the_lock() {
    let run = Run::new();
    let target = run.create("held").await;
    let writer = run.reopen(&target).await;
    let second = Run { wait: Duration::from_millis(400), ..Run::new() };
    let started = Instant::now();
    let error = engine().open_exclusive(&target, &[], &second.session()).await.err().unwrap();
    let EngineError::Locked { database, holder: Some(holder) } = error else { panic!("{error:?}") };
    assert_eq!((database.as_str(), holder.application.as_str()), ("held", "dbctl migrate run-1"));
    assert!(holder.pid > 0 && holder.since.is_some());
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert_eq!(second.heard.waiting.lock().unwrap().len(), 1, "told once per holder");
    writer.close().await;
}

#[tokio::test]
async fn the_second_writer_gets_the_lock_once_it_is_free() {
    let run = Run::new();
    let target = run.create("queued").await;
    let writer = run.reopen(&target).await;
    let second = Run::new();
    let session = second.session();
    let free = async {
        second.heard.waiting_for(1).await;
        writer.close().await;
    };
    let (opened, ()) = futures::join!(engine().open_exclusive(&target, &[], &session), free);
    opened.unwrap().close().await;
}

#[tokio::test]
async fn a_closed_session_never_refuses_the_next() {
    let run = Run { wait: Duration::ZERO, ..Run::new() };
    let target = run.create("reopened").await;
    run.reopen(&target).await.close().await;
    let mut refused = 0;
    for n in 0..100 {
        match engine().open_exclusive(&target, &[1, 2], &run.session()).await {
            Ok(mut writer) => {
                // Failures close, too.
                if n % 3 == 0 {
                    let broken = migration("1_b", "select nope", None);
                    assert!(writer.apply(&OWN, &broken, None).await.is_err());
                }
                writer.close().await;
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn a_peers_lock_is_waited_for_without_holding_our_own() {
    let run = Run::new();
    let target = run.create("peers").await;
    let key = 0x3d32_ad9e_0000_0001_i64;
    let tool = client("peers").await;
    rows(&tool, &format!("set application_name = 'the tool'; select pg_advisory_lock({key})")).await;
    let hasty = Run { wait: Duration::ZERO, ..Run::new() };
    let refused = engine().open_exclusive(&target, &[key], &hasty.session()).await;
    let Err(EngineError::Locked { holder: Some(holder), .. }) = refused else { panic!() };
    assert_eq!(holder.application, "the tool");

    let second = Run::new();
    let session = second.session();
    let others = async {
        second.heard.waiting_for(1).await;
        // Somebody who does not need the tool's lock is not kept waiting by one who waits for it.
        engine().open_exclusive(&target, &[], &run.session()).await.unwrap().close().await;
        rows(&tool, &format!("select pg_advisory_unlock({key})")).await;
    };
    let peers = [key, key];
    let (opened, ()) = futures::join!(engine().open_exclusive(&target, &peers, &session), others);
    let writer = opened.unwrap();
    assert_eq!(rows(&tool, &format!("select pg_try_advisory_lock({key})")).await, "f");
    writer.close().await;
    assert_eq!(rows(&tool, &format!("select pg_try_advisory_lock({key})")).await, "t");
}

#[tokio::test]
async fn negative_keys_find_their_holder() {
    let run = Run::new();
    let target = run.create("negative").await;
    let tool = client("negative").await;
    rows(&tool, "set application_name = 'minus'; select pg_advisory_lock(-5)").await;
    let second = Run { wait: Duration::ZERO, ..Run::new() };
    let Err(EngineError::Locked { holder: Some(holder), .. }) =
        engine().open_exclusive(&target, &[-5], &second.session()).await
    else {
        panic!()
    };
    assert_eq!(holder.application, "minus");
}

#[tokio::test]
async fn waiting_for_a_lock_can_be_stopped() {
    let run = Run::new();
    let target = run.create("stopped_wait").await;
    let writer = run.reopen(&target).await;
    let second = Run { wait: Duration::from_secs(3600), ..Run::new() };
    let session = second.session();
    let stop = async {
        second.heard.waiting_for(1).await;
        second.cancel.cancel();
    };
    let (stopped, ()) = futures::join!(engine().open_exclusive(&target, &[], &session), stop);
    assert!(matches!(stopped, Err(EngineError::Cancelled)));
    writer.close().await;
}

#[tokio::test]
async fn a_concurrent_index_is_not_held_up_by_who_waits_for_the_lock() {
    let run = Run::new();
    let target = run.create("no_deadlock").await;
    let mut writer = run.reopen(&target).await;
    let second = Run::new();
    let session = second.session();
    let work = async {
        second.heard.waiting_for(1).await;
        let index = migration("1_i", "create table t (id int); create index concurrently i on t (id);", None);
        writer.apply(&OWN, &index, None).await.unwrap();
        writer.close().await;
    };
    let (opened, ()) = futures::join!(engine().open_exclusive(&target, &[], &session), work);
    opened.unwrap().close().await;
}

#[test]
fn a_holder_that_was_never_seen_has_no_number() {
    let error = EngineError::Locked { database: "shop".to_owned(), holder: None };
    assert_eq!(error.to_string(), "another run holds the lock of shop: somebody who has just let go of it");
}

#[tokio::test]
async fn a_file_that_gives_the_lock_up_is_not_recorded() {
    let run = Run::new();
    let target = run.create("given_up").await;
    let (key, negative) = (0x3d32_ad9e_0000_0001_i64, -5);
    let session = run.session();
    let mut writer = engine().open_exclusive(&target, &[key, negative], &session).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    let given_up =
        [format!("select pg_advisory_unlock({key});"), "select pg_advisory_unlock_all();".to_owned()];
    for (n, give_up) in given_up.iter().enumerate() {
        let sql = format!("create table t{n} (id int); {give_up}");
        let error = writer.apply(&OWN, &migration("1_g", &sql, None), None).await.unwrap_err();
        let EngineError::Sql(error) = error else { panic!("{error:?}") };
        assert!(error.message.contains("gave up the lock"), "{}", error.message);
        assert!(error.hint.unwrap().contains("pg_advisory_unlock_all"));
    }
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "");
    assert_eq!(ask("given_up", "select to_regclass('t0'), to_regclass('t1')").await, "null|null");
    writer.close().await;

    // Outside a transaction it is taken again, for what ran has run.
    let mut writer = run.reopen(&target).await;
    let call = "create procedure p() language plpgsql as $$ begin perform pg_advisory_unlock_all(); commit; end $$;\ncall p();";
    let call = migration("2_p", &format!("-- dbctl:no-transaction\n{call}"), None);
    writer.apply(&OWN, &call, None).await.unwrap();
    let second = Run { wait: Duration::ZERO, ..Run::new() };
    let refused = engine().open_exclusive(&target, &[], &second.session()).await.err().unwrap();
    assert!(matches!(refused, EngineError::Locked { .. }), "{refused:?}");
    writer.close().await;
}

#[tokio::test]
async fn a_run_that_panics_leaves_no_lock() {
    let run = Run::new();
    let target = run.create("panics").await;
    let work = async {
        let _writer = run.reopen(&target).await;
        panic!("as a mistake of dbctl's own would");
    };
    let ended = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work)).await;
    assert!(ended.is_err());
    let second = Run::new();
    engine().open_exclusive(&target, &[], &second.session()).await.unwrap().close().await;
}

#[tokio::test]
async fn the_locks_that_a_file_takes_are_given_back_after_it() {
    const PEER: i64 = -7_000_000_000;
    const HELD: &str = "select count(*), count(distinct (classid, objid, objsubid)) from pg_locks l join pg_database d \
                        on d.oid = l.database where locktype = 'advisory' and datname = 'own_locks'";
    let run = Run::new();
    let target = run.create("own_locks").await;
    let mut writer = engine().open_exclusive(&target, &[PEER], &run.session()).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    assert_eq!(ask("own_locks", HELD).await, "2|2");
    // Of every kind, several times, and the two that dbctl and the tool hold once more.
    let sql = format!(
        "select pg_advisory_lock(42) from generate_series(1, 3); select pg_advisory_lock_shared(42);\n\
         select pg_advisory_lock(-1, -2), pg_advisory_lock_shared(3, 4), pg_advisory_lock(-9), pg_advisory_xact_lock(5);\n\
         select pg_advisory_lock({PEER}), pg_advisory_lock_shared({PEER}), pg_advisory_lock({});\n\
         create role locker nologin; set role locker;",
        0x64_6263_746c_i64
    );
    let stepwise =
        format!("-- dbctl:no-transaction\nreset role; drop role locker; {}", sql.replace("nologin", ""));
    for (name, sql) in [("1_whole", &sql), ("2_steps", &stepwise)] {
        writer.apply(&OWN, &migration(name, sql, None), None).await.unwrap();
        // The next file finds a clean session; the locks of one that fails go, too.
        let next = "create table if not exists seen as select count(*) from pg_locks where pid = pg_backend_pid() and \
                    locktype = 'advisory'; drop table seen; select pg_advisory_lock(6); select 1 / 0;";
        let error = writer.apply(&OWN, &migration("9_next", next, None), None).await.unwrap_err();
        assert!(error.to_string().contains("division"), "{error}");
        writer.applied(&OWN).await.unwrap();
        writer.identity().await.unwrap();
        let free = "create table seen as select count(*) n from pg_locks where pid = pg_backend_pid() and locktype = 'advisory';\n\
                    do $$ begin if (select n from seen) <> 2 then raise 'held: %', (select n from seen); end if; end $$; drop table seen";
        writer.apply(&OWN, &migration(&format!("{name}_seen"), free, None), None).await.unwrap();
        assert_eq!(ask("own_locks", HELD).await, "2|2");
    }
    assert_eq!(run.heard.notices(), [""; 0]);
    writer.close().await;
    assert_eq!(ask("own_locks", HELD).await, "0|0");
}
