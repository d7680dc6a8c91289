//! Directives: comments at the top of a file that speak to dbctl, in every format.

use std::time::Duration;

use thiserror::Error;

/// What the `-- dbctl:` comments at the top of a file ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// `-- dbctl:no-transaction`: run outside a transaction, statement by statement.
    pub no_transaction: bool,
    /// `-- dbctl:lock-timeout 2s`: instead of the default.
    pub lock_timeout: Option<Duration>,
    /// `-- dbctl:requires core@20260101120000`: applied there before this runs.
    pub requires: Vec<Requirement>,
}

/// A migration of another database that has to be applied first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The other database's key.
    pub database: String,
    /// The version or name that has to be applied there.
    pub version: String,
    /// The line of the directive, from 1.
    pub line: usize,
}

/// A `-- dbctl:` comment that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct DirectiveError {
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Directives {
    /// Reads the directives among the leading comments of a file; the first line that is neither blank nor a `--`
    /// comment ends them. An unknown directive is an error with a suggestion.
    pub fn parse(text: &str) -> Result<Self, DirectiveError> {
        unimplemented!("{text}")
    }
}
