//! A connection to PostgreSQL from libpq's settings: hosts in turn, TLS by `sslmode`, failures told apart.

use std::pin::Pin;

use futures::Stream;
use tokio_postgres::{AsyncMessage, Client};

use crate::{ConnectError, libpq::Settings};

/// What the server says besides answers to queries. Polling it drives the connection; it ends after its first error.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

/// A connection nobody drives yet: its owner polls `messages` together with its queries.
pub(crate) struct Connected {
    /// Sends queries.
    pub(crate) client: Client,
    /// Drives the connection.
    pub(crate) messages: Messages,
    /// Cancels what runs.
    pub(crate) canceller: Canceller,
}

/// Cancels what runs on a connection, over TLS where the connection has it.
#[derive(Clone)]
pub(crate) struct Canceller {}

impl Canceller {
    /// Asks the server to cancel the running statement; returns once the server has taken the request.
    pub(crate) async fn cancel(&self) -> std::io::Result<()> {
        unimplemented!()
    }
}

/// Connects to a database, trying the settings' hosts in turn.
pub(crate) async fn connect(
    settings: &Settings,
    database: &str,
    application_name: &str,
) -> Result<Connected, ConnectError> {
    unimplemented!("{settings:?} {database} {application_name}")
}
