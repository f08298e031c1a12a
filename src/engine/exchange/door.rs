//! What can be refused or known from request headers alone: path, Host, Origin, HTTP method, media types, Accept.

use super::event::{Headers, RequestHead};
use super::reject::{Looking, Reject};
use crate::engine::snapshot::{Endpoint, Snapshot};
use std::sync::Arc;

/// HTTP methods that the endpoint knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// A JSON-RPC message.
    Post,
    /// A stream.
    Get,
    /// End of a session.
    Delete,
}

/// What the client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    /// JSON and event streams; also when it says nothing, or `*/*`.
    Both,
    /// JSON only.
    Json,
}

/// Chooses the endpoint and checks what the specification and our limits ask of headers.
pub(super) fn enter(snapshot: &Snapshot, head: &RequestHead) -> Result<(Arc<Endpoint>, Verb), Reject> {
    let headers = &head.headers;
    let endpoint = endpoint(snapshot, head)?;
    let trusted = |origin| std::str::from_utf8(origin).is_ok_and(|origin| trusts(endpoint, origin));
    if !headers.all("origin").all(trusted) {
        return Err(Reject::Forbidden("Origin is not allowed"));
    }
    let verb = match headers.get(":method").unwrap_or(b"") {
        b"POST" => Verb::Post,
        b"GET" => Verb::Get,
        b"DELETE" => Verb::Delete,
        _ => return Err(Reject::MethodNotAllowed),
    };
    Ok((Arc::clone(endpoint), verb))
}

/// By the route that Envoy chose, where endpoints have routes of their own; else by path. Then by host.
fn endpoint<'a>(snapshot: &'a Snapshot, head: &RequestHead) -> Result<&'a Arc<Endpoint>, Reject> {
    let target = head.headers.text(":path").unwrap_or("");
    let path = target.split(['?', '#']).next().unwrap_or("");
    let route = head.route.as_deref().and_then(http_route);
    let mut here = snapshot
        .endpoints
        .iter()
        .filter(|endpoint| &*endpoint.path == path && (endpoint.routes.is_empty() || has_route(endpoint, route)))
        .peekable();
    if here.peek().is_none() {
        return Err(nowhere(snapshot, path, route));
    }
    let authority = head.headers.text(":authority").or_else(|| head.headers.text("host"));
    let host = host_of(authority.unwrap_or(""));
    here.find(|endpoint| serves(endpoint, &host))
        .ok_or(Reject::Forbidden("Host is not served here"))
}

/// No endpoint takes the request. One that came by another route than an endpoint's own means to go around the gateway:
/// straight to an upstream's route, with a key that only the processor should know.
fn nowhere(snapshot: &Snapshot, path: &str, route: Option<&str>) -> Reject {
    let routed = snapshot.endpoints.iter().any(|endpoint| !endpoint.routes.is_empty());
    match (routed, route) {
        (true, None) => Reject::Wiring("request_attributes without xds.route_name"),
        (true, Some(_)) => Reject::Forbidden("Route is not served here"),
        (false, _) => Reject::NoEndpoint(Looking::of(path)),
    }
}

/// `namespace/name` out of `httproute/<namespace>/<name>/rule/...`, as Envoy Gateway names its routes.
fn http_route(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("httproute/")?;
    let (namespace, after) = rest.split_once('/')?;
    let name = after.split('/').next()?;
    rest.get(..namespace.len() + 1 + name.len())
}

fn has_route(endpoint: &Endpoint, route: Option<&str>) -> bool {
    route.is_some_and(|route| endpoint.routes.iter().any(|own| **own == *route))
}

/// Checks what only a POST must say of its body.
pub(super) fn body_is_welcome(endpoint: &Endpoint, headers: &Headers) -> Result<(), Reject> {
    let media = headers
        .text("content-type")
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(Reject::MediaType("Content-Type must be application/json"));
    }
    let encoded = |coding: &[u8]| !coding.trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.all("content-encoding").any(encoded) {
        return Err(Reject::MediaType("Content-Encoding is not supported"));
    }
    let announced = headers
        .text("content-length")
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > endpoint.limits.body {
        return Err(Reject::BodyTooLarge(endpoint.limits.body));
    }
    Ok(())
}

/// What the client can read, from every Accept header it sent.
pub(super) fn accepts(headers: &Headers) -> Accepts {
    let mut json = false;
    for value in headers.all("accept") {
        for range in value.split(|byte| *byte == b',') {
            let range = range.split(|byte| *byte == b';').next().unwrap_or(b"").trim_ascii();
            if range.eq_ignore_ascii_case(b"application/json") || range.eq_ignore_ascii_case(b"application/*") {
                json = true;
            } else if !range.is_empty() {
                // text/event-stream, */*, or something odd: it gets what the upstream says.
                return Accepts::Both;
            }
        }
    }
    if json { Accepts::Json } else { Accepts::Both }
}

/// Lower case, without port, without a trailing dot.
fn host_of(authority: &str) -> String {
    let bare = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        },
    };
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

fn serves(endpoint: &Endpoint, host: &str) -> bool {
    endpoint.any_host || is_loopback(host) || endpoint.hosts.iter().any(|known| is_host(known, host))
}

/// `*.example.com` stands for every name below, not for `example.com` itself (Gateway API, Hostname).
fn is_host(known: &str, host: &str) -> bool {
    match known.strip_prefix('*') {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain),
        None => known == host,
    }
}

/// Origins: loopback on any port, or one of the endpoint's. `null` and unreadable ones are foreign.
fn trusts(endpoint: &Endpoint, origin: &str) -> bool {
    if endpoint.origins.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    matches!(scheme, "http" | "https") && !authority.contains(['/', '@']) && is_loopback(&host_of(authority))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
