//! Statements that wait, and how long they may.

use dbctl_engine::{EngineError, SqlError};

use crate::bench::{LOCK_WAITS, OWN, Run, ask, client, migration, names, rows, until};

async fn refused(run: &Run, database: &dbctl_engine::Target, sql: &str) -> SqlError {
    let mut writer = run.reopen(database).await;
    let result = writer.apply(&OWN, &migration("1_x", sql, None), None).await;
    writer.close().await;
    match result {
        Err(EngineError::Sql(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_is_in_the_way_is_found_whatever_the_statement_says() {
    let run = Run::new();
    let target = run.create("in_the_way").await;
    let other = client("in_the_way").await;
    rows(
        &other,
        "set application_name = 'the blocker'; create table guarded (id int); insert into guarded values (1)",
    )
    .await;
    rows(&other, "create function touch() returns void language sql as 'update guarded set id = 2'").await;
    rows(&other, "begin; update guarded set id = 3; select pg_advisory_lock(77)").await;
    // Tables that hold nobody up.
    let busy = client("in_the_way").await;
    rows(&busy, "create table touch (id int)").await;
    rows(&busy, "begin; select * from touch").await;
    let pid = rows(&other, "select pg_backend_pid()").await;
    for statement in ["select touch()", "do 'begin perform touch(); end'", "select pg_advisory_xact_lock(77)"]
    {
        let error = refused(&run, &target, &format!("-- dbctl:lock-timeout 500ms\n{statement};")).await;
        let hint = error.hint.unwrap();
        assert_eq!(error.code, "55P03");
        assert!(hint.contains(&format!("is held by pid {pid}, the blocker")), "{statement}: {hint}");
    }
}

#[tokio::test]
async fn a_statement_may_be_given_so_long_and_no_longer() {
    let run = Run::new();
    let mut target = run.create("timed").await;
    let slow = "create table t (id int);\nselect pg_sleep(3600);";
    let error = refused(&run, &target, &format!("-- dbctl:statement-timeout 2s\n{slow}")).await;
    assert_eq!(error.code, "57014");
    assert!(error.hint.unwrap().contains("-- dbctl:statement-timeout"));
    assert_eq!(error.location.unwrap().line, 3);
    assert_eq!(ask("timed", "select to_regclass('t')").await, "null");

    target.settings.insert("statement_timeout".to_owned(), "2s".to_owned());
    assert_eq!(refused(&run, &target, slow).await.code, "57014");
    // A file's own words weigh more, and it is the only one that they are for.
    let mut writer = run.reopen(&target).await;
    let own = "-- dbctl:statement-timeout 1min\nselect pg_sleep(2.2);\ncreate table a as select current_setting('statement_timeout') t;";
    writer.apply(&OWN, &migration("1_a", own, None), None).await.unwrap();
    let next = "create table b as select current_setting('statement_timeout') t;";
    writer.apply(&OWN, &migration("2_b", next, None), None).await.unwrap();
    // Outside a transaction, too.
    let outside = "-- dbctl:no-transaction\n-- dbctl:statement-timeout 2min\ncreate table c as select current_setting('statement_timeout') t, current_setting('lock_timeout') l;";
    writer.apply(&OWN, &migration("3_c", outside, None), None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_a 2_b 3_c");
    writer.close().await;
    assert_eq!(ask("timed", "select a.t, b.t, c.t from a, b, c").await, "1min|2s|2min");
}

#[tokio::test]
async fn outside_a_transaction_a_lock_is_waited_for_without_a_limit() {
    let run = Run::new();
    let target = run.create("patient").await;
    let mut writer = run.reopen(&target).await;
    let first = "create table t (id int);\ncreate table limits as select current_setting('lock_timeout') l;";
    writer.apply(&OWN, &migration("1_t", first, None), None).await.unwrap();
    let vacuum = "-- dbctl:no-transaction\n-- dbctl:lock-timeout 50ms\nvacuum t;\ncreate index concurrently i on t (id);";
    let vacuum = migration("2_i", vacuum, None);
    let other = client("patient").await;
    rows(&other, "begin; lock table t in share update exclusive mode").await;
    let work = writer.apply(&OWN, &vacuum, None);
    let free = async {
        until("patient", LOCK_WAITS).await;
        // Many times as long as the limit that a transaction would have.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        rows(&other, "commit").await;
    };
    let (applied, ()) = futures::join!(work, free);
    applied.unwrap();
    writer.close().await;
    assert_eq!(ask("patient", "select l from limits").await, "5s", "the default of a transaction");
    assert_eq!(ask("patient", "select indisvalid from pg_index where indexrelid = 'i'::regclass").await, "t");
}
