//! One JSON-RPC request of the gateway to an upstream: what it carries in each era. What comes back is for `answer`.

use super::Failure;
use super::answer::{self, Reply};
use super::binder::now;
use super::span;
use crate::edge::http::{HttpError, Response, Target};
use crate::engine::mcp::capabilities::TASKS_EXTENSION;
use crate::engine::mcp::trace::TRACEPARENT;
use crate::engine::mcp::{Version, headers};
use crate::engine::session::past::Ending;
use crate::engine::session::{Binding, Delegation};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Bytes of an answer that is not a list.
pub(super) const SMALL: usize = 4 << 20;

/// What the gateway says of itself.
pub(super) const OWN_INFO: &str = concat!(
    r#"{"name":"mcp-manifold","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// Raw `capabilities` of a client that upstreams may ask for everything there is.
pub(super) const CAPABLE: &str =
    r#"{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}"#;

/// How requests to one upstream are addressed.
#[derive(Debug)]
pub(super) struct Line {
    target: Arc<Target>,
    tie: Tie,
    speaker: Speaker,
}

/// For whom a line speaks.
#[derive(Clone)]
pub(super) enum Speaker {
    /// For a caller as it was known when the line was made, or for nobody. What somebody else has of it is asked for when
    /// something is sent.
    Caller(Delegation),
    /// For a caller as its session knows it when something is sent.
    Latest(Arc<dyn Fn() -> Delegation + Send + Sync>),
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Caller(delegation) => delegation.fmt(formatter),
            Self::Latest(_) => formatter.write_str("Latest"),
        }
    }
}

/// What a request has to carry.
#[derive(Clone, Debug)]
pub(super) enum Tie {
    /// Legacy, before there is a session, which this one of several addresses will hold.
    Opening(Option<SocketAddr>),
    /// Legacy, in this session.
    Session(Binding),
    /// Modern: every request speaks for itself.
    Modern(Version),
    /// The same on behalf of a client that can take tasks.
    ModernWithTasks(Version),
    /// The same on behalf of a client that can be asked for everything.
    ModernCapable(Version),
}

impl Line {
    /// Speaks for the caller of the session, if it is in one.
    pub(super) fn new(target: Arc<Target>, tie: Tie) -> Self {
        let delegation = match &tie {
            Tie::Session(binding) => binding.delegation.clone(),
            Tie::Opening(_) | Tie::Modern(_) | Tie::ModernWithTasks(_) | Tie::ModernCapable(_) => Delegation::NONE,
        };
        Self::of(target, tie, Speaker::Caller(delegation))
    }

    /// Speaks for the gateway itself.
    pub(super) fn own(target: Arc<Target>, tie: Tie) -> Self {
        let own = target.own().clone();
        Self::of(target, tie, Speaker::Caller(own))
    }

    pub(super) const fn of(target: Arc<Target>, tie: Tie, speaker: Speaker) -> Self {
        Self { target, tie, speaker }
    }

    pub(super) const fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The session, if this line is in one that has an id.
    pub(super) fn has_session(&self) -> bool {
        matches!(&self.tie, Tie::Session(Binding { id: Some(_), .. }))
    }

    /// Asks `method` with `members` (raw JSON members of `params`, may be empty). The whole takes at most `time`, its
    /// answer at most `limit` bytes. Asked once more if the connection breaks off: an upstream may close an idle one in
    /// the moment it is used, and nothing that the gateway asks on its own behalf does harm twice.
    ///
    /// # Errors
    /// See [`Failure`]; a JSON-RPC error is [`Failure::Refused`].
    pub(super) async fn request(
        &self,
        method: &'static str,
        members: &str,
        limit: usize,
        time: Duration,
    ) -> Result<Reply, Failure> {
        let exchange = async {
            match self.ask(method, members, limit, time).await {
                Err(Failure::Http(HttpError::BrokenOff(_))) => self.ask(method, members, limit, time).await,
                answered => answered,
            }
        };
        tokio::time::timeout(time, exchange)
            .await
            .unwrap_or(Err(Failure::Http(HttpError::TimedOut(time))))
    }

    async fn ask(&self, method: &'static str, members: &str, limit: usize, time: Duration) -> Result<Reply, Failure> {
        let response = self.post(method, self.body(method, members), time).await?;
        answer::read(method, response, limit, time).await
    }

    async fn post(&self, method: &'static str, body: Bytes, time: Duration) -> Result<Response, HttpError> {
        let spoken = self.spoken().await?;
        let headers = self.headers(method, &spoken);
        let response = self.target.post(headers, body, time).await?;
        self.target.heard(&spoken, response.status());
        Ok(response)
    }

    /// What speaks for whom this line speaks, now.
    async fn spoken(&self) -> Result<Delegation, HttpError> {
        let delegation = match &self.speaker {
            Speaker::Caller(delegation) => delegation.clone(),
            Speaker::Latest(delegation) => delegation(),
        };
        self.target.speaking(delegation).await
    }

    /// Sends a request whose answer is a stream that lasts, and returns when response headers are here, whatever they
    /// say.
    ///
    /// # Errors
    /// [`Failure::Http`].
    pub(super) async fn open(&self, method: &'static str, members: &str, time: Duration) -> Result<Response, Failure> {
        let spoken = self.spoken().await?;
        let (headers, body) = (self.headers(method, &spoken), self.body(method, members));
        let response = self.target.hold(headers, body, time).await?;
        self.target.heard(&spoken, response.status());
        Ok(response)
    }

