//! Databases that are a file.

use std::{fs, path::PathBuf, time::Duration};

use dbctl_engine::{
    Creation, Endpoint, Engine, EngineError, Mark, Resume, SeedWork, Sqlite, Target, Writer,
    clean::plan_clean,
};
use dbctl_migration::{Checksum, Progress, Script, TableName, Transaction, ledger::SeedRow};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::bench::{OWN, Run, migration, names, target};

/// A database in a folder of its own.
struct Place {
    folder: TempDir,
    target: Target,
    run: Run,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = Target { endpoint: Endpoint::Sqlite(folder.path().join("app.db")), ..target("app") };
        let place = Self { folder, target, run: Run::new() };
        let created = Creation { created: true, extensions: Vec::new() };
        assert_eq!(Sqlite.create(&place.target, &place.run.session()).await.unwrap(), created);
        place
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    async fn writer(&self) -> Box<dyn Writer + '_> {
        let mut writer = Sqlite.open_exclusive(&self.target, &[], &self.run.session()).await.unwrap();
        writer.prepare(&[OWN], "test").await.unwrap();
        writer
    }

    /// What a query answers beside the engine: fields joined by `|`, rows by a blank.
    fn ask(&self, sql: &str) -> String {
        let connection = Connection::open(self.file()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let fields: Vec<String> = (0..columns)
                .map(|at| {
                    Ok(match row.get::<_, rusqlite::types::Value>(at)? {
                        rusqlite::types::Value::Null => "null".to_owned(),
                        rusqlite::types::Value::Integer(int) => int.to_string(),
                        rusqlite::types::Value::Real(real) => real.to_string(),
                        rusqlite::types::Value::Text(text) => text,
                        rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
                    })
                })
                .collect::<rusqlite::Result<_>>()?;
            Ok(fields.join("|"))
        });
        rows.unwrap().collect::<rusqlite::Result<Vec<_>>>().unwrap().join(" ")
    }
}

