//! How a target is reached: its URL, its addresses, TLS.

use super::super::names;
use super::super::object::place;
use super::super::problem::{Problem, Why};
use super::super::services;
use super::super::store::Reader;
use super::super::trust::{self, Tls};
use super::targets::{At, Target};
use crate::edge::kube::plan::Place;
use crate::engine::config::{Authority, Protocol};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use url::Url;

/// A target that can be called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Server {
    /// What it is for the backend object.
    pub target: Target,
    /// Its URL, by name.
    pub url: Url,
    /// `Host` towards it.
    pub host: Arc<str>,
    /// Whom TLS trusts; `None`: the system's roots, or no TLS.
    pub ca: Option<Authority>,
    /// Ready addresses; empty: its name is looked up.
    pub addresses: Vec<SocketAddr>,
    /// The Service that a route can lead to; `None`: the processor calls it itself.
    pub routable: Option<Place>,
    /// The Service that has no ready address.
    pub idle: Option<Place>,
}

/// Resolves it.
///
/// # Errors
/// `BackendNotFound`, `Invalid`, and those of TLS.
pub(crate) fn resolve(reader: &mut Reader<'_>, target: &Target) -> Result<Server, Problem> {
    match &target.at {
        At::Service(at) => service(reader, target, at),
        At::Host { host, tls: None } => {
            let domain = reader.settings().cluster_domain.clone();
            match in_cluster(host, &domain).filter(|at| reader.service(at).is_some()) {
                Some(at) => service(reader, target, &at),
                None => outside(target, host, None),
            }
        }
        At::Host { host, tls: Some(name) } => outside(target, host, Some(name)),
    }
}

/// The Service that a name of the cluster's DNS stands for.
fn in_cluster(host: &str, domain: &str) -> Option<Place> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = host
        .strip_suffix(domain)
        .and_then(|host| host.strip_suffix('.'))
        .unwrap_or(host);
    let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
    (!namespace.contains('.')).then(|| place(namespace, name))
}

fn outside(target: &Target, host: &str, tls: Option<&str>) -> Result<Server, Problem> {
    let address: Option<IpAddr> = host.parse().ok();
    // What is dialled is the host; what TLS and the server see is the name.
    let addresses = match (address, tls) {
        (Some(address), Some(_)) => vec![SocketAddr::new(address, target.port)],
        (Some(_), None) | (None, _) => Vec::new(),
    };
    let name = tls.filter(|_| !addresses.is_empty()).unwrap_or(host);
    let url = url(target, tls.is_some(), &bracketed(name))?;
    Ok(Server {
        target: target.clone(),
        host: name.to_ascii_lowercase().into(),
        url,
        ca: None,
        addresses,
        routable: None,
        idle: None,
    })
}

fn bracketed(host: &str) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]")
    } else {
        host.to_ascii_lowercase()
    }
}

fn service(reader: &mut Reader<'_>, target: &Target, at: &Place) -> Result<Server, Problem> {
    let missing = |what: String| Problem::new(Why::BackendNotFound, what);
    let service = reader
        .service(at)
        .ok_or_else(|| missing(format!("Service {at} does not exist")))?;
    if let Some(name) = services::external_name(service) {
        let tls = (target.port == 443).then_some(name);
        return outside(target, name, tls);
    }
    let port = services::port(service, i32::from(target.port))
        .ok_or_else(|| missing(format!("Service {at} has no port {}", target.port)))?;
    let tls = trust::tls(reader, at, port)?;
    let addresses = services::addresses(reader.slices(at).into_iter().map(|slice| &**slice), port);
    let usual = || names::service(at, &reader.settings().cluster_domain);
    let host = tls.as_ref().map_or_else(usual, |tls| tls.hostname.clone());
    let url = url(target, tls.is_some(), &host)?;
    let streamable = target.protocol == Protocol::Streamable;
    Ok(Server {
        target: target.clone(),
        url,
        host: host.into(),
        ca: tls.and_then(|tls: Tls| tls.ca).map(Authority::Pem),
        idle: addresses.is_empty().then(|| at.clone()),
        addresses,
        routable: streamable.then(|| at.clone()),
    })
}

fn url(target: &Target, tls: bool, host: &str) -> Result<Url, Problem> {
    let scheme = if tls { "https" } else { "http" };
    let text = format!("{scheme}://{host}:{}{}", target.port, target.path);
    let parsed = Url::parse(&text)
        .ok()
        .filter(|url| url.username().is_empty() && url.host().is_some());
    parsed.ok_or_else(|| Problem::new(Why::Invalid, format!("target {:?}: {text} is no URL", target.name)))
}
