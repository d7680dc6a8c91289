use dbctl_engine::{Engine, EngineError, Resume, SourceRef, Writer};
use dbctl_migration::{Progress, TableName};

use crate::bench::{OWN, Peer, Run, SLEEPS, ask, client, engine, migration, names, rows, show, until};

const INDEXED: &str = "create table t (id int);\ninsert into t values (1), (2), (2);\n\
                       create index concurrently by_id on t (id);\ncreate table after (id int);";

#[tokio::test]
async fn statements_that_refuse_a_transaction_run_outside_of_one() {
    let run = Run::new();
    let mut writer = run.writer("outside").await;
    // No marker is needed.
    writer.apply(&OWN, &migration("1_index", INDEXED, None), None).await.unwrap();
    assert_eq!(
        ask("outside", "select indisvalid from pg_index where indexrelid = 'by_id'::regclass").await,
        "t"
    );
    let mixed = "-- dbctl:no-transaction\nvacuum t; create index concurrently again on t (id); drop index concurrently again; \
                 reindex table concurrently t; alter system set work_mem = default;";
    writer
        .apply(&OWN, &migration("2_mixed", mixed, Some("drop index concurrently by_id;")), None)
        .await
        .unwrap();
    let procedure =
        "create procedure p() language plpgsql as $$ begin create table p1 (id int); commit; end $$;\n";
    writer.apply(&OWN, &migration("3_procedure", procedure, None), None).await.unwrap();
    let call = migration("4_call", "-- dbctl:no-transaction\ncall p();", None);
    writer.apply(&OWN, &call, None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_index 2_mixed 3_procedure 4_call");

    // A down part may need it, too.
    let down = migration("1_index", INDEXED, Some("drop index concurrently by_id; drop table t, after;"));
    writer.revert(&OWN, &down).await.unwrap();
    assert_eq!(ask("outside", "select to_regclass('t') is null").await, "t");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "2_mixed 3_procedure 4_call");

    // Where the server alone knows, it says so, and the hint what helps.
    rows(&client("outside").await, "drop table p1").await;
    let in_one = migration("5_call", "call p();", None);
    let EngineError::Sql(error) = writer.apply(&OWN, &in_one, None).await.unwrap_err() else { panic!() };
    assert_eq!(error.code, "2D000");
    assert_eq!(error.hint.unwrap(), "put `-- dbctl:no-transaction` at the top of the file");
    for file in
        ["begin;\ncall p();\ncommit;", "begin;\ncreate index concurrently again on after (id);\ncommit;"]
    {
        for directive in ["", "-- dbctl:no-transaction\n"] {
            let in_its_own = migration("5_own", &format!("{directive}{file}"), None);
            let EngineError::Sql(error) = writer.apply(&OWN, &in_its_own, None).await.unwrap_err() else {
                panic!()
            };
            let hint = error.hint.unwrap();
            assert!(hint.starts_with("take it out of the file's own BEGIN and COMMIT"), "{hint}");
        }
    }
    writer.close().await;
}

#[tokio::test]
async fn what_is_committed_is_not_run_again() {
    let run = Run::new();
    let mut writer = run.writer("resumed").await;
    let failing = INDEXED.replace("after (id int)", "after (id nope)");
    let error = writer.apply(&OWN, &migration("1_i", &failing, None), None).await.unwrap_err();
    assert_eq!(show(&error), "42704 migrations/1_i.sql:4:24 type \"nope\" does not exist");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_i (3)");
    let resume = Resume { done: 3, started: false, digest: None };
    writer.apply(&OWN, &migration("1_i", INDEXED, None), Some(resume.clone())).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_i");
    assert_eq!(ask("resumed", "select count(*) from t").await, "3");
    writer.close().await;
}

/// How far the only migration got, as the next run hears of it.
async fn reached(writer: &mut dyn Writer) -> Option<Resume> {
    let applied = writer.applied(&OWN).await.unwrap();
    let Progress::Partial { done, started, digest } = &applied.last().unwrap().progress else { return None };
    assert!(digest.is_some());
    Some(Resume { done: *done, started: *started, digest: digest.clone() })
}

