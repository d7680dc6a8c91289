//! Finding and reading the manifest.

use std::path::{Path, PathBuf};

use crate::{Env, ManifestErrors, Workspace};

/// What to read, and what it may depend on.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The manifest.
    pub manifest: PathBuf,
    /// The process environment.
    pub env: Env,
    /// `--env`.
    pub environment: Option<String>,
}

/// Looks for `workspace.yaml` (or `workspace.yml`) in a folder and upwards.
pub fn find_manifest(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .flat_map(|folder| ["workspace.yaml", "workspace.yml"].map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// Reads and checks a manifest; all that is wrong with it is reported together.
pub fn load(options: &LoadOptions) -> Result<Workspace, ManifestErrors> {
    unimplemented!("{options:?}")
}
