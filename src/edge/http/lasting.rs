//! One exchange on a connection of its own, for an answer that says little and lasts for hours: an event stream.
//!
//! hyper keeps 25 KiB for each connection: a buffer for each direction and room for 32 requests. Here what comes is read
//! into a buffer on the stack, so that nothing is held while nothing is said. The price is a connection that nobody uses
//! twice: ordinary calls are for the pools of `wire`.

mod framing;
mod head;

use bytes::Bytes;
use framing::Framing;
use head::{Head, Reader};
use http::{HeaderMap, Request};
use hyper::rt::{Read, ReadBuf, Write};
use hyper_rustls::MaybeHttpsStream;
use std::fmt::{Debug, Formatter};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};

/// Bytes taken at once, on the stack.
const PIECE: usize = 8 << 10;

/// A connection as the connector hands it over.
pub(super) type Connected = MaybeHttpsStream<hyper_util::rt::TokioIo<tokio::net::TcpStream>>;

/// The body of an answer, and its connection. Dropped, the connection is closed.
pub(super) struct Lasting {
    connection: Connection,
    framing: Framing,
    /// What came together with the head.
    first: Vec<u8>,
}

/// Why there is no (complete) answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LastingError {
    /// Of the connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It ended too early.
    #[error("it ended before the answer did")]
    Ended,
    /// The head of the answer.
    #[error(transparent)]
    Head(#[from] head::HeadError),
    /// The framing of its body.
    #[error(transparent)]
    Framing(#[from] framing::FramingError),
}

/// Sends `request` and waits for the head of the answer: its status, its headers, and what follows.
///
/// # Errors
/// See [`LastingError`]. An answer of any status is no error.
pub(super) async fn exchange(
    connected: Connected,
    request: &Request<Bytes>,
) -> Result<(u16, HeaderMap, Lasting), LastingError> {
    let mut connection = Connection::new(connected);
    connection.send(&head::request(request)).await?;
    let mut reader = Reader::default();
    let Head {
        status,
        headers,
        framing,
    } = loop {
        let head = connection
            .read(|wire| (!wire.is_empty()).then(|| reader.feed(wire)))
            .await?;
        if let Some(head) = head.ok_or(LastingError::Ended)?? {
            break head;
        }
    };
    let mut body = Lasting {
        connection,
        framing,
        first: Vec::new(),
    };
    body.first = body.framing.feed(reader.rest())?;
    Ok((status, headers, body))
}

impl Lasting {
    /// Whether the head said that there is no body.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.framing.is_done()
    }

    /// The next piece of the body; `None` at its end. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// See [`LastingError`].
    pub(super) async fn chunk(&mut self) -> Option<Result<Bytes, LastingError>> {
        if !self.first.is_empty() {
            return Some(Ok(std::mem::take(&mut self.first).into()));
        }
        while !self.framing.is_done() {
            let framing = &mut self.framing;
            let piece = self.connection.read(|wire| match wire {
                [] => framing.closed().map(|()| None),
                wire => framing.feed(wire).map(Some),
            });
            match piece.await {
                Ok(Ok(Some(piece))) if piece.is_empty() => {}
                Ok(Ok(Some(piece))) => return Some(Ok(piece.into())),
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => return Some(Err(error.into())),
                Err(error) => return Some(Err(error.into())),
            }
        }
        None
    }
}

impl Debug for Lasting {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Lasting")
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

/// TCP, or TLS on it.
struct Connection(Pin<Box<dyn Duplex>>);

trait Duplex: Read + Write + Send + Sync {}

impl<T: Read + Write + Send + Sync> Duplex for T {}

impl Connection {
    fn new(connected: Connected) -> Self {
        // Apart: TLS is ten times as large.
        match connected {
            MaybeHttpsStream::Http(tcp) => Self(Box::pin(tcp)),
            MaybeHttpsStream::Https(tls) => Self(Box::pin(tls)),
        }
    }

    async fn send(&mut self, mut wire: &[u8]) -> io::Result<()> {
        poll_fn(|context| {
            while !wire.is_empty() {
                let written = ready!(self.0.as_mut().poll_write(context, wire))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                wire = wire.get(written..).unwrap_or_default();
            }
            self.0.as_mut().poll_flush(context)
        })
        .await
    }

    /// Hands what comes next to `take`, nothing at the end of the connection.
    async fn read<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        poll_fn(|context| {
            let mut room = [MaybeUninit::uninit(); PIECE];
            let mut buffer = ReadBuf::uninit(&mut room);
            ready!(self.0.as_mut().poll_read(context, buffer.unfilled()))?;
            Poll::Ready(Ok(take(buffer.filled())))
        })
        .await
    }
}
