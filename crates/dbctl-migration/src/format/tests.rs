use super::*;

/// What every format has to get right, whatever its files look like.
#[test]
fn every_format_reads_what_it_writes() {
    for kind in FormatKind::all() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("sub"), "m");
        surround(kind, dir.path());
        let options = least(kind);
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
            assert_eq!(
                crate::split::split(&migration.up.sql).unwrap(),
                [],
                "{kind}: the template runs nothing"
            );
        }
    }
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
