//! What becomes of an upstream's event on its way to a client stream.
//!
//! Changed lists stay behind: the gateway lists again and tells them itself, once for all. What needs no change goes out
//! with the bytes it came in.

use super::event_id;
use super::say::SUBSCRIPTION_ID;
use crate::engine::call::inspect;
use crate::engine::call::message::object;
use crate::engine::call::{Kind, Message, Outcome};
use crate::engine::jsonrpc::Splice;
use crate::engine::jsonrpc::members::Members;
use crate::engine::sse::{Framed, SseEvent, encode, with_id_prefix};
use bytes::Bytes;
use std::borrow::Cow;

/// What an upstream said, as far as a stream that listens to it minds.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard<'a> {
    /// A list has changed there.
    Changed(super::Kinds),
    /// A resource was updated: its URI.
    Updated(Cow<'a, str>),
    /// The response to the request that opened, or is resumed on, the stream.
    Response,
    /// A request of the upstream.
    Asked {
        /// Raw.
        id: &'a str,
        /// Decoded.
        method: Cow<'a, str>,
    },
    /// Anything else.
    Other,
}

/// Reads what `message` is about.
#[must_use]
pub fn hear<'a>(message: &Message<'a>) -> Heard<'a> {
    match &message.kind {
        Kind::Response { .. } => Heard::Response,
        Kind::Request { id, method } => Heard::Asked {
            id,
            method: method.clone(),
        },
        Kind::Notification { method } => match super::Kinds::of(method) {
            Some(kinds) => Heard::Changed(kinds),
            None if method == inspect::UPDATED => message.params.string("uri").map_or(Heard::Other, Heard::Updated),
            None => Heard::Other,
        },
    }
}

/// How a client sees the events of one upstream.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Whose events they are.
    pub upstream: &'a str,
    /// The endpoint has no other upstream: ids of events and tasks go through as they are.
    pub alone: bool,
    /// Its resources are known to clients by URIs that bear its name.
    pub rewrites: bool,
}

impl Names<'_> {
    /// What the client sees of this message.
    fn seen(self, message: &Message<'_>) -> Outcome {
        let updated = self.rewrites.then(|| inspect::updated(self.upstream, message));
        if let Some(data) = updated.flatten() {
            return Outcome::Replace(data);
        }
        if self.alone {
            inspect::to_client(self.upstream, message)
        } else {
            inspect::to_client_with_tasks(self.upstream, message)
        }
    }
}

/// The event for a legacy client's stream. `message`: what it carries, if it carries one.
#[must_use]
pub fn to_session(names: Names<'_>, frame: &Framed, event: &SseEvent, message: Option<&Message<'_>>) -> Bytes {
    let outcome = message.map_or(Outcome::Pass, |message| names.seen(message));
    let wire = match outcome {
        Outcome::Pass => frame.raw.clone(),
        Outcome::Replace(data) => frame.with_data(&data),
    };
    let is_named = event.id.as_deref().is_some_and(|id| !names.alone && !id.is_empty());
    let named = is_named.then(|| with_id_prefix(&wire, event_id::expose(names.upstream, "").as_bytes()));
    named.flatten().unwrap_or(wire)
}

/// A notification for a modern client's listen: tagged with the raw JSON id of that. Event ids stay behind: there is
/// nothing to resume.
#[must_use]
pub fn to_listen(tag: &[u8], message: &Message<'_>) -> Option<Bytes> {
    let text = message.text;
    let tag = Bytes::copy_from_slice(tag);
    let whole = object(text)?;
    let edits = match (whole.raw("params"), message.meta()) {
        (Some(_), Some(meta)) => {
            let members = Members {
                whole: text,
                raw: message.params.raw("_meta")?,
                object: &meta,
            };
            members.edits(&[(SUBSCRIPTION_ID, tag)], &[])
        }
        (Some(raw), None) => {
            let members = Members {
                whole: text,
                raw,
                object: &message.params,
            };
            members.edits(&[("_meta", tagged(&tag))], &[])
        }
        (None, _) => {
            let members = Members {
                whole: text,
                raw: text,
                object: &whole,
            };
            let params = [b"{\"_meta\":".as_slice(), &tagged(&tag), b"}"].concat();
            members.edits(&[("params", params.into())], &[])
        }
    };
    Some(event(Splice { edits }.copied(text.as_bytes())))
}

/// A modern upstream's notification for a legacy client: without the tag of the listen that the gateway holds.
#[must_use]
pub fn untagged(message: &Message<'_>) -> Bytes {
    let text = message.text;
    let edits = match (message.meta(), message.params.raw("_meta")) {
        (Some(meta), Some(raw)) => {
            let members = Members {
                whole: text,
                raw,
                object: &meta,
            };
            members.edits(&[], &[SUBSCRIPTION_ID])
        }
        (_, _) => Vec::new(),
    };
    event(Splice { edits }.copied(text.as_bytes()))
}