fn sql_error(error: EngineError) -> Box<dbctl_engine::SqlError> {
    match error {
        EngineError::Sql(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_table_is_rebuilt_and_the_rows_that_refer_to_it_stay() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    let tables = "create table org (id integer primary key, name text);\n\
                  create table person (id integer primary key, org int not null references org (id) on delete cascade);\n\
                  insert into org values (1, 'a'); insert into person values (7, 1);";
    writer.apply(&OWN, &migration("1_tables", tables, None), None).await.unwrap();
    let rebuild = "create table new_org (id integer primary key, name text not null);\n\
                   insert into new_org select * from org; drop table org; alter table new_org rename to org;";
    writer.apply(&OWN, &migration("2_rebuild", rebuild, None), None).await.unwrap();
    assert_eq!(place.ask("select * from person"), "7|1");

    // What no longer holds at the end is an error, and undone.
    let gone = migration("3_gone", "select 1;\ndelete from org;", None);
    let error = sql_error(writer.apply(&OWN, &gone, None).await.unwrap_err());
    assert_eq!(error.code, "SQLITE_CONSTRAINT_FOREIGNKEY");
    let said = "migrations/3_gone.sql:2:1: once the file has run, row 7 of person refers to a row of org that is not there";
    assert_eq!(error.to_string(), said);
    assert_eq!(place.ask("select count(*) from org"), "1");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_tables 2_rebuild");

    // What did not hold before is not the file's doing.
    place.ask("pragma user_version");
    let beside = Connection::open(place.file()).unwrap();
    beside.execute_batch("pragma foreign_keys = off; insert into person values (8, 99)").unwrap();
    writer.apply(&OWN, &migration("4_other", "create table other (id int);", None), None).await.unwrap();
    // Seeds meet foreign keys as the application does.
    let seed = |sql: &str| {
        SeedWork::Sql(Script {
            path: "seeds/a.sql".into(),
            first_line: 1,
            sql: sql.to_owned(),
            transaction: Transaction::One,
        })
    };
    let row = SeedRow { file: "a.sql".to_owned(), checksum: Checksum::of_text("a") };
    let error = writer.seed(&seed("insert into person values (9, 98)"), &row).await.unwrap_err();
    assert_eq!(sql_error(error).code, "SQLITE_CONSTRAINT_FOREIGNKEY");
    writer.seed(&seed("insert into person values (9, 1)"), &row).await.unwrap();
    assert_eq!(writer.seeds().await.unwrap(), [row]);
    writer.close().await;
    assert_eq!(place.ask("pragma journal_mode"), "wal");
}

#[tokio::test]
async fn a_mistake_is_shown_where_it_is_and_undoes_its_file() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    let broken = migration("1_broken", "create table a (id int);\n\ninsert into a\n  valuez (1);", None);
    let error = sql_error(writer.apply(&OWN, &broken, None).await.unwrap_err());
    let location = error.location.clone().unwrap();
    assert_eq!((location.line, location.column, location.mark), (4, 3, Mark::Error));
    assert_eq!(error.to_string(), "migrations/1_broken.sql:4:3: near \"valuez\": syntax error");
    assert_eq!(place.ask("select count(*) from sqlite_schema where name = 'a'"), "0");

    for (sql, code) in [
        ("insert into nowhere values (1);", "SQLITE_ERROR"),
        ("create table b (id int check (id > 1)); insert into b values (0);", "SQLITE_CONSTRAINT_CHECK"),
        ("create table c (id int); insert into c values (?1);", "SQLITE_RANGE"),
        ("delete from dbctl_environment;", "SQLITE_AUTH"),
        ("create table d (id int); rollback;", "2D000"),
    ] {
        let error = sql_error(writer.apply(&OWN, &migration("2_x", sql, None), None).await.unwrap_err());
        assert_eq!(error.code, code, "{sql}");
    }
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "");
    assert_eq!(place.ask("select environment from dbctl_environment"), "test");
    let unended = migration("3_open", "select 'a", None);
    assert!(matches!(writer.apply(&OWN, &unended, None).await.unwrap_err(), EngineError::Split { .. }));
    writer.close().await;
}

#[tokio::test]
async fn files_begin_with_the_manifests_settings_and_leave_nothing_behind() {
    let mut place = Place::new().await;
    place.target.settings.insert("recursive_triggers".to_owned(), "on".to_owned());
    let mut writer = place.writer().await;
    let leak = "create table seen as select * from pragma_recursive_triggers;\n\
                create temp table t (id int); pragma recursive_triggers = off; attach ':memory:' as other;";
    writer.apply(&OWN, &migration("1_leak", leak, None), None).await.unwrap();
    let check = "create table found as select (select count(*) from pragma_database_list where name = 'other') as other, \
                 (select count(*) from temp.sqlite_schema) as temporary, recursive_triggers from pragma_recursive_triggers;";
    writer.apply(&OWN, &migration("2_check", check, None), None).await.unwrap();
    assert_eq!(place.ask("select * from seen"), "1");
    assert_eq!(place.ask("select * from found"), "0|0|1");
    writer.close().await;

    place.target.settings.insert("no_such_thing".to_owned(), "1".to_owned());
    let mut writer = place.writer().await;
    let error = writer.apply(&OWN, &migration("3_any", "select 1", None), None).await.unwrap_err();
    assert_eq!(error.to_string(), "SQLite has no setting \"no_such_thing\"");
    writer.close().await;
}

