//! What must be remembered of a gateway session, and the trait behind which it is kept.
//!
//! Lives here because the engine asks; implemented in `edge/store`. All reads answer at once: what is not in memory
//! is not known. Writing it down happens behind the trait, off the call path.

use super::{Delegation, SessionKey, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a client said of itself at initialize, raw. Interned: a thousand sessions of one client share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Raw JSON of `capabilities`.
    pub capabilities: Box<str>,
    /// Raw JSON of `clientInfo`.
    pub info: Box<str>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            capabilities: "{}".into(),
            info: r#"{"name":"mcp-manifold","version":"0.1.0"}"#.into(),
        }
    }
}

/// A session of the gateway with an upstream on behalf of one gateway session. Two are equal if they are the same session,
/// whatever speaks for its caller now.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The upstream's session id; `None`: its handshake issued none.
    pub id: Option<Arc<str>>,
    /// Agreed in that handshake.
    pub version: crate::engine::mcp::Version,
    /// Who of several at the same URL opened it: its calls go there. `None`: there is nothing to choose.
    pub address: Option<SocketAddr>,
    /// What speaks for its caller there.
    pub delegation: Delegation,
    /// When; `None`: nobody remembers.
    pub opened: Option<Timestamp>,
}

impl PartialEq for Binding {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, self.version, self.address) == (&other.id, other.version, other.address)
    }
}

impl Eq for Binding {}

impl Binding {
    /// To an upstream that issues no session ids.
    #[must_use]
    pub const fn stateless(version: crate::engine::mcp::Version) -> Self {
        Self {
            id: None,
            version,
            address: None,
            delegation: Delegation::NONE,
            opened: None,
        }
    }
}

/// `logging/setLevel`, RFC 5424 words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// debug
    Debug,
    /// info
    Info,
    /// notice
    Notice,
    /// warning
    Warning,
    /// error
    Error,
    /// critical
    Critical,
    /// alert
    Alert,
    /// emergency
    Emergency,
}

impl Level {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Notice, "notice"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
        (Self::Alert, "alert"),
        (Self::Emergency, "emergency"),
    ];

    /// Reads the word of the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, word)| *word == text)
            .map(|(level, _)| level)
    }

    /// The word of the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(level, _)| *level == self)
            .map_or("debug", |(_, word)| word)
    }
}

/// Whether a session with a valid id may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// Not ended (perhaps not remembered at all: another replica made it).
    Live,
    /// Ended by DELETE.
    Ended,
}

/// What is known of a session's tie to one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Here it is.
    Bound(Binding),
    /// Not yet.
    Unbound,
    /// The gateway session itself was ended.
    Ended,
}

/// A resource of an upstream whose changes a client wants to hear of (`resources/subscribe`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Configured name.
    pub upstream: Arc<str>,
    /// As the upstream knows it.
    pub uri: Arc<str>,
}

/// Of one session.
pub const SUBSCRIPTIONS: usize = 256;

/// Whether a subscription begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `resources/subscribe`
    FromNowOn,
    /// `resources/unsubscribe`
    NoLonger,
}

/// The map is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sessions")]
pub struct Full;

/// The session map.
pub trait SessionStore: Send + Sync + 'static {
    /// Remembers a new session until `expires`.
    ///
    /// # Errors
    /// [`Full`] at `limits.sessions`.
    fn start(&self, key: SessionKey, expires: Timestamp, client: Client) -> Result<(), Full>;
    /// Whether the session may go on; counts as use at `now`.
    fn recall(&self, key: SessionKey, now: Timestamp) -> Recall;
    /// The tie to `upstream`; counts as use at `now`. One look-up: the call path.
    fn lookup(&self, key: SessionKey, upstream: &str, now: Timestamp) -> Lookup;
    /// A call of the session to `upstream` is under way: until it is released, the session is not idle. Its raw JSON id
    /// is remembered for [`SessionStore::owner`], of the last 64 calls.
    fn hold(&self, key: SessionKey, upstream: &str, call: &[u8]);
    /// The client holds a stream open: until it is released, the session is not idle.
    fn attend(&self, key: SessionKey);
    /// So many calls or streams that were held are over at `now`.
    fn release(&self, key: SessionKey, calls: u32, now: Timestamp);
    /// What is needed to open an upstream session: the client and the level it set.
    fn client(&self, key: SessionKey) -> (Arc<Client>, Option<Level>);
    /// Ties the session to `upstream`; replaces an older tie. `expires` for sessions that were not remembered. False if
    /// the session was ended meanwhile: nothing is kept, the caller closes what it has opened.
    fn bind(&self, key: SessionKey, expires: Timestamp, upstream: &str, binding: Binding, now: Timestamp) -> bool;
    /// Remembers what speaks for the session's caller at `upstream` from now on, in memory alone.
    fn delegate(&self, key: SessionKey, expires: Timestamp, upstream: &str, delegation: Delegation);
    /// The same where the session has to do with `upstream` already: a tie, a subscription, or something that spoke there.
    fn refresh(&self, key: SessionKey, upstream: &str, delegation: Delegation);
    /// What speaks for the session's caller at `upstream`, if that is known.
    fn delegation(&self, key: SessionKey, upstream: &str) -> Delegation;
    /// Forgets the tie, if it is still the one with upstream session id `stale`.
    fn unbind(&self, key: SessionKey, upstream: &str, stale: Option<&str>);
    /// Remembers the level. False if the session is ended.
    fn set_level(&self, key: SessionKey, expires: Timestamp, level: Level) -> bool;
    /// Remembers that the client wants to hear of changes of `uri` at `upstream`, or that it no longer does. Of more
    /// than [`SUBSCRIPTIONS`] nothing is remembered: they last as long as the upstream session.
    fn subscribe(&self, key: SessionKey, expires: Timestamp, subscription: Subscription, wanted: Wanted);
    /// What the session is subscribed to, at all upstreams.
    fn subscriptions(&self, key: SessionKey) -> Vec<Subscription>;
    /// The ties of a session: (upstream, binding), that to the upstream that was called last first.
    fn ties(&self, key: SessionKey) -> Vec<(String, Binding)>;
    /// The upstream that the call with this raw JSON id went to, and the tie to it.
    fn owner(&self, key: SessionKey, call: &[u8]) -> Option<(String, Binding)>;
    /// Ends a session until `expires`: its ties, to be closed upstream, and a promise that it is on disk.
    fn end(&self, key: SessionKey, expires: Timestamp) -> Ended;
    /// Takes the ties of sessions not used since `before`, to be closed upstream. The sessions stay.
    fn take_idle(&self, before: Timestamp) -> Vec<(String, Binding)>;
    /// Forgets sessions and ended ids that have expired at `now`.
    fn expire(&self, now: Timestamp) -> Vec<(String, Binding)>;
    /// Number of sessions remembered.
    fn len(&self) -> usize;
    /// True if none is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The outcome of [`SessionStore::end`].
pub struct Ended {
    /// False: it had been ended before.
    pub first: bool,
    /// Ties to be closed at their upstreams: (upstream, binding).
    pub bindings: Vec<(String, Binding)>,
    /// Resolves when the end is on disk (or cannot be: then false).
    pub written: std::pin::Pin<Box<dyn Future<Output = bool> + Send>>,
}
