use std::time::Duration;

use dbctl_engine::{Engine, EngineError, SeedWork, SourceRef, Target};
use dbctl_migration::{Checksum, History, TableName, ledger::SeedRow};

use crate::bench::{
    OWN, Peer, Run, SLEEPS, ask, client, engine, migration, names, rows, show, target, until,
};

#[tokio::test]
async fn errors_carry_the_statement_without_its_passwords() {
    let run = Run::new();
    let mut writer = run.writer("statements").await;
    let block = "do $$\nbegin\n  perform 1 / 0;\nend $$";
    for (sql, statement) in [
        (format!("select 1;\n  {block};"), block.to_owned()),
        (format!("select 1 / 0 -- {}", "x".repeat(3_000)), "select 1 / 0".to_owned()),
        (format!("select 1 / 0, '{}'", "x".repeat(3_000)), format!("select 1 / 0, '{}…", "x".repeat(1_985))),
        (
            "alter role nobody_here\npassword 'hush'".to_owned(),
            "alter role nobody_here\npassword '****'".to_owned(),
        ),
    ] {
        let error = writer.apply(&OWN, &migration("1_m", &sql, None), None).await.unwrap_err();
        let EngineError::Sql(error) = error else { panic!() };
        assert_eq!(error.statement, Some(statement));
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
    writer.close().await;
}

#[tokio::test]
async fn errors_point_at_the_place_in_the_file() {
    let run = Run::new();
    let mut writer = run.writer("positions").await;
    let cases = [
        // PostgreSQL gives the position.
        (
            "create table a (id int);\n\n  select nope\nfrom a;",
            "42703 migrations/1_m.sql:3:10 column \"nope\" does not exist",
        ),
        (
            "-- ünïcödé 🎉\nselect 'ä🎉', 1; select 'ö🎉',\n  'ß', nope;",
            "42703 migrations/1_m.sql:3:8 column \"nope\" does not exist",
        ),
        ("select 1;\nselekt 2;", "42601 migrations/1_m.sql:2:1 syntax error at or near \"selekt\""),
        ("select 1;\r\nselect 2 +;\r\n", "42601 migrations/1_m.sql:2:11 syntax error at end of input"),
        // It gives none: the statement's start.
        (
            "create table b (id int);\n\n/* why */ insert into b\nvalues (1 / 0);",
            "22012 migrations/1_m.sql:3:11~ division by zero",
        ),
        ("do $$\nbegin\n  perform 1 / 0;\nend $$;", "22012 migrations/1_m.sql:1:1~ division by zero"),
        // Its own query within the statement.
        (
            "select 1;\ndo $$\nbegin\n  execute 'select nope';\nend $$;",
            "42703 migrations/1_m.sql:2:1~ column \"nope\" does not exist",
        ),
        (
            "select 1;\ndo $$\nbegin\n  perform nope;\nend $$;",
            "42703 migrations/1_m.sql:2:1~ column \"nope\" does not exist",
        ),
        // Deferred to the end of the transaction.
        (
            "create table p (id int primary key);\ncreate table c (p int references p deferrable initially deferred);\ninsert into c values (1);\n",
            "23503 migrations/1_m.sql:3:1~ insert or update on table \"c\" violates foreign key constraint \"c_p_fkey\"",
        ),
        // Data lines of a COPY.
        (
            "create table d (id int);\ncopy d from stdin;\n1\nx\n\\.\n",
            "22P02 migrations/1_m.sql:4:1 invalid input syntax for type integer: \"x\"",
        ),
        (
            "select 1;\ncopy nope (a) from stdin;\n1\n\\.\n",
            "42P01 migrations/1_m.sql:2:1~ relation \"nope\" does not exist",
        ),
    ];
    for (sql, expected) in cases {
        let error = writer.apply(&OWN, &migration("1_m", sql, None), None).await.unwrap_err();
        assert_eq!(show(&error), expected, "{sql}");
        let EngineError::Sql(error) = error else { panic!() };
        assert!(error.statement.is_some(), "{sql}");
        // Nothing of the file stays, and the session goes on.
        assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "", "{sql}");
    }
    assert_eq!(
        ask("positions", "select count(*) from pg_class where relnamespace = 'public'::regnamespace").await,
        "0"
    );

    let mut late = migration("1_late", "select 1;\n  nope", None);
    late.up.first_line = 10;
    let error = writer.apply(&OWN, &late, None).await.unwrap_err();
    assert_eq!(show(&error), "42601 migrations/1_late.sql:11:3 syntax error at or near \"nope\"");

    let internal = migration("1_i", "do $$ begin execute 'select nope'; end $$;", None);
    let EngineError::Sql(error) = writer.apply(&OWN, &internal, None).await.unwrap_err() else { panic!() };
    let context = error.context.unwrap();
    assert!(
        context.contains("PL/pgSQL function") && context.contains("in the query: select nope"),
        "{context}"
    );

    let nul = migration("1_nul", "select 1;\nselect '\0';", None);
    let error = writer.apply(&OWN, &nul, None).await.unwrap_err();
    assert!(show(&error).starts_with("22021 migrations/1_nul.sql:2:9 "), "{}", show(&error));

    let unsplit = migration("1_u", "select 1;\n\\connect other", None);
    let error = writer.apply(&OWN, &unsplit, None).await.unwrap_err();
    assert!(matches!(&error, EngineError::Split { line: 2, column: 1, .. }), "{error:?}");
    writer.close().await;
}

