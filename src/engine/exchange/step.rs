//! What an exchange wants done: replies to Envoy, in its order, and commands to the edge rooms.

use super::Parked;
use super::headers::Headers;
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::mcp::trace::TraceContext;
use crate::engine::policy::Claimed;
use crate::engine::policy::delegate::Errand;
use crate::engine::policy::place::Place;
use crate::engine::policy::rate::Charge;
use crate::engine::session::{
    Binding, Client, Delegation, EndpointHash, Level, SessionKey, Subscription, Timestamp, Wanted,
};
use crate::engine::stream::{Kinds, Part};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The outcome of one event.
#[derive(Debug, Default)]
pub struct Step {
    /// To be sent in this order.
    pub replies: Vec<Reply>,
    /// To be carried out in this order.
    pub commands: Vec<Command>,
    /// Whether the stream may end after the replies.
    pub end: End,
}

/// Whether the ext_proc stream may be closed. Closing it early would let the request pass undecided (I7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// More to come.
    #[default]
    Open,
    /// Decided and said in full.
    Done,
    /// A response is out that cannot be completed: end the stream with an error, so that Envoy cuts the connection.
    Abort,
}

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

/// Something for the edge rooms.
#[derive(Debug)]
pub enum Command {
    /// Find something out. At most one question is open at a time: what a newer one replaces is not answered any more.
    Ask(Question),
    /// Make this call; its events follow. At most one call is open at a time.
    Call(Call),
    /// Make this call with what belongs to it in its upstream session; it is the open call then.
    Attend(Attended),
    /// Drop the open call.
    CancelCall,
    /// Let the open call go on to its end without this exchange, unless its client cancels it.
    OutliveCall,
    /// Wait for the client's response to a request of the gateway: [`super::Event::Answered`]. Until the exchange ends.
    Expect {
        /// Whose client is asked.
        session: SessionKey,
        /// The request's raw JSON id; it begins with `"mg:`.
        id: Box<str>,
    },
    /// Wait for the client to cancel its request: [`super::Event::Cancelled`]. Until the exchange, and a call that
    /// outlives it, ends.
    Watch {
        /// Whose client.
        session: SessionKey,
        /// The request's raw JSON id.
        id: Box<str>,
    },
    /// Keep the open call, if there is one, and this with it, for the exchange that wants to [`Command::Resume`] it.
    Park(ParkKey, Box<Parked>),
    /// The call that was parked under this key becomes the open call of this exchange. -> Resumed, NotParked
    Resume(ParkKey),
    /// Hold this stream open for the client; [`super::Event::Hub`] follows. Once for an exchange.
    Listen(Listen),
    /// Do this in the background; nothing comes back.
    Notify(Notice),
    /// Remember a subscription, or that it is over; upstream sessions that are opened later hear of it.
    Subscribe {
        /// Whose.
        session: SessionRef,
        /// What.
        subscription: Subscription,
        /// Begin or end.
        wanted: Wanted,
    },
    /// Send [`super::Event::Timer`] after this long; replaces the timer armed before.
    Arm(Duration),
    /// Forget the timer.
    Disarm,
}

/// What a client that holds a stream open listens to.
#[derive(Clone, Debug, PartialEq)]
pub enum Listen {
    /// GET of a legacy session: everything that its upstream sessions say, and the gateway's own news.
    Session {
        /// Whose.
        session: SessionRef,
        /// `Last-Event-ID`
        last: Option<Box<str>>,
        /// The endpoint's only upstream, whose event ids go through as they are.
        alone: Option<Arc<str>>,
    },
    /// `subscriptions/listen` of a modern client.
    Modern {
        /// Whose changed lists it hears of.
        endpoint: EndpointHash,
        /// Raw JSON id of the request; tags every frame.
        tag: Bytes,
        /// Lists whose changes it wants to hear of.
        kinds: Kinds,
        /// What upstreams have to say.
        parts: Vec<Part>,
        /// What speaks for the client at some of them.
        delegations: Vec<(Arc<str>, Delegation)>,
    },
}

/// Which gateway session, where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRef {
    /// Key in the map.
    pub key: SessionKey,
    /// Where it is valid.
    pub endpoint: EndpointHash,
    /// Until when.
    pub expires: Timestamp,
    /// Negotiated with the client.
    pub version: crate::engine::mcp::Version,
    /// What its client can; any of them makes it an inspected session.
    pub flags: ClientFlags,
}

/// One client of a legacy upstream who has no session there of its own: sessions are kept for those who are equal in all
/// of this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Borrower {
    /// At whom: configured name.
    pub upstream: Arc<str>,
    /// To be asked for.
    pub version: crate::engine::mcp::Version,
    /// Whose; 0: anonymous.
    pub principal: u64,
    /// What the upstream hears of the client.
    pub client: Client,
    /// At which log messages are wanted, if at all.
    pub level: Option<Level>,
    /// What speaks for the client.
    pub delegation: Delegation,
}

/// Names a parked call. Random: it means something only to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParkKey(pub u128);

