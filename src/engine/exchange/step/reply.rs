//! What Envoy is told: changes to what passes, and responses of our own.

use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// One reply to Envoy.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// To request headers.
    RequestHeaders(HeaderWork),
    /// To a request body: FULL_DUPLEX_STREAMED.
    RequestChunk {
        /// What goes upstream.
        body: Bytes,
        /// Nothing follows.
        end: bool,
    },
    /// To a request body: BUFFERED. `None` leaves the body as it is.
    RequestBuffered {
        /// What changes in the headers; the route is chosen again.
        headers: HeaderWork,
        /// The new body.
        body: Option<Bytes>,
    },
    /// To request trailers.
    RequestTrailers,
    /// To response headers.
    ResponseHeaders(HeaderWork),
    /// To a response body chunk: FULL_DUPLEX_STREAMED.
    ResponseChunk {
        /// What goes downstream.
        body: Bytes,
        /// Nothing follows.
        end: bool,
    },
    /// To response trailers.
    ResponseTrailers,
    /// Ends the exchange with this response (ImmediateResponse).
    Answer(Answer),
    /// Begins a streamed response of our own (StreamedImmediateResponse).
    StreamHead {
        /// HTTP status.
        status: u16,
        /// Lower-case names; one that stands twice is sent twice.
        headers: Vec<(HeaderName, Bytes)>,
        /// For access log and later filters.
        metadata: Option<Box<Metadata>>,
    },
    /// A piece of it.
    StreamChunk {
        /// What goes downstream; concatenated on the wire.
        body: Vec<Bytes>,
        /// Nothing follows.
        end: bool,
    },
}

/// Changes to headers, and metadata for the filters behind us.
#[derive(Debug, Default, PartialEq)]
pub struct HeaderWork {
    /// Overwritten or added; names in lower case.
    pub set: Vec<(HeaderName, Bytes)>,
    /// Removed.
    pub remove: Vec<HeaderName>,
    /// Choose the route again.
    pub clear_route: bool,
    /// For access log and later filters.
    pub metadata: Option<Box<Metadata>>,
}

/// A header name, most of them known beforehand.
pub type HeaderName = Cow<'static, str>;

/// A complete response of our own.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Lower-case names; content-type among them if there is a body. One that stands twice is sent twice.
    pub headers: Vec<(HeaderName, Bytes)>,
    /// Concatenated on the wire.
    pub body: Vec<Bytes>,
    /// Shows in Envoy's access log (`response.code_details`).
    pub details: &'static str,
    /// For access log and later filters.
    pub metadata: Option<Box<Metadata>>,
}

/// Dynamic metadata `mcp.manifold` (design 3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Method or notification name.
    pub method: Option<Cow<'static, str>>,
    /// Raw JSON id.
    pub id: Option<Box<str>>,
    /// Exposed name of tool or prompt.
    pub tool: Option<Arc<str>>,
    /// Configured name.
    pub upstream: Option<Arc<str>>,
    /// First 8 bytes of the SHA-256 of the session id, hex.
    pub session: Option<Arc<str>>,
    /// `legacy` or `modern`.
    pub era: Option<&'static str>,
    /// Who calls; `None`: anonymous.
    pub principal: Option<Arc<str>>,
    /// We answered ourselves: Envoy's local reply mappers must leave it alone.
    pub answered: bool,
}
