//! Finds id, method and params in a JSON-RPC body, without building a tree. (Interface first; body to come.)

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
        method: std::borrow::Cow<'a, str>,
    },
    /// method without id.
    Notification {
        /// Decoded method name.
        method: std::borrow::Cow<'a, str>,
    },
    /// result or error with an id: the client answers a request of an upstream.
    Response {
        /// The id of the request that it answers.
        id: Id<'a>,
    },
}

/// One JSON object whose keys are unique: raw members by decoded key, in the order of the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a> {
    /// (decoded key, raw JSON value), in order.
    pub members: Vec<(std::borrow::Cow<'a, str>, &'a str)>,
}

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
    pub fn scan(_body: &'a [u8], _depth: u32) -> Result<Self, EnvelopeError> {
        unimplemented!()
    }

    /// The id of a body that [`Envelope::scan`] refused, where it can still be read without doubt.
    pub fn readable_id(_body: &'a [u8]) -> Option<Id<'a>> {
        unimplemented!()
    }

    /// Where `raw`, a slice of this envelope's text (a member's value, an id), stands in the body.
    pub fn span(&self, _raw: &str) -> Range<usize> {
        unimplemented!()
    }
}

impl<'a> Object<'a> {
    /// The raw value of `key`.
    pub fn raw(&self, _key: &str) -> Option<&'a str> {
        unimplemented!()
    }

    /// The decoded string at `key`; `None` if absent, `Some(Err(()))`-like cases are told apart by `raw`.
    pub fn string(&self, _key: &str) -> Option<std::borrow::Cow<'a, str>> {
        unimplemented!()
    }

    /// The members of the object at `key`, with unique keys.
    ///
    /// # Errors
    /// [`EnvelopeError::DuplicateKey`], or [`EnvelopeError::WrongType`] if it is there but not an object.
    pub fn object(&self, _key: &str) -> Result<Option<Object<'a>>, EnvelopeError> {
        unimplemented!()
    }
}