    fn body(&self, method: &'static str, members: &str) -> Bytes {
        let id = next_id();
        let params = self.params(members);
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"{params}}}"#).into()
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// See [`Failure`]; any 2xx is good.
    pub(super) async fn notify(&self, method: &'static str, members: &str, time: Duration) -> Result<(), Failure> {
        let params = self.params(members);
        let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#);
        let response = self.post(method, body.into(), time).await?;
        if response.is_success() {
            return Ok(());
        }
        Err(answer::refusal(method, response, time).await)
    }

    /// Sends any JSON-RPC message that has no answer. True if the upstream took it: any 2xx.
    pub(super) async fn say(&self, body: impl Into<Bytes>, time: Duration) -> bool {
        let response = self.post("", body.into(), time).await;
        response.is_ok_and(|response| response.is_success())
    }

    /// Opens the event stream of the session (GET), behind the event `last` if that is given.
    ///
    /// # Errors
    /// [`Failure::Http`].
    pub(super) async fn listen(&self, last: Option<&str>, time: Duration) -> Result<Response, Failure> {
        let spoken = self.spoken().await?;
        let mut headers = self.headers("", &spoken);
        headers.remove("content-type");
        headers.insert("accept", HeaderValue::from_static("text/event-stream"));
        if let Some(last) = last.and_then(|last| HeaderValue::from_bytes(last.as_bytes()).ok()) {
            headers.insert("last-event-id", last);
        }
        let response = self.target.get(headers, time).await?;
        self.target.heard(&spoken, response.status());
        Ok(response)
    }

    /// Ends the session (DELETE). Best effort: many servers answer 405.
    pub(super) async fn delete(&self, time: Duration) {
        if let Tie::Session(binding) = &self.tie {
            self.target.over(binding.past(now(), Ending::Closed));
        }
        if self.has_session()
            && let Ok(spoken) = self.spoken().await
        {
            let mut headers = self.headers("", &spoken);
            headers.remove("content-type");
            let _ = self.target.delete(headers, time).await;
        }
    }

    fn headers(&self, method: &'static str, spoken: &Delegation) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in spoken.headers() {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_maybe_shared(value.clone())) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert(
            "accept",
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        let span = span::current().and_then(|span| HeaderValue::from_str(&span.to_string()).ok());
        if let Some(span) = span {
            headers.insert(TRACEPARENT, span);
        }
        let address = match &self.tie {
            Tie::Opening(address) => *address,
            Tie::Session(binding) => binding.address,
            Tie::Modern(_) | Tie::ModernWithTasks(_) | Tie::ModernCapable(_) => None,
        };
        if let Some(address) = address.and_then(|address| HeaderValue::from_str(&address.to_string()).ok()) {
            headers.insert(headers::ENDPOINT, address);
        }
        let version = match &self.tie {
            Tie::Opening(_) => return headers,
            Tie::Session(binding) => {
                let id = binding.id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
                if let Some(mut id) = id {
                    id.set_sensitive(true);
                    headers.insert(headers::SESSION_ID, id);
                }
                binding.version
            }
            Tie::Modern(version) | Tie::ModernWithTasks(version) | Tie::ModernCapable(version) => {
                headers.insert(headers::METHOD, HeaderValue::from_static(method));
                *version
            }
        };
        headers.insert(headers::PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
        headers
    }

    /// `,"params":{...}`, or nothing where there is nothing to say.
    fn params(&self, members: &str) -> String {
        match &self.tie {
            Tie::Opening(_) | Tie::Session(_) if members.is_empty() => String::new(),
            Tie::Opening(_) | Tie::Session(_) => format!(r#","params":{{{members}}}"#),
            Tie::Modern(version) => modern_params(members, &meta(*version, "{}")),
            Tie::ModernCapable(version) => modern_params(members, &meta(*version, CAPABLE)),
            Tie::ModernWithTasks(version) => {
                let capabilities = format!(r#"{{"extensions":{{"{TASKS_EXTENSION}":{{}}}}}}"#);
                modern_params(members, &meta(*version, &capabilities))
            }
        }
    }
}

/// A JSON-RPC id that no session has seen before. A session that is opened for a client is used by it too, and clients
/// count from 0: ours begin far above, and still fit 32 bits.
fn next_id() -> u32 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(rand::random_range(1 << 30..3 << 29)));
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn modern_params(members: &str, meta: &str) -> String {
    let gap = if members.is_empty() { "" } else { "," };
    format!(r#","params":{{{members}{gap}"_meta":{meta}}}"#)
}

/// `_meta` of the gateway's own modern requests.
fn meta(version: Version, capabilities: &str) -> String {
    format!(
        r#"{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{capabilities},"io.modelcontextprotocol/clientInfo":{OWN_INFO}}}"#,
        version.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn a_modern_request_speaks_for_itself() {
        let meta = meta(Version::V2026_07_28, "{}");
        assert!(serde_json::from_str::<&RawValue>(&meta).is_ok(), "{meta}");
        assert!(meta.starts_with(r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#));
    }
}
