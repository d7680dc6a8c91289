use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::{Checksum, RunStamp, Version, format::sqlite::tests as sqlite, test_support};

fn table(change: impl FnOnce(&mut SourceOptions)) -> CustomOnSqlite {
    let mut options = SourceOptions {
        dialect: Dialect::Sqlite,
        table: Some("_migrations".to_owned()),
        ..SourceOptions::default()
    };
    change(&mut options);
    CustomOnSqlite::new(&options, Pattern::parse("{version}_{name}.sql").unwrap())
}

fn migration(name: &str, version: &str) -> Migration {
    Migration {
        version: Version::new(version),
        checksum: Checksum::recorded("c"),
        ..test_support::migration(name)
    }
}

fn record(connection: &Connection, history: &dyn History, migration: &Migration) {
    let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
    let recording = Recording { migration, elapsed: Duration::ZERO, stamp: &stamp };
    sqlite::run(connection, &history.record(&recording));
}

/// Names alone, in the order in which they are read.
fn names(connection: &Connection, history: &dyn History) -> Vec<String> {
    let rows = sqlite::read(connection, history);
    rows.iter().map(|row| row.split('|').nth(1).unwrap().to_owned()).collect()
}

fn with(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

/// As the application made it that migrates itself.
const DECANT: &str = "CREATE TABLE _migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, applied_at \
                      DATETIME DEFAULT CURRENT_TIMESTAMP);
                      INSERT INTO _migrations (name, applied_at) VALUES ('001_initial_schema', '2024-01-15 10:30:22'), \
                      ('002_add_indexes', '2024-01-15 10:30:23');";

#[test]
fn the_table_of_an_application_is_kept_true() {
    let connection = with(DECANT);
    let history = table(|_| {});
    sqlite::create(&connection, &history);
    assert_eq!(
        sqlite::read(&connection, &history),
        ["|001_initial_schema||1705314622000000||", "|002_add_indexes||1705314623000000||"]
    );
    record(&connection, &history, &migration("003_add_tree_indexes", "003"));
    assert_eq!(
        names(&connection, &history),
        ["001_initial_schema", "002_add_indexes", "003_add_tree_indexes"]
    );
    let (id, at): (i64, String) = connection
        .query_row("SELECT id, applied_at FROM _migrations WHERE name LIKE '003%'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((id, at.len()), (3, "2024-01-15 10:30:22".len()), "{at}");
    let (found, read) = sqlite::tool_row(&connection, &history, "002_add_indexes");
    assert_eq!(found.as_deref(), Some("2 2024-01-15 10:30:23"));
    assert_eq!(read[1], found);
    sqlite::run(&connection, &history.forget("002_add_indexes"));
    assert_eq!(names(&connection, &history), ["001_initial_schema", "003_add_tree_indexes"]);
}

#[test]
fn a_table_is_made_where_there_is_none() {
    let connection = with("");
    let history = table(|options| {
        options.name_column = Some("file \"name\"".to_owned());
        options.records = Some("file".to_owned());
    });
    sqlite::create(&connection, &history);
    let sql: String = connection
        .query_row("SELECT sql FROM sqlite_schema WHERE name = '_migrations'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        sql,
        r#"CREATE TABLE "_migrations" (id INTEGER PRIMARY KEY AUTOINCREMENT, "file ""name""" TEXT NOT NULL UNIQUE, "applied_at" TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"#
    );
    record(&connection, &history, &migration("001_a", "001"));
    let said: String =
        connection.query_row(r#"SELECT "file ""name""" FROM _migrations"#, [], |row| row.get(0)).unwrap();
    assert_eq!(said, "001_a.sql");
    assert_eq!(names(&connection, &history), ["001_a"]);
}

#[test]
fn rows_are_written_like_the_last_one() {
    for (last, records, name, version, expected) in [
        (None, None, "002_b", "002", "002_b"),
        (None, Some("version"), "002_b", "002", "002"),
        (Some("001_a"), Some("version"), "002_b", "002", "002_b"),
        (Some("001_a.sql"), None, "002_b", "002", "002_b.sql"),
        (Some("db/up/001_a.sql"), None, "002_b", "002", "db/up/002_b.sql"),
        (Some("db/001_a"), None, "002_b", "002", "db/002_b"),
        (Some("001"), None, "002_b", "002", "002"),
        (Some("1"), None, "002_b", "002", "2"),
        (Some("202601231800"), None, "20260124_0900_b", "20260124_0900", "202601240900"),
        (Some("20260123_1800"), None, "20260124_0900_b", "20260124_0900", "20260124_0900"),
    ] {
        let connection = with("CREATE TABLE _migrations (name TEXT)");
        let history = table(|options| options.records = records.map(str::to_owned));
        if let Some(last) = last {
            connection.execute("INSERT INTO _migrations VALUES ('000_first'), (?1)", [last]).unwrap();
        }
        record(&connection, &history, &migration(name, version));
        let said: String = connection
            .query_row("SELECT name FROM _migrations ORDER BY rowid DESC LIMIT 1", [], |row| row.get(0))
            .unwrap();
        assert_eq!(said, expected, "{last:?} {name}");
    }
    // A number stays one.
    let connection =
        with("CREATE TABLE _migrations (version INTEGER PRIMARY KEY); INSERT INTO _migrations VALUES (1)");
    let history = table(|options| options.name_column = Some("version".to_owned()));
    record(&connection, &history, &migration("002_b", "002"));
    assert_eq!(names(&connection, &history), ["1", "2"]);
}

#[test]
fn rows_are_forgotten_however_they_are_written() {
    for (rows, key, left) in [
        (&["001_a", "002_b"][..], "002_b", &["001_a"][..]),
        (&["001_a.sql", "db/002_b.up.sql"], "002_b", &["001_a.sql"]),
        (&["1", "2", "12"], "002_b", &["1", "12"]),
        (&["001", "002"], "002_b", &["001"]),
        (&["002", "002_b"], "002_b", &["002"]),
        (&["20260123", "202601231800"], "20260123_1800_b", &["20260123"]),
        (&["it's"], "it's", &[]),
        (&["001_a", "what"], "9_z", &["001_a", "what"]),
        (&["..", "1..2", ".", "-"], "1_2", &["..", "1..2", ".", "-"]),
    ] {
        let connection = with("CREATE TABLE _migrations (name)");
        for row in rows {
            connection.execute("INSERT INTO _migrations VALUES (?1)", [row]).unwrap();
        }
        sqlite::run(&connection, &table(|_| {}).forget(key));
        let mut statement = connection.prepare("SELECT name FROM _migrations ORDER BY rowid").unwrap();
        let found: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(found, left, "{rows:?} {key}");
    }
}

#[test]
fn moments_are_written_like_the_last_one() {
    for (column, last, expected) in [
        ("text", None, "text 19"),
        ("DATETIME", None, "text 19"),
        ("INTEGER", None, "integer 10"),
        ("BIGINT", Some("1705314622123"), "integer 13"),
        ("INTEGER", Some("1705314622"), "integer 10"),
        ("", Some("1705314622123456"), "integer 16"),
        ("", Some("'1705314622123'"), "text 13"),
        ("text", Some("'2024-01-15T10:30:22.123Z'"), "text 24"),
        ("text", Some("'2024-01-15 10:30:22.123'"), "text 23"),
        ("text", Some("'2024-01-15 10:30:22'"), "text 19"),
        ("real", Some("2460325.5"), "real 7"),
    ] {
        let connection = with(&format!("CREATE TABLE _migrations (name text, \"run at\" {column})"));
        if let Some(last) = last {
            connection.execute_batch(&format!("INSERT INTO _migrations VALUES ('001_a', {last})")).unwrap();
        }
        let history = table(|options| options.applied_column = Some("run at".to_owned()));
        record(&connection, &history, &migration("002_b", "002"));
        let seen: String = connection
            .query_row(
                "SELECT typeof(\"run at\") || ' ' || CASE typeof(\"run at\") WHEN 'real' THEN \
                 length(CAST(\"run at\" AS integer)) ELSE length(\"run at\") END FROM _migrations WHERE name = '002_b'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(seen, expected, "{column} {last:?}");
        // What was written is later than what was there, and this century.
        let rows = sqlite::read(&connection, &history);
        let at: i64 = rows.last().unwrap().split('|').nth(3).unwrap().parse().unwrap();
        assert!(at > 1_705_400_000_000_000 && at < 4_000_000_000_000_000, "{rows:?}");
    }
}

#[test]
fn failures_and_orders_are_those_of_the_table() {
    let connection = with(
        "CREATE TABLE _migrations (id INTEGER PRIMARY KEY, name, success, applied_at); INSERT INTO _migrations VALUES \
         (3, 'a', 1, NULL), (2, 'b', 0, 5000), (1, 'c', 'false', NULL), (4, NULL, 1, NULL)",
    );
    let history = table(|_| {});
    assert_eq!(sqlite::read(&connection, &history)[..2], ["|c||||1", "|a||||0"]);
    assert_eq!(names(&connection, &history), ["c", "a", "b"]);
}
