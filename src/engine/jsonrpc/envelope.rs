//! Finds id, method and params in a JSON-RPC body, without building a tree.
//!
//! Members are borrowed slices of the body; nothing is decoded unless it holds escapes. A key that stands twice in the
//! envelope, in params or in `_meta` is an error: the upstream may read the other one. Knows nothing of MCP.

mod depth;
mod object;

use std::borrow::Cow;
use std::ops::Range;

/// Why a body is not one JSON-RPC message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, truncated, wrong UTF-8.
    #[error("body is not JSON")]
    NotJson,
    /// Nested deeper than the limit.
    #[error("body is nested deeper than {0}")]
    TooDeep(u32),
    /// An array: batches are refused.
    #[error("batches are not supported")]
    Batch,
    /// JSON, but not an object.
    #[error("body is not one JSON-RPC object")]
    NotAnObject,
    /// A key of the envelope, of params or of `_meta` stands twice: the upstream may read the other one.
    #[error("key {0:?} appears twice")]
    DuplicateKey(String),
    /// `jsonrpc` is missing or not "2.0", `method` is not a string, `id` is null or neither string nor integer, ...
    #[error("{0}")]
    WrongType(&'static str),
}

/// A JSON-RPC id as it stood in the body: the raw token, so that it is echoed byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id<'a>(pub &'a str);

/// What kind of message a body is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape<'a> {
    /// id and method.
    Request {
        /// The caller's id.
        id: Id<'a>,
        /// Decoded method name.
        method: Cow<'a, str>,
    },
    /// method without id.
    Notification {
        /// Decoded method name.
        method: Cow<'a, str>,
    },
    /// result or error with an id: the client answers a request of an upstream.
    Response {
        /// The id of the request that it answers.
        id: Id<'a>,
    },
}

pub use object::Object;

/// One JSON-RPC message, borrowed from its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<'a> {
    /// The whole body, as text.
    pub text: &'a str,
    /// Request, notification or response.
    pub shape: Shape<'a>,
    /// The members of `params`, if it is an object. Unique keys.
    pub params: Object<'a>,
    /// The members of `params._meta`, if present. Unique keys.
    pub meta: Option<Object<'a>>,
}

impl<'a> Envelope<'a> {
    /// Scans `body`, at most `depth` levels deep.
    ///
    /// # Errors
    /// See [`EnvelopeError`]. [`Envelope::readable_id`] tells the id of a refused body where it can be read.
    pub fn scan(body: &'a [u8], depth: u32) -> Result<Self, EnvelopeError> {
        let text = std::str::from_utf8(body).map_err(|_| EnvelopeError::NotJson)?;
        if depth::exceeds(body, depth) {
            return Err(EnvelopeError::TooDeep(depth));
        }
        let whole = match text.trim_ascii_start().as_bytes().first() {
            Some(b'{') => Object::read(text)?,
            Some(b'[') if is_json(text) => return Err(EnvelopeError::Batch),
            Some(_) if is_json(text) => return Err(EnvelopeError::NotAnObject),
            Some(_) | None => return Err(EnvelopeError::NotJson),
        };
        if whole.string("jsonrpc").as_deref() != Some("2.0") {
            return Err(EnvelopeError::WrongType("jsonrpc must be \"2.0\""));
        }
        let shape = shape(&whole)?;
        let params = whole.object("params")?.unwrap_or_default();
        let meta = params.object("_meta")?;
        Ok(Self {
            text,
            shape,
            params,
            meta,
        })
    }

    /// The id of a body that [`Envelope::scan`] refused, where it can still be read without doubt: one object, one id,
    /// of the right type.
    #[must_use]
    pub fn readable_id(body: &'a [u8]) -> Option<Id<'a>> {
        let text = std::str::from_utf8(body).ok()?;
        id_of(object::only(text, "id")?)
    }

    /// Where `raw`, a slice of this envelope's text (a member's value, an id), stands in the body. Empty if it is none.
    #[must_use]
    pub fn span(&self, raw: &str) -> Range<usize> {
        let start = (raw.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        match start.checked_add(raw.len()) {
            Some(end) if end <= self.text.len() => start..end,
            Some(_) | None => 0..0,
        }
    }
}

fn shape<'a>(whole: &Object<'a>) -> Result<Shape<'a>, EnvelopeError> {
    let id = match whole.raw("id") {
        Some(raw) => Some(id_of(raw).ok_or(EnvelopeError::WrongType("id must be a string or an integer"))?),
        None => None,
    };
    let answers = whole.raw("result").is_some() || whole.raw("error").is_some();
    if whole.raw("method").is_some() {
        let method = whole
            .string("method")
            .ok_or(EnvelopeError::WrongType("method must be a string"))?;
        return match id {
            _ if answers => Err(EnvelopeError::WrongType("a message has either a method or a result")),
            Some(id) => Ok(Shape::Request { id, method }),
            None => Ok(Shape::Notification { method }),
        };
    }
    match id {
        Some(id) if answers => Ok(Shape::Response { id }),
        Some(_) => Err(EnvelopeError::WrongType("method is missing")),
        None => Err(EnvelopeError::WrongType("neither a request nor a response")),
    }
}

/// A string, or an integer of any size; the raw token is echoed.
fn id_of(raw: &str) -> Option<Id<'_>> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_string = raw.starts_with('"') && object::decode(raw).is_some();
    (is_integer || is_string).then_some(Id(raw))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
