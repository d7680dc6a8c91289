use super::*;

/// What every format has to get right, whatever its files look like.
#[test]
fn every_format_reads_what_it_writes() {
    for kind in FormatKind::ALL {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder { path: dir.path().join("sub"), shown: PathBuf::from("m") };
        let format = kind.format(&SourceOptions::default());
        let missing = format.read(&folder).unwrap_err().0;
        assert!(matches!(&missing[..], [FormatError::NoFolder { path }] if path == Path::new("m")), "{kind}");

        std::fs::create_dir(&folder.path).unwrap();
        assert_eq!(format.read(&folder).unwrap(), [], "{kind}");
        assert_eq!(FormatKind::detect(&folder.path).unwrap(), [], "{kind}");

        let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
        for name in ["add users", "add posts", "3rd"] {
            for (file, text) in format.new_file(&folder, name, now).unwrap().files {
                std::fs::write(folder.path.join(file), text).unwrap();
            }
        }
        let migrations = format.read(&folder).unwrap();
        assert_eq!(migrations.len(), 3, "{kind}");
        assert_eq!(FormatKind::detect(&folder.path).unwrap(), [kind]);
        for (migration, word) in migrations.iter().zip(["users", "posts", "3rd"]) {
            assert!(migration.name.contains(word), "{kind} {}", migration.name);
            assert!(migration.name.starts_with(migration.version.as_str()), "{kind} {}", migration.name);
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
    for kind in FormatKind::ALL {
        assert_eq!(FormatKind::parse(kind.as_str()), Some(kind));
        assert_eq!(kind.to_string(), kind.as_str());
    }
    assert_eq!(FormatKind::parse("Native"), None);
}

#[test]
fn only_foreign_formats_have_a_table_of_their_own() {
    let options = SourceOptions { schema: Some("s".to_owned()), table: Some("t".to_owned()) };
    let table = |kind: FormatKind| kind.format(&options).history().map(|history| history.table().to_string());
    assert_eq!(table(FormatKind::Native), None);
    assert_eq!(table(FormatKind::NodePgMigrate).as_deref(), Some(r#""s"."t""#));
}
