//! How Envoy is wired for one stream, and what cannot be served that way.

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

/// The setting that makes a wiring impossible, if it is.
pub(super) const fn unserved(modes: BodyModes) -> Option<&'static str> {
    match (modes.request, modes.response) {
        (BodyMode::Streamed | BodyMode::BufferedPartial, _) => {
            Some("request_body_mode must be FULL_DUPLEX_STREAMED or BUFFERED")
        }
        (_, BodyMode::Streamed | BodyMode::Buffered | BodyMode::BufferedPartial) => {
            Some("response_body_mode must be NONE or FULL_DUPLEX_STREAMED")
        }
        (BodyMode::None | BodyMode::Buffered | BodyMode::FullDuplex, BodyMode::None | BodyMode::FullDuplex) => None,
    }
}
