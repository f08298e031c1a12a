//! A queue of messages on their way to one reader, bounded in bytes. The writer never waits: one reader that is slow
//! must not hold up the others of its session.

use super::super::{HttpError, Response};
use crate::engine::sse::{self, SseEvent};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// What a message counts for besides its own bytes.
const OVERHEAD: usize = 4 << 10;

/// What may come.
#[derive(Debug)]
pub(super) enum Piece {
    /// More follows.
    Message(Bytes),
    /// The response: nothing follows.
    Last(Bytes),
    /// The POST was answered so: nothing follows.
    Refused(Box<Response>),
    /// Nothing follows.
    Failed(HttpError),
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Inlet {
    sender: mpsc::UnboundedSender<Piece>,
    queued: Arc<AtomicUsize>,
    limit: usize,
}

/// The reader's end.
#[derive(Debug)]
pub(in crate::edge::http) struct Outlet {
    receiver: mpsc::UnboundedReceiver<Piece>,
    queued: Arc<AtomicUsize>,
    /// Ends only when nobody reads any more.
    connection: Option<super::Connection>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The reader is too slow.
    Full,
    /// The reader is gone.
    Closed,
}

/// A queue that holds `limit` bytes; one message always fits.
pub(super) fn pipe(limit: usize) -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let inlet = Inlet {
        sender,
        queued: Arc::clone(&queued),
        limit,
    };
    let outlet = Outlet {
        receiver,
        queued,
        connection: None,
    };
    (inlet, outlet)
}

impl Piece {
    fn weight(&self) -> usize {
        match self {
            Self::Message(bytes) | Self::Last(bytes) => bytes.len() + OVERHEAD,
            Self::Refused(_) | Self::Failed(_) => 0,
        }
    }
}

impl Inlet {
    /// Adds a piece.
    ///
    /// # Errors
    /// See [`Stuck`].
    pub(super) fn push(&self, piece: Piece) -> Result<(), Stuck> {
        let weight = piece.weight();
        let queued = self.queued.load(Ordering::Relaxed);
        if queued > 0 && queued + weight > self.limit {
            return Err(Stuck::Full);
        }
        self.queued.fetch_add(weight, Ordering::Relaxed);
        self.sender.send(piece).map_err(|_| Stuck::Closed)
    }

    /// `data` can be queued without going beyond `limit` bytes.
    pub(super) fn fits(&self, data: &Bytes, limit: usize) -> bool {
        self.queued.load(Ordering::Relaxed) + data.len() + OVERHEAD <= limit
    }

    /// Nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Outlet {
    /// As long as somebody reads, this connection stays.
    pub(super) fn holding(mut self, connection: super::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The next piece; a queue that is given up is a connection that broke off.
    pub(super) async fn next(&mut self) -> Piece {
        match self.receiver.recv().await {
            Some(piece) => self.taken(piece),
            None => Piece::Failed(HttpError::BrokenOff("its event stream ended".to_owned())),
        }
    }

    /// The oldest piece that waits, if there is one.
    pub(super) fn waiting(&mut self) -> Option<Piece> {
        let piece = self.receiver.try_recv().ok()?;
        Some(self.taken(piece))
    }

    fn taken(&self, piece: Piece) -> Piece {
        self.queued.fetch_sub(piece.weight(), Ordering::Relaxed);
        piece
    }

    /// The next piece as bytes of an event stream; true: nothing follows.
    pub(in crate::edge::http) async fn event(&mut self) -> Result<(Bytes, bool), HttpError> {
        match self.next().await {
            Piece::Message(data) => Ok((encode(data), false)),
            Piece::Last(data) => Ok((encode(data), true)),
            Piece::Refused(response) => Err(HttpError::BrokenOff(format!("answered {}", response.status()))),
            Piece::Failed(error) => Err(error),
        }
    }
}

/// A message as an event.
pub(super) fn encode(data: Bytes) -> Bytes {
    sse::encode(&SseEvent {
        event: "message".to_owned(),
        data,
        ..SseEvent::default()
    })
}
