//! The first level of a body: what stands at the keys of JSON-RPC, in one pass that also checks that all of it is JSON.

use super::object::{Key, check_unique};
use super::{EnvelopeError, Id, Object, Shape, decode_string};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The members of the envelope, raw.
#[derive(Default)]
pub(super) struct Head<'a> {
    jsonrpc: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
    /// Its keys are not yet known to be unique.
    pub(super) params: Option<Object<'a>>,
    /// Keys that JSON-RPC does not know. They pass, but not twice.
    others: Vec<Cow<'a, str>>,
    /// A known key that stands twice.
    twice: Option<&'static str>,
}

impl<'a> Head<'a> {
    /// Reads a body that must be one object; keys of the first level are unique.
    pub(super) fn read(text: &'a str) -> Result<Self, EnvelopeError> {
        let first = text.trim_start_matches([' ', '\t', '\n', '\r']).as_bytes().first();
        if first != Some(&b'{') {
            return Err(not_an_object(text, first));
        }
        let head: Self = serde_json::from_str(text).map_err(|error| match error.classify() {
            // The only type that reading asks for is that of params; what follows them was not read yet.
            Category::Data if is_json(text) => EnvelopeError::WrongType("params must be an object"),
            Category::Data | Category::Io | Category::Syntax | Category::Eof => EnvelopeError::NotJson,
        })?;
        match head.twice {
            Some(key) => Err(EnvelopeError::DuplicateKey(key.to_owned())),
            None => check_unique(head.others.iter().map(Cow::as_ref)).map(|()| head),
        }
    }

    /// Tells request, notification and response apart.
    pub(super) fn shape(&self) -> Result<Shape<'a>, EnvelopeError> {
        if self.jsonrpc.and_then(decode_string).as_deref() != Some("2.0") {
            return Err(EnvelopeError::WrongType("jsonrpc must be \"2.0\""));
        }
        let id = self
            .id
            .map(|raw| Id::read(raw).ok_or(EnvelopeError::WrongType("id must be a string or an integer")));
        let method = self
            .method
            .map(|raw| decode_string(raw).ok_or(EnvelopeError::WrongType("method must be a string")));
        let outcomes = usize::from(self.result.is_some()) + usize::from(self.error.is_some());
        match (method.transpose()?, id.transpose()?, outcomes) {
            (Some(method), Some(id), 0) => Ok(Shape::Request { id, method }),
            (Some(method), None, 0) => Ok(Shape::Notification { method }),
            (None, Some(id), 1) => Ok(Shape::Response { id }),
            (None, None, 1) => Err(EnvelopeError::WrongType("a response must have an id")),
            (None, _, 0) => Err(EnvelopeError::WrongType("method is missing")),
            (_, _, _) => Err(EnvelopeError::WrongType(
                "only one of method, result and error may be there",
            )),
        }
    }
}

/// Why a body that does not begin with a brace is refused.
fn not_an_object(text: &str, first: Option<&u8>) -> EnvelopeError {
    match first {
        _ if !is_json(text) => EnvelopeError::NotJson,
        Some(b'[') => EnvelopeError::Batch,
        Some(_) | None => EnvelopeError::NotAnObject,
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

impl<'de> Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Level)
    }
}

/// Collects the members of the first level.
struct Level;

impl<'de> Visitor<'de> for Level {
    type Value = Head<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let mut head = Head::default();
        while let Some(Key(key)) = map.next_key()? {
            let (name, slot) = match key.as_ref() {
                "jsonrpc" => ("jsonrpc", &mut head.jsonrpc),
                "id" => ("id", &mut head.id),
                "method" => ("method", &mut head.method),
                "result" => ("result", &mut head.result),
                "error" => ("error", &mut head.error),
                "params" => {
                    if head.params.replace(map.next_value()?).is_some() {
                        head.twice = Some("params");
                    }
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    head.others.push(key);
                    continue;
                }
            };
            if slot.replace(map.next_value::<&'de RawValue>()?.get()).is_some() {
                head.twice = Some(name);
            }
        }
        Ok(head)
    }
}
