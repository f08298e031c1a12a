//! The state machine of one ext_proc stream: one HTTP request and its response.
//!
//! Events in, replies and commands out. Total: whatever comes in, the step is a reply or a wait, never a panic.

pub mod event;
pub mod record;
pub mod step;

pub use event::{CallEvent, Event, Finding, Headers, Message, RequestHead, ResponseHead};
pub use record::Record;
pub use step::{Command, End, Reply, Step};

use crate::engine::session::Timestamp;
use crate::engine::snapshot::Snapshot;
use std::sync::Arc;

/// How Envoy is wired for this stream: `protocol_config` of its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyModes {
    /// `request_body_mode`
    pub request: BodyMode,
    /// `response_body_mode`
    pub response: BodyMode,
}

/// `ProcessingMode.BodySendMode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyMode {
    /// The body is not sent to us.
    None,
    /// Chunk by chunk, each waits for a reply: cannot hold headers back, refused.
    Streamed,
    /// Whole, after the header reply.
    Buffered,
    /// Refused.
    BufferedPartial,
    /// Headers, chunks and end come without waiting.
    FullDuplex,
}

/// One ext_proc stream.
#[derive(Debug)]
pub struct Exchange {
    _snapshot: Arc<Snapshot>,
}

impl Exchange {
    /// A new exchange under one snapshot. `entropy` becomes the session key if this is an initialize.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, _modes: BodyModes, _entropy: u128, _now: Timestamp) -> Self {
        Self { _snapshot: snapshot }
    }

    /// Takes one event. Total: a failure is a reply.
    pub fn handle(&mut self, _event: Event, _now: Timestamp) -> Step {
        unimplemented!()
    }

    /// Bytes of request body held, for decision or replay.
    #[must_use]
    pub fn held(&self) -> usize {
        unimplemented!()
    }

    /// Gives up the body kept for a replay: `limits.replay` is used up.
    pub fn drop_replay(&mut self) {
        unimplemented!()
    }

    /// The facts, for one audit line and the metrics.
    #[must_use]
    pub fn finish(self) -> Record {
        unimplemented!()
    }
}
