//! Statements that an earlier run, or an earlier attempt, has begun.

use dbctl_engine::{EngineError, Resume};

use crate::bench::{OWN, Run, ask, client, migration, names, rows, show};

#[tokio::test]
async fn an_attempt_that_could_not_get_a_lock_leaves_no_prepared_statement_behind() {
    let run = Run::new();
    let mut writer = run.writer("prepared").await;
    rows(&client("prepared").await, "create table guarded (id int)").await;
    let other = client("prepared").await;
    let whole = "-- dbctl:lock-timeout 500ms\nprepare \"My P\" (int) as insert into guarded values ($1);\n\
                 alter table guarded add a int;\nexecute \"My P\" (1);";
    // What an earlier unit has prepared is still there, and what the attempt let go of is back.
    let steps = "-- dbctl:lock-timeout 500ms\nprepare p as select 1;\nvacuum guarded;\nprepare kept as select 2;\n\
                 begin;\nexecute p;\ndeallocate p;\nprepare q as select 3;\n\
                 alter table guarded add b int;\ndeallocate q;\nexecute kept;\ncommit;\nexecute kept;";
    for (n, migration) in
        [migration("1_whole", whole, None), migration("2_steps", steps, None)].iter().enumerate()
    {
        // Neither the vacuum nor the inserts are in its way.
        rows(&other, "begin; lock table guarded in row share mode").await;
        let release = async {
            run.heard.waiting_for(n + 1).await;
            rows(&other, "commit").await;
        };
        let (applied, ()) = futures::join!(writer.apply(&OWN, migration, None), release);
        applied.unwrap();
    }
    assert_eq!(run.heard.waiting.lock().unwrap().len(), 2, "both had to wait");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_whole 2_steps");
    assert_eq!(ask("prepared", "select id from guarded").await, "1");
    writer.close().await;
}

