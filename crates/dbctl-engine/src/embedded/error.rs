//! Why there is no embedded server, and what helps.

use std::path::PathBuf;

use thiserror::Error;

/// Why there is no embedded server.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// Not written yet.
    #[error("the embedded server of {} is not there yet", .0.display())]
    Placeholder(PathBuf),
}

impl EmbeddedError {
    /// What helps, where something does.
    pub fn hint(&self) -> Option<String> {
        None
    }
}
