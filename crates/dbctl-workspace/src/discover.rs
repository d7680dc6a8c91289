//! What a monorepo without a manifest says of its databases, and the manifest that says the same.

mod databases;
mod dialect;
mod home_grown;
mod render;
mod seeds;
mod urls;
mod walk;

use std::{
    io,
    path::{Path, PathBuf},
};

use dbctl_migration::{Dialect, FormatKind};

use self::home_grown::HomeGrown;
use crate::{Key, package};

/// A manifest for a folder, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The manifest's text; where no database was found it declares one to begin with.
    pub manifest: String,
    /// The keys of the databases in it.
    pub databases: Vec<String>,
    /// What was found, in the order of the manifest.
    pub findings: Vec<Finding>,
}

/// Something that was found, and how far it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How far.
    pub certainty: Certainty,
    /// What, in a line for people.
    pub text: String,
}

/// How far a finding can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The files say so.
    Sure,
    /// They suggest it; somebody should look.
    Guess,
    /// It is not in the manifest, and perhaps should be.
    PassedOver,
}

impl Certainty {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sure => "sure",
            Self::Guess => "guess",
            Self::PassedOver => "passed over",
        }
    }
}

/// Looks for migration folders, packages, seeds and URLs below a folder. Fails only where the folder itself cannot be
/// read. Nothing is run, and no password gets into the result.
pub fn discover(root: &Path) -> io::Result<Discovery> {
    let found = walk::walk(root)?;
    let mut findings = found.notes;
    let packages = databases::packages(root, &found.sources);
    let databases = databases::databases(root, packages, &mut findings);
    let name = package::name(root)
        .map(|name| databases::unscoped(&name).to_owned())
        .or_else(|| Some(root.file_name()?.to_str()?.to_owned()))
        .map(|name| name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned())
        .filter(|name| Key::parse(name).is_ok())
        .unwrap_or_else(|| "workspace".to_owned());
    if databases.is_empty() {
        findings.push(Finding::new(Certainty::Guess, "main: no migration folder was found to begin with"));
    }
    findings.sort_by_key(|finding| finding.certainty);
    let manifest = render::manifest(&name, &databases, root.join(".env").is_file());
    let mut keys: Vec<String> = databases.into_iter().map(|database| database.key).collect();
    if keys.is_empty() {
        keys.push("main".to_owned());
    }
    Ok(Discovery { manifest, databases: keys, findings })
}

/// A migration folder that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FoundSource {
    /// Relative to the root.
    folder: PathBuf,
    tool: Tool,
    /// Which kind of database it is for.
    dialect: Dialect,
}

/// Whose files a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tool {
    /// One of these, likeliest first.
    Known(Vec<FormatKind>),
    /// A runner of the project's own.
    HomeGrown(HomeGrown),
}

/// A database as it goes into the manifest; paths are relative to its package, as the manifest has them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FoundDatabase {
    key: String,
    /// Its name, and the variable that says so; none of a SQLite file.
    name: Option<(String, Option<String>)>,
    /// The URL of the SQLite file that it is, as far as one is known, and the variable that holds it.
    file: Option<(String, Option<String>)>,
    package: PathBuf,
    sources: Vec<FoundSource>,
    seeds: Option<seeds::FoundSeeds>,
    /// Keys, each with why.
    depends_on: Vec<(String, String)>,
    /// Variables that hold another database's URL.
    env: Vec<(String, String)>,
}

impl Finding {
    fn new(certainty: Certainty, text: impl Into<String>) -> Self {
        // A name may have any character, and a finding is one line.
        let text = text
            .into()
            .chars()
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .collect();
        Self { certainty, text }
    }
}

#[cfg(test)]
mod tests;
