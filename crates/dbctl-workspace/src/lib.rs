//! The manifest of a dbctl workspace: names, environments, the dependency graph and the selection of targets.
//!
//! This crate reads files (the manifest, env files, `package.json`, `Cargo.toml`) and nothing else: the process
//! environment is passed in as an [`Env`], nothing is printed, nothing is connected to. A [`Workspace`] is always
//! valid: names are unique, dependencies exist and have no cycle, formats are known, paths stay inside.

mod assemble;
mod check;
mod database;
#[cfg(feature = "discover")]
mod discover;
mod env;
mod env_file;
mod environment;
mod graph;
mod hooks;
mod interpolate;
mod key;
mod load;
mod location;
mod on_sqlite;
mod package;
mod paths;
mod problem;
mod raw;
mod redact;
#[cfg(feature = "schema")]
mod schema;
mod select;
mod sqlite_url;
mod suggest;
mod vars;
mod workspace;
mod yaml;

pub use database::{Database, Environment, FormatChoice, Package, Seeds, Source, SourceBaseline};
#[cfg(feature = "discover")]
pub use discover::{Certainty, Discovery, Finding, discover};
pub use env::Env;
pub use hooks::{Hook, Hooks};
pub use key::{Key, KeyError};
pub use load::{Alone, LoadOptions, find_manifest, load};
pub use location::{Location, Way};
pub use problem::{ManifestErrors, Problem, Span};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use select::{SelectError, Selection};
pub use sqlite_url::{SqliteUrlError, is_sqlite_url, sqlite_file, sqlite_url};
pub use workspace::Workspace;
