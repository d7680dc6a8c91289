//! What dbctl asks of a database server, and who answers: PostgreSQL, the embedded server, the fake.
//!
//! Rights are in the types: a [`Reader`] cannot write, a [`Writer`] holds the database's lock for as long as it lives.

// The tests' shared files name the crate as every other test does.
#[cfg(test)]
extern crate self as dbctl_engine;

mod atomic;
pub mod clean;
mod connect;
mod csv;
pub mod embedded;
mod engine;
mod error;
pub mod fake;
mod layout;
pub mod libpq;
mod meta_command;
mod note;
mod passwd;
#[cfg(feature = "pool")]
pub mod pool;
mod postgres;
mod records;
mod servers;
mod shown;
#[cfg(feature = "sqlite")]
mod sqlite;
mod target;

pub use atomic::{Atomic, Decision, Gid, Part, Prepared, TwoPhase};
pub use engine::{
    Access, Applier, BELONGINGS, Creation, Engine, Identity, LockHolder, Note, Notice, Observer, Reader,
    Resume, SeedWork, Session, Severity, SourceRef, Writer,
};
pub use error::{
    ConnectError, ConnectFailure, EngineError, Mark, SqlError, SqlLocation, TlsProblem, rewritten,
};
pub use meta_command::split_hint;
pub use postgres::Postgres;
pub use servers::Servers;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
pub use target::{Endpoint, PgVars, Target};