#[tokio::test]
async fn a_file_commits_with_its_rows_or_not_at_all() {
    let run = Run::new();
    let target = run.create("rows").await;
    let peer = Peer(TableName::new("tool", "pgmigrations"));
    let source = SourceRef { name: "apps/x/migrations", history: Some(&peer), migrations: &[] };
    let key = peer.lock_key("rows").unwrap();
    let mut writer = engine().open_exclusive(&target, &[key, key], &run.session()).await.unwrap();
    writer.prepare(&[source], "test").await.unwrap();
    writer.prepare(&[source], "test").await.unwrap();
    assert_eq!(run.heard.notices(), Vec::<String>::new());

    writer
        .apply(&source, &migration("1_a", "create table a (id int);", Some("drop table a;")), None)
        .await
        .unwrap();
    writer.apply(&source, &migration("2_b", "", None), None).await.unwrap();
    writer.fake(&source, &migration("3_c", "create table c (id int);", None)).await.unwrap();
    let error = writer.apply(&source, &migration("4_d", "create table d (id int); nope", None), None).await;
    assert!(error.is_err());
    let applied = writer.applied(&source).await.unwrap();
    assert_eq!(names(&applied), "1_a 2_b 3_c");
    assert!(applied[0].checksum.is_some() && applied[0].at.is_some() && applied[0].elapsed.is_some());
    writer.close().await;

    let seen = client("rows").await;
    assert_eq!(rows(&seen, "select name from tool.pgmigrations order by id").await, "1_a 2_b 3_c");
    assert_eq!(rows(&seen, "select name from dbctl.migration_history order by id").await, "1_a 2_b 3_c");
    assert_eq!(
        rows(&seen, "select relname from pg_class where relnamespace = 'public'::regnamespace").await,
        "a"
    );

    // The tool's own rollback counts; then ours.
    let mut writer = engine().open_exclusive(&target, &[key], &run.session()).await.unwrap();
    rows(&seen, "delete from tool.pgmigrations where name = '3_c'").await;
    assert_eq!(names(&writer.applied(&source).await.unwrap()), "1_a 2_b");
    writer.revert(&source, &migration("1_a", "", Some("drop table a;"))).await.unwrap();
    assert_eq!(names(&writer.applied(&source).await.unwrap()), "2_b");
    let broken = migration("2_b", "", Some("select 1;\n drop table nope;"));
    let error = writer.revert(&source, &broken).await.unwrap_err();
    assert_eq!(show(&error), "42P01 migrations/2_b.down.sql:2:2~ table \"nope\" does not exist");
    assert_eq!(names(&writer.applied(&source).await.unwrap()), "2_b");
    writer.close().await;
}

#[tokio::test]
async fn notices_are_heard() {
    let run = Run::new();
    let mut writer = run.writer("notices").await;
    let sql = "do $$ begin raise notice 'one'; raise warning 'two'; end $$; drop table if exists nope;";
    writer.apply(&OWN, &migration("1_n", sql, None), None).await.unwrap();
    writer.close().await;
    assert_eq!(run.heard.notices(), ["one", "two", "table \"nope\" does not exist, skipping"]);
}

