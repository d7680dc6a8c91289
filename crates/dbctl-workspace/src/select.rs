//! From what people type to a set of databases.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use dbctl_migration::text::one_line;
use thiserror::Error;

use crate::{
    Database, Key, Workspace,
    paths::{lexical, shown},
    suggest::nearest,
};

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Targets and filters, as typed.
    pub targets: Vec<String>,
    /// `--all`.
    pub all: bool,
    /// The working folder, absolute: what relative folders are relative to.
    pub cwd: PathBuf,
}

/// Why a selection selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// No target, outside any package's folder.
    #[error("no target is given; name one of {}, or use --all", keys.join(", "))]
    NoTarget {
        /// Every key.
        keys: Vec<String>,
    },
    /// `--all` together with targets.
    #[error("--all and targets exclude each other; `!core` alone is everything without core")]
    AllAndTargets,
    /// Nothing has that name.
    #[error("nothing is called `{}`; {}", one_line(target), instead(suggestion.as_deref(), keys))]
    Unknown {
        /// As typed.
        target: String,
        /// The nearest name.
        suggestion: Option<String>,
        /// Every key; where a tag was typed, every tag, as a target.
        keys: Vec<String>,
    },
    /// Databases on different servers share that name.
    #[error("`{}` is the database of {}; use one of these keys", one_line(target), keys.join(" and of "))]
    Ambiguous {
        /// As typed.
        target: String,
        /// The keys it may mean.
        keys: Vec<String>,
    },
    /// A filter without anything to filter.
    #[error("`{}` names no target", one_line(target))]
    Empty {
        /// As typed.
        target: String,
    },
    /// The filters remove all that they select.
    #[error("`{}` selects nothing", one_line(&targets.join(" ")))]
    Nothing {
        /// As typed.
        targets: Vec<String>,
    },
}

fn instead(suggestion: Option<&str>, keys: &[String]) -> String {
    match suggestion {
        Some(near) => format!("did you mean `{near}`?"),
        None if keys.is_empty() => "no database has a tag".to_owned(),
        None => format!("there are {}", keys.join(", ")),
    }
}

/// One target, taken apart.
struct Filter<'t> {
    typed: &'t str,
    remove: bool,
    dependents: bool,
    dependencies: bool,
    target: &'t str,
}

pub(crate) fn select(workspace: &Workspace, selection: &Selection) -> Result<BTreeSet<Key>, SelectError> {
    let targets = &selection.targets;
    if selection.all && !targets.is_empty() {
        return Err(SelectError::AllAndTargets);
    }
    if selection.all {
        return Ok(workspace.order().iter().cloned().collect());
    }
    if targets.is_empty() {
        return here(workspace, &selection.cwd);
    }
    let filters = targets.iter().map(|typed| Filter::parse(typed)).collect::<Result<Vec<_>, _>>()?;
    let mut chosen: BTreeSet<Key> = BTreeSet::new();
    if filters.iter().all(|filter| filter.remove) {
        chosen.extend(workspace.order().iter().cloned());
    }
    // Removing comes last, wherever it was typed.
    for filter in filters.iter().filter(|filter| !filter.remove) {
        chosen.extend(filter.resolve(workspace, &selection.cwd)?);
    }
    for filter in filters.iter().filter(|filter| filter.remove) {
        for key in filter.resolve(workspace, &selection.cwd)? {
            chosen.remove(&key);
        }
    }
    if chosen.is_empty() {
        return Err(SelectError::Nothing { targets: targets.clone() });
    }
    Ok(chosen)
}

fn keys(workspace: &Workspace) -> Vec<String> {
    workspace.databases().map(|database| database.key.to_string()).collect()
}

/// The databases of the package that a folder belongs to.
fn here(workspace: &Workspace, cwd: &Path) -> Result<BTreeSet<Key>, SelectError> {
    let found = of_folder(workspace, &real(cwd));
    if found.is_empty() {
        return Err(SelectError::NoTarget { keys: keys(workspace) });
    }
    Ok(found)
}

/// Without links, as far as the path exists.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| lexical(path))
}

/// The databases of the innermost package whose folder holds a path.
fn of_folder(workspace: &Workspace, path: &Path) -> BTreeSet<Key> {
    let packages = workspace.databases().filter_map(|database| Some((database, database.package.as_ref()?)));
    let holding: Vec<(&Database, PathBuf)> = packages
        .map(|(database, package)| (database, real(&package.path)))
        .filter(|(_, folder)| path.starts_with(folder))
        .collect();
    let innermost = holding.iter().map(|(_, folder)| folder.components().count()).max();
    holding
        .iter()
        .filter(|(_, folder)| Some(folder.components().count()) == innermost)
        .map(|(database, _)| database.key.clone())
        .collect()
}

