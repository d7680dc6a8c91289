//! Where a database is and how to reach it, as the runner hands it to an engine.

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, path::PathBuf, sync::Arc};

use dbctl_migration::{DatabaseName, Dialect};
use secrecy::SecretString;

use crate::embedded::EmbeddedSpec;

/// One database with everything an engine needs to reach and to make it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The manifest's key, for messages.
    pub key: String,
    /// The database.
    pub name: DatabaseName,
    /// How to reach it.
    pub endpoint: Endpoint,
    /// Who creates and drops databases, where that is not `endpoint`'s user.
    pub admin: Option<Endpoint>,
    /// A way past the pooler that `endpoint` leads to.
    pub direct: Option<Endpoint>,
    /// Whether `endpoint` leads to a pooler that gives a session for one transaction only. A way past it is taken first.
    pub pooled: bool,
    /// Where these settings come from, in words, for errors of connecting: never what they hold.
    pub origin: Option<String>,
    /// Role that is to own the database.
    pub owner: Option<String>,
    /// Extensions to install when it is created, in order.
    pub extensions: Vec<String>,
    /// The `schema` of its URL, which is no setting of a connection, but where Prisma works.
    pub schema: Option<String>,
    /// Session settings that migrations and seeds may rely on.
    pub settings: BTreeMap<String, String>,
    /// Which databases share a server and so its cap: the server's key, or the host a URL names.
    pub server: String,
    /// The most connections dbctl opens to that server at once.
    pub max_connections: NonZeroUsize,
}

impl Target {
    /// Whose SQL the database speaks.
    pub fn dialect(&self) -> Dialect {
        match self.endpoint {
            Endpoint::ConnInfo { .. } | Endpoint::Variables(_) | Endpoint::Embedded(_) => Dialect::Postgres,
            Endpoint::Sqlite(_) => Dialect::Sqlite,
        }
    }
}

/// A way to a server.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A URL or keyword string, with the `PG*` variables that fill what it leaves out.
    ConnInfo {
        /// As libpq reads it; may hold a password.
        text: SecretString,
        /// What fills the gaps.
        vars: PgVars,
    },
    /// The `PG*` variables alone.
    Variables(PgVars),
    /// The private server that dbctl starts on demand.
    Embedded(EmbeddedSpec),
    /// A file of SQLite's.
    Sqlite(PathBuf),
}

/// The variables libpq reads (`PG*`, and `HOME`, `APPDATA`, `USER` for its default files and user). They may hold
/// passwords: `Debug` shows names only.
#[derive(Clone, Default)]
pub struct PgVars(Arc<BTreeMap<String, String>>);

impl PgVars {
    /// Keeps what libpq reads and drops the rest.
    pub fn from_vars<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let wanted = |name: &str| name.starts_with("PG") || matches!(name, "HOME" | "APPDATA" | "USER");
        Self(Arc::new(
            vars.into_iter()
                .filter(|(name, _)| wanted(name))
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect(),
        ))
    }

    /// A variable's value; one that is set to nothing counts as unset, as in libpq.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for PgVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
