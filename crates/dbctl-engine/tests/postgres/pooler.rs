//! Through the real PgBouncer.

use std::{fmt::Write as _, time::Duration};

use dbctl_engine::{Endpoint, Engine, EngineError, PgVars, SeedWork, Target};
use dbctl_migration::{Checksum, TableName, ledger::SeedRow};
use tokio_postgres::{Client, NoTls};

use crate::{
    bench::{LOCK_WAITS, OWN, Run, ask, engine, migration, names, port_and_password, rows, show, until},
    pgbouncer::PgBouncer,
};

/// PgBouncer before the tests' server.
fn pooler(mode: &str, more: &str) -> PgBouncer {
    let (port, password) = port_and_password();
    PgBouncer::start(port, &[("postgres", &password)], mode, more)
}

/// The same database through PgBouncer.
fn through(pooler: &PgBouncer, target: &Target, pooled: bool) -> Target {
    let (_, password) = port_and_password();
    let url = pooler.url("postgres", &password, target.name.as_str());
    let endpoint = Endpoint::ConnInfo { text: url.into(), vars: PgVars::default() };
    Target { endpoint, pooled, ..target.clone() }
}

async fn client(pooler: &PgBouncer, database: &str) -> Client {
    let (_, password) = port_and_password();
    let url = pooler.url("postgres", &password, database);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// What is set in the sessions that PgBouncer keeps: asked of several at once, so that none is left out.
async fn left_behind(pooler: &PgBouncer, database: &str) -> String {
    let mut clients = Vec::new();
    for _ in 0..6 {
        let client = client(pooler, database).await;
        client.batch_execute("begin").await.unwrap();
        clients.push(client);
    }
    let sql = "select concat_ws(' ', \
        (select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where source = 'session' \
           and name not in ('client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings') \
           and not (name = 'application_name' and setting = '')), \
        (select 'role ' || current_user where current_user <> session_user), \
        (select 'prepared ' || string_agg(name, ' ') from pg_prepared_statements), \
        (select 'temporary ' || string_agg(relname, ' ') from pg_class where relnamespace = pg_my_temp_schema()), \
        (select 'listens ' || string_agg(c, ' ') from pg_listening_channels() c), \
        (select 'cursors ' || string_agg(name, ' ') from pg_cursors), \
        (select 'locks ' || count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() having count(*) > 0), \
        nullif(current_setting('app.tenant', true), ''))";
    let mut found = String::new();
    for client in &clients {
        let said = rows(client, sql).await;
        if !said.is_empty() {
            writeln!(found, "{said}").unwrap();
        }
    }
    found
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn a_pooler_is_noticed_before_anything_is_done_through_it() {
    let run = Run::new();
    let target = run.create("noticed").await;
    let pooler = pooler("transaction", "");
    let way = through(&pooler, &target, false);
    for _ in 0..3 {
        let error = engine().open_exclusive(&way, &[], &run.session()).await.err().unwrap();
        let EngineError::Pooled { server, database } = &error else { panic!("{error:?}") };
        assert_eq!((server.clone(), database.as_str()), (format!("127.0.0.1:{}", pooler.port), "noticed"));
    }
    // What makes and drops databases takes a lock, too.
    let new = through(
        &pooler,
        &Target { name: dbctl_migration::DatabaseName::parse("noticed_new").unwrap(), ..target.clone() },
        false,
    );
    assert!(matches!(engine().create(&new, &run.session()).await, Err(EngineError::Pooled { .. })));
    assert!(matches!(engine().drop(&way, false, &run.session()).await, Err(EngineError::Pooled { .. })));
    assert_eq!(ask("postgres", "select count(*) from pg_database where datname like 'noticed%'").await, "1");

    // Its socket looks no different.
    let (_, password) = port_and_password();
    let text = format!(
        "host={} port={} user=postgres password={password} sslmode=disable",
        pooler.folder.path().display(),
        pooler.port
    );
    let socket =
        Target { endpoint: Endpoint::ConnInfo { text: text.into(), vars: PgVars::default() }, ..way.clone() };
    let error = engine().open_exclusive(&socket, &[], &run.session()).await.err().unwrap();
    assert!(matches!(error, EngineError::Pooled { .. }), "{error:?}");

    // Reading is no harm, and the way past it is taken.
    engine().open(&way, &run.session()).await.unwrap().close().await;
    let past = Target { direct: Some(target.endpoint.clone()), ..way };
    engine().open_exclusive(&past, &[], &run.session()).await.unwrap().close().await;
    // The name is PgBouncer's own doing, which gives each session that of its last client who has one.
    assert_eq!(left_behind(&pooler, "noticed").await, "application_name=dbctl migrate run-1\n");
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn a_busy_pool_hides_nothing() {
    let run = Run::new();
    let target = run.create("busy_pool").await;
    for more in ["default_pool_size = 1", "default_pool_size = 4", "server_round_robin = 1"] {
        let pooler = pooler("transaction", more);
        let mut others = Vec::new();
        for n in 0..6_u32 {
            let client = client(&pooler, "busy_pool").await;
            others.push(tokio::spawn(async move {
                loop {
                    client
                        .batch_execute(&format!("select pg_sleep({})", 0.001 * f64::from(n)))
                        .await
                        .unwrap();
                }
            }));
        }
        let way = through(&pooler, &target, false);
        for _ in 0..10 {
            let error = engine().open_exclusive(&way, &[], &run.session()).await.err();
            assert!(matches!(error, Some(EngineError::Pooled { .. })), "{more}: {error:?}");
        }
        for other in others {
            other.abort();
        }
    }
    assert_eq!(ask("busy_pool", LOCKS).await, "0");
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn what_only_stands_in_the_way_is_no_pooler() {
    let run = Run::new();
    let target = run.create("session_mode").await;
    let session_mode = pooler("session", "");
    let way = through(&session_mode, &target, false);
    let mut writer = engine().open_exclusive(&way, &[], &run.session()).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    writer.apply(&OWN, &migration("1_t", "create table t (id int)", None), None).await.unwrap();
    let second = Run { wait: Duration::ZERO, ..Run::new() };
    let refused = engine().open_exclusive(&way, &[], &second.session()).await.err().unwrap();
    assert!(matches!(refused, EngineError::Locked { .. }), "{refused:?}");
    writer.close().await;

    // A forwarded port changes addresses, and nothing else: one connection tells.
    let (port, password) = port_and_password();
    let (forwarded, seen) = forwarder(port).await;
    let url = format!("postgres://postgres:{password}@127.0.0.1:{forwarded}/session_mode?sslmode=disable");
    let way = Target { endpoint: Endpoint::ConnInfo { text: url.into(), vars: PgVars::default() }, ..target };
    engine().open_exclusive(&way, &[], &run.session()).await.unwrap().close().await;
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 1);
}

/// A port that leads to another one, and how many connections it has seen.
async fn forwarder(to: u16) -> (u16, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), std::sync::Arc::default());
    let count: std::sync::Arc<std::sync::atomic::AtomicUsize> = std::sync::Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    (port, seen)
}

/// Sets in a pooled session all that a migration could stumble over.
const MESS: &str = "create schema if not exists other; set search_path = other; set statement_timeout = 1; \
                    set row_security = off; set work_mem = '64kB'; set role pg_read_all_stats";

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn nothing_stays_set_on_pooled_sessions() {
    let run = Run::new();
    let target = run.create("kept_clean").await;
    let pooler = pooler("transaction", "default_pool_size = 6");
    let mut way = through(&pooler, &target, true);
    way.settings = [("app.tenant", "none"), ("search_path", "app, public")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    ask("kept_clean", "create schema app; create role limited_here; grant limited_here to postgres").await;
    let session = run.session();
    let mut writer = engine().open_exclusive(&way, &[7], &session).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    let locks = "select string_agg(((classid::bigint << 32) | objid::bigint)::text, ' ' order by classid, objid) \
                 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(ask("kept_clean", locks).await, format!("7 {}", 0x64_6263_746c_i64));
    // Each of these would follow the session to the next client.
    let messy = "set work_mem = '64kB'; set lock_timeout = '7s'; select set_config('app.tenant', 'mine', false); \
                 create temp table scratch (id int); prepare p as select 1; listen c; \
                 select pg_advisory_lock(99); declare held cursor with hold for select 1; \
                 create table t (tenant text default current_setting('app.tenant')); insert into t default values; \
                 do $$ begin set statement_timeout = '9s'; end $$; set role limited_here;";
    writer
        .apply(
            &OWN,
            &migration("1_messy", messy, Some("set role limited_here; reset role; drop table t;")),
            None,
        )
        .await
        .unwrap();
    assert_eq!(ask("kept_clean", "select tenant from app.t").await, "mine");
    let settings = "select pg_sleep(0); create table u as select current_setting('app.tenant') as tenant, \
                    current_setting('search_path') as path, current_setting('application_name') as name, \
                    current_setting('work_mem') as mem, current_user::text as who;";
    writer.apply(&OWN, &migration("2_settings", settings, None), None).await.unwrap();
    assert_eq!(
        ask("kept_clean", "select tenant, path, name, mem, who from app.u").await,
        "none|app, public|dbctl migrate run-1|4MB|postgres"
    );
    // One that fails leaves as little.
    let failing = "set work_mem = '64kB'; prepare p as select 1; select pg_advisory_lock(98); select nope;";
    let error = writer.apply(&OWN, &migration("3_failing", failing, None), None).await.unwrap_err();
    assert_eq!(show(&error), "42703 migrations/3_failing.sql:1:83 column \"nope\" does not exist");
    writer.fake(&OWN, &migration("3_faked", "select 1", None)).await.unwrap();
    writer.forget(&OWN, "3").await.unwrap();
    let row = |file: &str| SeedRow { file: file.to_owned(), checksum: Checksum::of_text(file) };
    let csv = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(csv.path(), "tenant\none\ntwo\n").unwrap();
    let table = TableName::new("", "t");
    let csv = SeedWork::Csv { path: csv.path().to_owned(), shown: "t.csv".into(), table };
    writer.seed(&csv, &row("t.csv")).await.unwrap();
    let sql = migration("s", "set work_mem = '64kB'; copy t from stdin;\nthree\n\\.\n", None).up;
    writer.seed(&SeedWork::Sql(sql), &row("t.sql")).await.unwrap();
    assert_eq!(ask("kept_clean", "select string_agg(tenant, ' ') from app.t").await, "mine one two three");
    assert_eq!(writer.seeds().await.unwrap().len(), 2);
    assert_eq!(writer.environment().await.unwrap().as_deref(), Some("test"));
    writer.inventory().await.unwrap();
    writer.identity().await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_messy 2_settings");
    writer.close().await;

    let mut reader = engine().open(&way, &session).await.unwrap();
    assert_eq!(names(&reader.applied(&OWN).await.unwrap()), "1_messy 2_settings");
    reader.close().await;
    assert_eq!(left_behind(&pooler, "kept_clean").await, "");
    assert_eq!(ask("kept_clean", locks).await, "null");
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn what_others_have_left_set_is_not_worked_with() {
    let run = Run::new();
    let target = run.create("left_by_others").await;
    let pooler = pooler("transaction", "default_pool_size = 3");
    let mut messy = Vec::new();
    for _ in 0..3 {
        let client = client(&pooler, "left_by_others").await;
        client.batch_execute("begin").await.unwrap();
        messy.push(client);
    }
    for client in &messy {
        client.batch_execute(&format!("set lock_timeout = '1s'; {MESS}; commit")).await.unwrap();
    }
    let way = through(&pooler, &target, true);
    let session = run.session();
    let mut writer = engine().open_exclusive(&way, &[], &session).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    let sql = "create table t as select current_user::text, current_setting('statement_timeout') as t, \
               current_setting('row_security') as r, current_setting('work_mem') as m; select pg_sleep(0.01);";
    writer.apply(&OWN, &migration("1_t", sql, None), None).await.unwrap();
    assert_eq!(ask("left_by_others", "select * from public.t").await, "postgres|0|on|4MB");
    let isolated = "begin isolation level serializable; create table u as \
                    select current_setting('transaction_isolation') as i; commit;";
    writer.apply(&OWN, &migration("2_u", isolated, None), None).await.unwrap();
    assert_eq!(ask("left_by_others", "select * from public.u").await, "serializable");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_t 2_u");
    // Nothing can be set for a statement outside a transaction alone: what others have touched is closed.
    for mess in ["search_path = other", "role pg_read_all_stats", "statement_timeout = 1"] {
        for client in &messy {
            client.batch_execute(&format!("begin; set {mess}; commit")).await.unwrap();
        }
        let index = migration(
            &format!("3_{}", mess.len()),
            "create table public.w (id int); create index concurrently on public.w (id); drop table w;",
            None,
        );
        writer.apply(&OWN, &index, None).await.unwrap_or_else(|error| panic!("{mess}: {}", show(&error)));
    }
    writer.close().await;
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn a_pooler_that_leaves_settings_in_every_session_is_refused_outside_a_transaction() {
    let run = Run::new();
    let target = run.create("set_for_all").await;
    let (port, password) = port_and_password();
    let pooler = PgBouncer::start_with(
        &format!("* = host=127.0.0.1 port={port} connect_query='set search_path = pg_temp'"),
        &[("postgres", &password)],
        "transaction",
        "",
    );
    let way = through(&pooler, &target, true);
    let session = run.session();
    let mut writer = engine().open_exclusive(&way, &[], &session).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    writer.apply(&OWN, &migration("1_t", "create table t (id int)", None), None).await.unwrap();
    let error =
        writer.apply(&OWN, &migration("2_i", "create index concurrently i on t (id)", None), None).await;
    let error = error.unwrap_err();
    assert!(show(&error).contains("other clients of the pooler leave settings"), "{}", show(&error));
    writer.close().await;
    assert_eq!(ask("set_for_all", "select to_regclass('t'), to_regclass('i')").await, "t|null");
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn a_pool_of_one_is_refused_and_a_pool_of_two_is_enough() {
    let run = Run::new();
    let target = run.create("pool_of_one").await;
    let session = run.session();
    let one = pooler("transaction", "default_pool_size = 1");
    let way = through(&one, &target, true);
    let error = engine().open_exclusive(&way, &[], &session).await.err().unwrap();
    assert!(show(&error).contains("has given no second session for 10 s"), "{}", show(&error));
    let EngineError::Sql(sql) = &error else { panic!("{error:?}") };
    assert!(sql.hint.as_ref().unwrap().contains("default_pool_size of 2 at least"), "{sql:?}");
    // The one that there is was given back, with nothing in it; one is enough for one transaction.
    assert_eq!(ask("pool_of_one", LOCKS).await, "0");
    let mut atomic = engine().open_atomic(&way, &[], false, &session).await.unwrap();
    atomic.prepare(&[OWN], "test").await.unwrap();
    let messy =
        migration("1_t", "create table t (id int); set work_mem = '64kB'; set role pg_read_all_stats", None);
    atomic.apply(&OWN, &messy, None).await.unwrap();
    atomic.commit().await.unwrap();
    atomic.close().await;
    engine().open(&way, &session).await.unwrap().close().await;
    let client = client(&one, "pool_of_one").await;
    let left = "select current_user, current_setting('work_mem'), to_regclass('t'), (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())";
    assert_eq!(rows(&client, left).await, "postgres|4MB|t|0");

    let two = pooler("transaction", "default_pool_size = 2");
    let way = through(&two, &target, true);
    let mut writer = engine().open_exclusive(&way, &[], &session).await.unwrap();
    let index = migration("2_i", "create index concurrently i on t (id); drop table t;", None);
    writer.apply(&OWN, &index, None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_t 2_i");
    writer.close().await;
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn outside_a_transaction_every_statement_has_its_own_session() {
    let run = Run::new();
    let target = run.create("outside_pooled").await;
    let pooler = pooler("transaction", "");
    let way = through(&pooler, &target, true);
    let session = run.session();
    let mut writer = engine().open_exclusive(&way, &[], &session).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    let sql =
        "create table t (id int); create index concurrently i on t (id); insert into t values (1); vacuum t;";
    writer
        .apply(&OWN, &migration("1_i", sql, Some("drop index concurrently i; drop table t;")), None)
        .await
        .unwrap();
    assert_eq!(
        ask("outside_pooled", "select indisvalid from pg_index where indexrelid = 'i'::regclass").await,
        "t"
    );
    for (statement, at) in [
        ("set search_path = app", "2:1"),
        ("reset all", "2:1"),
        ("select set_config('app.x', 'y', false)", "2:1"),
        ("create temp table x (id int)", "2:1"),
        ("prepare p as select 1", "2:1"),
    ] {
        let sql =
            format!("create table never (id int);\n{statement};\ncreate index concurrently j on t (id);");
        let error = writer.apply(&OWN, &migration("2_set", &sql, None), None).await.unwrap_err();
        let said = show(&error);
        assert!(said.starts_with(&format!("0A000 migrations/2_set.sql:{at} ")), "{said}");
        assert!(said.contains("through a pooler each in another session"), "{said}");
    }
    assert_eq!(
        ask("outside_pooled", "select to_regclass('never')").await,
        "null",
        "refused before anything has run"
    );
    let own = "begin; set local lock_timeout = '1s'; create table u (id int); commit; vacuum t;";
    writer.apply(&OWN, &migration("2_own", own, None), None).await.unwrap();
    // One that stopped halfway goes on.
    let halfway = "create table v (id int); create unique index concurrently k on t (id); drop table v;";
    ask("outside_pooled", "insert into t values (1)").await;
    let error = writer.apply(&OWN, &migration("3_half", halfway, None), None).await.unwrap_err();
    assert!(show(&error).starts_with("23505"), "{}", show(&error));
    ask("outside_pooled", "delete from t where ctid = (select min(ctid) from t)").await;
    let resume = dbctl_engine::Resume { done: 1, started: true, digest: None };
    writer.apply(&OWN, &migration("3_half", halfway, None), Some(resume)).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_i 2_own 3_half");
    assert_eq!(
        ask("outside_pooled", "select indisvalid from pg_index where indexrelid = 'k'::regclass").await,
        "t"
    );
    writer.close().await;
    assert_eq!(left_behind(&pooler, "outside_pooled").await, "");
}

/// How many locks are held in the database.
const LOCKS: &str = "select count(*) from pg_locks where locktype = 'advisory' and database = \
                     (select oid from pg_database where datname = current_database())";

/// Ends the transaction that holds dbctl's lock.
const END_THE_HOLDER: &str = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and \
                              objid = 1650685036 and granted and database = \
                              (select oid from pg_database where datname = current_database())";

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn a_run_that_has_lost_its_lock_commits_nothing_more() {
    let run = Run::new();
    let target = run.create("holder_lost").await;
    let pooler = pooler("transaction", "");
    let way = through(&pooler, &target, true);
    let session = run.session();
    let mut writer = engine().open_exclusive(&way, &[], &session).await.unwrap();
    writer.prepare(&[OWN], "test").await.unwrap();
    writer.apply(&OWN, &migration("1_a", "create table a (id int)", None), None).await.unwrap();
    // While a migration runs.
    let slow = migration("2_b", "create table b (id int); select from a;", None);
    let other = crate::bench::client("holder_lost").await;
    rows(&other, "begin; lock table a").await;
    let end = async {
        until("holder_lost", LOCK_WAITS).await;
        assert_eq!(ask("holder_lost", END_THE_HOLDER).await, "t");
        rows(&other, "commit").await;
    };
    let (result, ()) = futures::join!(writer.apply(&OWN, &slow, None), end);
    let error = result.unwrap_err();
    let EngineError::Lost { database, message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(database, "holder_lost");
    assert!(message.contains("the transaction that held dbctl's lock is gone"), "{message}");
    assert!(!message.contains("COMMIT took effect"), "{message}");
    // And all that is tried after it.
    for _ in 0..2 {
        assert!(writer.apply(&OWN, &migration("2_b", "create table b (id int)", None), None).await.is_err());
        assert!(writer.fake(&OWN, &migration("2_b", "", None)).await.is_err());
        let index = migration("3_i", "create index concurrently i on a (id);", None);
        assert!(writer.apply(&OWN, &index, None).await.is_err());
    }
    writer.close().await;
    assert_eq!(ask("holder_lost", "select to_regclass('b'), to_regclass('i')").await, "null|null");

    let mut writer = engine().open_exclusive(&way, &[], &session).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_a");
    writer.apply(&OWN, &slow, None).await.unwrap();
    writer.close().await;
    assert_eq!(left_behind(&pooler, "holder_lost").await, "");
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn those_who_come_through_a_pooler_and_those_who_do_not_keep_each_other_away() {
    let run = Run::new();
    let target = run.create("both_ways").await;
    let pooler = pooler("transaction", "");
    let way = through(&pooler, &target, true);
    let session = run.session();
    let second = Run { wait: Duration::from_millis(300), ..Run::new() };
    for (first, second_way) in [(&way, &target), (&target, &way), (&way, &way)] {
        let writer = engine().open_exclusive(first, &[], &session).await.unwrap();
        let refused = engine().open_exclusive(second_way, &[], &second.session()).await.err().unwrap();
        let EngineError::Locked { holder: Some(holder), .. } = &refused else { panic!("{refused:?}") };
        assert_eq!(holder.application, "dbctl migrate run-1");
        writer.close().await;
    }
}

#[tokio::test]
#[ignore = "PgBouncer is a system package, which the README does not ask for: .ci/run installs it and runs this"]
async fn databases_are_made_and_dropped_through_a_pooler() {
    let run = Run::new();
    let pooler = pooler("transaction", "");
    let way = through(&pooler, &crate::bench::target("made_through"), true);
    let way = Target { extensions: vec!["plpgsql".to_owned()], ..way };
    assert!(!engine().exists(&way, &run.session()).await.unwrap());
    assert!(engine().create(&way, &run.session()).await.unwrap().created);
    assert!(!engine().create(&way, &run.session()).await.unwrap().created);
    assert!(engine().drop(&way, true, &run.session()).await.unwrap());
    assert_eq!(left_behind(&pooler, "postgres").await, "");
}
