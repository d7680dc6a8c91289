//! What a manifest declares, parsed: whoever holds one of these need not check it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use dbctl_migration::{DatabaseName, Dialect, Folder, FormatKind, SourceOptions};

use crate::{Hooks, Key, Span, problem::Problems};

/// The environment a command runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// A declared name, `development` or `test`.
    pub name: String,
    /// Whether destroying verbs need a second confirmation and seeds are skipped.
    pub protected: bool,
}

/// One database of the workspace. `Debug` shows no values of settings, which may come from variables.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// What people type.
    pub key: Key,
    /// What the server calls it; the key where the manifest says nothing. It is `?` where the manifest cannot say it
    /// without a variable that is not set, which [`crate::Workspace::check`] tells.
    pub name: DatabaseName,
    /// The package that owns it.
    pub package: Option<Package>,
    /// The databases it depends on directly.
    pub depends_on: BTreeSet<Key>,
    /// For `tag:x`.
    pub tags: BTreeSet<String>,
    /// Role that owns the database.
    pub owner: Option<String>,
    /// Migration folders, in the order in which they run.
    pub sources: Vec<Source>,
    /// Migration folders that are not among the sources because their path or their format cannot be told, which
    /// [`crate::Workspace::check`] tells.
    pub untold: Vec<String>,
    /// Seeds.
    pub seeds: Option<Seeds>,
    /// Extensions created with the database.
    pub extensions: Vec<String>,
    /// Session settings for migrations and seeds.
    pub settings: BTreeMap<String, String>,
    /// Tables that `clean` leaves alone, as the manifest spells them.
    pub keep: Vec<String>,
    /// Commands that run before and after what is done to it.
    pub hooks: Hooks,
    /// Variables that `env` and `exec` export besides `DATABASE_URL`, and whose URL each holds.
    pub env: BTreeMap<String, Key>,
    /// Whose SQL it speaks, where that can be told; PostgreSQL's where it cannot.
    pub dialect: Dialect,
    /// The key in the manifest.
    pub declared: Span,
    /// Whether its name is not the manifest's.
    pub(crate) is_copy: bool,
    pub(crate) root: PathBuf,
    /// Whether `name` is known.
    pub(crate) is_named: bool,
    /// What is wrong with it if it is needed.
    pub(crate) deferred: Problems,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("key", &self.key)
            .field("name", &self.name)
            .field("package", &self.package)
            .field("depends_on", &self.depends_on)
            .field("sources", &self.sources)
            .field("seeds", &self.seeds)
            .field("settings", &self.settings.keys())
            .finish_non_exhaustive()
    }
}

impl Database {
    /// The package's folder, else the workspace's root; absolute.
    pub fn folder(&self) -> &Path {
        self.package.as_ref().map_or(&self.root, |package| &package.path)
    }

    /// The same folder relative to the workspace's root; empty for the root itself.
    pub fn shown_folder(&self) -> &Path {
        self.package.as_ref().map_or(Path::new(""), |package| &package.shown)
    }

    /// Whether a file lies in the workspace, links followed; its path is absolute or relative to the root. What cannot be
    /// looked at does, until somebody reads it.
    pub fn holds(&self, file: &Path) -> bool {
        self.root.join(file).canonicalize().map_or(true, |real| real.starts_with(&self.root))
    }
}

/// A package that owns databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its folder, absolute.
    pub path: PathBuf,
    /// Its folder relative to the workspace's root; empty for the root itself.
    pub shown: PathBuf,
    /// Its name by `package.json`, else by `Cargo.toml`.
    pub name: Option<String>,
}

/// One migration folder of a database. The folder need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The way from the package to the folder, however the manifest spells it: what the ledger calls this source.
    pub name: String,
    /// Where it is.
    pub folder: Folder,
    /// Which tool's files it holds.
    pub format: FormatChoice,
    /// The file that stands for its past on a database that is new.
    pub baseline: Option<SourceBaseline>,
    /// What else the manifest says of it.
    pub options: SourceOptions,
    /// Its path in the manifest.
    pub declared: Span,
}

/// The file that stands for a source's past. Neither the file nor the migration it goes through need be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceBaseline {
    /// The file, absolute.
    pub path: PathBuf,
    /// The file relative to the workspace's root.
    pub shown: PathBuf,
    /// The last migration that it holds, by version, name or file name; [`SourceBaseline::NOTHING_ELSE`] where it is one
    /// that holds none but itself.
    pub through: String,
}

impl SourceBaseline {
    /// What `through` says of a baseline that holds no other file of its folder.
    pub const NOTHING_ELSE: &str = "none";
}

/// Which format a source has, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatChoice {
    /// The manifest says so.
    Declared(FormatKind),
    /// The files say so.
    Detected(FormatKind),
    /// The folder is empty or missing, and nothing says otherwise: dbctl's own format.
    Assumed(FormatKind),
}

impl FormatChoice {
    /// The format, however it is known.
    pub fn kind(self) -> FormatKind {
        match self {
            Self::Declared(kind) | Self::Detected(kind) | Self::Assumed(kind) => kind,
        }
    }
}

/// The seeds of a database. The folder need not exist. `Debug` shows no commands, which may hold variables' values.
#[derive(Clone, PartialEq, Eq)]
pub struct Seeds {
    /// The folder, absolute.
    pub path: PathBuf,
    /// The folder relative to the workspace's root.
    pub shown: PathBuf,
    /// Environments in which seeds are skipped.
    pub skip_in: BTreeSet<String>,
    /// Extension without its dot, to the command that runs such a file; `{file}` in it is the file.
    pub runners: BTreeMap<String, String>,
    /// The path in the manifest.
    pub declared: Span,
}

impl fmt::Debug for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seeds")
            .field("shown", &self.shown)
            .field("skip_in", &self.skip_in)
            .field("runners", &self.runners.keys())
            .finish_non_exhaustive()
    }
}
