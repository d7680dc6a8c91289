//! Every format's reader and recogniser, on folders that are almost valid or anything at all.

use std::{panic::AssertUnwindSafe, path::Path, time::Duration};

use dbctl_migration::{
    Format, FormatError, FormatKind, Migration, Recording, RunStamp, SourceOptions,
    split::{refuses_transaction, split},
};
use proptest::prelude::*;

use crate::{
    cases,
    files::{Files, Written, after, events, least, seeds, write},
};

#[test]
fn every_format_has_seeds_that_are_valid_and_recognised() {
    let seeds = seeds();
    for kind in FormatKind::all() {
        assert!(seeds.iter().any(|(seed, _)| *seed == kind), "tests/fuzz/seeds has no folder for {kind}");
    }
    for (kind, files) in seeds {
        let at = write(&files);
        let migrations = kind.open(&at.folder, &least(kind)).read(&at.folder).unwrap();
        assert_eq!(migrations.len(), 2, "{kind}");
        if kind.as_str() != "custom" {
            assert!(FormatKind::detect(&at.folder.path).unwrap().contains(&kind), "{kind}");
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn almost_valid_folders_are_read_or_refused_with_a_path(seed in any::<prop::sample::Index>(), events in events()) {
        let (_, files) = seed.get(&seeds()).clone();
        everything_holds(&after(files, &events));
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_folder_is_read_or_refused_with_a_path(
        files in prop::collection::btree_map(any_name(), prop::collection::vec(any::<u8>(), 0..300), 0..6),
    ) {
        everything_holds(&files);
    }

    #[test]
    fn the_order_of_the_entries_of_a_folder_is_nothing(
        seed in any::<prop::sample::Index>(),
        events in events(),
        order in any::<u64>(),
    ) {
        let (_, files) = seed.get(&seeds()).clone();
        let files = without_clashes(after(files, &events));
        let mut shuffled: Vec<_> = files.iter().collect();
        shuffled.sort_by_key(|(name, _)| {
            name.iter().fold(order, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
        });
        let (sorted, shuffled) = (write(&files), write(shuffled));
        let detected = [&sorted, &shuffled].map(|at| FormatKind::detect(&at.folder.path).unwrap());
        prop_assert_eq!(&detected[0], &detected[1]);
        for kind in FormatKind::all() {
            let read = |at: &Written| {
                let read = kind.open(&at.folder, &least(kind)).read(&at.folder);
                read.map_err(|errors| errors.to_string())
            };
            prop_assert_eq!(read(&sorted), read(&shuffled), "{}", kind);
        }
    }

    #[test]
    fn options_are_taken_or_refused(texts in prop::collection::vec(prop::option::of(option()), 6)) {
        let mut options = SourceOptions::default();
        for (name, text) in SourceOptions::NAMES.into_iter().zip(texts) {
            *options.field(name).unwrap() = text;
        }
        let files = seeds().into_iter().find(|(kind, _)| kind.as_str() == "custom").unwrap().1;
        let at = write(&files);
        for kind in FormatKind::all() {
            match kind.check(&options) {
                Ok(()) => holds(kind, &at, &options),
                Err(error) => {
                    one_line(&error.message);
                    one_line(&error.hint.unwrap_or_default());
                    let value = options.field(error.option).unwrap().clone().unwrap_or_default();
                    prop_assert!(error.part.is_none_or(|part| value.get(part).is_some()));
                }
            }
        }
    }
}

/// Names that look like those of migrations, and others.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        "m/[0-9]{0,20}[_.-]?[a-zä]{0,3}(\\.up|\\.down)?\\.(sql|js|SQL)".prop_map(String::into_bytes),
        "m/[0-9]{14}_[a-z]/(migration|down)\\.sql".prop_map(String::into_bytes),
        Just(b"m/meta/_journal.json".to_vec()),
        Just(b"m/migration_lock.toml".to_vec()),
        Just(b"m/down/001_a.sql".to_vec()),
        Just(b"sqlx.toml".to_vec()),
        Just(b"config.toml".to_vec()),
        Just(b"package.json".to_vec()),
        prop::collection::vec(
            any::<u8>().prop_filter("in one folder", |byte| !b"/\0".contains(byte)),
            1..300
        )
        .prop_map(|name| [b"m/".to_vec(), name].concat()),
    ];
    name.prop_filter("a name", |name| !matches!(&name[..], b"m/." | b"m/.."))
}

fn option() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("done".to_owned()),
        Just("{version}_{name}.sql".to_owned()),
        "[a-zV_.]{0,3}\\{version\\}[-_.a-z0-9]{0,3}(\\{name\\})?[a-z.{}]{0,5}\\.sql",
        any::<String>(),
    ]
}