#[tokio::test]
async fn files_with_their_own_transactions_are_recorded_all_the_same() {
    let run = Run::new();
    let target = run.create("own_tx").await;
    let mut writer = run.reopen(&target).await;
    let round = "BEGIN;\ncreate table r (id int);\nCOMMIT;\n";
    writer.apply(&OWN, &migration("1_round", round, None), None).await.unwrap();

    // All of it is ours, so nothing stays when it fails.
    let failing = "BEGIN; create table f (id int); select nope; COMMIT;";
    assert!(writer.apply(&OWN, &migration("2_failing", failing, None), None).await.is_err());
    assert_eq!(ask("own_tx", "select to_regclass('f') is null").await, "t");

    let serializable = "BEGIN ISOLATION LEVEL SERIALIZABLE; create table iso as select current_setting('transaction_isolation') i; COMMIT;";
    writer.apply(&OWN, &migration("2_iso", serializable, None), None).await.unwrap();
    assert_eq!(ask("own_tx", "select i from iso").await, "serializable");

    // A COMMIT in the middle: statement by statement, and the next run goes on where this one stopped.
    let middle = "create table m1 (id int);\nCOMMIT;\ncreate table m2 (id int);\nselect nope;\n";
    let error = writer.apply(&OWN, &migration("3_middle", middle, None), None).await.unwrap_err();
    assert_eq!(show(&error), "42703 migrations/3_middle.sql:4:8 column \"nope\" does not exist");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_round 2_iso 3_middle (3)");
    let mended = middle.replace("nope", "1");
    let resume = dbctl_engine::Resume { done: 3, started: false, digest: None };
    writer.apply(&OWN, &migration("3_middle", &mended, None), Some(resume.clone())).await.unwrap();

    let error =
        writer.apply(&OWN, &migration("4_undo", "select 1;\nROLLBACK;", None), None).await.unwrap_err();
    assert!(show(&error).starts_with("2D000 migrations/4_undo.sql:2:1 "), "{}", show(&error));

    // Settings of the transaction hold for it alone.
    let local = "BEGIN; SET LOCAL search_path = ''; RESET ALL; create table public.l (id int); COMMIT;";
    writer.apply(&OWN, &migration("5_local", local, None), None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_round 2_iso 3_middle 5_local");
    writer.close().await;
}

#[tokio::test]
async fn every_file_starts_in_a_clean_session() {
    ask("postgres", "create role leaky").await;
    let run = Run::new();
    let mut leaky = run.create("leaks").await;
    leaky.settings.insert("app.tenant".to_owned(), "it's \\ one".to_owned());
    let mut writer = run.reopen(&leaky).await;
    let leak = "select set_config('app.seen', current_setting('app.tenant'), false);\n\
                create table seen as select current_setting('app.tenant') as tenant;\n\
                create temp table t (id int); prepare p as select 1; listen x;\n\
                set search_path = ''; set role leaky; set lock_timeout = '10s'; set statement_timeout = '10s';\n\
                set app.tenant = 'other'; set session characteristics as transaction read only;";
    writer.apply(&OWN, &migration("1_leak", leak, None), None).await.unwrap();
    let check = "create table found as select current_user <> 'leaky' as role, current_setting('search_path') as path, \
                 current_setting('app.tenant') as tenant, to_regclass('t') is null as temp, \
                 current_setting('statement_timeout') as timeout, (select count(*) from pg_prepared_statements) as prepared";
    writer.apply(&OWN, &migration("2_check", check, None), None).await.unwrap();
    assert_eq!(ask("leaks", "select * from found").await, "t|\"$user\", public|it's \\ one|t|0|0");
    assert_eq!(ask("leaks", "select tenant from seen").await, "it's \\ one");

    // The rows were written by who logged in, and what reads after a leak reads as that one, too.
    writer
        .apply(&OWN, &migration("3_leak", "set role leaky; set search_path = 'nowhere'", None), None)
        .await
        .unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_leak 2_check 3_leak");
    assert_eq!(writer.environment().await.unwrap().as_deref(), Some("test"));

    // Not even a file that clears the session by itself lets go of the lock.
    writer.apply(&OWN, &migration("4_discard", "discard all;", None), None).await.unwrap();
    let impatient = Run { wait: Duration::ZERO, ..Run::new() };
    let locked = engine().open_exclusive(&leaky, &[], &impatient.session()).await.err().unwrap();
    assert!(matches!(locked, EngineError::Locked { .. }));
    writer.close().await;

    // A role set in a file that goes statement by statement lasts to its end, though progress is written between.
    let mut writer = run.reopen(&leaky).await;
    let steps = "-- dbctl:no-transaction\nset role leaky;\nselect 1;\nvacuum seen;\n\
                 do $$ begin if current_user <> 'leaky' then raise 'as %', current_user; end if; end $$;";
    writer.apply(&OWN, &migration("5_steps", steps, None), None).await.unwrap();
    let as_another = steps.replace("set role leaky", "set session authorization leaky");
    writer.apply(&OWN, &migration("6_another", &as_another, None), None).await.unwrap();
    let as_another = "set session authorization leaky; select 1;";
    writer.apply(&OWN, &migration("7_another", as_another, None), None).await.unwrap();
    assert_eq!(ask("leaks", "select distinct applied_by <> 'leaky' from dbctl.migration_history").await, "t");
    writer.close().await;
}

#[tokio::test]
async fn settings_that_do_not_exist_are_an_error_that_says_where_they_come_from() {
    let run = Run::new();
    let mut odd = run.create("odd_settings").await;
    odd.settings.insert("no_such_setting".to_owned(), "1".to_owned());
    let mut writer = run.reopen(&odd).await;
    let EngineError::Sql(error) =
        writer.apply(&OWN, &migration("1_a", "select 1", None), None).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!(
        (error.code.as_str(), error.hint.as_deref()),
        ("42704", Some("see `settings` of the database in the manifest"))
    );
    writer.close().await;
}

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_is_waited_for_and_then_named() {
    let run = Run::new();
    let mut writer = run.writer("blocked").await;
    writer.apply(&OWN, &migration("1_t", "create table guarded (id int);", None), None).await.unwrap();
    let alter = "-- dbctl:lock-timeout 500ms\nalter table guarded add x int;";

    let other = client("blocked").await;
    rows(&other, "set application_name = 'the blocker'").await;
    rows(&other, "begin; select * from guarded").await;
    let EngineError::Sql(error) = writer.apply(&OWN, &migration("2_x", alter, None), None).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!(error.code, "55P03");
    let hint = error.hint.unwrap();
    let pid = rows(&other, "select pg_backend_pid()").await;
    let who = format!("is held by pid {pid}, the blocker, from ");
    assert!(hint.contains(&who) && hint.contains(", its last query since 20"), "{hint}");
    assert!(hint.contains("5 times"), "{hint}");
    assert_eq!(run.heard.waiting.lock().unwrap().len(), 1);

    // It goes through once the blocker is gone, without a new run.
    let release = async {
        run.heard.waiting_for(2).await;
        rows(&other, "commit").await;
    };
    let alter = migration("2_x", alter, None);
    let (applied, ()) = futures::join!(writer.apply(&OWN, &alter, None), release);
    applied.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_t 2_x");
    writer.close().await;
}

#[tokio::test]
async fn stopping_cancels_the_statement_and_rolls_back() {
    let run = Run::new();
    let target = run.create("stopped").await;
    let mut writer = run.reopen(&target).await;
    let slow = migration("1_slow", "create table s (id int); select pg_sleep(3600);", None);
    let stop = async {
        until("stopped", SLEEPS).await;
        run.cancel.cancel();
    };
    let (result, ()) = futures::join!(writer.apply(&OWN, &slow, None), stop);
    assert!(matches!(result, Err(EngineError::Cancelled)), "{result:?}");
    let running = "select count(*) from pg_stat_activity where datname = 'stopped' and query like '%pg_sleep(3600)%' \
                   and state <> 'idle' and pid <> pg_backend_pid()";
    assert_eq!(ask("stopped", running).await, "0");
    assert_eq!(ask("stopped", "select to_regclass('s') is null").await, "t");
    writer.close().await;

    let again = Run { wait: Duration::ZERO, ..Run::new() };
    let mut writer = engine().open_exclusive(&target, &[], &again.session()).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "");
    writer.close().await;
}

