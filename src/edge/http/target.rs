//! One upstream as it is called: address, constant headers, credential, timeouts, trust; its connections are in `wire`.

use super::connect::{self, Trust};
use super::lasted::Told;
use super::sse::Sessions;
use super::voice::Voice;
use super::wire::Wire;
use super::{HttpError, Response};
use crate::engine::config;
use crate::engine::mcp::Era;
use crate::engine::session::Delegation;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// The upstreams that can be called now, by configured name. One writer: `app`.
pub type Targets = ArcSwap<HashMap<String, Arc<Target>>>;

/// One upstream, ready to be called.
#[derive(Debug)]
pub struct Target {
    name: Arc<str>,
    url: String,
    uri: Uri,
    timeout: config::Timeouts,
    wire: Arc<Wire>,
    /// `protocol: sse`
    sse: Option<Sessions>,
    eras: config::Eras,
    /// Which of several addresses is next to hold a session.
    turn: AtomicUsize,
    /// Calls under way, and how many there may be.
    calls: Arc<AtomicUsize>,
    most: usize,
    /// Told when what was listed of it turns out not to hold.
    doubted: Notify,
    /// What speaks for the gateway itself, where callers have credentials of their own.
    own: Delegation,
    /// Who has those.
    pub(super) voice: Voice,
    /// Who hears of sessions that are over.
    pub(super) told: Told,
}

/// A call under way; over when dropped.
#[derive(Debug)]
pub struct Underway(Arc<AtomicUsize>);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why an upstream cannot be called with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not a URL that HTTP can use.
    #[error("url: {0}")]
    Url(#[from] http::uri::InvalidUri),
    /// A header name or value that HTTP does not allow; the value is not told, it may be secret.
    #[error("headers: {0:?} cannot be sent as it is")]
    Header(String),
    /// The certificate authority's file is of no use.
    #[error("tls.ca: {}: {source}", .file.display())]
    Authority {
        /// The file.
        file: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system's certificate authorities could not be read.
    #[error("no certificate authorities of the system ({0}): install ca-certificates or set tls.ca")]
    SystemRoots(std::io::Error),
}

impl Target {
    /// Builds it from the configuration and the resolved value of its credential header.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn new(upstream: &config::Upstream, credential: Option<&str>) -> Result<Self, TargetError> {
        let mut url = upstream.url.clone();
        // Neither is ever sent; a URL without host refuses them, and has none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let uri: Uri = url.as_str().parse()?;
        let wire = Arc::new(Wire::new(
            headers(upstream, credential)?,
            missing(upstream, credential),
            upstream.timeout.connect,
            trust(upstream)?,
            uri.host().unwrap_or_default(),
            &upstream.addresses,
        ));
        let sse = match upstream.protocol {
            config::Protocol::Streamable => None,
            config::Protocol::Sse => Some(Sessions::new(url.clone(), Arc::clone(&wire))),
        };
        url.set_query(None);
        Ok(Self {
            name: upstream.name.as_str().into(),
            url: url.into(),
            uri,
            timeout: upstream.timeout.clone(),
            wire,
            sse,
            eras: upstream.eras,
            turn: AtomicUsize::new(0),
            calls: Arc::default(),
            most: upstream
                .protection
                .circuit_breaker
                .requests
                .map_or(usize::MAX, |most| most as usize),
            doubted: Notify::new(),
            own: own(upstream, credential),
            voice: Voice::default(),
            told: Told::default(),
        })
    }

    /// What speaks for the gateway itself; empty where everything that is sent carries the same.
    #[must_use]
    pub const fn own(&self) -> &Delegation {
        &self.own
    }

    /// Room for one more call; `None`: `circuitBreaker.requests` are under way.
    #[must_use]
    pub fn room(&self) -> Option<Underway> {
        let underway = Underway(Arc::clone(&self.calls));
        (self.calls.fetch_add(1, Ordering::Relaxed) < self.most).then_some(underway)
    }

    /// What was listed of it does not hold any more.
    pub fn doubt(&self) {
        self.doubted.notify_waiters();
    }

    /// Waits until somebody doubts what was listed.
    pub async fn doubted(&self) {
        self.doubted.notified().await;
    }

    /// Configured name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// URL without user info and query, as people may see it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is really called, query included: not for people.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Who of several addresses is to hold the next session; `None` where there is nothing to choose.
    #[must_use]
    pub fn next_address(&self) -> Option<SocketAddr> {
        let addresses = self.wire.addresses();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(addresses.len())?;
        addresses.get(turn).copied()
    }

    /// Whether whoever holds a session at `address` is still there.
    #[must_use]
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.wire.addresses().contains(&address)
    }

    /// Whether it may be asked if it speaks this era.
    #[must_use]
    pub const fn is_asked_in(&self, era: Era) -> bool {
        match (self.eras, era) {
            (config::Eras::Both, _) | (config::Eras::Legacy, Era::Legacy) | (config::Eras::Modern, Era::Modern) => true,
            (config::Eras::Legacy, Era::Modern) | (config::Eras::Modern, Era::Legacy) => false,
        }
    }

    /// A session lasts as long as its connection, so that its end is known at once to who listens (HTTP+SSE).
    #[must_use]
    pub const fn stays_connected(&self) -> bool {
        self.sse.is_some()
    }

    /// From the configuration.
    #[must_use]
    pub const fn timeout(&self) -> &config::Timeouts {
        &self.timeout
    }

    /// POSTs `body`; `headers` win over the constant ones but not over the credential. Waits `limit` for the response
    /// headers, connecting included.
    ///
    /// # Errors
    /// See [`HttpError`]. An answer of any status is no error.
    pub async fn post(&self, headers: HeaderMap, body: Bytes, limit: Duration) -> Result<Response, HttpError> {
        match &self.sse {
            None => self.send(Method::POST, headers, body, limit).await,
            Some(sessions) => sessions.post(headers, body, limit).await,
        }
    }

    /// POSTs a request whose answer is to last for hours: on a connection of its own that costs little memory.
    ///
    /// # Errors
    /// See [`Target::post`].
    pub async fn hold(&self, headers: HeaderMap, body: Bytes, limit: Duration) -> Result<Response, HttpError> {
        match &self.sse {
            None => self.last(Method::POST, headers, body, limit).await,
            Some(sessions) => sessions.post(headers, body, limit).await,
        }
    }

    /// GETs the event stream; see [`Target::hold`].
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn get(&self, headers: HeaderMap, limit: Duration) -> Result<Response, HttpError> {
        match &self.sse {
            None => self.last(Method::GET, headers, Bytes::new(), limit).await,
            Some(sessions) => Ok(sessions.get(&headers).await),
        }
    }

    /// GETs a document, which is no event stream; see [`Target::post`].
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn fetch(&self, headers: HeaderMap, limit: Duration) -> Result<Response, HttpError> {
        self.send(Method::GET, headers, Bytes::new(), limit).await
    }

    /// DELETEs a session; see [`Target::post`].
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn delete(&self, headers: HeaderMap, limit: Duration) -> Result<Response, HttpError> {
        match &self.sse {
            None => self.send(Method::DELETE, headers, Bytes::new(), limit).await,
            Some(sessions) => Ok(sessions.delete(&headers)),
        }
    }

    async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, HttpError> {
        self.wire.send(method, self.uri.clone(), headers, body, limit).await
    }

    async fn last(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, HttpError> {
        self.wire.hold(method, self.uri.clone(), headers, body, limit).await
    }
}

