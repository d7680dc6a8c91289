//! One host: its addresses in turn, with and without TLS as `sslmode` says, up to a session that is logged in.

use std::{io, net::SocketAddr, task::Poll, time::Duration};

use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::lookup_host,
    time::timeout,
};
use tokio_postgres::{
    Config, Connection, NoTls,
    config::{ChannelBinding as Binding, SslMode as DriverMode, SslNegotiation as DriverNegotiation},
};

use super::{
    Canceller, Connected, Messages,
    failure::{Who, unreachable},
    goes_on, role,
    socket::{Place, Socket},
    tls::{Connector, Tls},
};
use crate::{
    ConnectFailure, TlsProblem,
    libpq::{ChannelBinding, Host, Settings, SslMode, SslNegotiation, TargetSession},
};

/// The request for TLS: its length and PostgreSQL's number for it (protocol manual, `SSLRequest`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Who logs in, and where to.
pub(super) struct Login<'a> {
    pub(super) settings: &'a Settings,
    pub(super) database: &'a str,
    pub(super) application_name: &'a str,
    /// `None` where no host can need it.
    pub(super) tls: Option<&'a Tls>,
}

/// One host's address on the way to a session.
struct Door<'a> {
    login: &'a Login<'a>,
    host: &'a Host,
    place: Place,
    who: Who,
}

impl Login<'_> {
    /// Tries the host's addresses in turn.
    pub(super) async fn host(&self, host: &Host, target: TargetSession) -> Result<Connected, ConnectFailure> {
        let limit = self.settings.connect_timeout;
        let who = Who {
            server: host.server(),
            database: self.database.to_owned(),
            user: self.settings.user.clone(),
        };
        let places = within(limit, &who, self.places(host, &who)).await?;
        let mut last = unreachable(&who, "the name has no address");
        for place in places {
            let door = Door { login: self, host, place, who: who.clone() };
            match within(limit, &who, door.enter_as(target)).await {
                Err(failure) if goes_on(&failure) => last = failure,
                other => return other,
            }
        }
        Err(last)
    }

    async fn places(&self, host: &Host, who: &Who) -> Result<Vec<Place>, ConnectFailure> {
        let keepalives = self.settings.keepalives;
        match host {
            Host::Unix { folder, port } => Ok(vec![Place::Unix(folder.join(format!(".s.PGSQL.{port}")))]),
            Host::Tcp { address: Some(address), port, .. } => {
                Ok(vec![Place::Tcp(SocketAddr::new(*address, *port), keepalives)])
            }
            Host::Tcp { host, port, .. } => {
                let found =
                    lookup_host((host.clone(), *port)).await.map_err(|error| unreachable(who, error))?;
                let mut places: Vec<Place> = found.map(|address| Place::Tcp(address, keepalives)).collect();
                if self.settings.load_balance {
                    places.sort_by_cached_key(|_| uuid::Uuid::new_v4());
                }
                Ok(places)
            }
        }
    }
}

