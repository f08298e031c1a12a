//! Connections of processors: TCP, then mutual TLS with the certificates of the day.
//!
//! Handshakes run beside each other, so many at once and each so long at most: who does not finish holds up nobody.

use super::certificate::{self, Identity, Peer};
use futures_util::Stream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tracing::{error, info, warn};

const HANDSHAKE: Duration = Duration::from_secs(5);
const HANDSHAKES: usize = 256;
/// After a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection of a processor that has shown a certificate of ours.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

/// Takes connections.
pub(super) struct Door {
    listener: TcpListener,
    identity: watch::Receiver<Identity>,
    /// `None` until there is an identity of use.
    acceptor: Option<TlsAcceptor>,
    handshakes: JoinSet<Option<Connection>>,
}

impl Door {
    pub(super) fn new(listener: TcpListener, mut identity: watch::Receiver<Identity>) -> Self {
        // Read at the first connection.
        identity.mark_changed();
        Self {
            listener,
            identity,
            acceptor: None,
            handshakes: JoinSet::new(),
        }
    }

    /// Until dropped.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> {
        futures_util::stream::unfold(self, |mut door| async move {
            let connection = door.next().await;
            Some((Ok(connection), door))
        })
    }

    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES => match accepted {
                    Ok((stream, from)) => self.greet(stream, from),
                    Err(error) => {
                        warn!(%error, "Cannot accept a connection from a processor.");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
            }
        }
    }

    fn greet(&mut self, stream: TcpStream, from: SocketAddr) {
        if self.identity.has_changed().unwrap_or(false) {
            self.renew();
        }
        let Some(acceptor) = self.acceptor.clone() else {
            return;
        };
        self.handshakes.spawn(async move {
            // Without it, small messages wait for each other; nothing else hangs on it.
            let _ = stream.set_nodelay(true);
            let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    info!(%from, %error, "A connection to the registry is refused.");
                    return None;
                }
                Err(_) => {
                    info!(%from, "A connection to the registry did not finish its handshake.");
                    return None;
                }
            };
            let peer = Peer::new(stream.get_ref().1.peer_certificates().unwrap_or_default());
            Some(Connection { stream, peer })
        });
    }

    /// Takes the newest identity; one that is of no use leaves the last in force.
    fn renew(&mut self) {
        match certificate::acceptor(&self.identity.borrow_and_update()) {
            Ok(acceptor) => self.acceptor = Some(acceptor),
            Err(error) => error!(%error, "The registry's certificate is of no use."),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
