//! Migration formats: one file per tool, behind one trait.

mod collate;
mod custom;
mod dbmate;
mod detect;
mod drizzle;
mod listing;
mod native;
mod node_pg_migrate;
mod prisma;
mod sqlite;
mod sqlx;
mod supabase;

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use thiserror::Error;

use self::detect::{Likeness, Sample};
use crate::{Dialect, DirectiveError, Files, History, Migration, text::one_line};

/// A source folder: where it is, and how errors show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Absolute path.
    pub path: PathBuf,
    /// Relative to the workspace; what [`crate::Script::path`] starts with.
    pub shown: PathBuf,
    /// Where it is read from.
    pub files: Files,
}

impl Folder {
    /// A folder on the disk.
    pub fn new(path: impl Into<PathBuf>, shown: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), shown: shown.into(), files: Files::Disk }
    }
}

/// What a source in the manifest may set beyond its path and format. Which of them a format takes is
/// [`FormatKind::options`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// Schema of the history table, where it is not the tool's default.
    pub schema: Option<String>,
    /// Name of the history table, where it is not the tool's default.
    pub table: Option<String>,
    /// How a home-grown runner names its files.
    pub pattern: Option<String>,
    /// Column of its table that holds what identifies a migration.
    pub name_column: Option<String>,
    /// Column of its table that holds when a migration was applied.
    pub applied_column: Option<String>,
    /// What its table holds of a migration: `name`, `file` or `version`.
    pub records: Option<String>,
    /// Whose SQL the files and the table are in; where the database lives decides it.
    pub dialect: Dialect,
}

impl SourceOptions {
    /// All their names, as the manifest spells them.
    pub const NAMES: [&str; 6] = ["schema", "table", "pattern", "name_column", "applied_column", "records"];

    /// One of them by its name.
    pub fn field(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "schema" => Some(&mut self.schema),
            "table" => Some(&mut self.table),
            "pattern" => Some(&mut self.pattern),
            "name_column" => Some(&mut self.name_column),
            "applied_column" => Some(&mut self.applied_column),
            "records" => Some(&mut self.records),
            _ => None,
        }
    }
}

/// Why an option of a source cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct OptionError {
    /// As the manifest spells it.
    pub option: &'static str,
    /// Which bytes of its value are wrong, where it is not the whole.
    pub part: Option<Range<usize>>,
    /// What is wrong with its value, or with its absence.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Files to be written by `dbctl new`, by their paths within the source's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewFile {
    /// Files that are not there yet; the first is the one to be edited. Some formats write an up and a down file.
    pub files: Vec<(PathBuf, String)>,
    /// Files that are there, such as a journal, and what they are to hold instead.
    pub rewritten: Vec<(PathBuf, String)>,
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

/// One line of the list of formats; every format's file has its own.
struct Tool {
    /// As the manifest spells it.
    name: &'static str,
    /// Names of [`SourceOptions`] that it takes.
    options: &'static [&'static str],
    /// Whether dbctl knows what the tool does on SQLite, too.
    on_sqlite: bool,
    /// Says what is wrong with the options; they are looked at one by one before a folder is.
    check: fn(&SourceOptions) -> Result<(), OptionError>,
    /// The format of a folder, which may decide between the layouts that a tool has had; the folder may be missing.
    open: fn(&Folder, &SourceOptions) -> Box<dyn Format>,
    /// Whether a folder is of this format.
    recognise: fn(&Sample) -> Likeness,
}

/// Every format that dbctl knows, in the order in which detection and documentation list them.
const TOOLS: &[&Tool] = &[
    &native::TOOL,
    &node_pg_migrate::TOOL,
    &prisma::TOOL,
    &drizzle::TOOL,
    &sqlx::TOOL,
    &dbmate::TOOL,
    &supabase::TOOL,
    &custom::TOOL,
];

/// One of the formats that dbctl knows.
#[derive(Clone, Copy)]
pub struct FormatKind(&'static Tool);

impl FormatKind {
    /// dbctl's own: `<UTC 14 digits>_<snake_name>.sql` with an optional `.down.sql` beside it.
    pub const NATIVE: Self = Self(&native::TOOL);
    /// Prisma Migrate's, whose table and files are in the schema that its URL names.
    pub const PRISMA: Self = Self(&prisma::TOOL);

    /// All of them, in the order in which detection and documentation list them.
    pub fn all() -> impl Iterator<Item = Self> {
        TOOLS.iter().map(|tool| Self(tool))
    }

    /// All their names.
    pub fn names() -> Vec<&'static str> {
        Self::all().map(Self::as_str).collect()
    }

    /// As the manifest spells it.
    pub fn as_str(self) -> &'static str {
        self.0.name
    }

    /// From the manifest's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|kind| kind.as_str() == text)
    }

    /// Names of the [`SourceOptions`] that it takes.
    pub fn options(self) -> &'static [&'static str] {
        self.0.options
    }

    /// Those that a database of that kind can have.
    pub fn speaking(dialect: Dialect) -> impl Iterator<Item = Self> {
        Self::all().filter(move |kind| kind.speaks(dialect))
    }

    /// Whether a database of that kind can have it.
    pub fn speaks(self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Postgres => true,
            Dialect::Sqlite => self.0.on_sqlite,
        }
    }

    /// Whether the options make sense to the format, the first trouble found.
    pub fn check(self, options: &SourceOptions) -> Result<(), OptionError> {
        let main = options.dialect.default_schema();
        if let (Dialect::Sqlite, Some(schema)) = (options.dialect, &options.schema)
            && schema != main
        {
            return Err(OptionError {
                option: "schema",
                part: None,
                message: format!("SQLite has no schemas: a database's tables are all in `{main}`"),
                hint: Some("remove `schema`".to_owned()),
            });
        }
        (self.0.check)(options)
    }

    /// The format of a folder, which need not be there; the options have passed [`Self::check`].
    pub fn open(self, folder: &Folder, options: &SourceOptions) -> Box<dyn Format> {
        (self.0.open)(folder, options)
    }

    /// Which formats a folder may be of, by its file names, contents and surroundings, likeliest first; empty for an
    /// empty folder, one that is not there, and one of a tool that dbctl does not know.
    ///
    /// More than one means that people have to say: what is the down part of one format runs with the up part in the
    /// other.
    pub fn detect(folder: &Path) -> std::io::Result<Vec<Self>> {
        detect::detect(folder)
    }
}

impl PartialEq for FormatKind {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for FormatKind {}

impl fmt::Debug for FormatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
    #[error("cannot read {}: {source}", shown(path))]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest names a folder that is not there.
    #[error("the migration folder {} does not exist", shown(path))]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not UTF-8.
    #[error("{}:{line}:{column}: the file is not UTF-8{}", shown(path), guess.map(|g| format!(" (it looks like {g})")).unwrap_or_default())]
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
    #[error("{} and {} have the same version {}", shown(first), shown(second), one_line(version))]
    Duplicate {
        /// The version.
        version: String,
        /// The file that sorts first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A file's name does not fit the format.
    #[error("{}: {}", shown(path), one_line(message))]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would fit.
        message: String,
    },
    /// Something is wrong in a file that is not SQL, such as a journal.
    #[error("{}:{line}:{column}: {}", shown(path), one_line(message))]
    Content {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A `-- dbctl:` comment is wrong.
    #[error("{}:{}:{}: {error}", shown(path), error.line, error.column)]
    Directive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: DirectiveError,
    },
}

/// A path in a message, which stays one line whatever the name is.
fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

#[cfg(test)]
mod tests;
