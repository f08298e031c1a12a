//! The validated configuration, in the types that the program uses. Made only by `file`; secrets stay references here,
//! the edge resolves them.

use super::{Cors, IpFilter, Transparent};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything one configuration file says, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where Envoy serves MCP clients.
    pub listen: SocketAddr,
    /// HTTPS on `listen`.
    pub tls: Option<ListenTls>,
    /// The MCP path, starting with `/`.
    pub path: String,
    /// The URL clients know; default `http://<listen><path>`.
    pub public_url: String,
    /// Host names accepted besides loopback and the host of `public_url`; lower case, without port.
    pub hosts: Vec<String>,
    /// Origins accepted besides the own one and loopback.
    pub origins: Vec<String>,
    /// The admin port.
    pub admin: SocketAddr,
    /// Bearer token of the admin port; required when `admin` is not loopback.
    pub admin_token: Option<Secret>,
    /// Journal, last good catalogs, generated key.
    pub state_dir: PathBuf,
    /// Gateway sessions.
    pub session: SessionSettings,
    /// Limits.
    pub limits: Limits,
    /// Discovery.
    pub lists: Lists,
    /// Envoy as `up` runs it.
    pub envoy: EnvoySettings,
    /// Audit lines.
    pub audit: super::Audit,
    /// What a collector gets; `None`: there is none.
    pub telemetry: Option<super::Telemetry>,
    /// Web pages that may call from a browser.
    pub cors: Option<Cors>,
    /// Addresses that may call.
    pub ip_filter: IpFilter,
    /// Responses tell browsers to do nothing with them.
    pub security_headers: bool,
    /// Who may call; `None`: nobody is asked.
    pub authentication: Option<super::Authentication>,
    /// How often who may do what.
    pub rate_limits: Vec<Arc<super::RateLimit>>,
    /// Who may call what; `None`: everybody everything.
    pub policies: Option<super::Policies>,
    /// Paths that lead to one upstream each, past the merged lists.
    pub transparent: Vec<Transparent>,
    /// Who counts; `None`: this process.
    pub rate_limit_service: Option<super::rate_limit_service::RateLimitService>,
    /// In the order of the file.
    pub upstreams: Vec<Upstream>,
}

/// Certificate and key of the listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenTls {
    /// PEM file.
    pub cert: PathBuf,
    /// PEM file.
    pub key: PathBuf,
}

/// Where a secret is read from. Never printed resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file; trailing line ends are cut; re-read when it changes.
    File(PathBuf),
    /// The value itself, as a controller hands it out. No configuration file can say it.
    Value(Confidential),
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Confidential(pub Arc<str>);

impl Authority {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Pem(_) | Self::Added(_) => None,
        }
    }
}

impl std::fmt::Debug for Confidential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(not shown)")
    }
}

/// Whom TLS towards an upstream trusts: instead of the system's roots, but for [`Authority::Added`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// A PEM file.
    File(PathBuf),
    /// PEM text, as a controller hands it out.
    Pem(Arc<str>),
    /// The same, beside the system's roots.
    Added(Arc<str>),
}

/// `session:`
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSettings {
    /// Signing keys, the current one first. Empty: generated into the state folder.
    pub keys: Vec<Secret>,
    /// Upstream sessions end after this long without a call.
    pub idle: Duration,
    /// A gateway session id is valid this long.
    pub lifetime: Duration,
    /// A call of a modern client waits this long for what its legacy upstream has asked for.
    pub parked: Duration,
}

/// `limits:`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of one request body.
    pub body: usize,
    /// Bytes of all request bodies held at once.
    pub bodies: usize,
    /// Until a request is received in full.
    pub receive: Duration,
    /// Bytes of all bodies kept for a replay.
    pub replay: usize,
    /// JSON nesting.
    pub depth: u32,
    /// Exchanges at once.
    pub streams: usize,
    /// Gateway sessions remembered at once.
    pub sessions: usize,
    /// Of one authenticated principal.
    pub sessions_per_principal: usize,
    /// Calls at once of one gateway session; `None`: no matter.
    pub calls_per_session: Option<u32>,
    /// Calls at once of one authenticated principal; `None`: no matter.
    pub calls_per_principal: Option<u32>,
    /// Streams that one authenticated principal holds open; `None`: no matter.
    pub streams_per_principal: Option<u32>,
    /// Bytes of all request headers together, in whole KiB.
    pub headers: usize,
}

impl Limits {
    /// The end of every call must be seen, and that is seen only of calls that the processor makes itself.
    #[must_use]
    pub const fn counts_calls(&self) -> bool {
        self.calls_per_session.is_some() || self.calls_per_principal.is_some()
    }
}

