//! Where a database lives.

use std::num::NonZeroUsize;

use secrecy::SecretString;

use crate::Span;

/// How to reach a database, with all `${…}` evaluated.
#[derive(Debug, Clone)]
pub struct Location {
    /// The way in.
    pub way: Way,
    /// URL of whoever creates and drops databases, where that is someone else.
    pub admin: Option<SecretString>,
    /// URL past a pooler, for everything that needs a session.
    pub direct: Option<SecretString>,
    /// The server as the manifest calls it; `None` where no server is declared for this database.
    pub server: Option<String>,
    /// The most connections that may be open on that server at once.
    pub max_connections: Option<NonZeroUsize>,
    /// What decided the way, for errors.
    pub declared: Span,
}

/// The way to a server.
#[derive(Debug, Clone)]
pub enum Way {
    /// A URL or a keyword string.
    Url(SecretString),
    /// libpq's own settings (`PGHOST`, `PGSERVICE`, …), as [`crate::Workspace::vars`] gives them.
    Libpq,
    /// The private server that dbctl starts itself.
    Embedded {
        /// The major version, where the manifest asks for one.
        postgres: Option<u32>,
    },
}