#[tokio::test]
async fn what_runs_outside_a_transaction_goes_on_where_it_stopped() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    let sql = "-- dbctl:no-transaction\ncreate table a (id int);\nvacuum;\ninsert into a values (1);\n\
               insert into b values (2);\ncreate table c (id int);";
    let steps =
        migration("1_steps", sql, Some("-- dbctl:no-transaction\ndrop table c; drop table a; drop table b;"));
    let error = sql_error(writer.apply(&OWN, &steps, None).await.unwrap_err());
    assert_eq!(error.location.unwrap().line, 5);
    let rows = writer.applied(&OWN).await.unwrap();
    assert_eq!(names(&rows), "1_steps (3)");
    assert_eq!(place.ask("select * from a"), "1");

    // An edit of what has run is refused, and of what has not is what was asked for.
    let Progress::Partial { done, started, digest } = rows[0].progress.clone() else { panic!() };
    let resume = Resume { done, started, digest };
    let edited = migration("1_steps", &sql.replace("a (id int)", "a (id text)"), None);
    let error = writer.apply(&OWN, &edited, Some(resume.clone())).await.unwrap_err();
    assert!(matches!(error, EngineError::Rewritten { line: 4, .. }), "{error:?}");
    let mended =
        migration("1_steps", &sql.replace("insert into b", "create table b (id int); insert into b"), None);
    writer.apply(&OWN, &mended, Some(resume)).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_steps");
    assert_eq!(place.ask("select * from b"), "2");
    writer.revert(&OWN, &steps).await.unwrap();
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "");
    assert_eq!(place.ask("select count(*) from sqlite_schema where name in ('a', 'b', 'c')"), "0");
    writer.close().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    let endless = "-- dbctl:statement-timeout 50ms\ncreate table t (a);\n\
                   insert into t with recursive n(i) as (select 1 union all select i + 1 from n) select i from n;";
    let error =
        sql_error(writer.apply(&OWN, &migration("1_endless", endless, None), None).await.unwrap_err());
    assert_eq!(error.code, "SQLITE_INTERRUPT");
    assert!(error.hint.unwrap().contains("statement-timeout"));
    writer.apply(&OWN, &migration("2_next", "create table u (a);", None), None).await.unwrap();
    assert_eq!(place.ask("select count(*) from sqlite_schema where name in ('t', 'u')"), "1");
    writer.close().await;
}

#[tokio::test]
async fn clean_empties_all_but_what_says_what_is_applied() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    let sql = "create table nodes (id integer primary key autoincrement, parent int references nodes (id), name text);\n\
               create table log (line text);\n\
               create trigger logged after delete on nodes begin insert into log values ('gone'); end;\n\
               create virtual table plain using fts5(name);\n\
               create virtual table outside using fts5(name, content='nodes', content_rowid='id');\n\
               create virtual table boxes using rtree(id, x0, x1);\n\
               create table _migrations (id integer primary key, name text);\n\
               create table lookup (code text primary key) without rowid;\n\
               create view names as select name from nodes;";
    writer.apply(&OWN, &migration("1_tables", sql, None), None).await.unwrap();
    let rows = "insert into nodes (parent, name) values (null, 'a'), (1, 'b');\n\
                insert into plain values ('x'); insert into outside(rowid, name) select id, name from nodes;\n\
                insert into boxes values (1, 0, 1); insert into lookup values ('l'); insert into _migrations values (1, 'm');";
    let seed = SeedWork::Sql(Script {
        path: "seeds/a.sql".into(),
        first_line: 1,
        sql: rows.to_owned(),
        transaction: Transaction::One,
    });
    let row = SeedRow { file: "a.sql".to_owned(), checksum: Checksum::of_text("a") };
    writer.seed(&seed, &row).await.unwrap();
    assert_eq!(place.ask("select rowid from outside where outside match 'b'"), "2");

    let inventory = writer.inventory().await.unwrap();
    let plan = plan_clean(&inventory, &["lookup".to_owned()], &[]).unwrap();
    let emptied: Vec<_> = plan.truncate.iter().map(|one| one.table.name.as_str()).collect();
    assert_eq!(emptied, ["boxes", "log", "nodes", "outside", "plain"]);
    assert_eq!(plan.restart, [TableName::new("main", "nodes")]);
    writer.clean(&plan).await.unwrap();
    for table in ["boxes", "log", "nodes", "outside", "plain"] {
        assert_eq!(place.ask(&format!("select count(*) from {table}")), "0", "{table}");
    }
    assert_eq!(place.ask("select rowid from outside where outside match 'b'"), "");
    assert_eq!(place.ask("select * from lookup"), "l");
    assert_eq!(place.ask("select name from _migrations"), "m");
    assert_eq!(names(&writer.applied(&OWN).await.unwrap()), "1_tables");
    assert!(writer.seeds().await.unwrap().is_empty());
    // The numbers begin anew, and the trigger is there.
    writer
        .apply(&OWN, &migration("2_again", "insert into nodes (name) values ('c');", None), None)
        .await
        .unwrap();
    assert_eq!(place.ask("select id from nodes"), "1");
    assert_eq!(writer.belongings(&[]).await.unwrap(), ["boxes", "log", "lookup", "names"]);
    writer.close().await;

    // A table that is kept may not refer to one that is emptied.
    let mut writer = place.writer().await;
    let refusal = plan_clean(&writer.inventory().await.unwrap(), &["nodes".to_owned()], &[]);
    assert!(refusal.is_ok());
    let refers =
        "create table kept (node int references NODES (id), foreign key (node) references nodes (id));";
    writer.apply(&OWN, &migration("3_kept", refers, None), None).await.unwrap();
    let refusal = plan_clean(&writer.inventory().await.unwrap(), &["kept".to_owned()], &[]).unwrap_err();
    assert_eq!(refusal.0.len(), 2);
    writer.close().await;
}

