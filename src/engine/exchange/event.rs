//! What may happen to an exchange.

use super::Parked;
pub use super::headers::Headers;
use crate::engine::config::Confidential;
use crate::engine::policy::delegate::Lack;
use crate::engine::policy::place::Kind;
use crate::engine::policy::rate::{Exhausted, Quota};
use crate::engine::session::{Binding, Client, Level, Timestamp};
use crate::engine::snapshot::Endpoint;
use bytes::Bytes;
use std::sync::Arc;

/// Anything that may happen.
#[derive(Debug)]
pub enum Event {
    /// Envoy said something.
    Envoy(Message),
    /// An answer to a [`super::step::Question`].
    Finding(Finding),
    /// Progress of a call made by the processor for this exchange.
    Call(CallEvent),
    /// The client responded to a request of the gateway.
    Answered {
        /// The request's raw JSON id, as it was expected.
        id: Box<str>,
        /// The response as it came.
        message: Bytes,
    },
    /// The client cancelled the request of this exchange.
    Cancelled,
    /// The stream that this client holds open has something for it.
    Hub(HubEvent),
    /// The timer armed by [`super::Command::Arm`] is up.
    Timer,
    /// The budget for held bodies is used up (`limits.bodies`).
    NoRoom,
    /// The gateway drains, or `limits.streams` is reached; sent before the first message.
    Refused(Refusal),
    /// The client left, or Envoy ended the stream: replies go nowhere, commands are still carried out.
    Closed,
}

/// Something for a client that holds a stream open.
#[derive(Debug)]
pub enum HubEvent {
    /// Events as they stand on the wire, in their order; never empty.
    Events(Vec<Bytes>),
    /// The gateway ends: the last of it was said.
    Drained,
    /// The last of it was said: the session has ended, a younger stream took over, or the client does not read.
    Over,
}

/// Why no exchange can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Shutting down.
    Draining,
    /// `limits.streams`
    TooManyStreams,
}

/// One ext_proc message from Envoy, in our types.
#[derive(Debug)]
pub enum Message {
    /// First of the request.
    RequestHeaders(RequestHead),
    /// A piece of the request body.
    RequestBody {
        /// May be empty.
        chunk: Bytes,
        /// Nothing follows.
        end: bool,
    },
    /// End of a request body under FULL_DUPLEX_STREAMED with trailers.
    RequestTrailers,
    /// First of the response.
    ResponseHeaders(ResponseHead),
    /// A piece of the response body.
    ResponseBody {
        /// May be empty.
        chunk: Bytes,
        /// Nothing follows.
        end: bool,
    },
    /// After the response body.
    ResponseTrailers,
}

/// Request headers with what Envoy tells about the connection.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// Pseudo headers included.
    pub headers: Headers,
    /// No body follows.
    pub end: bool,
    /// Attribute `source.address`, with port.
    pub source: Option<Box<str>>,
    /// Attribute `xds.route_name`.
    pub route: Option<Box<str>>,
    /// The payload of the JWT that Envoy verified (dynamic metadata `envoy.filters.http.jwt_authn`).
    pub claims: Option<Box<crate::engine::policy::Claims>>,
    /// Id of the key that it is signed with (`kid`), where Envoy tells.
    pub key: Option<Box<str>>,
}

/// Response headers with what Envoy tells about where they come from.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// Pseudo headers included.
    pub headers: Headers,
    /// No body follows.
    pub end: bool,
    /// Attribute `response.code_details`: `via_upstream`, or why Envoy answered itself.
    pub code_details: Option<Box<str>>,
}

/// What comparing a password has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It fits.
    Fits,
    /// It does not, or nobody has that name.
    Wrong,
    /// Too many were wrong: none is compared before this long.
    NotNow(std::time::Duration),
}

/// An answer to a question.
#[derive(Debug)]
pub enum Finding {
    /// The session may go on.
    Live,
    /// A password was compared, or not.
    Compared(Compared),
    /// The session was ended by DELETE.
    Ended,
    /// The credential of a caller, or why there is none.
    Delegated(Result<Confidential, Lack>),
    /// The endpoint as its caller sees it.
    Viewed(Arc<Endpoint>),
    /// Every bucket held what the request costs; the one that is nearest to its end.
    Admitted(Option<Box<Quota>>),
    /// The rate limit service did not count, and that is to refuse.
    Uncounted,
    /// One of them did not.
    Exhausted(Box<Exhausted>),
    /// The places that were asked for are this exchange's until it ends.
    Held,
    /// All places of this limit are taken.
    Crowded(Kind),
    /// `limits.sessions` is reached.
    SessionsFull,
    /// Who the client of a session is, and the level of logs that it set.
    Introduced(Arc<Client>, Option<Level>),
    /// The tie to the upstream that was asked for.
    Bound(Binding),
    /// No tie could be made.
    Unbindable(UpstreamFailure),
    /// Asked whether an upstream session is lost: it is not, the upstream's answer stands.
    StillThere,
    /// It was lost and has been reopened.
    Reopened(Binding),
    /// Asked to end a session: it is written down. False: it could not be.
    EndWritten(bool),
    /// Asked to pass on a message: somebody has it. False: nobody was there to take it.
    Told(bool),
    /// The parked call is this exchange's now.
    Resumed(Box<Parked>),
    /// No call is parked under that key (any more, or here).
    NotParked,
}

/// Why an upstream could not be used. One word each for logs; all of them are -31010 or -31013 to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// Refused, reset, no name, TLS failed.
    Unreachable,
    /// Took longer than its timeout.
    TimedOut,
    /// 401 or 403.
    Unauthorized,
    /// Answered, but not MCP.
    Garbage,
}

/// Progress of a call made by the processor.
#[derive(Debug)]
pub enum CallEvent {
    /// Response headers: status, content type, the rest.
    Head(ResponseHead),
    /// A piece of the body.
    Chunk(Bytes),
    /// A message in the session's own stream, where that was asked for.
    Pushed(Bytes),
    /// The body is complete.
    End,
    /// It failed before its end.
    Failed(UpstreamFailure),
}

/// When something happened.
pub type Now = Timestamp;