/// Something to find out.
#[derive(Debug)]
pub enum Question {
    /// Does this password fit? -> Compared
    Compare(Claimed),
    /// With what may this caller be spoken for? -> Delegated
    Delegate(Errand),
    /// Take this out of its buckets. -> Admitted, Exhausted, Uncounted
    Admit(Vec<Charge>),
    /// Take these places, for as long as the exchange lasts, or the call that goes on without it. -> Held, Crowded
    Hold(Vec<Place>),
    /// May this session go on? -> Live, Ended
    Recall(SessionRef),
    /// Remember a new session. -> Live, SessionsFull
    Start {
        /// The new session.
        session: SessionRef,
        /// Whose; 0: anonymous.
        principal: u64,
        /// What its client said.
        client: Client,
    },
    /// Remember the level. -> Live, Ended
    SetLevel {
        /// Whose.
        session: SessionRef,
        /// Which.
        level: Level,
    },
    /// Who is the client of this session? -> Introduced, Ended
    Introduce(SessionRef),
    /// The session's tie to an upstream, opened if there is none. -> Bound, Unbindable, Ended
    Bind {
        /// Whose.
        session: SessionRef,
        /// To whom: configured name.
        upstream: Arc<str>,
        /// Raw JSON id of the call that needs it, remembered for a cancellation.
        call: Bytes,
        /// The span that it is opened for, if that is kept.
        trace: Option<TraceContext>,
    },
    /// A tie for this exchange alone: the client has no session. -> Bound, Unbindable
    OneShot {
        /// To whom: configured name.
        upstream: Arc<str>,
        /// As the client's header says, else 2025-03-26.
        version: crate::engine::mcp::Version,
        /// What speaks for the client.
        delegation: Delegation,
        /// The span that it is opened for, if that is kept.
        trace: Option<TraceContext>,
    },
    /// The upstream said 400 or 404 to this tie: is its session lost? Then reopen it. -> StillThere, Reopened, Unbindable
    Recover {
        /// Whose; `None`: a one-shot tie.
        session: Option<SessionRef>,
        /// At whom.
        upstream: Arc<str>,
        /// The tie that was used.
        stale: Binding,
    },
    /// A session at a legacy upstream for one call, out of the pool or opened. Nobody else uses it until it is given back
    /// by [`Notice::Return`] or closed. -> Bound, Unbindable
    Borrow(Arc<Borrower>),
    /// The upstream said 400 or 404 to this borrowed session: is it lost? Then open another one. -> StillThere, Reopened,
    /// Unbindable
    Renew {
        /// For whom.
        borrower: Arc<Borrower>,
        /// The session that was used.
        stale: Binding,
    },
    /// End the session, durably. -> EndWritten, Ended
    End(SessionRef),
    /// Pass on a message that has no answer; at most 10 s. -> Told, Ended
    Tell {
        /// Whose client sends it.
        session: SessionRef,
        /// Who hears it.
        to: Addressee,
        /// As the upstream hears it.
        message: Bytes,
    },
}

/// Who hears a client's message.
#[derive(Clone, Debug, PartialEq)]
pub enum Addressee {
    /// The upstream of this name, in the session's tie to it.
    Upstream(Arc<str>),
    /// The upstream of this name, which knows no sessions.
    Stateless(Arc<str>, Binding),
    /// The only upstream that the session is tied to; nobody, if there are several.
    Only,
    /// The exchange that waits for the response to the gateway's own request with this raw JSON id.
    Exchange(Box<str>),
    /// Whoever was asked by the call with this raw JSON id.
    Owner(Box<str>),
    /// All that the session is tied to, in the background.
    All,
}

/// A call made by the processor itself.
#[derive(Debug, Clone)]
pub struct Call {
    /// To whom: configured name. URL, credential, constant headers and timeouts are the edge's knowledge.
    pub upstream: Arc<str>,
    /// Besides what the configuration says; content-type is JSON and accept both types unless told otherwise.
    pub headers: Vec<(HeaderName, Bytes)>,
    /// Headers of the client that go on as they came; none that stands in `headers` or in the configuration.
    pub passed: Headers,
    /// The JSON-RPC request.
    pub body: Bytes,
    /// Until response headers.
    pub timeout: Duration,
}

/// A call in a legacy upstream session that nobody else uses.
#[derive(Debug, Clone)]
pub struct Attended {
    /// The call.
    pub call: Call,
    /// What the upstream says in the session's own stream meanwhile is heard too: [`super::CallEvent::Pushed`].
    pub pushes: bool,
    /// What speaks for the caller, in the session's own stream too.
    pub delegation: Delegation,
    /// The call was made, its stream was closed before the answer: read on instead of making it.
    pub resume: Option<Resumption>,
}

/// Where to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// The id of the last event that came.
    pub last: Box<str>,
    /// Not earlier.
    pub after: Duration,
}

/// Something to be done in the background.
#[derive(Debug)]
pub enum Notice {
    /// End this upstream session (DELETE).
    Close {
        /// At whom.
        upstream: Arc<str>,
        /// Which.
        binding: Binding,
    },
    /// From now on this speaks for the session's client.
    Delegated {
        /// Whose.
        session: SessionRef,
        /// At whom.
        upstream: Arc<str>,
        /// What.
        delegation: Delegation,
    },
    /// List this upstream anew: what is known of its tools does not hold any more.
    Relist {
        /// Which.
        upstream: Arc<str>,
    },
    /// An upstream says in a client's session that lists have changed: perhaps it says so nowhere else.
    Changed {
        /// Who.
        upstream: Arc<str>,
        /// Which.
        kinds: Kinds,
    },
    /// This borrowed session is free again.
    Return {
        /// By whom.
        borrower: Arc<Borrower>,
        /// Which.
        binding: Binding,
    },
    /// Send `logging/setLevel` in this upstream session.
    Level {
        /// To whom.
        upstream: Arc<str>,
        /// In which session.
        binding: Binding,
        /// Which.
        level: Level,
    },
    /// Send `notifications/cancelled` to a legacy upstream.
    Cancelled {
        /// To whom.
        upstream: Arc<str>,
        /// In which session.
        binding: Binding,
        /// Raw JSON id of the request.
        id: Box<str>,
    },
    /// Send a message of a client.
    Tell {
        /// To whom.
        upstream: Arc<str>,
        /// In which session.
        binding: Binding,
        /// As the upstream hears it.
        message: Bytes,
    },
}