/// Constant headers, and the credential marked sensitive.
fn headers(upstream: &config::Upstream, credential: Option<&str>) -> Result<HeaderMap, TargetError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &upstream.headers {
        let (name, value) = header(name, value)?;
        headers.append(name, value);
    }
    if let (Some(secret), Some(value), None) = (&upstream.credential, credential, &upstream.delegated.credential) {
        let (name, mut value) = header(&secret.header, value)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn own(upstream: &config::Upstream, credential: Option<&str>) -> Delegation {
    let own = upstream.credential.as_ref().zip(credential);
    let own = own.filter(|_| upstream.delegated.credential.is_some());
    let own = own.map(|(own, value)| (own.header.clone().into(), Bytes::copy_from_slice(value.as_bytes())));
    Delegation::new(own.into_iter().collect())
}

fn missing(upstream: &config::Upstream, credential: Option<&str>) -> Option<String> {
    match (&upstream.credential, credential) {
        (Some(config::Credential { value, .. }), None) => Some(match value {
            config::Secret::Env(name) => format!("environment variable {name}"),
            config::Secret::File(file) => file.display().to_string(),
            config::Secret::Value(_) => "what the controller sent".to_owned(),
        }),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), TargetError> {
    let refused = || TargetError::Header(name.to_owned());
    Ok((
        name.parse().map_err(|_| refused())?,
        value.parse().map_err(|_| refused())?,
    ))
}

fn trust(upstream: &config::Upstream) -> Result<Trust, TargetError> {
    let sent = |source| TargetError::Authority {
        file: "what the controller sent".into(),
        source,
    };
    match &upstream.ca {
        Some(config::Authority::File(file)) => connect::own_trust(file).map_err(|source| TargetError::Authority {
            file: file.clone(),
            source,
        }),
        Some(config::Authority::Pem(pem)) => connect::trust_of(pem.as_bytes()).map_err(sent),
        Some(config::Authority::Added(pem)) => connect::trust_beside_system(pem.as_bytes()).map_err(sent),
        None if upstream.url.scheme() == "https" => connect::system_trust().map_err(TargetError::SystemRoots),
        None => connect::no_trust().map_err(TargetError::SystemRoots),
    }
}