#[tokio::test]
async fn a_writer_whose_work_was_dropped_still_closes_and_frees_its_lock() {
    let run = Run::new();
    let target = run.create("dropped_work").await;
    let mut writer = run.reopen(&target).await;
    let slow = migration("1_slow", "select pg_sleep(3600);", None);
    tokio::select! {
        _ = writer.apply(&OWN, &slow, None) => panic!("it sleeps"),
        () = until("dropped_work", SLEEPS) => {}
    }
    writer.close().await;
    let again = Run::new();
    engine().open_exclusive(&target, &[], &again.session()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_lost_connection_is_said_to_be_lost() {
    let run = Run::new();
    let mut writer = run.writer("lost").await;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lost' and pid <> pg_backend_pid()";
    let kill = async {
        until("lost", SLEEPS).await;
        ask("lost", end).await;
    };
    let slow = migration("1_slow", "select pg_sleep(3600);", None);
    let (result, _) = futures::join!(writer.apply(&OWN, &slow, None), kill);
    let error = result.unwrap_err();
    assert!(matches!(&error, EngineError::Lost { database, .. } if database == "lost"), "{error:?}");
    let error = writer.applied(&OWN).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Lost { message, .. } if message.contains("administrator")),
        "{error:?}"
    );
    writer.close().await;
}

