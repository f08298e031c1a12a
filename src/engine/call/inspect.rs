//! What an upstream says to a legacy client of its own era, with ids that say whose they are.
//!
//! Rewritten: the id of a request, the progress token it asks for, the request that a cancellation names. All the rest
//! passes, byte by byte; results, errors and most notifications are not even read to their end.

use super::id::expose;
use super::message::{Kind, Message};
use super::task;
use crate::engine::jsonrpc::Splice;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::mcp::uris;
use bytes::Bytes;
use memchr::memchr2;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It goes on as it came.
    Pass,
    /// This goes on in its place.
    Replace(Bytes),
}

/// True if `data` may hold a message that [`to_client`] changes: a request, or a cancellation. What is false need not be
/// read.
#[must_use]
pub fn concerns(data: &[u8]) -> bool {
    !begins_response(data) && may_ask(data)
}

/// True if there may be a request or a cancellation in these bytes, which need not be a message.
pub(super) fn may_ask(bytes: &[u8]) -> bool {
    let has = |finder: &Finder<'_>| finder.find(bytes).is_some();
    // Keys can be spelled in another way only with escapes.
    has(&METHOD) && (has(&ID) || has(&CANCELLED)) || has(&ESCAPE)
}

/// The method of a notification about a resource.
pub const UPDATED: &str = "notifications/resources/updated";

static METHOD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"method\""));
static ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"id\""));
/// The end of the method: some spell its slash with an escape.
static CANCELLED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("cancelled\""));
/// The end of [`UPDATED`].
static UPDATES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("updated\""));
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u"));

/// True if there may be a message in these bytes that [`updated`] changes.
pub(super) fn may_update(bytes: &[u8]) -> bool {
    UPDATES.find(bytes).is_some() || ESCAPE.find(bytes).is_some()
}

/// True if the beginning of a message tells that it is a response: its result or error begins, and before that stand
/// only plain strings and numbers. False is no statement.
#[must_use]
pub fn begins_response(beginning: &[u8]) -> bool {
    let mut rest = beginning.trim_ascii_start().strip_prefix(b"{").unwrap_or_default();
    while let Some((key, after)) = member(rest) {
        match key {
            b"result" | b"error" => return true,
            b"jsonrpc" | b"id" => {}
            _ => return false,
        }
        let Some(next) = after_scalar(after) else { return false };
        rest = next;
    }
    false
}

/// A key without escapes, and what stands behind its colon.
fn member(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, after) = string(text.trim_ascii_start())?;
    let value = after.trim_ascii_start().strip_prefix(b":")?;
    Some((key, value.trim_ascii_start()))
}

/// What stands behind a string, a number or a literal, and its comma.
fn after_scalar(value: &[u8]) -> Option<&[u8]> {
    let after = match string(value) {
        Some((_, after)) => after,
        None => {
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            let len = value.iter().take_while(|byte| is_part(byte)).count();
            value.get(len..)?
        }
    };
    after.trim_ascii_start().strip_prefix(b",")
}

/// A string without escapes, and what stands behind it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"\"")?;
    let end = memchr2(b'"', b'\\', inner)?;
    let (string, after) = inner.split_at_checked(end)?;
    Some((string, after.strip_prefix(b"\"")?))
}

/// What a client sees of a message of `upstream`.
#[must_use]
pub fn to_client(upstream: &str, message: &Message<'_>) -> Outcome {
    let mut edits = Vec::new();
    let mut expose = |raw: &str| {
        if is_token(raw) {
            edits.push((message.span(raw), expose(upstream, raw)));
        }
    };
    match &message.kind {
        Kind::Request { id, .. } => {
            expose(id);
            if let Some(token) = message.meta().and_then(|meta| meta.raw("progressToken")) {
                expose(token);
            }
        }
        Kind::Notification { method } if method == "notifications/cancelled" => {
            if let Some(id) = message.params.raw("requestId") {
                expose(id);
            }
        }
        Kind::Notification { .. } | Kind::Response { .. } => {}
    }
    if edits.is_empty() {
        return Outcome::Pass;
    }
    Outcome::Replace(Splice { edits }.copied(message.text.as_bytes()))
}

/// The same for one of several upstreams: ids of tasks say whose they are too.
#[must_use]
pub fn to_client_with_tasks(upstream: &str, message: &Message<'_>) -> Outcome {
    let Some(with_tasks) = task::to_client(upstream, message) else {
        return to_client(upstream, message);
    };
    let asked = Message::read(&with_tasks).map_or(Outcome::Pass, |message| to_client(upstream, &message));
    match asked {
        Outcome::Pass => Outcome::Replace(with_tasks),
        Outcome::Replace(both) => Outcome::Replace(both),
    }
}

