//! Telling by names, contents and surroundings which tool a folder belongs to.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    FormatKind,
    listing::{names, split_extension},
};
use crate::Files;

/// How much of a file is looked at; markers stand near its beginning.
const LOOKED_AT_BYTES: u64 = 64 * 1024;

/// Beginnings of the lines by which tools that dbctl does not know mark parts of a file: goose, graphile-migrate and
/// tern.
const FOREIGN_MARKS: [&str; 3] = ["-- +goose ", "--! previous:", "---- create above"];

/// How much a folder looks like one of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// Not at all.
    No,
    /// It may be one, and may be another tool's.
    Possible,
    /// No other tool writes that; whatever else is possible is not meant.
    Sure,
}

/// What detection sees of a folder: its names, the beginnings of its SQL files, and where it lies.
pub(super) struct Sample {
    path: PathBuf,
    files: Vec<SampleFile>,
    folders: Vec<SampleFolder>,
}

/// A file directly in the folder.
pub(super) struct SampleFile {
    name: String,
    extension: String,
    /// Its beginning; empty for what is no SQL.
    text: String,
}

/// A folder directly in the folder.
pub(super) struct SampleFolder {
    name: String,
    files: Vec<String>,
}

pub(super) fn detect(folder: &Path) -> io::Result<Vec<FormatKind>> {
    let sample = match Sample::take(folder) {
        Ok(sample) => sample,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    if sample.sql().any(|file| file.has_line_starting(&FOREIGN_MARKS)) {
        return Ok(Vec::new());
    }
    let likenesses: Vec<_> = FormatKind::all().map(|kind| (kind, (kind.0.recognise)(&sample))).collect();
    let best = likenesses.iter().map(|(_, likeness)| *likeness).max().unwrap_or(Likeness::No);
    let fits = |likeness: Likeness| likeness != Likeness::No && likeness == best;
    let mut candidates: Vec<FormatKind> =
        likenesses.into_iter().filter(|(_, likeness)| fits(*likeness)).map(|(kind, _)| kind).collect();
    // Names like our own say little beside another tool's marks.
    candidates.sort_by_key(|kind| *kind == FormatKind::NATIVE);
    Ok(candidates)
}

impl Sample {
    pub(super) fn take(folder: &Path) -> io::Result<Self> {
        let mut sample = Self { path: folder.to_owned(), files: Vec::new(), folders: Vec::new() };
        for listed in names(&Files::Disk, folder)? {
            let path = folder.join(&listed.file_name);
            // A broken link is told when the folder is read, with its name.
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                let files = names(&Files::Disk, &path)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|listed| listed.name)
                    .collect();
                sample.folders.push(SampleFolder { name: listed.name, files });
            } else if metadata.is_file() {
                let extension = split_extension(&listed.name).1;
                let text = if extension == "sql" { beginning(&path)? } else { String::new() };
                sample.files.push(SampleFile { name: listed.name, extension, text });
            }
        }
        Ok(sample)
    }

    /// Where the folder lies, for looking at what stands around it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The files directly in it, in byte order of their names, but for dotfiles.
    pub(super) fn files(&self) -> impl Iterator<Item = &SampleFile> {
        self.files.iter()
    }

    /// Those among them that are SQL.
    pub(super) fn sql(&self) -> impl Iterator<Item = &SampleFile> {
        self.files.iter().filter(|file| file.extension == "sql")
    }

    /// The folders directly in it, in byte order of their names.
    pub(super) fn folders(&self) -> impl Iterator<Item = &SampleFolder> {
        self.folders.iter()
    }
}

impl SampleFile {
    /// The whole name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name before its last dot.
    pub(super) fn stem(&self) -> &str {
        split_extension(&self.name).0
    }

    /// What stands after the last dot, in lower case.
    pub(super) fn extension(&self) -> &str {
        &self.extension
    }

    /// Its beginning, where it is SQL.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a line starts with one of these, in whatever case; blanks before it do not count.
    pub(super) fn has_line_starting(&self, marks: &[&str]) -> bool {
        self.text.lines().any(|line| {
            let line = line.trim_start_matches('\u{feff}').trim_start();
            marks
                .iter()
                .any(|mark| line.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)))
        })
    }
}

impl SampleFolder {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a file or folder of that name is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == name)
    }
}

fn beginning(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LOOKED_AT_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<&'static str> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        detect(dir.path()).unwrap().into_iter().map(FormatKind::as_str).collect()
    }

    #[test]
    fn folders_are_told_apart() {
        let up_and_down = "-- Up Migration\n;\n-- Down Migration\n;";
        type Files<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(Files<'_>, &[&str])] = &[
            (&[], &[]),
            (&[("README.md", "-- Up Migration"), ("helpers.sql", ""), (".20260101000000_a.sql", "")], &[]),
            (&[("20260101000000_a.sql", "")], &["native"]),
            (&[("20260101000000_a.sql", ""), ("20260101000000_a.down.sql", ""), ("x.sql", "")], &["native"]),
            (&[("1700000000000_a.sql", "")], &["node-pg-migrate"]),
            (&[("20260101000000000_a.sql", "")], &["node-pg-migrate"]),
            (&[("1700000000000_a.js", "")], &["node-pg-migrate"]),
            (&[("0001_a.sql", up_and_down)], &["node-pg-migrate"]),
            (&[("0001_a.sql", "-- up migration")], &["node-pg-migrate"]),
            (&[("0001_a.sql", "")], &[]),
            (&[("a.sql", up_and_down)], &[]),
            // Look-alikes: somebody has to say which it is.
            (&[("20260101000000_a.sql", up_and_down)], &["node-pg-migrate", "native"]),
            (&[("20260101000000_a.sql", "-- down migration of b")], &["node-pg-migrate", "native"]),
            (&[("20260101000000_a.sql", ""), ("1700000000000_b.sql", "")], &["node-pg-migrate", "native"]),
            // Other tools' folders.
            (&[("20260101000000_a.up.sql", ""), ("20260101000000_a.down.sql", "")], &[]),
            (&[("20260101000000_a.sql", "-- migrate:up\n;\n-- migrate:down\n;")], &["dbmate"]),
            (&[("1700000000000_a.sql", "-- migrate:up\n;\n-- migrate:down\n;")], &["dbmate"]),
            (&[("20260101000000_a.sql", "\u{feff}-- +GOOSE Up\n;")], &[]),
            // Its journal is gone.
            (&[("20260101000000_a.sql", "a;--> statement-breakpoint\nb;")], &["drizzle", "native"]),
            (&[("20260101000000_a.sql", "--! Previous: -\n")], &[]),
            (&[("20260101000000_a.sql", "a;\n---- create above / drop below ----\nb;")], &[]),
        ];
        for (files, expected) in cases {
            assert_eq!(check(files), *expected, "{files:?}");
        }
    }

    #[test]
    fn folders_in_folders_and_bytes_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("1700000000000_a.sql")).unwrap();
        assert_eq!(detect(dir.path()).unwrap(), []);
        std::fs::write(dir.path().join("20260101000000_a.sql"), b"\xFF\xFEa\0").unwrap();
        assert_eq!(detect(dir.path()).unwrap(), [FormatKind::NATIVE]);
        assert_eq!(detect(&dir.path().join("gone")).unwrap(), []);
        assert!(detect(&dir.path().join("20260101000000_a.sql")).is_err());
    }
}
