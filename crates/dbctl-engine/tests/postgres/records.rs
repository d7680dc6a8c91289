//! The rows that say what is applied are not a file's to write.

use std::path::PathBuf;

use dbctl_engine::{EngineError, Note, SeedWork, SourceRef};
use dbctl_migration::{
    Checksum, Folder, Format, FormatKind, Progress, SourceOptions, TableName, ledger::SeedRow,
};

use crate::bench::{OWN, Run, ask, migration, names};

/// What a file may do to a table of records, by hand or hidden.
fn tamperings(table: &str) -> Vec<String> {
    let each = [
        "delete from {}",
        "insert into {} overriding system value select (jsonb_populate_record(t, '{\"id\": 99, \"version\": \"9\", \"name\": \"9\"}')).* from {} t limit 1",
        "update {} set {column} = {column}",
        "truncate {}",
        "do $$ begin execute 'delete from ' || '{}'; end $$",
        "do $$ begin begin delete from {}; exception when others then raise; end; end $$",
        "create function pg_temp.f() returns void language sql as 'delete from {}'; select pg_temp.f()",
        "with gone as (delete from {} returning 1) select count(*) from gone",
        "savepoint s; delete from {}; release s",
        "alter table {} rename to elsewhere",
        "create table copy as table {}; drop table {}; create table {} as table copy",
        "reset all; set role to default; delete from {}",
        "set track_counts to off; delete from {}",
        "create view v as select * from {}; delete from v",
        "create table t (id int); create rule r as on insert to t do also delete from {}; insert into t values (1)",
    ];
    let column = if table.contains("dbctl") { "version" } else { "name" };
    each.iter().map(|sql| sql.replace("{column}", column).replace("{}", table)).collect()
}

/// A tool whose table is `public.pgmigrations`.
fn foreign() -> Box<dyn Format> {
    let kind = FormatKind::parse("node-pg-migrate").unwrap();
    kind.open(&Folder::new("/nowhere", "m"), &SourceOptions::default())
}

#[tokio::test]
async fn a_file_that_changes_what_is_recorded_is_rolled_back() {
    let format = foreign();
    let foreign = SourceRef { name: "m", history: format.history(), migrations: &[] };
    let run = Run::new();
    let target = run.create("tampered").await;
    let mut writer = run.reopen(&target).await;
    writer.prepare(&[OWN, foreign], "test").await.unwrap();
    writer.apply(&OWN, &migration("1_a", "select 1", None), None).await.unwrap();
    writer.apply(&foreign, &migration("1_b", "select 1", None), None).await.unwrap();
    let all = "select (select string_agg(t::text, ';' order by id) from dbctl.migration_history t), \
               (select string_agg(t::text, ';' order by id) from pgmigrations t)";
    let before = ask("tampered", all).await;
    for table in ["dbctl.migration_history", "public.pgmigrations"] {
        for sql in tamperings(table) {
            for source in [&OWN, &foreign] {
                let sql = format!("create table made (id int); {sql};");
                let error = writer.apply(source, &migration("2_t", &sql, None), None).await.unwrap_err();
                let EngineError::Sql(error) = error else { panic!("{sql}: {error:?}") };
                assert!(
                    error.message.contains("which say what is applied; it has been undone"),
                    "{sql}: {error:?}"
                );
                assert!(error.message.contains(table.split('.').next_back().unwrap()), "{sql}: {error:?}");
                assert!(error.hint.as_ref().unwrap().contains("-- dbctl:changes-history"), "{error:?}");
            }
        }
    }
    assert_eq!(ask("tampered", all).await, before);
    assert_eq!(ask("tampered", "select to_regclass('made'), to_regclass('elsewhere')").await, "null|null");
    // The same for what rolls back, for seeds, and for a unit of a file outside a transaction.
    let down = migration("1_a", "select 1", Some("delete from pgmigrations"));
    assert!(writer.revert(&OWN, &down).await.unwrap_err().to_string().contains("changed the rows"));
    let stepwise = "-- dbctl:no-transaction\ncreate table steps (id int);\ndelete from pgmigrations;\ncreate index concurrently i on steps (id);";
    let error = writer.apply(&OWN, &migration("2_s", stepwise, None), None).await.unwrap_err();
    assert!(error.to_string().contains("changed the rows"), "{error}");
    assert_eq!(ask("tampered", "select count(*) from pgmigrations").await, "1");
    writer.close().await;
}