#[tokio::test]
async fn what_ran_must_still_stand_at_the_top_of_the_file() {
    let run = Run::new();
    let mut writer = run.writer("edited").await;
    rows(&client("edited").await, "create table t (id int)").await;
    let sql = "-- dbctl:no-transaction\ninsert into t values (100);\ninsert into t values (1/0);\n";
    writer.apply(&OWN, &migration("1_e", sql, None), None).await.unwrap_err();
    let resume = reached(&mut *writer).await;

    let mended = sql.replace("1/0", "1");
    let above =
        mended.replace("insert into t values (100)", "create table audit ();\ninsert into t values (100)");
    let changed = mended.replace("100", "200");
    for wrong in [above, changed, "-- dbctl:no-transaction\n".to_owned()] {
        let error = writer.apply(&OWN, &migration("1_e", &wrong, None), resume.clone()).await.unwrap_err();
        assert!(matches!(error, EngineError::Rewritten { done: 1, .. }), "{wrong}: {error:?}");
        assert_eq!(ask("edited", "select id from t").await, "100");
    }
    let crlf = mended.replace('\n', "\r\n").replace("\r\ninsert", "\r\n-- why\r\ninsert");
    writer.apply(&OWN, &migration("1_e", &crlf, None), resume).await.unwrap();
    assert_eq!(ask("edited", "select id from t order by id").await, "1 100");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_e");
    assert_eq!(ask("edited", "select statements_digest is null from dbctl.migration_history").await, "t");

    // A started statement counts as well, until somebody has said that it is not to.
    let started = "-- dbctl:no-transaction\ncreate procedure p(n int) language plpgsql as $$ begin commit; perform 1/n; end $$;\n\ncall p(0);";
    writer.apply(&OWN, &migration("2_s", started, None), None).await.unwrap_err();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_e 2_s (1 and started)");
    let resume = reached(&mut *writer).await;
    for (other, line) in [(started.replace("p(0)", "p(1)"), 4), (started.replace("call p(0);", ""), 2)] {
        let error = writer.apply(&OWN, &migration("2_s", &other, None), resume.clone()).await.unwrap_err();
        assert!(matches!(error, EngineError::Rewritten { done: 1, started: true, .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!(
                "migrations/2_s.sql:{line}: an earlier run stopped in the statement that stood here, and it has been \
                 changed since: nobody knows whether it took effect as it was"
            )
        );
    }
    let above = migration("2_s", &started.replace("create", "select 1;\ncreate"), None);
    let error = writer.apply(&OWN, &above, resume).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "migrations/2_s.sql:2: an earlier run stopped after 1 statement, and the file no longer begins with what ran"
    );
    rows(&client("edited").await, "update dbctl.migration_history set statements_done = 2, statement_started = false where name = '2_s'").await;
    let resolved = reached(&mut *writer).await;
    writer.apply(&OWN, &migration("2_s", started, None), resolved).await.unwrap();
    writer.close().await;
}

#[tokio::test]
async fn settings_of_skipped_statements_are_made_again() {
    let run = Run::new();
    let mut writer = run.writer("reset").await;
    let sql =
        "-- dbctl:no-transaction\ncreate schema s;\nset search_path = s;\nvacuum;\ncreate table t (id int);";
    rows(&client("reset").await, "create schema s").await;
    let resume = Resume { done: 3, started: false, digest: None };
    writer.apply(&OWN, &migration("1_s", sql, None), Some(resume.clone())).await.unwrap();
    assert_eq!(ask("reset", "select to_regclass('s.t') is not null").await, "t");
    writer.close().await;
}

#[tokio::test]
async fn a_failed_concurrent_index_is_dropped_and_built_anew() {
    let run = Run::new();
    let mut writer = run.writer("invalid").await;
    rows(&client("invalid").await, "create table t (id int); insert into t values (1), (1)").await;
    let sql = "select 1;\ncreate unique index concurrently \"One Each\" on t (id);";
    let unique = migration("1_u", sql, None);
    let error = writer.apply(&OWN, &unique, None).await.unwrap_err();
    assert_eq!(show(&error), "23505 migrations/1_u.sql:2:1~ could not create unique index \"One Each\"");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_u (1)");
    let valid = "select indisvalid from pg_index where indexrelid = to_regclass('\"One Each\"')";
    assert_eq!(ask("invalid", valid).await, "", "it is dropped at once");

    // As a run leaves it that is killed. The reason is gone: the invalid index is dropped, and built again.
    let unfinished = client("invalid").await;
    unfinished.batch_execute("create unique index concurrently \"One Each\" on t (id)").await.unwrap_err();
    assert_eq!(ask("invalid", valid).await, "f");
    rows(&unfinished, "truncate t").await;
    let resume = Resume { done: 1, started: true, digest: None };
    writer.apply(&OWN, &unique, Some(resume.clone())).await.unwrap();
    assert_eq!(ask("invalid", valid).await, "t");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_u");

    // Valid: it was done, only nobody wrote it down.
    writer.revert(&OWN, &migration("1_u", sql, Some("select 1"))).await.unwrap();
    writer.apply(&OWN, &unique, Some(resume.clone())).await.unwrap();
    // Absent: it never began.
    rows(&client("invalid").await, "drop index \"One Each\"").await;
    writer.apply(&OWN, &unique, Some(resume.clone())).await.unwrap();
    assert_eq!(ask("invalid", valid).await, "t");

    // One of that name is there: that failed cleanly, so nothing has to be judged.
    let error = writer.apply(&OWN, &migration("2_u", sql, None), None).await.unwrap_err();
    assert!(show(&error).starts_with("42P07"), "{error}");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_u 2_u (1)");
    writer.close().await;
}

#[tokio::test]
async fn whoever_bounds_the_wait_for_locks_is_heard() {
    let run = Run::new();
    let mut target = run.create("bounded_waits").await;
    let ask_for = "create table NAME as select current_setting('lock_timeout');";
    let cases = [
        ("a", "", "5s"),
        ("b", "-- dbctl:lock-timeout 2s\n", "2s"),
        ("c", "set lock_timeout = '30s'; ", "30s"),
        ("d", "-- dbctl:no-transaction\nset lock_timeout = '30s'; ", "30s"),
        ("e", "-- dbctl:no-transaction\nset lock_timeout = 0; ", "0"),
        ("f", "-- dbctl:no-transaction\nset lock_timeout = '30s'; reset lock_timeout; vacuum; ", "5s"),
        ("g", "-- dbctl:no-transaction\n-- dbctl:lock-timeout 2s\nset lock_timeout = '30s'; ", "2s"),
        ("h", "-- dbctl:no-transaction\nvacuum; ", "5s"),
    ];
    let session = run.session();
    for settings in [None, Some("7s")] {
        target.settings =
            settings.map(|value| ("lock_timeout".to_owned(), value.to_owned())).into_iter().collect();
        let mut writer = engine().open_exclusive(&target, &[], &session).await.unwrap();
        writer.prepare(&[OWN], "test").await.unwrap();
        for (name, first, expected) in cases {
            let table = format!("{name}{}", settings.unwrap_or_default());
            let sql = format!("{first}{}", ask_for.replace("NAME", &table));
            writer.apply(&OWN, &migration(&format!("1_{table}"), &sql, None), None).await.unwrap();
            let expected = if matches!(name, "a" | "h") { settings.unwrap_or(expected) } else { expected };
            assert_eq!(
                ask("bounded_waits", &format!("select * from {table}")).await,
                expected,
                "{sql} {settings:?}"
            );
        }
        writer.close().await;
    }
}

#[tokio::test]
async fn what_failed_and_left_nothing_may_be_mended() {
    let run = Run::new();
    let mut writer = run.writer("mended").await;
    rows(
        &client("mended").await,
        "create table t (id int, name text); insert into t values (1, 'x'), (1, 'x')",
    )
    .await;
    let good = "create index concurrently by_id on t (id);\n";
    // What fails, where it leaves off, what it is mended to.
    let cases = [
        (
            "create index concurrently by_name on t (nmae)",
            "0",
            "create index concurrently by_name on t (name)",
        ),
        ("create index concurrently on t (nmae)", "0", "create index concurrently on t (name)"),
        ("create index concurrently i on tt (id)", "0", "create index concurrently i on t (id)"),
        // These leave an invalid index, which goes.
        (
            "create unique index concurrently one on t (id)",
            "0",
            "create index concurrently another on t (id)",
        ),
        ("create index concurrently part on t ((1 / (id - 1)))", "0", "vacuum t"),
        // Whose it is cannot be told by its name.
        ("create unique index concurrently on t (id)", "0 and started", ""),
        ("drop index concurrently t_pkey", "0", "drop index concurrently if exists t_pkey"),
        ("drop index concurrently uses", "0", "vacuum t"),
        ("reindex index concurrently nope", "0", "reindex table concurrently t"),
        ("alter table t detach partition nope concurrently", "0 and started", ""),
    ];
    let prepared = "create table p (id int constraint uses primary key)";
    rows(&client("mended").await, prepared).await;
    for (n, (failing, reached_so_far, mended)) in cases.into_iter().enumerate() {
        for above in ["", good] {
            let name = format!("{n}_{}", above.len());
            let file = |sql: &str| migration(&name, &format!("{above}{sql};"), None);
            writer.apply(&OWN, &file(failing), None).await.unwrap_err();
            let expected = match above {
                "" => format!("{name} ({reached_so_far})"),
                _ => format!("{name} ({})", reached_so_far.replace('0', "1")),
            };
            assert_eq!(names(&writer.applied(&OWN).await.unwrap()), expected, "{failing}");
            let invalid = ask("mended", "select count(*) from pg_index where not indisvalid").await;
            assert_eq!(
                invalid == "0",
                !failing.starts_with("create unique index concurrently on "),
                "{failing}"
            );
            if !mended.is_empty() {
                let resume = reached(&mut *writer).await;
                writer.apply(&OWN, &file(mended), resume).await.unwrap();
            }
            let tidy = "delete from dbctl.migration_history";
            rows(&client("mended").await, tidy).await;
            let drop_all = "do $$ declare i regclass; begin for i in select indexrelid from pg_index \
                            where indrelid = 't'::regclass loop execute 'drop index ' || i; end loop; end $$";
            rows(&client("mended").await, drop_all).await;
        }
    }
    writer.close().await;
}

#[tokio::test]
async fn nobody_guesses_about_other_statements() {
    let run = Run::new();
    let mut writer = run.writer("unresolved").await;
    let sql = "select 1;\n\ncreate database judged;\nselect 2;";
    let create = migration("1_c", sql, None);
    let error =
        writer.apply(&OWN, &create, Some(Resume { done: 1, started: true, digest: None })).await.unwrap_err();
    let EngineError::Unresolved { line, statement, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*line, statement.as_str()), (3, "create database judged"));
    let error =
        writer.apply(&OWN, &create, Some(Resume { done: 9, started: true, digest: None })).await.unwrap_err();
    assert!(matches!(error, EngineError::Rewritten { line: 4, done: 9, .. }), "{error:?}");

    // Refused by the server, it has left nothing behind.
    let error =
        writer.apply(&OWN, &migration("2_v", "select 1; vacuum nope;", None), None).await.unwrap_err();
    assert!(show(&error).starts_with("42P01 migrations/2_v.sql:1:"), "{}", show(&error));
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "2_v (1)");
    writer.close().await;
}

