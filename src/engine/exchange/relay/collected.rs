//! What a collected answer says.

use super::{COLLECT_MAX, Collected};
use crate::engine::call::inspect::begins_response;
use crate::engine::call::{Kind, Message};
use crate::engine::exchange::outgoing::verdict::Media;
use crate::engine::jsonrpc::{Envelope, Shape};
use crate::engine::sse;
use bytes::Bytes;

impl Collected {
    /// What there is of an event stream holds the response.
    pub(super) fn has_response(&self) -> bool {
        self.doubt.is_none() && self.head.media == Media::EventStream && response_in(&self.pieces).is_some()
    }
}

/// The JSON-RPC response within a collected event stream.
pub(super) fn response_in(pieces: &[Bytes]) -> Option<Bytes> {
    let mut decoder = sse::Decoder::default();
    for piece in pieces {
        for event in decoder.feed(piece, COLLECT_MAX).ok()? {
            // Most responses say so at once; a large one need not be read.
            let scanned = || Envelope::scan(&event.data, u32::MAX);
            let is_response = begins_response(&event.data)
                || scanned().is_ok_and(|envelope| matches!(envelope.shape, Shape::Response { .. }));
            if is_response {
                return Some(event.data);
            }
        }
    }
    None
}

/// Whether this piece of an event stream completes a request.
pub(super) fn asks(decoder: &mut sse::Decoder, piece: &[u8]) -> bool {
    let Ok(events) = decoder.feed(piece, COLLECT_MAX) else {
        return false;
    };
    events.iter().any(|event| {
        let message = Message::read(&event.data);
        // A ping that is not answered does no harm in the time that a call takes.
        message.is_some_and(|message| matches!(message.kind, Kind::Request { method, .. } if method != "ping"))
    })
}

/// Whether a JSON-RPC response says that there is no such resource.
pub(super) fn is_not_found(pieces: &[Bytes]) -> bool {
    #[derive(serde::Deserialize)]
    struct Response {
        error: Option<Error>,
    }
    #[derive(serde::Deserialize)]
    struct Error {
        code: i64,
    }
    let whole = pieces.concat();
    let error = serde_json::from_slice::<Response>(&whole)
        .ok()
        .and_then(|response| response.error);
    error.is_some_and(|error| matches!(error.code, -32002 | -32602))
}