#[tokio::test]
async fn a_file_that_says_so_may_change_what_is_recorded() {
    let run = Run::new();
    let target = run.create("maintained").await;
    let mut writer = run.reopen(&target).await;
    writer.prepare(&[OWN], "test").await.unwrap();
    writer.apply(&OWN, &migration("1_a", "select 1", None), None).await.unwrap();
    let said = "-- dbctl:changes-history\ndelete from dbctl.migration_history;";
    writer.apply(&OWN, &migration("2_b", said, None), None).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "2_b");
    // Reading is nobody's business, and neither is what changes no row.
    let reads = "create table t as select version from dbctl.migration_history; grant select on dbctl.migration_history to public; \
                 delete from dbctl.migration_history where false; create index on dbctl.migration_history (name); \
                 comment on table dbctl.migration_history is 'a'; insert into t values ('x');";
    writer.apply(&OWN, &migration("3_c", reads, None), None).await.unwrap();
    writer.close().await;
}

#[tokio::test]
async fn a_seed_does_not_write_records() {
    let run = Run::new();
    let target = run.create("sown").await;
    let mut writer = run.reopen(&target).await;
    let format = foreign();
    let source = SourceRef { name: "m", history: format.history(), migrations: &[] };
    writer.prepare(&[OWN, source], "test").await.unwrap();
    writer.apply(&OWN, &migration("1_a", "select 1", None), None).await.unwrap();
    let row = SeedRow { file: "s".to_owned(), checksum: Checksum::of_text("s") };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgmigrations.csv");
    std::fs::write(&path, "name,run_on\na,2026-01-01\n").unwrap();
    let sql = migration("x", "delete from dbctl.migration_history", None).up;
    let csv = SeedWork::Csv {
        path,
        shown: PathBuf::from("seeds/pgmigrations.csv"),
        table: TableName::new("", "pgmigrations"),
    };
    for work in [SeedWork::Sql(sql), csv] {
        let error = writer.seed(&work, &row).await.unwrap_err();
        assert!(error.to_string().contains("changed the rows"), "{error}");
    }
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_a");
    writer.close().await;
}

#[tokio::test]
async fn what_no_query_may_precede_still_works() {
    let run = Run::new();
    let target = run.create("isolated").await;
    let mut writer = run.reopen(&target).await;
    writer.prepare(&[OWN], "test").await.unwrap();
    for (n, begin) in [
        "set transaction isolation level serializable",
        "set role none; set time zone 'utc'; set transaction isolation level serializable",
        "set local transaction_isolation to 'serializable'",
        "set search_path to public; set session transaction_isolation = 'serializable'",
        "begin isolation level serializable",
        "-- first\nset /* a */ transaction isolation level serializable",
    ]
    .iter()
    .enumerate()
    {
        let level =
            format!("{begin}; create table i{n} as select current_setting('transaction_isolation') as level");
        writer.apply(&OWN, &migration(&format!("{n}_i"), &level, None), None).await.unwrap();
        assert_eq!(ask("isolated", &format!("select level from i{n}")).await, "serializable", "{begin}");
        let tampers = format!("{begin}; delete from dbctl.migration_history");
        let error =
            writer.apply(&OWN, &migration(&format!("9{n}_i"), &tampers, None), None).await.unwrap_err();
        assert!(error.to_string().contains("changed the rows"), "{begin}: {error}");
    }
    writer.close().await;
}