#[tokio::test]
async fn what_does_no_harm_twice_is_run_again() {
    let run = Run::new();
    let mut writer = run.writer("twice_over").await;
    rows(&client("twice_over").await, "create table t (id int primary key)").await;
    let statements = [
        "vacuum t",
        "reindex database concurrently twice_over",
        "alter system reset work_mem",
        "drop database if exists nobody",
        "discard all",
        "cluster",
    ];
    for (n, statement) in statements.iter().enumerate() {
        let file = migration(&format!("{n}_m"), &format!("select 1;\n{statement};"), None);
        let resume = Resume { done: 1, started: true, digest: None };
        writer.apply(&OWN, &file, Some(resume)).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    writer.close().await;
}

const INVALID: &str = "select coalesce(string_agg(regexp_replace(indexrelid::regclass::text, '[0-9]+', 'N'), ' ' \
                       order by indexrelid::regclass::text), '') from pg_index where not indisvalid";

/// A `REINDEX … CONCURRENTLY` that is stopped while it waits for a transaction: one that writes is waited for before
/// the new index is built, one that reads before the old one is dropped.
async fn interrupted(database: &str, reindex: &str, blocker: &str) {
    let other = client(database).await;
    rows(&other, &format!("begin; {blocker}")).await;
    let builder = client(database).await;
    rows(&builder, "set statement_timeout = 1500").await;
    builder.batch_execute(reindex).await.unwrap_err();
    rows(&other, "rollback").await;
}

#[tokio::test]
async fn what_a_stopped_reindex_leaves_behind_is_dropped() {
    let run = Run::new();
    let mut writer = run.writer("reindexed").await;
    let setup = "create schema \"A\"; create table \"A\".\"T\" (id int primary key, body text); \
                 create table other (id int); create index mine_ccnew on other (id); \
                 create index \"My index\" on \"A\".\"T\" (id)";
    rows(&client("reindexed").await, setup).await;
    rows(
        &client("reindexed").await,
        "update pg_index set indisvalid = false where indexrelid = 'mine_ccnew'::regclass",
    )
    .await;
    let (read, write) =
        ("select count(*) from \"A\".\"T\"", "insert into \"A\".\"T\" values (1, repeat('x', 9))");
    let whole =
        "\"A\".\"My index_SUFFIX\" \"A\".\"T_pkey_SUFFIX\" mine_ccnew pg_toast.pg_toast_N_index_SUFFIX";
    let one = "\"A\".\"My index_SUFFIX\" mine_ccnew";
    let left = [
        ("reindex table concurrently \"A\".\"T\"", write, "ccnew", whole),
        ("reindex table concurrently \"A\".\"T\"", read, "ccold", whole),
        ("reindex (verbose) index concurrently \"A\".\"My index\"", write, "ccnew", one),
        ("reindex schema concurrently \"A\"", write, "ccnew", whole),
    ];
    for (n, (reindex, blocker, suffix, invalid)) in left.into_iter().enumerate() {
        interrupted("reindexed", reindex, blocker).await;
        let invalid = invalid.replace("SUFFIX", suffix);
        assert_eq!(ask("reindexed", INVALID).await, invalid, "{reindex}");
        let file =
            migration(&format!("{n}_r"), &format!("-- dbctl:no-transaction\nselect 1;\n{reindex};"), None);
        let resume = Resume { done: 1, started: true, digest: None };
        writer.apply(&OWN, &file, Some(resume)).await.unwrap();
        assert_eq!(ask("reindexed", INVALID).await, "mine_ccnew", "{reindex}");
    }
    writer.close().await;
}

#[tokio::test]
async fn an_invalid_index_does_not_pass_for_one_that_exists() {
    let run = Run::new();
    let mut writer = run.writer("passed_over").await;
    let setup = client("passed_over").await;
    rows(&setup, "create table t (id int); insert into t values (1), (1)").await;
    setup.batch_execute("create unique index concurrently \"One\" on t (id)").await.unwrap_err();
    rows(&setup, "truncate t").await;
    let sql = "select 1;\ncreate unique index concurrently if not exists \"One\" on t (id);\nselect 2;";
    let file = migration("1_i", sql, None);
    let error = writer.apply(&OWN, &file, None).await.unwrap_err();
    assert!(
        show(&error).starts_with("55000 migrations/1_i.sql:2:1 the index public.\"One\" was there already"),
        "{}",
        show(&error)
    );
    let EngineError::Sql(error) = error else { panic!() };
    assert!(error.hint.unwrap().contains("run the command again"));
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_i (1 and started)");

    let resume = Resume { done: 1, started: true, digest: None };
    writer.apply(&OWN, &file, Some(resume)).await.unwrap();
    assert_eq!(
        rows(&setup, "select indisvalid from pg_index where indexrelid = '\"One\"'::regclass").await,
        "t"
    );
    // A valid one is what was asked for.
    writer.apply(&OWN, &migration("2_i", sql, None), None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_i 2_i");
    writer.close().await;
}

#[tokio::test]
async fn a_long_index_name_is_found_as_the_server_cuts_it() {
    let run = Run::new();
    let mut writer = run.writer("long_name").await;
    rows(&client("long_name").await, "create table t (id int)").await;
    let file = format!("select 1;\ncreate index concurrently {} on t (id);", "x".repeat(70));
    writer.apply(&OWN, &migration("1_l", &file, None), None).await.unwrap();
    let resume = Resume { done: 1, started: true, digest: None };
    writer.apply(&OWN, &migration("2_l", &file, None), Some(resume)).await.unwrap();
    writer.close().await;
}

#[tokio::test]
async fn a_copy_to_the_client_is_refused_before_anything_runs() {
    let run = Run::new();
    let mut writer = run.writer("copied_out").await;
    for directive in ["", "-- dbctl:no-transaction\n"] {
        let sql = format!("{directive}create table t (id int);\n  copy t to stdout;");
        let error = writer.apply(&OWN, &migration("1_c", &sql, None), None).await.unwrap_err();
        let EngineError::Sql(error) = error else { panic!("{error:?}") };
        let at = error.location.as_ref().unwrap();
        assert_eq!((at.line, at.column), (directive.lines().count() + 2, 3));
        assert!(error.hint.as_deref().unwrap().contains("\\copy"), "{:?}", error.hint);
        assert_eq!(ask("copied_out", "select to_regclass('t') is null").await, "t");
    }
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "");
    writer.close().await;
}
