//! Server-sent events (WHATWG HTML, 9.2), incremental. (Interface first; body to come.)

use bytes::Bytes;

/// One event as a stream carries it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SseEvent {
    /// `event:`; empty means `message`.
    pub event: String,
    /// `data:` lines joined by line feeds.
    pub data: Bytes,
    /// `id:`, if given.
    pub id: Option<String>,
    /// `retry:` in milliseconds, if given.
    pub retry: Option<u64>,
}

/// Incremental decoder: feed chunks, take events. Handles CR, LF, CRLF, comments, a leading byte order mark, empty data (priming events).
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

/// An event grew beyond the limit.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("server-sent event larger than {0} bytes")]
pub struct EventTooLarge(pub usize);

impl Decoder {
    /// Takes one chunk and returns the events that it completes.
    ///
    /// # Errors
    /// [`EventTooLarge`] when an unfinished event exceeds `limit` bytes.
    pub fn feed(&mut self, _chunk: &[u8], _limit: usize) -> Result<Vec<SseEvent>, EventTooLarge> {
        let _ = &self.buffer;
        unimplemented!()
    }
}

/// The event as bytes on the wire.
pub fn encode(_event: &SseEvent) -> Bytes {
    unimplemented!()
}
