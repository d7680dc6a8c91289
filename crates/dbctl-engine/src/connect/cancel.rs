//! Cancelling what runs on a connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_postgres::{
    CancelToken, NoTls,
    tls::{ChannelBinding, TlsConnect, TlsStream},
};

use super::{
    login::ask_for_tls,
    socket::{Place, Socket},
    tls::Connector,
};
use crate::libpq::SslNegotiation;

/// How long a request may take, the server's end of it included.
const LIMIT: Duration = Duration::from_secs(5);

/// Cancels what runs on a connection, over TLS where the connection has it.
#[derive(Clone)]
pub(crate) struct Canceller {
    token: CancelToken,
    /// The very address of the connection: another one of the name may lead to another server.
    place: Place,
    tls: Option<Connector>,
}

impl Canceller {
    pub(super) fn new(token: CancelToken, place: Place, tls: Option<Connector>) -> Self {
        Self { token, place, tls }
    }

    /// Asks the server to cancel the running statement; returns once the server has dealt with the request, so that it
    /// cannot hit a later statement. Takes five seconds at most.
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        timeout(LIMIT, self.request()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The process id that was sent at log-in to be cancelled by; a pooler sends one of its own. `None` where the driver
    /// keeps it otherwise than is known.
    pub(crate) async fn process_id(&self) -> Option<i32> {
        // The driver tells it to nobody but the server: in the request, after its length and PostgreSQL's number for it
        // (protocol manual, `CancelRequest`).
        let mut request = Vec::new();
        self.token.cancel_query_raw(Overheard(&mut request), Open).await.ok()?;
        request.get(8..12)?.try_into().ok().map(i32::from_be_bytes)
    }

    async fn request(&self) -> io::Result<()> {
        let mut socket = self.place.open().await?;
        let sent = match &self.tls {
            None => self.token.cancel_query_raw(until_closed(socket), NoTls).await,
            Some(connector) => {
                if connector.negotiation == SslNegotiation::Postgres && !ask_for_tls(&mut socket).await? {
                    return Err(io::Error::other("the server has no TLS any more"));
                }
                self.token.cancel_query_raw(until_closed(socket), connector.start()).await
            }
        };
        sent.map_err(io::Error::other)
    }
}

/// A stream that leads nowhere and remembers what was written.
struct Overheard<'a>(&'a mut Vec<u8>);

impl AsyncRead for Overheard<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Overheard<'_> {
    fn poll_write(self: Pin<&mut Self>, _context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Overheard<'_> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// What passes for TLS on a stream that leads nowhere.
struct Open;

impl<'a> TlsConnect<Overheard<'a>> for Open {
    type Stream = Overheard<'a>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Overheard<'a>>>;

    fn connect(self, stream: Overheard<'a>) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

fn until_closed(socket: Socket) -> Socket {
    Socket::new(UntilClosed { socket, shut: false })
}

/// A stream whose shutdown waits until the other side has closed, too: the server does so after it has sent the signal.
struct UntilClosed {
    socket: Socket,
    shut: bool,
}

impl AsyncRead for UntilClosed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for UntilClosed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            // A server that was faster has closed already, which is what is waited for.
            let _ = ready!(Pin::new(&mut self.socket).poll_shutdown(context));
            self.shut = true;
        }
        let mut bytes = [0; 256];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // The end, or a reset, which is an end as well.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
