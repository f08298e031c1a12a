//! Finds id, method and params in a JSON-RPC body, without building a tree.
//!
//! Everything is borrowed: values stay raw JSON, keys and the method are decoded only if they hold escapes. A key that
//! stands twice, however it is escaped, is an error wherever this gateway looks: the upstream may take the other one.
//! The inside of `arguments` and the like is checked to be JSON, nothing more. Knows nothing of MCP.

mod depth;
mod head;
mod object;

#[cfg(test)]
mod tests;

use head::Head;
pub use object::Object;
use std::borrow::Cow;
use std::ops::Range;

/// Why a body is not one JSON-RPC message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, truncated, wrong UTF-8; also a key that is half of a surrogate pair.
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

/// One JSON-RPC message, borrowed from its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<'a> {
    /// The whole body, as text.
    pub text: &'a str,
    /// Request, notification or response.
    pub shape: Shape<'a>,
    /// The members of `params`, if it is there. Unique keys.
    pub params: Object<'a>,
    /// The members of `params._meta`, if present. Unique keys.
    pub meta: Option<Object<'a>>,
}

impl<'a> Envelope<'a> {
    /// Scans `body`, at most `depth` levels deep; the message itself is the first level.
    ///
    /// # Errors
    /// See [`EnvelopeError`]. [`Envelope::readable_id`] tells the id of a refused body where it can be read.
    pub fn scan(body: &'a [u8], depth: u32) -> Result<Self, EnvelopeError> {
        let text = std::str::from_utf8(body).map_err(|_| EnvelopeError::NotJson)?;
        if depth::exceeds(body, depth) {
            return Err(EnvelopeError::TooDeep(depth));
        }
        let head = Head::read(text)?;
        let shape = head.shape()?;
        let params = head.params.unwrap_or_default();
        params.check_unique()?;
        let meta = params.object("_meta")?;
        Ok(Self {
            text,
            shape,
            params,
            meta,
        })
    }

    /// The id of a body that [`Envelope::scan`] refused, where it can still be read without doubt: the body is one JSON
    /// object with exactly one id, a string or an integer.
    #[must_use]
    pub fn readable_id(body: &'a [u8]) -> Option<Id<'a>> {
        let members = Object::read_unchecked(std::str::from_utf8(body).ok()?)?.members;
        let mut ids = members.iter().filter(|(key, _)| key == "id");
        let (Some((_, raw)), None) = (ids.next(), ids.next()) else {
            return None;
        };
        Id::read(raw)
    }

    /// Where `raw`, a slice of this envelope's text (a member's value, an id), stands in the body.
    ///
    /// `0..0` if `raw` is not a slice of the text.
    #[must_use]
    pub fn span(&self, raw: &str) -> Range<usize> {
        let start = (raw.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        match start {
            Some(start) if start + raw.len() <= self.text.len() => start..start + raw.len(),
            Some(_) | None => 0..0,
        }
    }
}

impl<'a> Id<'a> {
    /// Takes a raw JSON value as an id: a string that can be decoded, or an integer of any size.
    fn read(raw: &'a str) -> Option<Self> {
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        // The token is known to be JSON: what consists of digits is a whole number.
        let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_integer || decode_string(raw).is_some()).then_some(Self(raw))
    }
}

/// The text of a raw JSON string; `None` if it is something else or holds half of a surrogate pair.
pub(super) fn decode_string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}
