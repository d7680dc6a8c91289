//! Migrations inside an application: the engine of the command `dbctl` as a library.
//!
//! [`migrations!`] embeds a migration folder of any format that dbctl knows when the application is compiled, and
//! [`migrate`] applies what is pending when it starts: under the same locks, into the same history tables and with the
//! same errors as `dbctl migrate`, so that the application, the command and the tool whose folder it is can take turns.
//!
//! ```no_run
//! use dbctl::{Migrations, PoolConfig, PoolError, migrate, migrations, pool, with_transaction};
//!
//! static MIGRATIONS: Migrations = migrations!("tests/app/migrations");
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = pool(PoolConfig::new(std::env::var("DATABASE_URL")?))?;
//!     migrate(&pool, &MIGRATIONS).await?;
//!     with_transaction(&pool, async |tx| -> Result<(), PoolError> {
//!         tx.execute("insert into users values ($1, $2)", &[&1, &"Ada"]).await?;
//!         Ok(())
//!     })
//!     .await?;
//!     pool.close();
//!     Ok(())
//! }
//! ```
//!
//! # SQLite
//!
//! A URL such as `sqlite:data/app.db` is a file, from the folder the application runs in, and [`Migrator::create`] makes it
//! where there is none:
//!
//! ```
//! use dbctl::{Migrations, Migrator, migrations};
//!
//! static MIGRATIONS: Migrations = migrations!("tests/app/notes");
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let folder = tempfile::tempdir()?;
//! let url = format!("sqlite:{}", folder.path().join("app.db").display());
//! let report = Migrator::new(&url, &MIGRATIONS).create().migrate().await?;
//! assert_eq!(report.migrations, ["20260101000000_notes"]);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Many instances
//!
//! Instances that start at once wait for each other: one applies what is pending, the others then find nothing to do.
//! How long they wait is [`Migrator::wait`].
//!
//! # When the folder changes
//!
//! The compiler sees that an embedded file has changed. So that it also sees new files, let the package have a
//! `build.rs` that says `println!("cargo:rerun-if-changed=migrations");`.
//!
//! # Features
//!
//! - `sqlite` (on): databases that are a file of SQLite's, which is built in.
//! - `pool` (on): [`Pool`] and [`with_transaction`], on deadpool-postgres.
//! - `sqlite` (on): databases that are files of SQLite's, which is compiled with the application.
//! - `tracing`: a span for each run and in it one for each migration.
//!
//! Without the default features it is 126 crates, itself among them: `cargo tree -p dbctl --no-default-features -e normal`.

mod error;
mod migrations;
mod migrator;
#[cfg(feature = "pool")]
mod pool;
#[cfg(feature = "tracing")]
mod trace;
mod workspace;

#[cfg(feature = "pool")]
pub use dbctl_engine::pool::postgres;
/// Embeds a migration folder into the program: a constant of the type [`Migrations`].
///
/// The path is relative to the package's `Cargo.toml`. Settings follow it: `format` where the files do not tell it,
/// those that a source in the manifest has for its format (`table`, `schema`, …), and `name`, which is what dbctl's
/// history calls the folder; the path where it is not given. Where the command migrates the database, too, it has to be
/// the manifest's path from the package.
///
/// ```
/// use dbctl::{Migrations, migrations};
///
/// static MIGRATIONS: Migrations = migrations!("tests/app/migrations");
/// static THE_SAME_FOR_SQLX: Migrations = migrations!("tests/app/migrations", format = "sqlx", table = "done");
/// ```
///
/// A folder that is not there, that no format fits, or in which a file is invalid is an error of compilation:
///
/// ```compile_fail
/// static MIGRATIONS: dbctl::Migrations = dbctl::migrations!("tests/no/such/folder");
/// ```
///
/// ```compile_fail
/// static MIGRATIONS: dbctl::Migrations = dbctl::migrations!("tests/app/migrations", format = "liquibase");
/// ```
pub use dbctl_macros::migrations;
pub use dbctl_migration::Back;
pub use dbctl_runner::{Direction, Event, MigrationRef, StatusEntry};

#[cfg(feature = "pool")]
pub use self::pool::{
    Client, Pool, PoolConfig, PoolError, Transaction, TransactionOptions, pool, with_transaction,
    with_transaction_as,
};
pub use self::{
    error::Error,
    migrations::Migrations,
    migrator::{Database, Migrator, Report, Status, migrate, rollback, status},
    workspace::{Copy, Workspace},
};

/// The variables of this process that are text.
fn process_env() -> dbctl_workspace::Env {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    dbctl_workspace::Env::new(std::env::vars_os().filter_map(text))
}
