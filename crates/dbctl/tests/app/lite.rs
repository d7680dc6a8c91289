//! An application whose database is a SQLite file.

use dbctl::{Back, Error, Migrations, Migrator, Workspace, migrate, migrations, rollback, status};
use futures::future::join_all;

static NOTES: Migrations = migrations!("tests/app/notes");
const NAME: &str = "20260101000000_notes";

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("app.db").display())
}

#[tokio::test]
async fn an_application_migrates_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    assert!(!status(&url, &NOTES).await.unwrap().exists);
    let missing = migrate(&url, &NOTES).await.unwrap_err().to_string();
    assert!(missing.contains("app.db") && missing.contains("does not exist"), "{missing}");
    assert_eq!(Migrator::new(&url, &NOTES).create().migrate().await.unwrap().migrations, [NAME]);
    assert_eq!(migrate(&url, &NOTES).await.unwrap().migrations, [""; 0]);
    assert_eq!(status(&url, &NOTES).await.unwrap().pending().count(), 0);
    assert_eq!(rollback(&url, &NOTES, Back::All).await.unwrap().migrations, [NAME]);
    assert_eq!(status(&url, &NOTES).await.unwrap().pending().collect::<Vec<_>>(), [NAME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_apply_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    let starts = (0..12).map(|_| Migrator::new(&url, &NOTES).create().migrate());
    let applied: usize =
        join_all(starts).await.into_iter().map(|report| report.unwrap().migrations.len()).sum();
    assert_eq!(applied, 1);
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    for (url, said) in [
        ("sqlite::memory:", "a database in memory is gone"),
        ("sqlite:", "the URL names no file"),
        ("sqlite:100%.db", "percent-encoded"),
    ] {
        let refused = migrate(url, &NOTES).await.unwrap_err();
        assert!(matches!(refused, Error::Config(_)) && refused.to_string().contains(said), "{refused}");
    }
    let folder = tempfile::tempdir().unwrap();
    let prisma = folder.path().join("migrations");
    std::fs::create_dir_all(prisma.join("1_a")).unwrap();
    std::fs::write(prisma.join("1_a/migration.sql"), "select 1;\n").unwrap();
    std::fs::write(prisma.join("migration_lock.toml"), "provider = \"postgresql\"\n").unwrap();
    let prisma = Migrations::in_folder(prisma);
    let refused = migrate(&url(&folder), &prisma).await.unwrap_err().to_string();
    assert!(refused.contains("does not run migrations of `prisma` on SQLite"), "{refused}");
}

#[tokio::test]
async fn a_copy_for_a_test_is_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "workspace.yaml",
        "workspace: x\nenv_files: []\ndatabases:\n  notes: { url: 'sqlite:data/notes.db', migrations: [{ path: m }] }\n",
    );
    write("m/20260101000000_notes.sql", "create table notes (id integer primary key);\n");
    let workspace = Workspace::open(folder.path().join("workspace.yaml")).unwrap();
    let files = || {
        let names = std::fs::read_dir(folder.path().join("data")).map(|found| {
            let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.ends_with(".db")).collect::<Vec<_>>()
        });
        names.unwrap_or_default()
    };
    let copy = workspace.copy("notes").await.unwrap();
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    assert!(file.starts_with("notes_") && copy.url().ends_with(file.as_str()), "{file} {}", copy.url());
    assert_eq!(
        status(copy.url(), &Migrations::in_folder(folder.path().join("m"))).await.unwrap().migrations.len(),
        1
    );
    copy.drop().await.unwrap();
    assert_eq!(files(), [""; 0]);
}