/// Without files that would have to be folders as well: of those the first to be written is there.
fn without_clashes(files: Files) -> Files {
    let is_folder = |name: &[u8]| files.keys().any(|other| other.starts_with(&[name, b"/"].concat()));
    files
        .iter()
        .filter(|(name, _)| !is_folder(name))
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect()
}

/// Reads a folder as every format, and says which panicked.
fn everything_holds(files: &Files) {
    let at = write(files);
    for kind in FormatKind::all() {
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| holds(kind, &at, &least(kind))));
        assert!(checked.is_ok(), "{kind} of {}", shown(files));
    }
    FormatKind::detect(&at.folder.path).unwrap();
}

fn shown(files: &Files) -> String {
    let file = |(name, bytes): (&Vec<u8>, &Vec<u8>)| {
        format!("\n  {}: {}", name.escape_ascii(), bytes.escape_ascii())
    };
    files.iter().map(file).collect()
}

/// What is true of a format, whatever the folder is.
fn holds(kind: FormatKind, at: &Written, options: &SourceOptions) {
    let format = kind.open(&at.folder, options);
    match format.read(&at.folder) {
        Ok(migrations) => migrations.iter().for_each(|migration| recorded(&*format, migration)),
        Err(errors) => {
            assert!(!errors.0.is_empty());
            errors.0.iter().for_each(|error| told(error, at));
            assert_eq!(errors.to_string().lines().count(), errors.0.len());
        }
    }
    match format.new_file(&at.folder, "add users", "2026-01-31T09:30:00Z".parse().unwrap()) {
        Ok(new) => assert!(new.files.iter().all(|(path, _)| !at.folder.path.join(path).exists()), "{new:?}"),
        Err(error) => told(&error, at),
    }
}

/// What is made of a migration, from its text to the rows of its table.
pub(crate) fn recorded(format: &dyn Format, migration: &Migration) {
    for script in [Some(&migration.up), migration.down.as_ref()].into_iter().flatten() {
        assert!(script.path.starts_with("m"), "{}", script.path.display());
        assert!(script.first_line > 0);
        for piece in split(&script.sql).unwrap_or_default() {
            refuses_transaction(&script.sql[piece.range]);
        }
    }
    let stamp = RunStamp { run: "run".to_owned(), dbctl_version: "1.0.0".to_owned() };
    if let Some(history) = format.history() {
        history.record(&Recording { migration, elapsed: Duration::ZERO, stamp: &stamp });
        history.start(migration);
        history.repair(migration);
        history.forget(history.keyed_by().of(migration));
        history.upgrade(std::slice::from_ref(migration));
    }
}

/// An error is a line that says where: the file as the workspace names it, never where the workspace lies.
fn told(error: &FormatError, at: &Written) {
    let path = match error {
        FormatError::Io { path, .. }
        | FormatError::NoFolder { path }
        | FormatError::Encoding { path, .. }
        | FormatError::Duplicate { first: path, .. }
        | FormatError::Name { path, .. }
        | FormatError::Content { path, .. }
        | FormatError::Directive { path, .. } => path,
    };
    assert!(path.starts_with("m") || path == Path::new("sqlx.toml"), "{error}");
    let text = error.to_string();
    one_line(&text);
    assert!(text.contains(if path.starts_with("m") { "m" } else { "sqlx.toml" }), "{text}");
    assert!(!text.contains(at.folder.path.to_str().unwrap()), "{text}");
}

fn one_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?} is no line");
}
