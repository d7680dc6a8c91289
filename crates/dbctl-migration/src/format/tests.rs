use super::*;

/// What every format has to get right, whatever its files look like.
#[test]
fn every_format_reads_what_it_writes() {
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        FormatKind::speaking(dialect).for_each(|kind| reads_what_it_writes(kind, dialect));
    }
}

fn reads_what_it_writes(kind: FormatKind, dialect: Dialect) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("sub"), "m");
    surround(kind, dir.path());
    let options = SourceOptions { dialect, ..least(kind) };
    kind.check(&options).unwrap();
    let missing = kind.open(&folder, &options).read(&folder).unwrap_err().0;
    assert!(matches!(&missing[..], [FormatError::NoFolder { path }] if path == Path::new("m")), "{kind}");

    std::fs::create_dir(&folder.path).unwrap();
    let format = kind.open(&folder, &options);
    assert_eq!(format.read(&folder).unwrap(), [], "{kind}");
    assert_eq!(FormatKind::detect(&folder.path).unwrap(), [], "{kind}");

    let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
    for name in ["add users", "add posts", "3rd"] {
        write(&folder, format.new_file(&folder, name, now).unwrap());
    }
    let migrations = format.read(&folder).unwrap();
    assert_eq!(migrations.len(), 3, "{kind}");
    // Whose runner it is, only people know.
    if kind.as_str() != "custom" {
        assert_eq!(FormatKind::detect(&folder.path).unwrap(), [kind]);
    }
    for (migration, word) in migrations.iter().zip(["users", "posts", "3rd"]) {
        assert!(migration.name.contains(word), "{kind} {}", migration.name);
        // What identifies a migration of Drizzle is a time that its journal has.
        let version = if kind.as_str() == "drizzle" { "000" } else { migration.version.as_str() };
        assert!(migration.name.starts_with(version), "{kind} {}", migration.name);
        assert!(migration.up.path.starts_with("m"), "{kind}");
        assert_eq!(migration.up.transaction, crate::Transaction::One);
        let statements = match dialect {
            Dialect::Postgres => crate::split::split(&migration.up.sql),
            Dialect::Sqlite => crate::split::sqlite::split(&migration.up.sql),
        };
        assert_eq!(statements.unwrap(), [], "{kind}: the template runs nothing");
    }
}

/// What the engine does with a history, whatever its table looks like.
#[test]
fn on_sqlite_every_history_is_kept() {
    let refused: Vec<_> =
        FormatKind::all().filter(|kind| !kind.speaks(Dialect::Sqlite)).map(FormatKind::as_str).collect();
    assert_eq!(refused, ["node-pg-migrate", "prisma", "supabase"]);
    for kind in FormatKind::speaking(Dialect::Sqlite) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("sub"), "m");
        surround(kind, dir.path());
        std::fs::create_dir(&folder.path).unwrap();
        let format = kind.open(&folder, &SourceOptions { dialect: Dialect::Sqlite, ..least(kind) });
        let Some(history) = format.history() else { continue };
        let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
        for name in ["add users", "add posts"] {
            write(&folder, format.new_file(&folder, name, now).unwrap());
        }
        let migrations = format.read(&folder).unwrap();
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        sqlite::tests::create(&connection, history);
        let stamp = crate::RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        for migration in &migrations {
            let elapsed = std::time::Duration::ZERO;
            let recording = crate::Recording { migration, elapsed, stamp: &stamp };
            sqlite::tests::run(&connection, &history.record(&recording));
            sqlite::tests::run(&connection, &history.repair(migration));
        }
        assert_eq!(sqlite::tests::read(&connection, history).len(), 2, "{kind}");
        let key = history.keyed_by().of(&migrations[1]);
        let (found, read) = sqlite::tests::tool_row(&connection, history, key);
        let tells = matches!(kind.as_str(), "sqlx" | "custom");
        assert_eq!((&found, found.is_some()), (&read[1], tells), "{kind}");
        sqlite::tests::run(&connection, &history.forget(history.keyed_by().of(&migrations[1])));
        assert_eq!(sqlite::tests::read(&connection, history).len(), 1, "{kind}");
        assert_eq!((history.table().schema.as_str(), history.lock_key("main")), ("main", None), "{kind}");
    }
}

#[test]
fn sqlite_has_no_schemas() {
    let dbmate = FormatKind::parse("dbmate").unwrap();
    let check = |schema: &str| {
        let schema = Some(schema.to_owned());
        let options = SourceOptions { schema, dialect: Dialect::Sqlite, ..SourceOptions::default() };
        dbmate.check(&options).map_err(|error| (error.option, error.to_string()))
    };
    assert_eq!(check("main"), Ok(()));
    let message = "SQLite has no schemas: a database's tables are all in `main`".to_owned();
    assert_eq!(check("app"), Err(("schema", message)));
}

#[test]
fn kinds_are_spelled_as_in_the_manifest() {
    for kind in FormatKind::all() {
        assert_eq!(FormatKind::parse(kind.as_str()), Some(kind));
        assert_eq!(kind.to_string(), kind.as_str());
    }
    assert_eq!(FormatKind::parse("Native"), None);
}

#[test]
fn tables_can_be_named() {
    let folder = Folder::new("/nowhere", "m");
    let options = SourceOptions {
        schema: Some("s".to_owned()),
        table: Some("t".to_owned()),
        ..SourceOptions::default()
    };
    for kind in FormatKind::all().filter(|kind| kind.options().contains(&"table")) {
        let format = kind.open(&folder, &options);
        let history = format.history().unwrap();
        assert_eq!(history.table().to_string(), r#""s"."t""#, "{kind}");
        assert!(history.read().contains(r#""s"."t""#), "{kind}");
        assert!(history.create().iter().all(|sql| sql.contains("IF NOT EXISTS")), "{kind}");
    }
}

/// The options without which a format cannot be used.
fn least(kind: FormatKind) -> SourceOptions {
    let table = (kind.as_str() == "custom").then(|| "done".to_owned());
    SourceOptions { table, ..SourceOptions::default() }
}

/// What has to lie around the folder of a tool whose files look like another's.
fn surround(kind: FormatKind, parent: &Path) {
    if kind.as_str() == "sqlx" {
        std::fs::write(parent.join("Cargo.toml"), "[dependencies]\nsqlx = \"0.8\"\n").unwrap();
    }
    if kind.as_str() == "supabase" {
        std::fs::write(parent.join("config.toml"), "project_id = \"x\"\n").unwrap();
    }
}

fn write(folder: &Folder, new: NewFile) {
    for (file, text) in new.files.into_iter().chain(new.rewritten) {
        let path = folder.path.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}