#[tokio::test]
async fn csv_seeds_say_which_line_is_wrong() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    let sql =
        "create table people (id integer primary key, name text not null, age int check (age > 0)) strict;"
            .replace(" strict", "");
    writer.apply(&OWN, &migration("1_people", &sql, None), None).await.unwrap();
    let path = place.folder.path().join("people.csv");
    let seed = SeedWork::Csv {
        path: path.clone(),
        shown: "seeds/people.csv".into(),
        table: TableName::new("", "people"),
    };
    let row = SeedRow { file: "people.csv".to_owned(), checksum: Checksum::of_text("a") };
    for (csv, said) in [
        ("id,name\n1\n", "seeds/people.csv:2: has 1 fields, and its header 2"),
        ("id,name\n1,a\n2,\n", "seeds/people.csv:3:1: NOT NULL constraint failed: people.name"),
        ("id,nam\n", "seeds/people.csv:1:1: table main.people has no column named nam"),
        ("id,name\n1,\"a\n\n", "seeds/people.csv:2: has a quote here that never ends"),
        ("", "seeds/people.csv: is empty; its first line names the columns"),
    ] {
        fs::write(&path, csv).unwrap();
        assert_eq!(writer.seed(&seed, &row).await.unwrap_err().to_string(), said);
        assert_eq!(place.ask("select count(*) from people"), "0");
    }
    fs::write(&path, "\u{feff}id,name,age\r\n1,\"a, \"\"b\"\"\nc\",\r\n\r\n2,\"\",7\r\n").unwrap();
    writer.seed(&seed, &row).await.unwrap();
    assert_eq!(place.ask("select *, typeof(age) from people"), "1|a, \"b\"\nc|null|null 2||7|integer");
    let missing =
        SeedWork::Csv { path, shown: "seeds/nobody.csv".into(), table: TableName::new("", "nobody") };
    let error = writer.seed(&missing, &row).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "seeds/nobody.csv: there is no table nobody for it; a CSV seed is named after its table"
    );
    writer.close().await;
}

