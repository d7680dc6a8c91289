//! A pool of connections for applications, on deadpool, each connected as dbctl connects: by all of libpq's conventions.

use std::{
    error::Error as _,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use deadpool_postgres::{Client, Transaction, tokio_postgres as postgres};
use deadpool_postgres::{
    Connect, Manager, ManagerConfig, PoolError as Deadpool, RecyclingMethod, Runtime, TimeoutType,
    tokio_postgres::{self, Config, error::SqlState},
};
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::task::JoinHandle;

use crate::{
    ConnectError, PgVars,
    connect::{Connected, connect},
    libpq::{self, ConnInfoError, Settings},
};

/// How many connections a pool has where nobody says otherwise.
pub const DEFAULT_SIZE: usize = 10;

/// What a pool is made of. `Debug` shows no URL.
#[derive(Clone)]
pub struct PoolConfig {
    url: SecretString,
    vars: PgVars,
    size: usize,
    wait: Option<Duration>,
    application_name: String,
}

impl PoolConfig {
    /// A pool of [`DEFAULT_SIZE`] connections to what a URL or a keyword string names, in libpq's notation.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            vars: PgVars::default(),
            size: DEFAULT_SIZE,
            wait: None,
            application_name: String::new(),
        }
    }

    /// The `PG*` variables that fill what the URL leaves out.
    #[must_use]
    pub fn vars(self, vars: PgVars) -> Self {
        Self { vars, ..self }
    }

    /// The most connections that are open at once, at least one.
    #[must_use]
    pub fn size(self, size: usize) -> Self {
        Self { size: size.max(1), ..self }
    }

    /// How long [`Pool::get`] waits for a connection that others use; for ever where nobody says otherwise.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// What the server calls the connections, unless the URL says it.
    #[must_use]
    pub fn application_name(self, name: impl Into<String>) -> Self {
        Self { application_name: name.into(), ..self }
    }

    /// The URL, with its password.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// What fills what the URL leaves out.
    pub fn pg_vars(&self) -> &PgVars {
        &self.vars
    }
}

impl fmt::Debug for PoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, vars, size, wait, application_name } = self;
        f.debug_struct("PoolConfig")
            .field("vars", vars)
            .field("size", size)
            .field("wait", wait)
            .field("application_name", application_name)
            .finish_non_exhaustive()
    }
}

/// Connections to one database; a clone is another handle of the same.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    config: PoolConfig,
    failure: Failure,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why there is no connection, or why a transaction came to nothing.
#[derive(Debug, Error)]
pub enum PoolError {
    /// The URL or a variable cannot be understood.
    #[error("{}", .0.message)]
    Config(ConnInfoError),
    /// No connection could be made.
    #[error(transparent)]
    Connect(#[from] Box<ConnectError>),
    /// All connections are in use, and none came back in time.
    #[error("no connection came back to the pool in time: all {size} are in use")]
    Busy {
        /// The most there may be.
        size: usize,
    },
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// The server refused a statement, or the connection was lost.
    #[error("{}", of_postgres(.0))]
    Postgres(#[from] tokio_postgres::Error),
}

fn of_postgres(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refused) => format!("{} ({})", refused.message(), refused.code().code()),
        None => error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
    }
}

impl PoolError {
    /// PostgreSQL's five characters, where the server said them.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) => error.code().map(SqlState::code),
            Self::Config(_) | Self::Connect(_) | Self::Busy { .. } | Self::Closed => None,
        }
    }
}

impl Pool {
    /// Makes a pool; connects when somebody wants a connection. Errors: what cannot be understood of the URL.
    pub fn new(config: PoolConfig) -> Result<Self, PoolError> {
        let settings =
            libpq::settings(config.url.expose_secret(), &config.vars).map_err(PoolError::Config)?;
        let failure = Failure::default();
        let connector = Connector {
            database: settings.database.clone().unwrap_or_else(|| settings.user.clone()),
            settings,
            application_name: config.application_name.clone(),
            failure: failure.clone(),
        };
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(Config::new(), connector, recycling);
        let builder = deadpool_postgres::Pool::builder(manager)
            .max_size(config.size)
            .wait_timeout(config.wait)
            .runtime(Runtime::Tokio1);
        let inner = builder.build().expect("the runtime that timeouts need is given");
        Ok(Self { inner, config, failure })
    }

