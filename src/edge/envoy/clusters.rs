//! One Envoy cluster for each upstream, under the upstream's name: address, Host, TLS, limits. Pure.
//!
//! The name is what `x-mcp-upstream` carries. Calls with `via: direct` do not pass here, yet their cluster stands
//! ready. Whether Envoy likes the result is found out by [`super::cds`].

use super::bootstrap::RenderError;
use super::template::Fill;
use crate::engine::config::{Config, Upstream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Host;

const TYPE: &str = "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster";

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

/// The file that Envoy reads upstream clusters from. `version` must be new each time.
///
/// # Errors
/// An `https` upstream without any certificate authority: Envoy would verify nothing.
pub fn render_clusters(upstreams: &[Upstream], shared: &Shared, version: &str) -> Result<String, RenderError> {
    let clusters = each(upstreams, shared, TYPE)?;
    Ok(Fill::default()
        .value("version", version)
        .block("clusters", if clusters.is_empty() { "[]" } else { clusters.as_str() })
        .fill(include_str!("template/cds.yaml")))
}

/// The same clusters for the bootstrap itself.
pub(super) fn inline(upstreams: &[Upstream], shared: &Shared) -> Result<String, RenderError> {
    let clusters = each(upstreams, shared, "")?;
    Ok(if clusters.is_empty() {
        clusters
    } else {
        include_str!("template/clusters_comment.yaml").to_owned() + &clusters
    })
}

fn each(upstreams: &[Upstream], shared: &Shared, kind: &'static str) -> Result<String, RenderError> {
    upstreams
        .iter()
        .filter(|upstream| upstream.enabled)
        .map(|upstream| cluster(upstream, shared, kind))
        .collect()
}

fn cluster(upstream: &Upstream, shared: &Shared, kind: &'static str) -> Result<String, RenderError> {
    let (Some(host), Some(port)) = (upstream.url.host(), upstream.url.port_or_known_default()) else {
        return Err(RenderError::NoHost(upstream.name.clone()));
    };
    let hostname = match upstream.url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    Ok(Fill::default()
        .block("type", kind)
        .value("name", &upstream.name)
        .inline("connect_timeout", seconds(upstream.timeout.connect))
        .block("discovery", discovery(&host))
        .value("hostname", hostname)
        .value("address", bare(&host))
        .value("port", port)
        .block("transport_socket", transport_socket(upstream, &host, shared)?)
        .value("max_streams", shared.streams)
        .fill(include_str!("template/cluster.yaml")))
}

fn discovery(host: &Host<&str>) -> &'static str {
    match host {
        Host::Domain(_) => include_str!("template/cluster_dns.yaml"),
        Host::Ipv4(_) | Host::Ipv6(_) => "type: STATIC",
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

fn transport_socket(upstream: &Upstream, host: &Host<&str>, shared: &Shared) -> Result<String, RenderError> {
    if upstream.url.scheme() != "https" {
        return Ok(String::new());
    }
    let Some(roots) = upstream.ca.as_deref().or(shared.roots.as_deref()) else {
        return Err(RenderError::NoRoots(upstream.name.clone()));
    };
    let bare = bare(host);
    let name = bare.trim_end_matches('.');
    // An address is no server name (RFC 6066) and stands in another field of the certificate.
    let (server_name, kind) = match host {
        Host::Domain(_) => (Fill::default().value("name", name).fill("sni: ${name}"), "DNS"),
        Host::Ipv4(_) | Host::Ipv6(_) => (String::new(), "IP_ADDRESS"),
    };
    Ok(Fill::default()
        .block("sni", server_name)
        .value("trusted_ca", roots.to_string_lossy())
        .inline("san_type", kind.to_owned())
        .value("san", name)
        .fill(include_str!("template/cluster_tls.yaml")))
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
