//! Workspaces in temporary folders, and reports as text.

use std::{fs, path::PathBuf};

use dbctl_migration::FormatKind;
use dbctl_workspace::{Env, Key, LoadOptions, ManifestErrors, Workspace, load};
use tempfile::TempDir;

/// A workspace on disk with the environment it is loaded in.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    env: Vec<(String, String)>,
    environment: Option<String>,
}

impl Site {
    pub(crate) fn new(manifest: &str) -> Self {
        let site = Self { folder: TempDir::new().unwrap(), env: Vec::new(), environment: None };
        site.file("workspace.yaml", manifest)
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        self.bytes(path, text.as_bytes())
    }

    pub(crate) fn bytes(self, path: &str, bytes: &[u8]) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn environment(mut self, name: &str) -> Self {
        self.environment = Some(name.to_owned());
        self
    }

    /// Without links: temporary folders may be behind one.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let root = self.folder.path().canonicalize().unwrap();
        if path.is_empty() { root } else { root.join(path) }
    }

    pub(crate) fn load(&self) -> Result<Workspace, ManifestErrors> {
        load(&LoadOptions {
            manifest: self.path("workspace.yaml"),
            env: Env::new(self.env.clone()),
            environment: self.environment.clone(),
        })
    }

    pub(crate) fn workspace(&self) -> Workspace {
        self.load().unwrap_or_else(|errors| panic!("{}", report(&errors)))
    }

    /// What is wrong with it.
    pub(crate) fn report(&self) -> String {
        report(&self.load().expect_err("something is wrong with it"))
    }
}

/// What is wrong for whoever needs these databases of a manifest that is valid.
pub(crate) fn wrong_if_needed(workspace: &Workspace, keys: &[&str]) -> String {
    let keys: Vec<Key> = keys.iter().map(|text| key(text)).collect();
    workspace.check(&keys).as_ref().map_or_else(report, |()| String::new())
}

/// What is wrong with a manifest, without any other file.
pub(crate) fn wrong(manifest: &str) -> String {
    Site::new(manifest).report()
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// Message, place, line with carets and hint of each problem; `[FORMATS]` are all that there are.
pub(crate) fn report(errors: &ManifestErrors) -> String {
    shown(errors).replace(&FormatKind::names().join(", "), "[FORMATS]")
}

fn shown(errors: &ManifestErrors) -> String {
    let mut out = String::new();
    for problem in &errors.problems {
        let Some(span) = &problem.span else {
            out += &format!("{}\n", problem.message);
            out.extend(problem.hint.iter().map(|hint| format!("  = {hint}\n")));
            continue;
        };
        out += &format!("{}:{} {}\n", problem.line, problem.column, problem.message);
        let line = errors.source.lines().nth(problem.line - 1).unwrap_or_default();
        let carets = errors.source[span.clone()].chars().count().max(1);
        // Where a password before it is shown shorter or longer than it is, that is not its column.
        let before = &errors.source[..span.start];
        let blanks = before[before.rfind('\n').map_or(0, |at| at + 1)..].chars().count();
        out += &format!("  | {line}\n  | {}{}\n", " ".repeat(blanks), "^".repeat(carets));
        out.extend(problem.hint.iter().map(|hint| format!("  = {hint}\n")));
    }
    out
}