    /// A connection, which comes back to the pool when it is dropped.
    pub async fn get(&self) -> Result<Client, PoolError> {
        self.inner.get().await.map_err(|error| match error {
            Deadpool::Timeout(TimeoutType::Wait | TimeoutType::Create | TimeoutType::Recycle) => {
                PoolError::Busy { size: self.config.size }
            }
            Deadpool::Backend(error) => match self.failure.take() {
                Some(failure) => PoolError::Connect(failure),
                None => PoolError::Postgres(error),
            },
            Deadpool::Closed => PoolError::Closed,
            Deadpool::NoRuntimeSpecified | Deadpool::PostCreateHook(_) => PoolError::Closed,
        })
    }

    /// Sees that the database answers.
    pub async fn check(&self) -> Result<(), PoolError> {
        self.get().await?.simple_query("").await?;
        Ok(())
    }

    /// Closes the pool: connections that are in use end when they come back, and no more are given out.
    pub fn close(&self) {
        self.inner.close();
    }

    /// What it was made of.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// How many connections are open, and how many of those nobody uses.
    pub fn open_and_idle(&self) -> (usize, usize) {
        let status = self.inner.status();
        (status.size, status.available)
    }
}

/// Why the last connection could not be made, in full: the driver's own errors cannot be made by others.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<Box<ConnectError>>>>);

impl Failure {
    fn put(&self, error: ConnectError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(error));
    }

    fn take(&self) -> Option<Box<ConnectError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Connector {
    settings: Settings,
    database: String,
    application_name: String,
    failure: Failure,
}

type Connection = Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connect for Connector {
    fn connect(&self, _config: &Config) -> Pin<Box<dyn Future<Output = Connection> + Send + '_>> {
        Box::pin(async {
            match connect(&self.settings, &self.database, &self.application_name).await {
                Ok(Connected { client, mut messages, .. }) => {
                    // It ends with the connection.
                    let driver = tokio::spawn(async move { while messages.next().await.is_some() {} });
                    Ok((client, driver))
                }
                Err(error) => {
                    self.failure.put(error);
                    Err(some_error())
                }
            }
        })
    }
}

/// An error of the driver's, in place of which [`Failure`] is told.
fn some_error() -> tokio_postgres::Error {
    match "port=none".parse::<Config>() {
        Err(error) => error,
        Ok(_) => unreachable!("a port is a number"),
    }
}

/// How a transaction is begun, and how often one that lost against another is run again.
#[derive(Debug, Clone, Copy, Default)]
pub struct TransactionOptions {
    /// Isolated from all others as if it ran alone.
    pub serializable: bool,
    /// It cannot write.
    pub read_only: bool,
    /// How often it is run again after a serialization failure (40001) or a deadlock (40P01).
    pub retries: u32,
}

/// Runs work in a transaction: commits if it returns `Ok`, rolls back if it returns `Err` or panics.
pub async fn with_transaction<T, E, F>(pool: &Pool, work: F) -> Result<T, E>
where
    F: AsyncFnOnce(&Transaction<'_>) -> Result<T, E>,
    E: From<PoolError>,
{
    once(pool, TransactionOptions::default(), work).await
}

/// As [`with_transaction`], with options; work that may be run again must not do anything but its statements.
pub async fn with_transaction_as<T, E, F>(
    pool: &Pool,
    options: TransactionOptions,
    mut work: F,
) -> Result<T, E>
where
    F: AsyncFnMut(&Transaction<'_>) -> Result<T, E>,
    E: From<PoolError> + std::error::Error + 'static,
{
    let mut attempt = 0;
    loop {
        match once(pool, options, &mut work).await {
            Err(error) if attempt < options.retries && lost_against_another(&error) => attempt += 1,
            done => return done,
        }
    }
}

async fn once<T, E, F>(pool: &Pool, options: TransactionOptions, work: F) -> Result<T, E>
where
    F: AsyncFnOnce(&Transaction<'_>) -> Result<T, E>,
    E: From<PoolError>,
{
    let mut client = pool.get().await?;
    let mut builder = client.build_transaction().read_only(options.read_only);
    if options.serializable {
        builder = builder.isolation_level(tokio_postgres::IsolationLevel::Serializable);
    }
    let transaction = builder.start().await.map_err(PoolError::from)?;
    match work(&transaction).await {
        Ok(done) => {
            transaction.commit().await.map_err(PoolError::from)?;
            Ok(done)
        }
        Err(error) => {
            // Where this fails the connection is gone, and the transaction with it; why it was to be undone matters.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

/// Whether the driver says so anywhere below an error.
fn lost_against_another(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let driver = match error.downcast_ref::<PoolError>() {
            Some(PoolError::Postgres(error)) => Some(error),
            Some(_) | None => error.downcast_ref::<tokio_postgres::Error>(),
        };
        let codes = [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED];
        if driver.and_then(|error| error.code()).is_some_and(|code| codes.contains(&code)) {
            return true;
        }
        next = error.source();
    }
    false
}
