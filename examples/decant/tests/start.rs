//! The application as it is started.

use std::{path::Path, process::Command};

use rusqlite::Connection;

const NAMES: [&str; 3] = ["001_initial_schema", "002_add_indexes", "003_add_tree_indexes"];

fn decant(file: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_decant"))
        .args(arguments)
        .env("DECANT_DB", file)
        .output()
        .expect("the application starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn it_migrates_itself_when_it_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("decant.db");
    assert_eq!(decant(&file, &["status"])[..3], NAMES.map(|name| format!("migrated: {name}")));
    assert_eq!(decant(&file, &["status"]), NAMES.map(|name| format!("[x] {name}")));
    decant(&file, &["add", "Vector search", "https://example.com/vectors", "embedding", "index"]);
    assert_eq!(decant(&file, &["search", "vector"]), ["Vector search <https://example.com/vectors>"]);
    assert_eq!(decant(&file, &["search", "nothing"]), [""; 0]);
}

/// What the application kept itself before it had this library stays true.
#[test]
fn its_own_table_is_kept_true() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("decant.db");
    let migration = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/workspaces/decant/migrations");
        std::fs::read_to_string(folder.join(format!("{name}.sql"))).expect("the migration is there")
    };
    let connection = Connection::open(&file).expect("a database");
    connection
        .execute_batch(&format!(
            "CREATE TABLE _migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, applied_at DATETIME \
             DEFAULT CURRENT_TIMESTAMP);\n{}\nINSERT INTO _migrations (name, applied_at) VALUES ('{}', '2024-01-15 10:30:22')",
            migration(NAMES[0]),
            NAMES[0],
        ))
        .expect("what was there before");
    drop(connection);
    assert_eq!(
        decant(&file, &["status"])[..2],
        [format!("migrated: {}", NAMES[1]), format!("migrated: {}", NAMES[2])]
    );
    let connection = Connection::open(&file).expect("a database");
    let mut statement =
        connection.prepare("SELECT id, name FROM _migrations ORDER BY id").expect("its table");
    let rows: Vec<(i64, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .map(|row| row.expect("a row"))
        .collect();
    assert_eq!(rows, [(1, NAMES[0].to_owned()), (2, NAMES[1].to_owned()), (3, NAMES[2].to_owned())]);
}