#[tokio::test]
async fn all_of_a_run_or_nothing() {
    let place = Place::new().await;
    place.writer().await.close().await;
    let session = place.run.session();
    let (one, two) = (
        migration("1_one", "create table one (id int);", None),
        migration("2_two", "create table two (x", None),
    );
    let mut atomic = Sqlite.open_atomic(&place.target, &[], false, &session).await.unwrap();
    atomic.apply(&OWN, &one, None).await.unwrap();
    assert!(atomic.apply(&OWN, &two, None).await.is_err());
    // The file that failed is undone, the one before it is still there, and closing undoes everything.
    assert_eq!(names(&atomic.applied(&OWN).await.unwrap()), "1_one");
    atomic.ready().await.unwrap();
    atomic.close().await;
    assert_eq!(place.ask("select count(*) from sqlite_schema where name = 'one'"), "0");

    let mut atomic = Sqlite.open_atomic(&place.target, &[], false, &session).await.unwrap();
    atomic.apply(&OWN, &one, None).await.unwrap();
    atomic.apply(&OWN, &migration("2_two", "create table two (x);", None), None).await.unwrap();
    assert_eq!(place.ask("select count(*) from sqlite_schema where name = 'one'"), "0");
    atomic.ready().await.unwrap();
    atomic.commit().await.unwrap();
    atomic.close().await;
    assert_eq!(place.ask("select count(*) from dbctl_migration_history"), "2");

    let refused = Sqlite.open_atomic(&place.target, &[], true, &session).await.err().unwrap().to_string();
    assert!(refused.contains("two-phase"), "{refused}");
}

#[tokio::test]
async fn a_database_that_another_program_has_open_is_not_dropped() {
    let place = Place::new().await;
    place.writer().await.close().await;
    let session = place.run.session();
    let beside = Connection::open(place.file()).unwrap();
    beside.query_row("select count(*) from sqlite_schema", [], |_| Ok(())).unwrap();
    for error in [
        Sqlite.may_drop(&place.target, &session).await.unwrap_err(),
        Sqlite.drop(&place.target, true, &session).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "app is open in another program");
    }
    drop(beside);
    Sqlite.may_drop(&place.target, &session).await.unwrap();
    assert!(Sqlite.drop(&place.target, false, &session).await.unwrap());
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_another_run_has_dropped_meanwhile_is_gone() {
    let place = Place::new().await;
    let run = Run { wait: Duration::from_secs(600), ..Run::new() };
    let session = run.session();
    for may in [true, false] {
        Sqlite.create(&place.target, &place.run.session()).await.unwrap();
        let writer = place.writer().await;
        let dropping = async {
            match may {
                true => Sqlite.may_drop(&place.target, &session).await.map(|()| false),
                false => Sqlite.drop(&place.target, false, &session).await,
            }
        };
        let other = async {
            run.heard.waiting_for(if may { 1 } else { 2 }).await;
            fs::remove_file(place.file()).unwrap();
            writer.close().await;
        };
        let (dropped, ()) = tokio::join!(dropping, other);
        assert!(!dropped.unwrap());
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_of() {
    let place = Place::new().await;
    let session = place.run.session();
    let at =
        |name: &str| Target { endpoint: Endpoint::Sqlite(place.folder.path().join(name)), ..target("app") };
    fs::write(place.folder.path().join("text.db"), "no database at all, just text that is long enough")
        .unwrap();
    fs::create_dir(place.folder.path().join("folder.db")).unwrap();
    let text =
        Sqlite.open_exclusive(&at("text.db"), &[], &session).await.unwrap().prepare(&[OWN], "test").await;
    assert_eq!(sql_error(text.unwrap_err()).code, "SQLITE_NOTADB");
    let text = Sqlite.drop(&at("text.db"), false, &session).await.unwrap_err();
    assert_eq!(sql_error(text).code, "SQLITE_NOTADB");
    assert!(place.folder.path().join("text.db").exists());
    let folder = Sqlite.exists(&at("folder.db"), &session).await.unwrap_err().to_string();
    assert!(folder.starts_with("cannot open ") && folder.ends_with("folder.db: it is a folder"), "{folder}");
    let below = Sqlite.may_create(&at("text.db/x.db"), &session).await.unwrap_err().to_string();
    assert!(below.ends_with("text.db: it is no folder"), "{below}");
    assert!(!Sqlite.exists(&at("text.db/x.db"), &session).await.unwrap());
    let server = Sqlite.exists(&target("app"), &session).await.unwrap_err().to_string();
    assert_eq!(server, "app is on a server, and no file of SQLite's");

    // Whatever way leads to it, it is the same database, and a URL has what would end it escaped.
    std::os::unix::fs::symlink(place.file(), place.folder.path().join("link.db")).unwrap();
    let identity = Sqlite.identity(&at("app.db"), &session).await.unwrap();
    assert_eq!(Sqlite.identity(&at("link.db"), &session).await.unwrap(), identity);
    let url = Sqlite.access(&at("a b%?#.db")).await.unwrap().url;
    let url = secrecy::ExposeSecret::expose_secret(&url).to_owned();
    assert!(url.starts_with("sqlite:/") && url.ends_with("/a b%25%3F%23.db"), "{url}");
}

#[tokio::test]
async fn a_transaction_of_another_program_is_waited_for() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    let other = Connection::open(place.file()).unwrap();
    other.execute_batch("begin immediate; create table theirs (id int)").unwrap();
    let brief = migration("1_brief", "-- dbctl:lock-timeout 1ms\ncreate table ours (id int);", None);
    let error = sql_error(writer.apply(&OWN, &brief, None).await.unwrap_err());
    assert_eq!(error.code, "SQLITE_BUSY");
    assert!(error.hint.unwrap().contains("lock-timeout"));
    let patient = migration("1_patient", "-- dbctl:lock-timeout 60s\ncreate table ours (id int);", None);
    let release = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.execute_batch("commit").unwrap();
    };
    let (applied, ()) = tokio::join!(writer.apply(&OWN, &patient, None), release);
    applied.unwrap();
    assert_eq!(place.ask("select count(*) from sqlite_schema where name in ('ours', 'theirs')"), "2");
    writer.close().await;
}