fn tagged(tag: &[u8]) -> Bytes {
    [format!(r#"{{"{SUBSCRIPTION_ID}":"#).as_bytes(), tag, b"}"]
        .concat()
        .into()
}

fn event(data: Bytes) -> Bytes {
    encode(&SseEvent {
        data,
        ..SseEvent::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sse::Framer;
    use proptest::prelude::*;

    const HERE: Names<'_> = Names {
        upstream: "up",
        alone: false,
        rewrites: false,
    };
    const ALONE: Names<'_> = Names { alone: true, ..HERE };

    fn frame(raw: &str) -> Framed {
        let raw = Bytes::from(raw.to_owned());
        let mut frames = Framer::default().feed(&raw, 1 << 20).expect("small");
        frames.pop().expect("one frame")
    }

    fn passed(names: Names<'_>, raw: &str) -> String {
        let frame = frame(raw);
        let event = frame.event.clone().expect("an event");
        let message = Message::read(&event.data);
        String::from_utf8(to_session(names, &frame, &event, message.as_ref()).to_vec()).expect("text")
    }

    #[test]
    fn an_event_that_needs_no_change_keeps_its_bytes() {
        let raw = "id: 7\r\nevent:message\r\ndata:{\"method\":\"notifications/message\" }\r\n\r\n";
        assert_eq!(passed(ALONE, raw), raw);
        let raw = "data:{\"method\":\"notifications/message\" }\r\n\r\n";
        assert_eq!(passed(HERE, raw), raw);
    }

    #[test]
    fn ids_name_the_upstream_where_there_are_several() {
        let raw = "id: 7\ndata: {\"method\":\"ping\",\"id\":0}\n\n";
        assert_eq!(
            passed(HERE, raw),
            "id: me:up:7\ndata: {\"method\":\"ping\",\"id\":\"mm:up:0\"}\n\n"
        );
        assert_eq!(
            passed(ALONE, raw),
            "id: 7\ndata: {\"method\":\"ping\",\"id\":\"mm:up:0\"}\n\n"
        );
        let status = "data: {\"method\":\"notifications/tasks/status\",\"params\":{\"taskId\":\"t\"}}\n\n";
        assert_eq!(passed(HERE, status), status.replace("\"t\"", "\"mt:up:t\""));
        assert_eq!(passed(ALONE, status), status);
        assert_eq!(
            passed(HERE, "id:7\r\nretry: 10\r\n: c\r\ndata:\r\n\r\n"),
            "id:me:up:7\r\nretry: 10\r\n: c\r\ndata:\r\n\r\n"
        );
    }

    #[test]
    fn a_frame_of_a_listen_is_tagged_with_the_listens_id() {
        let tag = r#"{"io.modelcontextprotocol/subscriptionId":"l-1"}"#;
        for (text, expected) in [
            (
                r#"{"jsonrpc":"2.0","method":"m"}"#,
                format!(r#"{{"params":{{"_meta":{tag}}},"jsonrpc":"2.0","method":"m"}}"#),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"m","params":{ "uri":"u" }}"#,
                format!(r#"{{"jsonrpc":"2.0","method":"m","params":{{"_meta":{tag}, "uri":"u" }}}}"#),
            ),
            (
                r#"{"method":"m","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3}}}"#,
                format!(r#"{{"method":"m","params":{{"_meta":{tag}}}}}"#),
            ),
        ] {
            let message = Message::read(text.as_bytes()).expect("a message");
            let event = to_listen(b"\"l-1\"", &message).expect("an object");
            let event = String::from_utf8(event.to_vec()).expect("text");
            let data = event.strip_prefix("data: ").expect("data").trim_end();
            let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(parse(data), parse(&expected), "{data}");
        }
    }

    #[test]
    fn the_tag_of_our_own_listen_stays_behind() {
        let text = r#"{"method":"m","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3},"uri":"u"}}"#;
        let message = Message::read(text.as_bytes()).expect("a message");
        let event = untagged(&message);
        assert_eq!(
            event,
            "data: {\"method\":\"m\",\"params\":{\"_meta\":{},\"uri\":\"u\"}}\n\n"
        );
    }

    proptest! {
        #[test]
        fn any_event_passes(raw in "(id: .{0,6}\n)?(data: .{0,40}\n){1,2}\n", alone: bool) {
            let names = Names { alone, ..HERE };
            let raw = Bytes::from(raw);
            for frame in Framer::default().feed(&raw, 1 << 20).expect("small") {
                let Some(event) = &frame.event else { continue };
                let message = Message::read(&event.data);
                let out = to_session(names, &frame, event, message.as_ref());
                // Whatever line ends the upstream has, what comes out is one event again.
                let again = Framer::default().feed(&out, 1 << 20).expect("small");
                prop_assert_eq!(again.iter().filter(|frame| frame.event.is_some()).count(), 1);
                if let Some(message) = &message {
                    let _ = (hear(message), to_listen(b"1", message), untagged(message));
                }
            }
        }
    }
}