#[tokio::test]
async fn roles_that_exist_already_are_explained() {
    ask("postgres", "create role twice").await;
    let run = Run::new();
    let mut writer = run.writer("roles").await;
    let error = writer.apply(&OWN, &migration("1_r", "create role twice;", None), None).await.unwrap_err();
    let EngineError::Sql(error) = error else { panic!() };
    assert!(error.hint.unwrap().contains("whole server"));
    writer.close().await;
}

#[tokio::test]
async fn many_databases_start_one_server_and_work_side_by_side() {
    let run = Run::new();
    let work = (0..8).map(async |n| {
        let target = target(&format!("side_{n}"));
        engine().create(&target, &run.session()).await.unwrap();
        let mut writer = run.reopen(&target).await;
        writer.apply(&OWN, &migration("1_a", "create table a (id int);", None), None).await.unwrap();
        let seed = SeedRow { file: "1.ts".to_owned(), checksum: Checksum::of_text("x") };
        writer.seed(&SeedWork::External, &seed).await.unwrap();
        assert_eq!(writer.seeds().await.unwrap(), [seed]);
        writer.close().await;
        assert!(engine().drop(&target, false, &run.session()).await.unwrap());
    });
    futures::future::join_all(work).await;
    assert!(!engine().exists(&Target { ..target("side_0") }, &run.session()).await.unwrap());
}

#[tokio::test]
async fn what_somebody_else_has_applied_meanwhile_is_not_applied_again() {
    let run = Run::new();
    let target = run.create("meanwhile").await;
    let peer = Peer(TableName::new("tool", "pgmigrations"));
    let foreign = SourceRef { name: "apps/x/migrations", history: Some(&peer), migrations: &[] };
    let mut writer = engine().open_exclusive(&target, &[], &run.session()).await.unwrap();
    writer.prepare(&[OWN, foreign], "test").await.unwrap();
    let seen = client("meanwhile").await;
    rows(&seen, "create table t (id int)").await;

    let one = migration("1_a", "insert into t values (1);", Some("delete from t;"));
    let steps = migration("2_b", "-- dbctl:no-transaction\ninsert into t values (2);\nvacuum t;", None);
    let only = migration("3_c", "-- dbctl:no-transaction\nvacuum t;", None);
    for source in [OWN, foreign] {
        rows(&seen, "truncate t").await;
        for migration in [&one, &steps, &only] {
            writer.apply(&source, migration, None).await.unwrap();
            let error = writer.apply(&source, migration, None).await.unwrap_err();
            assert!(show(&error).starts_with("23505 "), "{error:?}");
            let EngineError::Sql(error) = error else { panic!() };
            assert!(error.hint.as_deref().unwrap().contains("see `dbctl status`"), "{:?}", error.hint);
        }
        assert_eq!(rows(&seen, "select id from t order by id").await, "1 2");
        assert_eq!(names(&writer.applied(&source).await.unwrap()), "1_a 2_b 3_c");
        writer.fake(&source, &migration("4_d", "", None)).await.unwrap();
        writer.revert(&source, &one).await.unwrap();
        writer.apply(&source, &one, None).await.unwrap();
        assert_eq!(rows(&seen, "select id from t order by id").await, "1");
    }

    // Rolled back by the tool: the ledger's rows are stale, and in nobody's way.
    rows(&seen, "delete from tool.pgmigrations").await;
    for migration in [&one, &steps, &only] {
        writer.apply(&foreign, migration, None).await.unwrap();
    }
    assert_eq!(names(&writer.applied(&foreign).await.unwrap()), "1_a 2_b 3_c");
    writer.close().await;
}
