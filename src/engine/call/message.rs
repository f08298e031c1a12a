//! One JSON-RPC message, borrowed: what it is, and its params one level deep.
//!
//! Lenient, unlike `jsonrpc::Envelope`, which judges what clients send: of keys that stand twice the last one counts, as
//! it does for most readers; ids may be of any type. What this does not understand is no message, and passes as it is.

use crate::engine::jsonrpc::Object;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Up to this many members are compared with each other, more go through a hash set.
const FEW: usize = 16;

/// One message, borrowed from its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// The whole, as text.
    pub text: &'a str,
    /// Request, notification or response.
    pub kind: Kind<'a>,
    /// The members of `params`, unique; empty for responses, and where it is no object.
    pub params: Object<'a>,
}

/// What kind of message it is. Ids, results and errors are raw JSON tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind<'a> {
    /// Wants a response.
    Request {
        /// Raw.
        id: &'a str,
        /// Decoded.
        method: Cow<'a, str>,
    },
    /// Wants none.
    Notification {
        /// Decoded.
        method: Cow<'a, str>,
    },
    /// Answers a request.
    Response {
        /// Raw; absent or null where the request could not be read.
        id: Option<&'a str>,
        /// Raw.
        result: Option<&'a str>,
        /// Raw.
        error: Option<&'a str>,
    },
}

impl<'a> Message<'a> {
    /// Reads one message; `None` if the bytes are not one JSON object with a method, a result or an error.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let head: Head<'a> = serde_json::from_str(text).ok()?;
        let kind = match (head.method, head.id) {
            (Some(method), Some(id)) => Kind::Request { id, method },
            (Some(method), None) => Kind::Notification { method },
            (None, _) if head.result.is_none() && head.error.is_none() => return None,
            (None, id) => Kind::Response {
                id,
                result: head.result,
                error: head.error,
            },
        };
        let params = match kind {
            Kind::Request { .. } | Kind::Notification { .. } => head.params.and_then(object).unwrap_or_default(),
            Kind::Response { .. } => Object::default(),
        };
        Some(Self { text, kind, params })
    }

    /// Where `raw`, a slice of this message's text, stands in it; `0..0` if it is none.
    #[must_use]
    pub fn span(&self, raw: &str) -> Range<usize> {
        let start = (raw.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        match start {
            Some(start) if start + raw.len() <= self.text.len() => start..start + raw.len(),
            Some(_) | None => 0..0,
        }
    }

    /// The members of `params._meta`, unique; `None` if there is none.
    #[must_use]
    pub fn meta(&self) -> Option<Object<'a>> {
        object(self.params.raw("_meta")?)
    }
}

/// One object, leniently: of keys that stand twice the last one. `None` if `raw` is something else.
#[must_use]
pub fn object(raw: &str) -> Option<Object<'_>> {
    let mut object: Object<'_> = serde_json::from_str(raw).ok()?;
    if has_twins(&object) {
        let mut seen = HashSet::with_capacity(object.members.len());
        object.members.reverse();
        object.members.retain(|(key, _)| seen.insert(key.clone()));
        object.members.reverse();
    }
    Some(object)
}

/// True if a key stands twice.
fn has_twins(object: &Object<'_>) -> bool {
    let keys = || object.members.iter().map(|(key, _)| key.as_ref());
    if object.members.len() > FEW {
        let mut seen = HashSet::with_capacity(object.members.len());
        return !keys().all(|key| seen.insert(key));
    }
    keys()
        .enumerate()
        .any(|(at, key)| keys().take(at).any(|before| before == key))
}

/// The first level, raw.
#[derive(Default)]
struct Head<'a> {
    id: Option<&'a str>,
    method: Option<Cow<'a, str>>,
    params: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'de> Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Level)
    }
}

/// Collects the members of the first level.
struct Level;

/// A decoded string, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Level {
    type Value = Head<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let mut head = Head::default();
        while let Some(Text(key)) = map.next_key()? {
            let slot = match key.as_ref() {
                "method" => {
                    head.method = Some(map.next_value::<Text<'de>>()?.0);
                    continue;
                }
                "id" => &mut head.id,
                "params" => &mut head.params,
                "result" => &mut head.result,
                "error" => &mut head.error,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = Some(map.next_value::<&'de RawValue>()?.get());
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_kinds_are_told_apart() {
        let request = Message::read(br#"{"id":1.50,"method":"roots/list"}"#).expect("a request");
        let (id, method) = ("1.50", Cow::Borrowed("roots/list"));
        assert_eq!(request.kind, Kind::Request { id, method });
        let notification = Message::read(br#"{"method":"a\u002fb","params":[1]}"#).expect("a notification");
        assert_eq!(notification.kind, Kind::Notification { method: "a/b".into() });
        assert_eq!(notification.params, Object::default());
        let response = Message::read(br#" {"id":"x","result":{},"params":{"a":1}} "#).expect("a response");
        let (id, result, error) = (Some("\"x\""), Some("{}"), None);
        assert_eq!(response.kind, Kind::Response { id, result, error });
        assert_eq!(response.params, Object::default());
        for other in ["[]", "7", "{}", r#"{"id":1}"#, r#"{"method":7}"#, "{", "\u{1}"] {
            assert_eq!(Message::read(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn of_keys_that_stand_twice_the_last_one_counts() {
        let text = br#"{"id":1,"method":"a","params":{"x":1,"y":2,"\u0078":3},"id":2,"method":"b"}"#;
        let message = Message::read(text).expect("a message");
        let (id, method) = ("2", Cow::Borrowed("b"));
        assert_eq!(message.kind, Kind::Request { id, method });
        assert_eq!(message.params.raw("x"), Some("3"));
        assert_eq!(message.params.members.len(), 2);
    }

    #[test]
    fn a_span_tells_where_a_value_stands() {
        let text = r#"{"method":"a","params":{"_meta":{"progressToken": 7}}}"#;
        let message = Message::read(text.as_bytes()).expect("a message");
        let token = message
            .meta()
            .and_then(|meta| meta.raw("progressToken"))
            .expect("a token");
        assert_eq!(&text[message.span(token)], "7");
        assert_eq!(message.span("elsewhere"), 0..0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = Message::read(&bytes);
        }
    }
}
