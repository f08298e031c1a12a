//! What is written down of a call besides its outcome: what it was called with, and whether its tool failed.
//!
//! The second is told by the answer, where that passes here: it is looked at as it goes out, whichever way it came, and
//! never held up. A message longer than [`LONGEST`] is not looked at.

use super::Arguments;
use crate::engine::config::AuditArguments;
use crate::engine::exchange::step::{Reply, Step};
use crate::engine::exchange::{BodyMode, Exchange};
use crate::engine::jsonrpc::Envelope;
use crate::engine::mcp::Method;
use crate::engine::snapshot::Endpoint;
use crate::engine::sse::Decoder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

/// So many bytes of arguments are kept as they are.
const MAX_ARGUMENTS: usize = 4096;
/// Bytes of an answer, or of an event of it, that are kept to be read.
const LONGEST: usize = 64 << 10;

/// What is written down of the arguments of this message: the bytes at `params.arguments`, which go upstream as they are.
pub(in crate::engine::exchange) fn arguments(
    endpoint: &Endpoint,
    method: Option<Method>,
    envelope: &Envelope<'_>,
) -> Option<Arguments> {
    let wanted = endpoint.observed.arguments;
    if wanted == AuditArguments::None || !matches!(method, Some(Method::ToolsCall | Method::PromptsGet)) {
        return None;
    }
    let raw = envelope.params.raw("arguments")?;
    match wanted {
        AuditArguments::None => None,
        AuditArguments::Hash => Some(Arguments::Hash(Sha256::digest(raw).into())),
        AuditArguments::Full => {
            let kept = &raw[..raw.floor_char_boundary(MAX_ARGUMENTS)];
            Some(Arguments::Full {
                text: kept.into(),
                whole: kept.len() == raw.len(),
            })
        }
    }
}

impl Exchange {
    /// Looks at what goes out.
    pub(in crate::engine::exchange) fn observe(&mut self, step: &Step) {
        for reply in &step.replies {
            match reply {
                Reply::ResponseChunk { body, end } => {
                    self.record.bytes_out += body.len();
                    self.see(std::slice::from_ref(body), *end);
                }
                Reply::StreamChunk { body, end } => self.see(body, *end),
                Reply::Answer(answer) => self.see(&answer.body, true),
                Reply::RequestHeaders(_)
                | Reply::RequestChunk { .. }
                | Reply::RequestBuffered { .. }
                | Reply::RequestTrailers
                | Reply::ResponseHeaders(_)
                | Reply::ResponseTrailers
                | Reply::StreamHead { .. } => {}
            }
        }
    }

    /// Nothing passes here that could be looked at.
    pub(in crate::engine::exchange) fn is_blind(&self) -> bool {
        !self.watching && self.modes.response != BodyMode::FullDuplex
    }

    fn see(&mut self, pieces: &[bytes::Bytes], end: bool) {
        if !self.watching {
            return;
        }
        let watch = self.watch.get_or_insert_default();
        for (at, piece) in pieces.iter().enumerate() {
            if let Some(failed) = watch.see(piece, end && at + 1 == pieces.len()) {
                self.record.is_error = Some(failed);
            }
        }
    }
}

/// Looks for the result of a tool in what passes.
#[derive(Debug, Default)]
pub(in crate::engine::exchange) enum Watch {
    /// Nothing has passed.
    #[default]
    Start,
    /// One JSON message.
    Json(Vec<u8>),
    /// An event stream.
    Events(Box<Decoder>),
    /// It has passed, or it is too long.
    Over,
}

impl Watch {
    /// Whether the tool has failed, once that is said.
    fn see(&mut self, piece: &[u8], end: bool) -> Option<bool> {
        if matches!(self, Self::Start) {
            match piece.trim_ascii_start().first()? {
                b'{' if end => {
                    *self = Self::Over;
                    return failed(piece);
                }
                b'{' => *self = Self::Json(Vec::new()),
                _ => *self = Self::Events(Box::default()),
            }
        }
        let found = match self {
            Self::Start | Self::Over => return None,
            Self::Json(kept) if kept.len() + piece.len() > LONGEST => Err(()),
            Self::Json(kept) => {
                kept.extend_from_slice(piece);
                if !end {
                    return None;
                }
                Ok(failed(kept))
            }
            Self::Events(decoder) => match decoder.feed(piece, LONGEST) {
                Ok(events) => match events.iter().find_map(|event| failed(&event.data)) {
                    None => return None,
                    found => Ok(found),
                },
                Err(_too_large) => Err(()),
            },
        };
        *self = Self::Over;
        found.ok().flatten()
    }
}

/// Whether a message is the result of a tool, and if so, of one that failed.
fn failed(message: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Message {
        result: ToolResult,
    }
    #[derive(Deserialize)]
    struct ToolResult {
        /// A task, or a question to the client, is no result yet.
        #[serde(rename = "content")]
        _content: IgnoredAny,
        #[serde(rename = "isError", default)]
        is_error: bool,
    }
    let message: Message = serde_json::from_slice(message).ok()?;
    Some(message.result.is_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(pieces: &[&str]) -> Option<bool> {
        let mut watch = Watch::default();
        let last = pieces.len() - 1;
        let seen = pieces
            .iter()
            .enumerate()
            .map(|(at, piece)| watch.see(piece.as_bytes(), at == last));
        seen.fold(None, Option::or)
    }

    const FAILED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#;
    const GOOD: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"isError"}]}}"#;

    #[test]
    fn the_result_of_a_tool_is_found_in_json_and_in_events_however_they_are_cut() {
        for (message, expected) in [(FAILED, true), (GOOD, false)] {
            let progress = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
            let events = format!(": c\n\n{progress}event: message\ndata: {message}\n\n");
            for text in [message, &events] {
                assert_eq!(watched(&[text]), Some(expected), "{text}");
                for at in 1..text.len() {
                    let (head, tail) = text.split_at(at);
                    assert_eq!(watched(&[head, tail]), Some(expected), "{head} | {tail}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_result_of_a_tool_says_nothing() {
        for message in [
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"1"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":"yes"}}"#,
            "{",
            "",
        ] {
            assert_eq!(watched(&[message]), None, "{message}");
        }
    }

    #[test]
    fn a_long_answer_is_not_kept() {
        let long = format!(
            r#"{{"result":{{"content":["{}"],"isError":true}}}}"#,
            "x".repeat(LONGEST)
        );
        assert_eq!(watched(&[&long[..LONGEST / 2], &long[LONGEST / 2..]]), None);
        assert_eq!(watched(&[&format!("data: {long}\n\n")]), None);
        let mut watch = Watch::default();
        watch.see(&long.as_bytes()[..9], false);
        watch.see(&long.as_bytes()[9..], false);
        assert!(matches!(watch, Watch::Over));
    }
}
