//! `dbctl new`: the next migration file, in the folder's own format.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use dbctl_migration::NewFile;
use dbctl_workspace::{Database, Source};
use jiff::Timestamp;
use serde::Serialize;

use crate::{cli::New, console::Console, context::Context, error::CliError, exit::Done, paths::relative};

#[derive(Debug, Serialize)]
struct Document {
    files: Vec<String>,
}

pub(super) fn run(args: &New, context: &Context, console: &mut Console<'_>) -> Result<Done, CliError> {
    let key = context.select_one(Some(&args.target))?;
    let database = context.workspace.database(&key);
    if !database.untold.is_empty() {
        context.workspace.check([&key])?;
    }
    let source = source(database, args.source.as_deref())?;
    let format = source.format.kind().open(&source.folder, &source.options);
    let file =
        format.new_file(&source.folder, &args.name.join(" "), Timestamp::now()).map_err(CliError::NewFile)?;
    let files: Vec<String> = write_all(&source.folder.path, &file)
        .map_err(|(path, source)| CliError::Write { path: relative(&path, &context.cwd), source })?
        .iter()
        .map(|path| relative(path, &context.cwd).display().to_string())
        .collect();
    if console.mode.is_json() {
        console.json(&Document { files })?;
    } else {
        for file in files {
            writeln!(console.out, "{file}")?;
        }
        console.out.flush()?;
    }
    Ok(Done::Well)
}

/// The migration folder meant.
pub(super) fn source<'d>(database: &'d Database, named: Option<&str>) -> Result<&'d Source, CliError> {
    let names: Vec<&str> = database.sources.iter().map(|source| source.name.as_str()).collect();
    let list = format!("`{}` has {}", database.key, names.join(", "));
    let plain = |path: &str| path.trim_start_matches("./").trim_end_matches('/').to_owned();
    match (named, database.sources.as_slice()) {
        (_, []) => Err(CliError::usage(
            format!("`{}` has no migration folder", database.key),
            format!(
                "give it one in the manifest: `{}: {{ migrations: [{{ path: migrations }}] }}`",
                database.key
            ),
        )),
        (None, [only]) => Ok(only),
        (None, _) => Err(CliError::usage(
            format!("`{}` has several migration folders", database.key),
            format!("choose one with --source: {list}"),
        )),
        (Some(path), sources) => sources
            .iter()
            .find(|source| {
                plain(&source.name) == plain(path)
                    || plain(&source.folder.shown.to_string_lossy()) == plain(path)
            })
            .ok_or_else(|| {
                CliError::usage(format!("`{path}` is no migration folder of `{}`", database.key), list)
            }),
    }
}

/// Writes the files, none over another; if one cannot be written, none stays.
fn write_all(folder: &Path, new: &NewFile) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
    let mut written: Vec<PathBuf> = Vec::new();
    let undo = |written: &[PathBuf]| {
        for path in written {
            // What cannot be removed is left; the first error is the one to tell of.
            let _ = fs::remove_file(path);
        }
    };
    for (name, text) in &new.files {
        let path = folder.join(name);
        if let Err(error) = write_new(&path, text) {
            undo(&written);
            return Err((path, error));
        }
        written.push(path);
    }
    for (name, text) in &new.rewritten {
        let path = folder.join(name);
        if let Err(error) = replace(&path, text) {
            undo(&written);
            return Err((path, error));
        }
    }
    Ok(written)
}

/// Puts a text in the place of a file's, which is whole at every moment.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    if let Ok(metadata) = fs::metadata(path) {
        fs::set_permissions(file.path(), metadata.permissions())?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let result = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if result.is_err() {
        let _ = fs::remove_file(path);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_nothing_stays_half_done() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("not/there/yet");
        let new = NewFile {
            files: vec![("1.sql".into(), "up".to_owned()), ("1.down.sql".into(), "down".to_owned())],
            rewritten: Vec::new(),
        };
        let written = write_all(&folder, &new).unwrap();
        assert_eq!(written, [folder.join("1.sql"), folder.join("1.down.sql")]);
        assert_eq!(fs::read_to_string(&written[1]).unwrap(), "down");

        fs::remove_file(&written[0]).unwrap();
        fs::write(&written[1], "mine").unwrap();
        let (path, error) = write_all(&folder, &new).unwrap_err();
        assert_eq!((path, error.kind()), (written[1].clone(), io::ErrorKind::AlreadyExists));
        assert!(!written[0].exists());
        assert_eq!(fs::read_to_string(&written[1]).unwrap(), "mine");
    }

    #[test]
    fn a_journal_is_replaced_with_the_file_it_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("meta")).unwrap();
        let journal = folder.path().join("meta/journal");
        fs::write(&journal, "old").unwrap();
        let new = NewFile {
            files: vec![("a/1.sql".into(), "up".to_owned())],
            rewritten: vec![("meta/journal".into(), "new".to_owned())],
        };
        assert_eq!(write_all(folder.path(), &new).unwrap(), [folder.path().join("a/1.sql")]);
        assert_eq!(fs::read_to_string(&journal).unwrap(), "new");
    }
}
