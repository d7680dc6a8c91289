//! A valid workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use dbctl_migration::DatabaseName;

use crate::{
    Database, Environment, Key, Location, ManifestErrors, SelectError, Selection, Span, Way,
    graph::Graph,
    location::Places,
    problem::Problems,
    select,
    vars::{Vars, Viewer},
};

/// A manifest that was read and found valid. `Debug` shows no variable and no URL.
#[derive(Clone)]
pub struct Workspace(Parts);

/// What a workspace is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    pub(crate) manifest: PathBuf,
    /// The manifest as it was asked for.
    pub(crate) shown: PathBuf,
    pub(crate) source: String,
    pub(crate) environment: Environment,
    pub(crate) databases: BTreeMap<Key, Database>,
    pub(crate) graph: Graph,
    pub(crate) vars: Vars,
    pub(crate) places: Places,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace")
            .field("name", &self.0.name)
            .field("root", &self.0.root)
            .field("environment", &self.0.environment)
            .field("order", &self.0.graph.order)
            .finish_non_exhaustive()
    }
}

impl Workspace {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// What the manifest calls the workspace.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The same workspace with other names for its databases, such as those of copies.
    #[must_use]
    pub fn renamed(&self, mut name: impl FnMut(&Database) -> DatabaseName) -> Self {
        let mut parts = self.0.clone();
        for database in parts.databases.values_mut() {
            let name = name(database);
            database.is_copy |= name != database.name;
            database.name = name;
        }
        Self(parts)
    }

    /// The manifest's folder, absolute, without links.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The manifest, absolute.
    pub fn manifest(&self) -> &Path {
        &self.0.manifest
    }

    /// The environment this run is in.
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// All databases, in the order of their keys.
    pub fn databases(&self) -> impl ExactSizeIterator<Item = &Database> {
        self.0.databases.values()
    }

    /// A database.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn database(&self, key: &Key) -> &Database {
        self.0.databases.get(key).expect("the key is one of this workspace")
    }

    /// All keys, dependencies first, ties in the order of the keys.
    pub fn order(&self) -> &[Key] {
        &self.0.graph.order
    }

    /// All that a database depends on, transitively, without itself.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn dependencies(&self, key: &Key) -> &BTreeSet<Key> {
        self.0.graph.dependencies.get(key).expect("the key is one of this workspace")
    }

    /// All that depends on a database, transitively, without itself.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn dependents(&self, key: &Key) -> &BTreeSet<Key> {
        self.0.graph.dependents.get(key).expect("the key is one of this workspace")
    }

    /// The databases that targets name; never an empty set.
    pub fn select(&self, selection: &Selection) -> Result<BTreeSet<Key>, SelectError> {
        select::select(self, selection)
    }

    /// Sees that all the manifest says of these databases is known, but for where they live. Variables that are not
    /// set, a package's `.env` that cannot be read and a folder whose format cannot be told are no errors of a
    /// workspace before somebody needs that database.
    ///
    /// # Panics
    ///
    /// If a key is not one of this workspace.
    pub fn check<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Result<(), ManifestErrors> {
        let mut problems = Problems::default();
        for key in keys {
            problems.append(&mut self.database(key).deferred.clone());
        }
        problems.into_errors(&self.0.shown, &self.0.source).map_or(Ok(()), Err)
    }

    /// Where a database lives, if that can be told, whatever else is not known of it.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn way(&self, key: &Key) -> Option<Way> {
        let mut problems = Problems::default();
        Some(self.0.places.locate(self.database(key), &self.0.vars, &mut problems)?.way)
    }

    /// [Checks](Workspace::check) a database and says where it lives; evaluates the `${…}` of that database and its
    /// server only.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn locate(&self, key: &Key) -> Result<Location, ManifestErrors> {
        let mut problems = self.database(key).deferred.clone();
        let location = self.0.places.locate(self.database(key), &self.0.vars, &mut problems);
        match (problems.into_errors(&self.0.shown, &self.0.source), location) {
            (None, Some(location)) => Ok(location),
            (Some(errors), _) => Err(errors),
            (None, None) => unreachable!("without a location there is a problem"),
        }
    }

    /// Where the address of a database comes from, in words: which field of the manifest, which variables, and the file
    /// and line that set them. Never what they hold. `None` for the embedded server, which has no such address.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn origin(&self, key: &Key) -> Option<String> {
        let manifest = self.0.manifest.file_name().unwrap_or_default().to_string_lossy();
        let line = |span: Span| {
            let before = self.0.source.get(..span.start).unwrap_or_default();
            format!("{manifest}:{}", before.matches('\n').count() + 1)
        };
        let parts = self.0.places.origin(key, &self.0.vars, self.viewer(key), &line);
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The variables that the package of a database sees: the env files in order, the package's own `.env` over
    /// these, the process environment over all.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn vars(&self, key: &Key) -> BTreeMap<String, String> {
        self.0.vars.all(self.viewer(key))
    }

    /// Of [`Workspace::vars`], those that a child process does not inherit anyway.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn child_vars(&self, key: &Key) -> BTreeMap<String, String> {
        self.0.vars.beyond_process(self.viewer(key))
    }

    /// An error that points into the manifest, for whoever finds out later that something there is wrong.
    pub fn problem(&self, span: &Span, message: impl Into<String>, hint: Option<String>) -> ManifestErrors {
        let mut problems = Problems::default();
        problems.at(*span, message).maybe_hint(hint);
        problems.into_errors(&self.0.shown, &self.0.source).expect("there is one")
    }

    fn viewer(&self, key: &Key) -> Viewer<'_> {
        self.database(key).package.as_ref().map(|package| package.shown.as_path())
    }
}