/// The databases of the package in a folder; of the package around it only where that is the working folder, so that
/// a package at the root does not own every word that happens to be a file's name.
fn at_folder(workspace: &Workspace, path: &Path, cwd: &Path) -> BTreeSet<Key> {
    let is_package =
        |database: &Database| database.package.as_ref().is_some_and(|package| real(&package.path) == path);
    if path == real(cwd) || workspace.databases().any(is_package) {
        of_folder(workspace, path)
    } else {
        BTreeSet::new()
    }
}

impl<'t> Filter<'t> {
    fn parse(typed: &'t str) -> Result<Self, SelectError> {
        let (remove, rest) = typed.strip_prefix('!').map_or((false, typed), |rest| (true, rest));
        let (dependents, rest) = rest.strip_prefix("...").map_or((false, rest), |rest| (true, rest));
        let (dependencies, target) = rest.strip_suffix("...").map_or((false, rest), |rest| (true, rest));
        if target.is_empty() || target == "tag:" {
            return Err(SelectError::Empty { target: typed.to_owned() });
        }
        Ok(Self { typed, remove, dependents, dependencies, target })
    }

    fn resolve(&self, workspace: &Workspace, cwd: &Path) -> Result<BTreeSet<Key>, SelectError> {
        let named = self.named(workspace, cwd)?;
        let mut chosen = named.clone();
        for key in &named {
            if self.dependencies {
                chosen.extend(workspace.dependencies(key).iter().cloned());
            }
            if self.dependents {
                chosen.extend(workspace.dependents(key).iter().cloned());
            }
        }
        Ok(chosen)
    }

    /// What the target itself names: a tag, a key, a database, a package or a folder, the first that fits.
    fn named(&self, workspace: &Workspace, cwd: &Path) -> Result<BTreeSet<Key>, SelectError> {
        let matching = |fits: &dyn Fn(&Database) -> bool| -> BTreeSet<Key> {
            workspace
                .databases()
                .filter(|database| fits(database))
                .map(|database| database.key.clone())
                .collect()
        };
        if let Some(tag) = self.target.strip_prefix("tag:") {
            let tagged = matching(&|database| database.tags.contains(tag));
            return if tagged.is_empty() { Err(self.unknown_tag(workspace)) } else { Ok(tagged) };
        }
        let by_key = matching(&|database| database.key.as_str() == self.target);
        if !by_key.is_empty() {
            return Ok(by_key);
        }
        let by_name = matching(&|database| database.is_named && database.name.as_str() == self.target);
        if by_name.len() > 1 {
            let keys = by_name.iter().map(Key::to_string).collect();
            return Err(SelectError::Ambiguous { target: self.target.to_owned(), keys });
        }
        if !by_name.is_empty() {
            return Ok(by_name);
        }
        let by_package = matching(&|database| {
            database.package.as_ref().and_then(|package| package.name.as_deref()) == Some(self.target)
        });
        if !by_package.is_empty() {
            return Ok(by_package);
        }
        // Joining an absolute path gives that path.
        for base in [cwd, workspace.root()] {
            let path = base.join(self.target);
            let found = if path.exists() { at_folder(workspace, &real(&path), cwd) } else { BTreeSet::new() };
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(self.unknown(workspace))
    }

    fn unknown_tag(&self, workspace: &Workspace) -> SelectError {
        let tags: BTreeSet<String> = workspace
            .databases()
            .flat_map(|database| &database.tags)
            .map(|tag| format!("tag:{tag}"))
            .collect();
        let suggestion = nearest(self.target, tags.iter().map(String::as_str)).map(str::to_owned);
        SelectError::Unknown { target: self.typed.to_owned(), suggestion, keys: tags.into_iter().collect() }
    }

    fn unknown(&self, workspace: &Workspace) -> SelectError {
        let mut names = BTreeSet::new();
        for database in workspace.databases() {
            names.insert(database.key.to_string());
            names.extend(database.is_named.then(|| database.name.to_string()));
            names.extend(database.tags.iter().map(|tag| format!("tag:{tag}")));
            if let Some(package) = &database.package {
                names.extend(package.name.clone());
                names.insert(shown(&package.shown));
            }
        }
        let suggestion = nearest(self.target, names.iter().map(String::as_str)).map(str::to_owned);
        SelectError::Unknown { target: self.typed.to_owned(), suggestion, keys: keys(workspace) }
    }
}
