//! Migration formats: one file per tool, behind one trait.

mod detect;
mod listing;
mod native;
mod node_pg_migrate;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use thiserror::Error;

use crate::{DirectiveError, History, Migration};

/// A source folder: where it is, and how errors show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Absolute path.
    pub path: PathBuf,
    /// Relative to the workspace; what [`crate::Script::path`] starts with.
    pub shown: PathBuf,
}

/// What a source in the manifest may set beyond its path and format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// Schema of the history table, where it is not the tool's default.
    pub schema: Option<String>,
    /// Name of the history table, where it is not the tool's default.
    pub table: Option<String>,
}

/// A file to be written by `dbctl new`; the folder is the source's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// File name within the folder, and its content. Some formats write an up and a down file.
    pub files: Vec<(PathBuf, String)>,
}

/// How one tool lays out its migrations and remembers them.
pub trait Format: Send + Sync {
    /// Reads a folder, in the order in which its migrations apply. Files that are not migrations are passed over.
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors>;
    /// The tool's own table; `None` where dbctl's ledger is the truth.
    fn history(&self) -> Option<&dyn History>;
    /// The next file, named and filled in the tool's own style. `name` is free text such as `add users`.
    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError>;
}

/// Every format dbctl knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FormatKind {
    /// dbctl's own: `<UTC 14 digits>_<snake_name>.sql` with an optional `.down.sql` beside it.
    Native,
    /// SQL files of node-pg-migrate.
    NodePgMigrate,
}

impl FormatKind {
    /// All of them, in the order in which detection and documentation list them.
    pub const ALL: [Self; 2] = [Self::Native, Self::NodePgMigrate];

    /// As the manifest spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::NodePgMigrate => "node-pg-migrate",
        }
    }

    /// From the manifest's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The format itself.
    pub fn format(self, options: &SourceOptions) -> Box<dyn Format> {
        match self {
            Self::Native => Box::new(native::Native),
            Self::NodePgMigrate => Box::new(node_pg_migrate::NodePgMigrate::new(options)),
        }
    }

    /// Which formats a folder may be of, by its file names and contents, likeliest first; empty for an empty folder,
    /// one that is not there, and one of a tool that dbctl does not know.
    ///
    /// More than one means that people have to say: what is the down part of one format runs with the up part in the
    /// other.
    pub fn detect(folder: &Path) -> std::io::Result<Vec<Self>> {
        detect::detect(folder)
    }
}

impl fmt::Display for FormatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All that is wrong with one folder.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct FormatErrors(pub Vec<FormatError>);

/// What is wrong with a migration folder or one of its files; `path` is as errors show it.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The folder or file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest names a folder that is not there.
    #[error("the migration folder {} does not exist", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not UTF-8.
    #[error("{}:{line}:{column}: the file is not UTF-8{}", path.display(), guess.map(|g| format!(" (it looks like {g})")).unwrap_or_default())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// Line of the first bad byte, from 1.
        line: usize,
        /// Column of the first bad byte, from 1.
        column: usize,
        /// What it looks like instead, such as `UTF-16`.
        guess: Option<&'static str>,
    },
    /// Two files claim one version.
    #[error("{} and {} have the same version {version}", first.display(), second.display())]
    Duplicate {
        /// The version.
        version: String,
        /// The file that sorts first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A file's name does not fit the format.
    #[error("{}: {message}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would fit.
        message: String,
    },
    /// A `-- dbctl:` comment is wrong.
    #[error("{}:{}:{}: {error}", path.display(), error.line, error.column)]
    Directive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: DirectiveError,
    },
}

#[cfg(test)]
mod tests;