#[tokio::test]
async fn stopping_outside_a_transaction_is_recorded() {
    let run = Run::new();
    let target = run.create("stopped_steps").await;
    let mut writer = run.reopen(&target).await;
    let sql = "-- dbctl:no-transaction\nselect 1;\nvacuum;\nselect pg_sleep(60);";
    let stop = async {
        until("stopped_steps", SLEEPS).await;
        run.cancel.cancel();
    };
    let slow = migration("1_s", sql, None);
    let (result, ()) = futures::join!(writer.apply(&OWN, &slow, None), stop);
    assert!(matches!(result, Err(EngineError::Cancelled)), "{result:?}");
    writer.close().await;
    let again = Run::new();
    let mut writer = again.reopen(&target).await;
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_s (2)");
    writer.close().await;
}

#[tokio::test]
async fn a_stopped_statement_that_leaves_nothing_behind_need_not_be_looked_at() {
    let run = Run::new();
    let target = run.create("stopped_vacuum").await;
    let function = "create or replace function slow(int) returns int immutable language plpgsql as";
    let slow = format!(
        "{function} $$ begin return $1; end $$; create table t (id int); create index on t (slow(id)); \
         insert into t values (1); {function} $$ begin perform pg_sleep(60); return $1; end $$;"
    );
    rows(&client("stopped_vacuum").await, &slow).await;
    let mut writer = run.reopen(&target).await;
    let stop = async {
        until("stopped_vacuum", SLEEPS).await;
        run.cancel.cancel();
    };
    let vacuum = migration("1_v", "select 1;\nvacuum (analyze) t;", None);
    let (result, ()) = futures::join!(writer.apply(&OWN, &vacuum, None), stop);
    assert!(matches!(result, Err(EngineError::Cancelled)), "{result:?}");
    writer.close().await;
    let again = Run::new();
    let mut writer = again.reopen(&target).await;
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_v (1)");
    writer.close().await;
}

