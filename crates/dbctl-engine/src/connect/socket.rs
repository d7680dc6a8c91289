//! The byte stream under a connection.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::libpq::Keepalives;

/// A TCP or Unix stream. A type of its own rather than a boxed trait object: the driver's futures are generic over it,
/// and over a trait object the compiler does not see that they are `Send`.
pub(super) struct Socket(Pin<Box<dyn Stream>>);

impl Socket {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().0.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.as_mut().poll_shutdown(cx)
    }
}

/// What a connection runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One address.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Tcp(SocketAddr, Keepalives),
    Unix(PathBuf),
}

impl Place {
    /// Opens a stream; the caller bounds the time.
    pub(super) async fn open(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(address, keepalives) => {
                let stream = TcpStream::connect(*address).await?;
                stream.set_nodelay(true)?;
                keep_alive(&stream, keepalives)?;
                Ok(Socket::new(stream))
            }
            Self::Unix(path) => open_unix(path).await,
        }
    }
}

fn keep_alive(stream: &TcpStream, keepalives: &Keepalives) -> io::Result<()> {
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    if let Some(timeout) = keepalives.user_timeout {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    if !keepalives.enabled {
        return Ok(());
    }
    socket.set_keepalive(true)?;
    let mut wanted = TcpKeepalive::new();
    if let Some(idle) = keepalives.idle {
        wanted = wanted.with_time(idle);
    }
    if let Some(interval) = keepalives.interval {
        wanted = wanted.with_interval(interval);
    }
    if let Some(count) = keepalives.count {
        wanted = wanted.with_retries(count);
    }
    socket.set_tcp_keepalive(&wanted)
}

#[cfg(unix)]
async fn open_unix(path: &std::path::Path) -> io::Result<Socket> {
    Ok(Socket::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn open_unix(_path: &std::path::Path) -> io::Result<Socket> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets here"))
}
