//! One Envoy cluster for each upstream, under the upstream's name: address, Host, TLS, limits. Pure.
//!
//! The name is what `x-mcp-upstream` carries. Calls with `via: direct` do not pass here, yet their cluster stands
//! ready. Whether Envoy likes the result is found out by [`super::cds`].

use super::bootstrap::RenderError;
use super::template::{self, Fill};
use crate::engine::config::{Authority, Config, Upstream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Host;

/// Names the message where the place does not.
const TYPE: &str = "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster";

/// Without `outlierDetection`: how often upstreams that cannot be reached are looked at, and for how long they are not tried.
const LOOK: Duration = Duration::from_secs(1);
const EJECTION: Duration = Duration::from_secs(2);

/// What all upstream clusters share.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// Requests and connections at once, each cluster.
    pub streams: usize,
    /// PEM bundle for upstreams without `tls.ca`; see [`system_roots`].
    pub roots: Option<PathBuf>,
}

impl Shared {
    /// As `config` says.
    #[must_use]
    pub fn new(config: &Config, roots: Option<PathBuf>) -> Self {
        Self {
            streams: config.limits.streams,
            roots,
        }
    }
}

/// The file that Envoy reads upstream clusters from, in JSON. `version` must be new each time.
///
/// # Errors
/// An `https` upstream without any certificate authority: Envoy would verify nothing.
pub fn render_clusters(upstreams: &[Upstream], shared: &Shared, version: &str) -> Result<String, RenderError> {
    let clusters = each(upstreams, shared, &Shapes::json())?.join(",");
    let version = template::quoted(version);
    Ok(format!(
        "{{\"version_info\":{version},\"resources\":[\n{clusters}\n]}}\n"
    ))
}

/// The same clusters in YAML, for the bootstrap itself.
pub(super) fn inline(upstreams: &[Upstream], shared: &Shared) -> Result<String, RenderError> {
    let clusters = each(upstreams, shared, &Shapes::yaml())?.concat();
    Ok(if clusters.is_empty() {
        clusters
    } else {
        include_str!("template/clusters_comment.yaml").to_owned() + &clusters
    })
}

fn each(upstreams: &[Upstream], shared: &Shared, shapes: &Shapes) -> Result<Vec<String>, RenderError> {
    let enabled = upstreams.iter().filter(|upstream| upstream.enabled);
    enabled.map(|upstream| cluster(upstream, shared, shapes)).collect()
}

fn cluster(upstream: &Upstream, shared: &Shared, shapes: &Shapes) -> Result<String, RenderError> {
    let (Some(host), Some(port)) = (upstream.url.host(), upstream.url.port_or_known_default()) else {
        return Err(RenderError::NoHost(upstream.name.clone()));
    };
    let hostname = match upstream.url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    let address = bare(&host);
    let breaker = &upstream.protection.circuit_breaker;
    let outlier = upstream.protection.outlier_detection.as_ref();
    let usable = |number: u32| number as usize;
    let longest = outlier.map_or(EJECTION, |outlier| outlier.ejection.saturating_mul(10));
    let values = Fill::default()
        .value("name", &upstream.name)
        .value("connect_timeout", seconds(upstream.timeout.connect))
        .value("hostname", hostname)
        .value("host", address.trim_end_matches('.'))
        .value("address", &address)
        .value("port", port)
        .value("max_connections", breaker.connections.map_or(shared.streams, usable))
        .value("max_pending", breaker.pending.map_or(shared.streams, usable))
        .value("max_requests", breaker.requests.map_or(shared.streams, usable))
        .value("consecutive_5xx", outlier.map_or(5, |outlier| outlier.consecutive_5xx))
        .value("enforcing_5xx", if outlier.is_some() { 100 } else { 0 })
        .value("interval", seconds(outlier.map_or(LOOK, |outlier| outlier.interval)))
        .value(
            "ejection",
            seconds(outlier.map_or(EJECTION, |outlier| outlier.ejection)),
        )
        .value("longest", seconds(longest));
    if upstream.url.scheme() != "https" {
        return Ok(values.fill(shapes.plain(&host)));
    }
    let Some(roots) = upstream
        .ca
        .as_ref()
        .and_then(Authority::file)
        .or(shared.roots.as_deref())
    else {
        return Err(RenderError::NoRoots(upstream.name.clone()));
    };
    Ok(values
        .value("trusted_ca", roots.to_string_lossy())
        .fill(shapes.tls(&host)))
}