/// `lists:`
#[derive(Clone, Debug, PartialEq)]
pub struct Lists {
    /// Readiness waits this long for the first listing.
    pub first: Duration,
    /// A dead upstream keeps its items this long.
    pub keep_last_good: Duration,
    /// Upstreams are listed again this often.
    pub refresh: Duration,
    /// Most callers whose own listings are kept at a time (`listing: perPrincipal`).
    pub principals: usize,
    /// A caller's own listing is kept this long.
    pub principal_age: Duration,
}

/// `envoy:`
#[derive(Clone, Debug, PartialEq)]
pub struct EnvoySettings {
    /// Worker threads.
    pub concurrency: u32,
    /// Envoy's own admin interface.
    pub admin: EnvoyAdmin,
    /// Whether upstream response headers pass the processor.
    pub response_phase: bool,
    /// Envoy's access log.
    pub access_log: AccessLog,
    /// Forwarded calls and answers carry all of the dynamic metadata `mcp.manifold`, not only what Envoy's own errors need
    /// (refusals of ours always do). Envoy pays for it with a twentieth of what a call costs it.
    pub metadata: bool,
    /// On Envoy Gateway: the HTTPRoutes, `namespace/name`, on which clients come in. Empty in plain Envoy.
    pub routes: Vec<Arc<str>>,
}

/// Where Envoy's admin interface listens.
#[derive(Clone, Debug, PartialEq)]
pub enum EnvoyAdmin {
    /// A Unix socket; `None`: in the state folder.
    Socket(Option<PathBuf>),
    /// host:port
    Tcp(SocketAddr),
}

/// Envoy's access log.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessLog {
    /// None.
    Off,
    /// Into the state folder.
    On,
    /// Into this file.
    File(PathBuf),
}

/// One MCP server.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Id in status, metrics, `x-mcp-upstream`.
    pub name: String,
    /// `http` or `https`, host, optional port, path, optional query.
    pub url: url::Url,
    /// In front of tool and prompt names; may be empty.
    pub prefix: String,
    /// A secret header: of everything that is sent there, or, where callers have credentials of their own, of what the
    /// gateway asks for itself.
    pub credential: Option<Credential>,
    /// Constant headers: lower-case name, value.
    pub headers: Vec<(String, String)>,
    /// Timeouts.
    pub timeout: Timeouts,
    /// The certificate authority; default: the system's roots.
    pub ca: Option<Authority>,
    /// False: gone from lists, calls refused, sessions kept.
    pub enabled: bool,
    /// Prefix resource URIs.
    pub resources_rewrite: bool,
    /// Ask this upstream for unknown resource URIs.
    pub resources_probe: bool,
    /// Who makes the calls.
    pub via: Via,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Which eras it is asked about.
    pub eras: Eras,
    /// False: reached by transparent paths only.
    pub merge: bool,
    /// Where it is reached, as a controller knows it: one of these is dialled instead of the URL's host, and a session
    /// stays with the address that opened it. Empty: the URL's host is looked up.
    pub addresses: Vec<SocketAddr>,
    /// When it is spared, or not asked at all.
    pub protection: super::Protection,
    /// What it is told of its callers.
    pub delegated: super::Delegated,
    /// With whose credential it is listed.
    pub listing: Listing,
}

impl Upstream {
    /// A server that is no upstream of the gateway's, but is called like one.
    #[must_use]
    pub fn elsewhere(name: &str, url: url::Url, ca: Option<Authority>, timeout: Timeouts) -> Self {
        Self {
            name: name.to_owned(),
            url,
            prefix: String::new(),
            credential: None,
            headers: Vec::new(),
            timeout,
            ca,
            enabled: true,
            resources_rewrite: false,
            resources_probe: false,
            via: Via::Direct,
            protocol: Protocol::Streamable,
            eras: Eras::Both,
            merge: false,
            addresses: Vec::new(),
            protection: super::Protection::default(),
            delegated: super::Delegated::default(),
            listing: Listing::Shared,
        }
    }
}

/// With whose credential an upstream is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// With the gateway's own: everybody sees the same.
    #[default]
    Shared,
    /// With the caller's: everybody sees what it shows them, who is nobody sees nothing.
    PerPrincipal,
}

/// Which eras an upstream may speak: the others are never tried with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eras {
    /// Whatever it answers to.
    #[default]
    Both,
    /// With `initialize` only.
    Legacy,
    /// Without `initialize`.
    Modern,
}

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Streamable HTTP (2025-03-26 and later).
    Streamable,
    /// HTTP+SSE (2024-11-05): calls are made by the processor.
    Sse,
}

/// Who makes the calls to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Envoy (forward).
    Envoy,
    /// The processor (relay).
    Direct,
}

/// A header whose value is secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// Lower-case header name.
    pub header: String,
    /// Its value.
    pub value: Secret,
}

/// Timeouts towards one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// Until the response headers of a call.
    pub call: Duration,
    /// For each page of a listing, and for a handshake.
    pub list: Duration,
}
