//! Every format's history on a real server: its table, its rows, and how they come and go.

use std::fs;

use dbctl_engine::{Engine, SourceRef, Writer};
use dbctl_migration::{Checksum, Folder, Format, FormatKind, Migration, SourceOptions, State, reconcile};

use crate::bench::{Run, ask, engine};

/// Two migrations of a format, as it writes them itself.
fn migrations(kind: FormatKind, parent: &std::path::Path) -> (Box<dyn Format>, Vec<Migration>) {
    let folder = Folder::new(parent.join("m"), "m");
    // A home-grown runner's table cannot be guessed.
    let table = (kind.as_str() == "custom").then(|| "done".to_owned());
    let options = SourceOptions { table, ..SourceOptions::default() };
    let now = "2026-01-31T09:30:00Z".parse().unwrap();
    for name in ["first", "second"] {
        let new = kind.open(&folder, &options).new_file(&folder, name, now).unwrap();
        for (file, text) in new.files.into_iter().chain(new.rewritten) {
            let path = folder.path.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let format = kind.open(&folder, &options);
    let read = format.read(&folder).unwrap();
    assert_eq!(read.len(), 2, "{kind}");
    (format, read)
}

async fn states(writer: &mut Box<dyn Writer + '_>, source: &SourceRef<'_>) -> Vec<State> {
    let applied = writer.applied(source).await.unwrap();
    let reconciled = reconcile(source.migrations, &applied, source.keyed_by());
    reconciled.entries.iter().map(|entry| entry.state).collect()
}

#[tokio::test]
async fn every_history_is_kept_and_forgotten() {
    for kind in FormatKind::all() {
        let parent = tempfile::tempdir().unwrap();
        let (format, local) = migrations(kind, parent.path());
        let Some(history) = format.history() else { continue };
        let source = SourceRef { name: "m", history: Some(history), migrations: &local };
        let database = format!("format {kind}");
        let run = Run::new();
        let target = run.create(&database).await;
        let mut writer = engine().open_exclusive(&target, &[], &run.session()).await.unwrap();
        writer.prepare(std::slice::from_ref(&source), "test").await.unwrap();
        assert_eq!(states(&mut writer, &source).await, [State::Pending; 2], "{kind}");

        for migration in &local {
            writer.apply(&source, migration, None).await.unwrap();
        }
        assert_eq!(states(&mut writer, &source).await, [State::Applied; 2], "{kind}");
        // The tool's table is the truth.
        ask(&database, "delete from dbctl.migration_history").await;
        assert_eq!(states(&mut writer, &source).await, [State::Applied; 2], "{kind}");

        let [first, second] = &local[..] else { unreachable!() };
        let key = |migration| source.keyed_by().of(migration);
        writer.forget(&source, key(second)).await.unwrap();
        assert_eq!(states(&mut writer, &source).await, [State::Applied, State::Pending], "{kind}");
        writer.fake(&source, second).await.unwrap();
        writer.fake(&source, second).await.unwrap();
        assert_eq!(states(&mut writer, &source).await, [State::Applied; 2], "{kind}");
        assert_eq!(writer.applied(&source).await.unwrap().len(), 2, "{kind}");

        // A file of the same name with another text, by the ledger's checksum and by the tool's.
        let mut other = second.clone();
        other.checksum = Checksum::of_text("-- changed\n");
        if let (Some(tool), Some(of_first)) = (&mut other.tool_checksum, &first.tool_checksum) {
            *tool = of_first.clone();
        }
        let changed = [first.clone(), other];
        let source = SourceRef { name: "m", history: Some(history), migrations: &changed };
        let differs = second.tool_checksum.is_none() || second.tool_checksum != first.tool_checksum;
        if differs {
            assert_eq!(states(&mut writer, &source).await, [State::Applied, State::Changed], "{kind}");
        }
        writer.repair(&source, &changed[1]).await.unwrap();
        assert_eq!(states(&mut writer, &source).await, [State::Applied; 2], "{kind}");

        for migration in changed.iter().rev() {
            writer.forget(&source, source.keyed_by().of(migration)).await.unwrap();
        }
        assert_eq!(states(&mut writer, &source).await, [State::Pending; 2], "{kind}");
        writer.close().await;
    }
}