#[tokio::test]
async fn what_only_reads_is_recorded_after_it() {
    let run = Run::new();
    let mut writer = run.writer("only_reads").await;
    for (name, sql) in [
        ("1_own", "begin read only; select 1; commit;"),
        ("2_set", "set transaction read only; select 1;"),
        (
            "3_hidden",
            "do $$ begin perform set_config('transaction_read_only', 'on', true); end $$; select 1;",
        ),
        ("4_default", "set default_transaction_read_only = on; create table d (id int);"),
        (
            "5_steps",
            "-- dbctl:no-transaction\nbegin transaction isolation level repeatable read, read only; select 1; commit;\n\
             set session characteristics as transaction read only; select 2; reset default_transaction_read_only;\n\
             create table e (id int);\nset default_transaction_read_only = on;",
        ),
    ] {
        let applied = writer.apply(&OWN, &migration(name, sql, None), None).await;
        applied.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_own 2_set 3_hidden 4_default 5_steps");
    assert_eq!(ask("only_reads", "select to_regclass('d'), to_regclass('e')").await, "d|e");
    // What writes fails, and nobody speaks of a replica.
    let sql = "-- read only\nbegin read only;\nselect 1;\ncreate table f (id int);\ncommit;";
    let error = writer.apply(&OWN, &migration("6_f", sql, None), None).await.unwrap_err();
    let EngineError::Sql(error) = error else { panic!("{error:?}") };
    let hint =
        "the file itself makes its transactions read-only, in line 2: take that out, or what it writes";
    assert_eq!((error.code.as_str(), error.hint.as_deref()), ("25006", Some(hint)));
    assert_eq!(error.location.as_ref().unwrap().line, 4);
    writer.close().await;
}

/// A tool, and how a file of the migration `1_a` writes its own row there, and another's.
const OWN_ROWS: [(&str, &str, &str, &str); 5] = [
    (
        "custom",
        "own_custom",
        "insert into public.runs (name) values ('1_a')",
        "insert into public.runs (name) values ('2_b')",
    ),
    (
        "node-pg-migrate",
        "own_pgmigrations",
        "insert into pgmigrations (name, run_on) values ('1_a', now())",
        "insert into pgmigrations (name, run_on) values ('2_b', now())",
    ),
    (
        "dbmate",
        "own_dbmate",
        "insert into schema_migrations (version) values ('1') on conflict do nothing",
        "insert into schema_migrations values ('2')",
    ),
    (
        "supabase",
        "own_supabase",
        "insert into supabase_migrations.schema_migrations (version, name) values ('1', '1_a')",
        "insert into supabase_migrations.schema_migrations (version) values ('2')",
    ),
    (
        "sqlx",
        "own_sqlx",
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (1, 'a', true, decode('{checksum}', 'hex'), 0)",
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (1, 'a', true, 'ab', 0)",
    ),
];

#[tokio::test]
async fn a_file_may_record_itself_and_nothing_else() {
    let run = Run::new();
    for (tool, database, own, other) in OWN_ROWS {
        let options = SourceOptions {
            table: (tool == "custom").then(|| "runs".to_owned()),
            ..SourceOptions::default()
        };
        let format = FormatKind::parse(tool).unwrap().open(&Folder::new("/nowhere", "m"), &options);
        let target = run.create(database).await;
        let mut writer = run.reopen(&target).await;
        let checksum = Checksum::of_text("as the tool has it");
        let own = own.replace("{checksum}", checksum.as_str());
        for (case, transaction, outcome) in [
            ("whole", format!("create table t1 (id int);\n{own};"), true),
            (
                "steps",
                format!(
                    "-- dbctl:no-transaction\ncreate table t2 (id int);\n{own};\ncreate index concurrently on t2 (id);"
                ),
                true,
            ),
            ("other", format!("create table t3 (id int);\n{other};"), false),
            ("both", format!("create table t4 (id int);\n{own};\n{other};"), false),
        ] {
            let mut migration = migration("1_a", &transaction, None);
            // Outside a transaction sqlx writes the row before the file runs, and so does dbctl; and it has one key.
            if tool == "sqlx" && ["steps", "both"].contains(&case) {
                continue;
            }
            // The hash in the file would have to be its own, as that of no real file is.
            migration.checksum = checksum.clone();
            let local = [migration.clone()];
            let source = SourceRef { name: "m", history: format.history(), migrations: &local };
            writer.prepare(&[OWN, source], "test").await.unwrap();
            let applied = writer.apply(&source, &migration, None).await;
            match (outcome, applied) {
                (true, Ok(_)) => {
                    let rows = writer.applied(&source).await.unwrap();
                    assert_eq!(names(&rows), names(&rows[..1]), "{tool} {case}");
                    assert_eq!(rows[0].progress, Progress::Whole, "{tool} {case}");
                    assert_eq!(writer.ledger().await.unwrap().len(), 1, "{tool} {case}");
                    let key = source.keyed_by().of(&migration).to_owned();
                    writer.note(&[Note::Forgotten(source, &key)]).await.unwrap();
                    assert_eq!(writer.applied(&source).await.unwrap().len(), 0, "{tool} {case}");
                }
                (false, Err(error)) => {
                    assert!(error.to_string().contains("changed the rows"), "{tool} {case}: {error}")
                }
                (_, applied) => panic!("{tool} {case}: {applied:?}"),
            }
        }
        writer.close().await;
        let expected = if tool == "sqlx" { "t1|null|null|null" } else { "t1|t2|null|null" };
        let tables = "select to_regclass('t1'), to_regclass('t2'), to_regclass('t3'), to_regclass('t4')";
        assert_eq!(ask(database, tables).await, expected, "{tool}");
    }
}