/// A server that is no upstream.
pub(super) struct Peer<'a> {
    host: Host<&'a str>,
    /// Name or IP address.
    pub(super) address: String,
    pub(super) port: u16,
}

impl<'a> Peer<'a> {
    /// `None`: the URL has no host or port.
    pub(super) fn of(url: &'a url::Url) -> Option<Self> {
        let host = url.host()?;
        Some(Self {
            address: bare(&host),
            port: url.port_or_known_default()?,
            host,
        })
    }

    /// How its address is found out.
    pub(super) const fn discovery(&self) -> &'static str {
        match self.host {
            Host::Domain(_) => DNS,
            Host::Ipv4(_) | Host::Ipv6(_) => FIXED,
        }
    }

    /// TLS that trusts these roots.
    pub(super) fn tls(&self, roots: &Path) -> String {
        self.tls_for(HTTP1, roots)
    }

    /// The same for who speaks HTTP/2, as gRPC does.
    pub(super) fn tls_http2(&self, roots: &Path) -> String {
        self.tls_for("h2", roots)
    }

    fn tls_for(&self, protocol: &str, roots: &Path) -> String {
        let fragment = match self.host {
            Host::Domain(_) => named(protocol),
            Host::Ipv4(_) | Host::Ipv6(_) => unnamed(protocol),
        };
        Fill::default()
            .value("host", self.address.trim_end_matches('.'))
            .value("trusted_ca", roots.to_string_lossy())
            .fill(&fragment)
    }
}

/// Without the brackets of an IPv6 address.
fn bare(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

/// The cluster fragment for names and for addresses, each without and with TLS; the values are still open.
struct Shapes {
    name: [String; 2],
    address: [String; 2],
}

impl Shapes {
    /// Elements of a list in the bootstrap.
    fn yaml() -> Self {
        Self::new("", |element| element)
    }

    /// Resources of a file. Envoy reads JSON four times faster than YAML.
    fn json() -> Self {
        Self::new(TYPE, |element| {
            let list = template::as_json(&element);
            list.trim_start_matches('[').trim_end_matches(']').to_owned()
        })
    }

    fn new(kind: &str, form: impl Fn(String) -> String) -> Self {
        Self {
            name: [shape(kind, DNS, ""), shape(kind, DNS, &named(HTTP1))].map(&form),
            address: [shape(kind, FIXED, ""), shape(kind, FIXED, &unnamed(HTTP1))].map(&form),
        }
    }

    fn plain(&self, host: &Host<&str>) -> &str {
        let [plain, _] = self.of(host);
        plain
    }

    fn tls(&self, host: &Host<&str>) -> &str {
        let [_, tls] = self.of(host);
        tls
    }

    fn of(&self, host: &Host<&str>) -> &[String; 2] {
        match host {
            Host::Domain(_) => &self.name,
            Host::Ipv4(_) | Host::Ipv6(_) => &self.address,
        }
    }
}

fn shape(kind: &str, discovery: &str, transport_socket: &str) -> String {
    Fill::default()
        .block("type", kind)
        .block("discovery", discovery)
        .block("transport_socket", transport_socket)
        .fill(include_str!("template/cluster.yaml"))
}

const DNS: &str = include_str!("template/cluster_dns.yaml");
const FIXED: &str = "type: STATIC";

/// What upstreams speak (ALPN).
const HTTP1: &str = "http/1.1";

fn named(protocol: &str) -> String {
    tls("sni: ${host}", "DNS", protocol)
}

/// An address is no server name (RFC 6066), and stands in another field of the certificate.
fn unnamed(protocol: &str) -> String {
    tls("", "IP_ADDRESS", protocol)
}

fn tls(server_name: &str, san_type: &str, protocol: &str) -> String {
    Fill::default()
        .block("server_name", server_name)
        .inline("san_type", san_type.to_owned())
        .inline("alpn", protocol.to_owned())
        .fill(include_str!("template/cluster_tls.yaml"))
}

/// Envoy's form of a duration.
pub(super) fn seconds(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanoseconds => format!("{}.{nanoseconds:09}s", duration.as_secs()),
    }
}

/// The system's bundle of certificate authorities: `$SSL_CERT_FILE`, else where distributions keep it.
#[must_use]
pub fn system_roots() -> Option<PathBuf> {
    const PLACES: [&str; 5] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    std::env::var_os("SSL_CERT_FILE")
        .map(PathBuf::from)
        .into_iter()
        .chain(PLACES.iter().map(PathBuf::from))
        .find(|path| Path::is_file(path))
}

#[cfg(test)]
mod tests;
