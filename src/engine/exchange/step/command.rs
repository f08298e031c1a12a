//! What the edge rooms are to do for an exchange.

use super::notice::Notice;
use super::question::{Question, SessionRef};
use super::reply::HeaderName;
use crate::engine::exchange::Parked;
use crate::engine::exchange::headers::Headers;
use crate::engine::session::{Delegation, EndpointHash, SessionKey, Subscription, Wanted};
use crate::engine::stream::{Kinds, Part};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

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
    /// Wait for the client's response to a request of the gateway: [`crate::engine::exchange::Event::Answered`]. Until the exchange ends.
    Expect {
        /// Whose client is asked.
        session: SessionKey,
        /// The request's raw JSON id; it begins with `"mg:`.
        id: Box<str>,
    },
    /// Wait for the client to cancel its request: [`crate::engine::exchange::Event::Cancelled`]. Until the exchange, and a call that
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
    /// Hold this stream open for the client; [`crate::engine::exchange::Event::Hub`] follows. Once for an exchange.
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
    /// Send [`crate::engine::exchange::Event::Timer`] after this long; replaces the timer armed before.
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
        /// Whose lists it hears of besides everybody's; `None`: anonymous.
        principal: Option<Arc<str>>,
    },
    /// `subscriptions/listen` of a modern client.
    Modern {
        /// Whose changed lists it hears of.
        endpoint: EndpointHash,
        /// Raw JSON id of the request; tags every frame.
        tag: Bytes,
        /// Whose lists it hears of besides everybody's; `None`: anonymous.
        principal: Option<Arc<str>>,
        /// Lists whose changes it wants to hear of.
        kinds: Kinds,
        /// What upstreams have to say.
        parts: Vec<Part>,
        /// What speaks for the client at some of them.
        delegations: Vec<(Arc<str>, Delegation)>,
    },
}

/// Names a parked call. Random: it means something only to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParkKey(pub u128);

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
    /// What the upstream says in the session's own stream meanwhile is heard too: [`crate::engine::exchange::CallEvent::Pushed`].
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