#[tokio::test]
async fn a_rollback_that_stopped_goes_on_where_it_stopped() {
    let run = Run::new();
    let target = run.create("half_back").await;
    let peer = Peer(TableName::new("public", "pgmigrations"));
    let source = SourceRef { name: "migrations", history: Some(&peer), migrations: &[] };
    let session = run.session();
    let mut writer = engine().open_exclusive(&target, &[], &session).await.unwrap();
    writer.prepare(&[source], "test").await.unwrap();
    let down = "drop index concurrently by_id;\ndrop table nope;\ndrop table after;";
    let failing = migration("1_i", INDEXED, Some(down));
    writer.apply(&source, &failing, None).await.unwrap();
    let applied = writer.applied(&source).await.unwrap();

    let error = writer.revert(&source, &failing).await.unwrap_err();
    assert_eq!(show(&error), "42P01 migrations/1_i.down.sql:2:1~ table \"nope\" does not exist");
    let half = writer.applied(&source).await.unwrap();
    assert_eq!(names(&half), "1_i (back 1)");
    assert_eq!((&half[0].at, &half[0].checksum), (&applied[0].at, &applied[0].checksum));
    assert_eq!(ask("half_back", "select name from pgmigrations").await, "1_i", "the tool has it still");

    // What has run is not run again, and cannot be written anew.
    let other = migration("1_i", INDEXED, Some("drop index concurrently other;\ndrop table after;"));
    let error = writer.revert(&source, &other).await.unwrap_err();
    assert!(matches!(error, EngineError::Rewritten { done: 1, .. }), "{error:?}");
    let mended = migration("1_i", INDEXED, Some(&down.replace("nope", "if exists nope")));
    writer.revert(&source, &mended).await.unwrap();
    assert_eq!(names(&writer.applied(&source).await.unwrap()), "");
    assert_eq!(ask("half_back", "select count(*) from dbctl.migration_history, pgmigrations").await, "0");
    assert_eq!(ask("half_back", "select to_regclass('after') is null").await, "t");

    // Applied again, it is whole again.
    rows(&client("half_back").await, "drop table t").await;
    writer.apply(&source, &mended, None).await.unwrap();
    assert_eq!(names(&writer.applied(&source).await.unwrap()), "1_i");

    // A drop that was started shows by whether there is something to be dropped.
    let started =
        "update dbctl.migration_history set statements_done = 0, statement_started = true, reverting = true";
    rows(&client("half_back").await, started).await;
    assert_eq!(names(&writer.applied(&source).await.unwrap()), "1_i (back 0 and started)");
    writer.revert(&source, &mended).await.unwrap();
    assert_eq!(ask("half_back", "select to_regclass('by_id') is null").await, "t");
    let undone = "create table after ();";
    writer.apply(&source, &migration("1_i", undone, None), None).await.unwrap();
    rows(&client("half_back").await, started).await;
    writer.revert(&source, &mended).await.unwrap();
    assert_eq!(names(&writer.applied(&source).await.unwrap()), "");

    // None of that name: nothing has begun, and the mistake shows each time.
    let mistaken = migration("2_m", "select 1;", Some("drop index concurrently mistaken;"));
    writer.apply(&source, &mistaken, None).await.unwrap();
    for _ in 0..2 {
        let error = writer.revert(&source, &mistaken).await.unwrap_err();
        assert!(show(&error).starts_with("42704"), "{error}");
        assert_eq!(names(&writer.applied(&source).await.unwrap()), "2_m (back 0)");
    }
    writer.close().await;
}