#[tokio::test]
async fn a_link_leads_to_the_one_database() {
    let place = Place::new().await;
    let session = place.run.session();
    let folder = place.folder.path();
    let link = Target { endpoint: Endpoint::Sqlite(folder.join("links/link.db")), ..target("app") };
    fs::create_dir(folder.join("links")).unwrap();
    std::os::unix::fs::symlink("../app.db", folder.join("links/link.db")).unwrap();

    // One database has one lock.
    let run = Run { wait: Duration::ZERO, ..Run::new() };
    let writer = place.writer().await;
    let refused = Sqlite.open_exclusive(&link, &[], &run.session()).await.err().unwrap();
    assert!(matches!(refused, EngineError::Locked { .. }), "{refused}");
    writer.close().await;

    // It is dropped where it is, and made there again.
    assert!(Sqlite.drop(&link, false, &session).await.unwrap());
    assert!(!place.file().exists() && folder.join("links/link.db").is_symlink());
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    let to_be = Sqlite.identity(&place.target, &session).await.unwrap();
    assert_eq!(Sqlite.identity(&link, &session).await.unwrap(), to_be);
    Sqlite.may_create(&link, &session).await.unwrap();
    assert!(Sqlite.create(&link, &session).await.unwrap().created);
    assert!(place.file().exists());
}

