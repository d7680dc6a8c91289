//! A valid workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{Database, Environment, Key, Location, ManifestErrors, SelectError, Selection, Span};

/// A manifest that was read and found valid.
#[derive(Debug, Clone)]
pub struct Workspace {
    name: String,
    root: PathBuf,
    manifest: PathBuf,
    environment: Environment,
    databases: BTreeMap<Key, Database>,
    order: Vec<Key>,
    dependencies: BTreeMap<Key, BTreeSet<Key>>,
    dependents: BTreeMap<Key, BTreeSet<Key>>,
}

impl Workspace {
    /// What the manifest calls the workspace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The manifest's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The manifest, absolute.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// The environment this run is in.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// All databases, in the order of their keys.
    pub fn databases(&self) -> impl ExactSizeIterator<Item = &Database> {
        self.databases.values()
    }

    /// A database.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn database(&self, key: &Key) -> &Database {
        self.databases.get(key).expect("the key is one of this workspace")
    }

    /// All keys, dependencies first, ties in the order of the keys.
    pub fn order(&self) -> &[Key] {
        &self.order
    }

    /// All that a database depends on, transitively, without itself.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn dependencies(&self, key: &Key) -> &BTreeSet<Key> {
        self.dependencies.get(key).expect("the key is one of this workspace")
    }

    /// All that depends on a database, transitively, without itself.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn dependents(&self, key: &Key) -> &BTreeSet<Key> {
        self.dependents.get(key).expect("the key is one of this workspace")
    }

    /// The databases that targets name.
    pub fn select(&self, selection: &Selection) -> Result<BTreeSet<Key>, SelectError> {
        unimplemented!("{selection:?}")
    }

    /// Where a database lives; evaluates the `${…}` of that database and its server only.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn locate(&self, key: &Key) -> Result<Location, ManifestErrors> {
        unimplemented!("{key}")
    }

    /// The variables that the package of a database sees: the env files in order, the package's own `.env` over
    /// these, the process environment over all.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn vars(&self, key: &Key) -> BTreeMap<String, String> {
        unimplemented!("{key}")
    }

    /// Of [`Workspace::vars`], those that a child process does not inherit anyway.
    ///
    /// # Panics
    ///
    /// If the key is not one of this workspace.
    pub fn child_vars(&self, key: &Key) -> BTreeMap<String, String> {
        unimplemented!("{key}")
    }

    /// An error that points into the manifest, for whoever finds out later that something there is wrong.
    pub fn problem(&self, span: &Span, message: impl Into<String>, hint: Option<String>) -> ManifestErrors {
        unimplemented!("{span:?} {} {hint:?}", message.into())
    }
}
