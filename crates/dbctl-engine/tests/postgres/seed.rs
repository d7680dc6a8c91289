use std::{fmt::Write as _, fs, path::PathBuf};

use dbctl_engine::{EngineError, Mark, SeedWork, Writer};
use dbctl_migration::{Checksum, Script, TableName, Transaction, ledger::SeedRow};
use tempfile::TempDir;

use crate::bench::{LOCK_WAITS, Run, ask, client, rows, show, until};

fn row(file: &str) -> SeedRow {
    SeedRow { file: file.to_owned(), checksum: Checksum::of_text(file) }
}

fn csv(folder: &TempDir, table: TableName, content: impl AsRef<[u8]>) -> SeedWork {
    let path = folder.path().join("seed.csv");
    fs::write(&path, content).unwrap();
    SeedWork::Csv { path, shown: PathBuf::from("seeds/seed.csv"), table }
}

async fn fail(writer: &mut dyn Writer, work: &SeedWork) -> String {
    show(&writer.seed(work, &row("seed.csv")).await.unwrap_err())
}

#[tokio::test]
async fn csv_files_are_copied_into_their_table() {
    let run = Run::new();
    let folder = tempfile::tempdir().unwrap();
    let mut writer = run.writer("csv").await;
    let other = client("csv").await;
    rows(
        &other,
        "create table users (id serial primary key, name text, \"Full Name\" text default 'none');
         create table \"Users\" (id int); create schema s; create table s.users (id int)",
    )
    .await;
    let table = || TableName::new("", "users");

    // Any order of columns, defaults for those left out, quotes, line breaks, CRLF, a byte order mark.
    let content = "\u{feff}\"Full Name\",id\r\n\"a, \"\"b\"\"\",1\r\n\"two\nlines\",2\r\n,3\r\n";
    writer.seed(&csv(&folder, table(), content), &row("1.csv")).await.unwrap();
    assert_eq!(rows(&other, "select * from users where id = 1").await, "1|null|a, \"b\"");
    assert_eq!(rows(&other, "select count(*) from users").await, "3");

    // Looked up as it is spelled, and where the schema is said, there.
    writer.seed(&csv(&folder, TableName::new("", "Users"), "id\n5"), &row("2.csv")).await.unwrap();
    writer.seed(&csv(&folder, TableName::new("s", "users"), "id\n6\n"), &row("3.csv")).await.unwrap();
    assert_eq!(rows(&other, "select (select id from \"Users\"), (select id from s.users)").await, "5|6");

    // More than one chunk.
    let mut big = "id,name\n".to_owned();
    for n in 10..20_010 {
        writeln!(big, "{n},\"name of {n}\"").unwrap();
    }
    writer.seed(&csv(&folder, table(), big), &row("4.csv")).await.unwrap();
    assert_eq!(rows(&other, "select count(*) from users").await, "20003");

    // A header alone is fine.
    writer.seed(&csv(&folder, table(), "id"), &row("5.csv")).await.unwrap();
    let files: Vec<_> = writer.seeds().await.unwrap().into_iter().map(|seed| seed.file).collect();
    assert_eq!(files, ["1.csv", "2.csv", "3.csv", "4.csv", "5.csv"]);
    writer.close().await;
}

#[tokio::test]
async fn csv_errors_name_the_line() {
    let run = Run::new();
    let folder = tempfile::tempdir().unwrap();
    let mut writer = run.writer("bad_csv").await;
    rows(&client("bad_csv").await, "create table t (id int primary key, n int)").await;
    let table = || TableName::new("", "t");
    let cases = [
        ("id,n\n1,1\n2,x\n", "22P02 seeds/seed.csv:3:1 invalid input syntax for type integer: \"x\""),
        (
            "id,n\n1,1\n1,2\n",
            "23505 seeds/seed.csv:3:1 duplicate key value violates unique constraint \"t_pkey\"",
        ),
        ("id,n\n1\n", "22P04 seeds/seed.csv:2:1 missing data for column \"n\""),
        ("id,nope\n1,1\n", "42703 seeds/seed.csv:1:1~ column \"nope\" of relation \"t\" does not exist"),
        ("", "seeds/seed.csv:1: the file is empty: its first line has to name the columns"),
        (
            "id,n\r\n1,1\r\n\\.\r\n2,2\r\n",
            "seeds/seed.csv:3: a line that is only `\\.` ends the data for PostgreSQL before 18: put it in quotes, or take it out",
        ),
        ("\"id\n1\n", "seeds/seed.csv:1: a quote of the header line never ends"),
    ];
    for (content, expected) in cases {
        assert_eq!(fail(&mut *writer, &csv(&folder, table(), content)).await, expected, "{content}");
    }
    let EngineError::Sql(error) =
        writer.seed(&csv(&folder, table(), "id\n1\n2\nx,y\n"), &row("x")).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!(error.location.unwrap().source_line, "x,y");
    let EngineError::Sql(error) =
        writer.seed(&csv(&folder, table(), "id,nope\n1,1\n"), &row("x")).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!(error.location.unwrap().mark, Mark::Header);

    let utf16: Vec<u8> = "id\n1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [vec![0xff, 0xfe], utf16].concat();
    assert_eq!(
        fail(&mut *writer, &csv(&folder, table(), utf16)).await,
        "seeds/seed.csv:1: the file is not UTF-8"
    );
    let nowhere = csv(&folder, TableName::new("", "nope"), "id\n1");
    let expected = "seeds/seed.csv: there is no table \"nope\" for it; a CSV seed is named after its table";
    assert_eq!(fail(&mut *writer, &nowhere).await, expected);
    let gone = SeedWork::Csv {
        path: folder.path().join("gone"),
        shown: PathBuf::from("seeds/gone.csv"),
        table: table(),
    };
    assert!(fail(&mut *writer, &gone).await.starts_with("seeds/gone.csv: cannot be read: "));

    assert!(writer.seeds().await.unwrap().is_empty());
    assert_eq!(ask("bad_csv", "select count(*) from t").await, "0");
    writer.close().await;
}