/// A resource of `upstream` was updated: the notification with the URI by which clients know it, where URIs are rewritten
/// (`resources.rewrite`). `None`: it is about something else.
#[must_use]
pub fn updated(upstream: &str, message: &Message<'_>) -> Option<Bytes> {
    match &message.kind {
        Kind::Notification { method } if method == UPDATED => {}
        Kind::Notification { .. } | Kind::Request { .. } | Kind::Response { .. } => return None,
    }
    let (raw, uri) = (message.params.raw("uri")?, message.params.string("uri")?);
    let edits = vec![(message.span(raw), quote(&uris::expose(upstream, &uri)))];
    Some(Splice { edits }.copied(message.text.as_bytes()))
}

/// A string or a number: anything else is no id, and nobody can answer it.
fn is_token(raw: &str) -> bool {
    let begins = |byte: &u8| *byte == b'"' || *byte == b'-' || byte.is_ascii_digit();
    raw.as_bytes().first().is_some_and(begins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str) -> String {
        let message = Message::read(text.as_bytes()).expect("a message");
        match to_client("up", &message) {
            Outcome::Pass => text.to_owned(),
            Outcome::Replace(new) => String::from_utf8(new.to_vec()).expect("text"),
        }
    }

    #[test]
    fn a_request_says_whose_it_is() {
        let text = r#"{ "method":"sampling/createMessage", "id": 0, "params":{"_meta":{"progressToken":"t"},"id":0} }"#;
        let expected = r#"{ "method":"sampling/createMessage", "id": "mm:up:0", "params":{"_meta":{"progressToken":"mm:up:\"t\""},"id":0} }"#;
        assert_eq!(seen(text), expected);
    }

    #[test]
    fn a_cancelled_request_is_the_one_the_client_knows() {
        let text = r#"{"method":"notifications/cancelled","params":{"requestId":0,"reason":"late"}}"#;
        let expected = r#"{"method":"notifications/cancelled","params":{"requestId":"mm:up:0","reason":"late"}}"#;
        assert_eq!(seen(text), expected);
    }

    #[test]
    fn everything_else_passes() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"method":"x","requestId":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"elicitationId":"e"}]}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#,
            r#"{"jsonrpc":"2.0","method":"ping","id":null}"#,
        ] {
            let message = Message::read(text.as_bytes()).expect("a message");
            assert_eq!(to_client("up", &message), Outcome::Pass, "{text}");
        }
    }

    #[test]
    fn an_update_names_the_resource_as_clients_know_it() {
        let text = r#"{"method":"notifications/resources/updated", "params":{ "uri":"ui:\/\/a","title":"t" }}"#;
        let message = Message::read(text.as_bytes()).expect("a message");
        let expected = text.replace(r#"ui:\/\/a"#, "ui://up/a");
        assert_eq!(updated("up", &message).expect("it is one"), expected);
        let other = r#"{"method":"notifications/message","params":{"uri":"ui://a"}}"#;
        assert_eq!(
            updated("up", &Message::read(other.as_bytes()).expect("a message")),
            None
        );
    }

    #[test]
    fn what_is_no_request_need_not_be_read() {
        assert!(!concerns(br#"{"jsonrpc":"2.0","id":1,"result":{"method":"\u0061"}}"#));
        assert!(!concerns(br#"{"result":{"id":1},"id":1}"#));
        assert!(concerns(br#"{"id":1,"method":"ping"}"#));
        assert!(concerns(br#"{"id":1,"m\u0065thod":"ping"}"#));
        assert!(concerns(
            br#"{"method":"notifications\/cancelled","params":{"requestId":1}}"#
        ));
        assert!(!concerns(
            br#"{"method":"notifications/progress","params":{"progressToken":1}}"#
        ));
    }

    #[test]
    fn a_response_is_known_by_its_beginning() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"content"#,
            r#" { "result" : {"#,
            r#"{"id":"a","jsonrpc":"2.0","error":"#,
            r#"{"id":null,"result":"#,
        ] {
            assert!(begins_response(text.as_bytes()), "{text}");
        }
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"result":1}"#,
            r#"{"id":"a\"","result":{}"#,
            r#"{"id":{},"result":{}"#,
            r#"{"x":1,"result":{}"#,
            r#"{"jsonrpc":"2.0","id":1,"resu"#,
            r#"["result":{}"#,
            "",
        ] {
            assert!(!begins_response(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn only_the_ids_differ(method in "[a-z/]{1,12}", id in 0_u32..100, token in ".{0,8}", other in ".{0,12}") {
            let tree = serde_json::json!({
                "jsonrpc": "2.0", "id": id, "method": method,
                "params": {"other": other, "_meta": {"progressToken": token, "x": other}},
            });
            let mut seen: serde_json::Value = serde_json::from_str(&seen(&tree.to_string())).unwrap();
            let back = |value: &serde_json::Value| {
                let (_, raw) = super::super::id::reveal(&value.to_string()).unwrap();
                serde_json::from_str::<serde_json::Value>(&raw).unwrap()
            };
            seen["id"] = back(&seen["id"]);
            let token = back(&seen["params"]["_meta"]["progressToken"]);
            seen["params"]["_meta"]["progressToken"] = token;
            prop_assert_eq!(seen, tree);
        }
    }
}