impl Door<'_> {
    async fn enter_as(&self, target: TargetSession) -> Result<Connected, ConnectFailure> {
        let connected = self.enter().await?;
        role::expect(connected, target, &self.who).await
    }

    /// With or without TLS, or one after the other (libpq's rules for `sslmode`).
    async fn enter(&self) -> Result<Connected, ConnectFailure> {
        let Some(connector) = self.connector()? else { return self.plain(self.open().await?).await };
        match self.login.settings.ssl_mode {
            SslMode::Disable => self.plain(self.open().await?).await,
            SslMode::Allow => {
                let first = self.plain(self.open().await?).await;
                self.or_else(first, self.encrypted(&connector)).await
            }
            SslMode::Prefer => {
                let first = self.encrypted(&connector).await;
                self.or_else(first, async { self.plain(self.open().await?).await }).await
            }
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => self.encrypted(&connector).await,
        }
    }

    /// The second way in, where the first failed over TLS or was refused by `pg_hba.conf`. Where both fail alike, the
    /// first failure is told.
    async fn or_else(
        &self,
        first: Result<Connected, ConnectFailure>,
        second: impl Future<Output = Result<Connected, ConnectFailure>>,
    ) -> Result<Connected, ConnectFailure> {
        let another_way = |failure: &ConnectFailure| match failure {
            ConnectFailure::Tls { .. } => true,
            ConnectFailure::Refused { code, .. } => code == "28000",
            ConnectFailure::Unreachable { .. }
            | ConnectFailure::WrongPassword { .. }
            | ConnectFailure::NoPassword { .. }
            | ConnectFailure::NoDatabase { .. }
            | ConnectFailure::NoFile { .. }
            | ConnectFailure::WrongRole { .. }
            | ConnectFailure::Protocol { .. } => false,
        };
        match first {
            Err(failure) if another_way(&failure) => {
                second.await.map_err(|second| if another_way(&second) { failure } else { second })
            }
            first => first,
        }
    }

    /// What starts TLS with this host; Unix sockets have none.
    fn connector(&self) -> Result<Option<Connector>, ConnectFailure> {
        match (self.login.tls, self.host) {
            (Some(tls), Host::Tcp { host, .. }) => tls.connector(host, &self.who).map(Some),
            (None, Host::Tcp { .. }) | (_, Host::Unix { .. }) => Ok(None),
        }
    }

    async fn open(&self) -> Result<Socket, ConnectFailure> {
        self.place.open().await.map_err(|error| unreachable(&self.who, error))
    }

    async fn plain(&self, socket: Socket) -> Result<Connected, ConnectFailure> {
        let logged_in = self.config(DriverMode::Disable).connect_raw(socket, NoTls).await;
        let (client, connection) = logged_in.map_err(|error| self.failure(error))?;
        let canceller = Canceller::new(client.cancel_token(), self.place.clone(), None);
        Ok(Connected { client, messages: messages(connection), canceller })
    }

    async fn encrypted(&self, connector: &Connector) -> Result<Connected, ConnectFailure> {
        let mut socket = self.open().await?;
        let offered = match self.login.settings.ssl_negotiation {
            SslNegotiation::Direct => true,
            SslNegotiation::Postgres => {
                ask_for_tls(&mut socket).await.map_err(|error| self.no_answer(error))?
            }
        };
        if !offered && self.login.settings.ssl_mode == SslMode::Prefer {
            return self.plain(socket).await;
        }
        if !offered {
            let reason = "the server has no TLS".to_owned();
            return Err(self.who.tls(reason, TlsProblem::NotOffered));
        }
        let logged_in = self.config(DriverMode::Require).connect_raw(socket, connector.start()).await;
        let (client, connection) = logged_in.map_err(|error| self.failure(error))?;
        let canceller = Canceller::new(client.cancel_token(), self.place.clone(), Some(connector.clone()));
        Ok(Connected { client, messages: messages(connection), canceller })
    }

    fn config(&self, mode: DriverMode) -> Config {
        let Login { settings, database, application_name, .. } = self.login;
        let mut config = Config::new();
        config.user(&settings.user).dbname(*database);
        if !application_name.is_empty() {
            config.application_name(*application_name);
        }
        // The request for TLS is ours, so the driver starts with the handshake.
        config.ssl_mode(mode).ssl_negotiation(DriverNegotiation::Direct);
        config.channel_binding(match settings.channel_binding {
            ChannelBinding::Disable => Binding::Disable,
            ChannelBinding::Prefer => Binding::Prefer,
            ChannelBinding::Require => Binding::Require,
        });
        if let Some(options) = &settings.options {
            config.options(options);
        }
        if let Some(password) = settings.password_for(self.host, database) {
            config.password(password.expose_secret());
        }
        config
    }

    fn failure(&self, error: tokio_postgres::Error) -> ConnectFailure {
        self.who.failure(&error, self.login.settings.ssl_root_cert.as_deref())
    }

    fn no_answer(&self, error: io::Error) -> ConnectFailure {
        match error.kind() {
            io::ErrorKind::InvalidData => {
                self.who.tls("the answer to the request for TLS is none".to_owned(), TlsProblem::Other)
            }
            _ => unreachable(&self.who, error),
        }
    }
}

/// Whether the server agrees to TLS.
pub(super) async fn ask_for_tls(socket: &mut Socket) -> io::Result<bool> {
    socket.write_all(&SSL_REQUEST).await?;
    socket.flush().await?;
    // One byte and no more: what follows belongs to the handshake.
    match socket.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn within<T>(
    limit: Option<Duration>,
    who: &Who,
    work: impl Future<Output = Result<T, ConnectFailure>>,
) -> Result<T, ConnectFailure> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(unreachable(who, format!("no answer within {} s", limit.as_secs())))),
    }
}

/// The connection as a stream. After an error the driver would yield the error for ever and keep queries waiting, so
/// the connection is dropped with the first.
fn messages<S, T>(connection: Connection<S, T>) -> Messages
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = Some(connection);
    Box::pin(futures::stream::poll_fn(move |context| {
        let Some(open) = &mut connection else { return Poll::Ready(None) };
        let polled = open.poll_message(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            connection = None;
        }
        polled
    }))
}