#[tokio::test]
async fn what_is_no_file_of_its_own_is_left_alone() {
    let place = Place::new().await;
    let session = place.run.session();
    let folder = place.folder.path();
    let at = |name: &str| Target { endpoint: Endpoint::Sqlite(folder.join(name)), ..target("app") };

    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket.db")).unwrap();
    for error in [
        Sqlite.exists(&at("socket.db"), &session).await.unwrap_err(),
        Sqlite.create(&at("socket.db"), &session).await.unwrap_err(),
        Sqlite.drop(&at("socket.db"), false, &session).await.unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("socket.db: it is no regular file"), "{error}");
    }
    assert!(folder.join("socket.db").exists());

    // SQLite would keep a journal for each name.
    fs::hard_link(place.file(), folder.join("twin.db")).unwrap();
    for error in [
        Sqlite.open_exclusive(&place.target, &[], &session).await.err().unwrap(),
        Sqlite.create(&at("twin.db"), &session).await.unwrap_err(),
        Sqlite.drop(&at("twin.db"), false, &session).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("it has 2 names (hard links)"), "{error}");
    }
    Sqlite.open(&place.target, &session).await.unwrap().close().await;
    fs::remove_file(folder.join("twin.db")).unwrap();

    // The lock is not written to what a link leads to.
    fs::write(folder.join("notes"), "mine").unwrap();
    std::os::unix::fs::symlink("notes", folder.join("app.db-dbctl")).unwrap();
    let error = Sqlite.open_exclusive(&place.target, &[], &session).await.err().unwrap().to_string();
    assert!(error.contains("app.db-dbctl: Too many levels of symbolic links"), "{error}");
    assert_eq!(fs::read_to_string(folder.join("notes")).unwrap(), "mine");
}

#[tokio::test]
async fn it_is_read_where_nothing_can_be_written_beside_it() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    writer.apply(&OWN, &migration("1_one", "create table one (id int);", None), None).await.unwrap();
    writer.close().await;
    // A link is nothing that SQLite follows there.
    std::os::unix::fs::symlink("nowhere", place.folder.path().join("app.db-shm")).unwrap();
    let mut reader = Sqlite.open(&place.target, &place.run.session()).await.unwrap();
    assert_eq!(names(&reader.applied(&OWN).await.unwrap()), "1_one");
    reader.close().await;
    // What is committed may be in there.
    fs::write(place.folder.path().join("app.db-wal"), "something").unwrap();
    let mut reader = Sqlite.open(&place.target, &place.run.session()).await.unwrap();
    let error = sql_error(reader.applied(&OWN).await.unwrap_err());
    assert_eq!(error.code, "SQLITE_CANTOPEN");
    assert_eq!(error.detail.unwrap(), place.file().display().to_string());
}

#[tokio::test]
async fn what_was_killed_in_the_middle_is_undone_before_it_is_read() {
    let place = Place::new().await;
    let mut writer = place.writer().await;
    writer.apply(&OWN, &migration("1_one", "create table one (id int);", None), None).await.unwrap();
    writer.close().await;
    let other = Connection::open(place.file()).unwrap();
    // With so little memory, pages are in the file before they are committed.
    other.execute_batch("pragma journal_mode = delete; pragma cache_size = 1; begin").unwrap();
    let many =
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) select i from n";
    other
        .execute_batch(&format!("delete from dbctl_migration_history; create table more as {many}"))
        .unwrap();
    for suffix in ["", "-journal"] {
        let from = place.folder.path().join(format!("app.db{suffix}"));
        fs::copy(from, place.folder.path().join(format!("killed.db{suffix}"))).unwrap();
    }
    other.execute_batch("rollback").unwrap();
    let killed = place.folder.path().join("killed.db");
    let target = Target { endpoint: Endpoint::Sqlite(killed), ..target("app") };
    let mut reader = Sqlite.open(&target, &place.run.session()).await.unwrap();
    assert_eq!(names(&reader.applied(&OWN).await.unwrap()), "1_one");
    reader.close().await;
}

#[tokio::test]
async fn whoever_reads_waits_for_a_commit() {
    let place = Place::new().await;
    place.writer().await.close().await;
    let other = Connection::open(place.file()).unwrap();
    other.pragma_update(None, "journal_mode", "delete").unwrap();
    other.execute_batch("begin exclusive").unwrap();
    let session = place.run.session();
    let release = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        other.execute_batch("commit").unwrap();
    };
    let read = async {
        let mut reader = Sqlite.open(&place.target, &session).await.unwrap();
        let applied = reader.applied(&OWN).await;
        reader.close().await;
        applied
    };
    let (applied, ()) = tokio::join!(read, release);
    assert_eq!(applied.unwrap(), []);
}
