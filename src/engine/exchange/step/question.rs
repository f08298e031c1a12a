//! What an exchange has to find out before it can go on, and of whom it asks.

use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::mcp::trace::TraceContext;
use crate::engine::policy::Claimed;
use crate::engine::policy::delegate::{Errand, Lack};
use crate::engine::policy::place::Place;
use crate::engine::policy::rate::Charge;
use crate::engine::session::{Binding, Client, Delegation, EndpointHash, Level, SessionKey, Timestamp};
use crate::engine::snapshot::{Endpoint, UpstreamIndex};
use bytes::Bytes;
use std::sync::Arc;

/// Something to find out.
#[derive(Debug)]
pub enum Question {
    /// Does this password fit? -> Compared
    Compare(Claimed),
    /// With what may this caller be spoken for? -> Delegated
    Delegate(Errand),
    /// Which endpoint does this caller see? At most `lists.first` for what is not known yet. -> Viewed
    View(Viewer),
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
        version: Version,
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
        /// The span that it is opened for, if that is kept.
        trace: Option<TraceContext>,
    },
    /// A session at a legacy upstream for one call, out of the pool or opened. Nobody else uses it until it is given back
    /// by [`super::Notice::Return`] or closed. -> Bound, Unbindable
    Borrow {
        /// For whom.
        borrower: Arc<Borrower>,
        /// The span that it is opened for, if that is kept.
        trace: Option<TraceContext>,
    },
    /// The upstream said 400 or 404 to this borrowed session: is it lost? Then open another one. -> StillThere, Reopened,
    /// Unbindable
    Renew {
        /// For whom.
        borrower: Arc<Borrower>,
        /// The session that was used.
        stale: Binding,
        /// The span that another one is opened for, if that is kept.
        trace: Option<TraceContext>,
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

/// A caller who sees an endpoint of their own.
#[derive(Debug)]
pub struct Viewer {
    /// As everybody sees it.
    pub endpoint: Arc<Endpoint>,
    /// Who.
    pub principal: Arc<str>,
    /// What speaks for the caller at each of the upstreams that are listed for callers.
    pub voices: Vec<(UpstreamIndex, Result<Delegation, Lack>)>,
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
    pub version: Version,
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
    pub version: Version,
    /// Whose; 0: anonymous.
    pub principal: u64,
    /// What the upstream hears of the client.
    pub client: Client,
    /// At which log messages are wanted, if at all.
    pub level: Option<Level>,
    /// What speaks for the client.
    pub delegation: Delegation,
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