#[tokio::test]
async fn sql_seeds_commit_with_their_row() {
    let run = Run::new();
    let mut writer = run.writer("sql_seed").await;
    rows(&client("sql_seed").await, "create table t (id int)").await;
    let script = |sql: &str| {
        SeedWork::Sql(Script {
            path: PathBuf::from("seeds/1.sql"),
            first_line: 1,
            sql: sql.to_owned(),
            transaction: Transaction::One,
        })
    };
    writer.seed(&script("insert into t values (1); set search_path = ''"), &row("1.sql")).await.unwrap();
    writer.seed(&script("insert into t values (2)"), &row("2.sql")).await.unwrap();
    let error = fail(&mut *writer, &script("insert into t values (3);\ninsert into nope values (1)")).await;
    assert_eq!(error, "42P01 seeds/1.sql:2:13 relation \"nope\" does not exist");
    for halfway in ["insert into t values (4);\nvacuum t;", "insert into t values (4);\ncommit; select 1/0;"]
    {
        let EngineError::Seed { line, message, .. } =
            writer.seed(&script(halfway), &row("4.sql")).await.unwrap_err()
        else {
            panic!("{halfway}")
        };
        assert!(line.is_some() && message.contains("one transaction"), "{halfway}: {message}");
    }
    assert_eq!(writer.seeds().await.unwrap().len(), 2);
    assert_eq!(ask("sql_seed", "select id from t order by id").await, "1 2");
    writer.close().await;
}

#[tokio::test]
async fn a_locked_table_is_waited_for() {
    let run = Run::new();
    let folder = tempfile::tempdir().unwrap();
    let mut writer = run.writer("locked_seed").await;
    let other = client("locked_seed").await;
    rows(&other, "create table t (id int)").await;
    rows(&other, "begin; lock table t").await;
    let release = async {
        run.heard.waiting_for(1).await;
        rows(&other, "commit").await;
    };
    let (work, row) = (csv(&folder, TableName::new("", "t"), "id\n1\n"), row("1.csv"));
    let (seeded, ()) = futures::join!(writer.seed(&work, &row), release);
    seeded.unwrap();
    assert_eq!(run.heard.waiting.lock().unwrap().len(), 1);
    writer.close().await;
}

/// Either answer to a commit that was cut off would be a guess.
#[tokio::test]
async fn a_commit_that_is_under_way_is_not_cancelled() {
    let run = Run::new();
    let mut writer = run.writer("committing").await;
    let slow = "create function slow() returns trigger language plpgsql as $$ begin perform from gate; return null; end $$; \
                create table gate (); \
                create constraint trigger slow after insert on dbctl.seed_history deferrable initially deferred \
                for each row execute function slow()";
    let other = client("committing").await;
    rows(&other, slow).await;
    rows(&other, "begin; lock table gate").await;
    let stop = async {
        until("committing", LOCK_WAITS).await;
        run.cancel.cancel();
        // Whoever commits hears of it before the server can answer.
        rows(&other, "commit").await;
    };
    let row = row("1.ts");
    let (done, ()) = futures::join!(writer.seed(&SeedWork::External, &row), stop);
    done.unwrap();
    writer.close().await;
    assert_eq!(ask("committing", "select file from dbctl.seed_history").await, "1.ts");
}
