//! What can be refused or known from request headers alone: path, Host, Origin, HTTP method, media types, Accept.

use crate::engine::exchange::event::{Headers, RequestHead};
use crate::engine::exchange::reject::{Looking, Reject};
use crate::engine::snapshot::{Endpoint, Routing, Snapshot};
use std::sync::Arc;

/// The answer on a route that is no endpoint's own: where a client reads it, the processor stands before that route.
pub const ROUTE_REFUSED: &str = "Route is not served here";
/// The answer to a foreign origin that knows the route key: a probe for an upstream's route has come by a public one, so
/// the route does not stand. An upstream cannot say it by chance: routes to upstreams take the key away.
pub const ROUTE_MISSING: &str = "Route does not stand";

/// HTTP methods that the endpoint knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::exchange) enum Verb {
    /// A JSON-RPC message.
    Post,
    /// A stream.
    Get,
    /// End of a session.
    Delete,
}

/// What the client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::exchange) enum Accepts {
    /// JSON and event streams; also when it says nothing, or `*/*`.
    Both,
    /// JSON only.
    Json,
}

/// Chooses the endpoint and checks what the specification and our limits ask of headers.
pub(super) fn enter(snapshot: &Snapshot, head: &RequestHead) -> Result<(Arc<Endpoint>, Verb), Reject> {
    let headers = &head.headers;
    let host = host_of(authority(headers));
    let endpoint = endpoint(snapshot, head, &host)?;
    if endpoint.counts_headers && headers.size() > endpoint.limits.headers {
        return Err(Reject::HeadersTooLarge(endpoint.limits.headers));
    }
    let trusted = |origin| std::str::from_utf8(origin).is_ok_and(|origin| trusts(endpoint, &host, origin));
    if !headers.all("origin").all(trusted) {
        return Err(Reject::Forbidden(match has_key(endpoint, headers) {
            true => ROUTE_MISSING,
            false => "Origin is not allowed",
        }));
    }
    let verb = match headers.get(":method").unwrap_or(b"") {
        b"POST" => Verb::Post,
        b"GET" => Verb::Get,
        b"DELETE" => Verb::Delete,
        _ => return Err(Reject::MethodNotAllowed),
    };
    Ok((Arc::clone(endpoint), verb))
}

/// The endpoints that are served under the request's host, whatever its path.
pub(super) fn served<'a>(snapshot: &'a Snapshot, head: &RequestHead) -> impl Iterator<Item = &'a Arc<Endpoint>> {
    let host = host_of(authority(&head.headers));
    let route = head.route.as_deref().and_then(http_route).map(str::to_owned);
    let served = move |endpoint: &&Arc<Endpoint>| is_reached_by(endpoint, route.as_deref()) && serves(endpoint, &host);
    snapshot.endpoints.iter().filter(served)
}

fn authority(headers: &Headers) -> &str {
    headers
        .text(":authority")
        .or_else(|| headers.text("host"))
        .unwrap_or("")
}

/// By the route that Envoy chose, where endpoints are reached so; by path; then by host.
fn endpoint<'a>(snapshot: &'a Snapshot, head: &RequestHead, host: &str) -> Result<&'a Arc<Endpoint>, Reject> {
    let target = head.headers.text(":path").unwrap_or("");
    let path = target.split(['?', '#']).next().unwrap_or("");
    let route = head.route.as_deref().and_then(http_route);
    let mut here = snapshot
        .endpoints
        .iter()
        .filter(|endpoint| &*endpoint.path == path && is_reached_by(endpoint, route))
        .peekable();
    if here.peek().is_none() {
        return Err(nowhere(snapshot, path, route));
    }
    here.find(|endpoint| serves(endpoint, host))
        .ok_or(Reject::Forbidden("Host is not served here"))
}

/// No endpoint takes the request. One that came by another route than an endpoint's own means to go around the gateway:
/// straight to an upstream's route, with a key that only the processor should know.
fn nowhere(snapshot: &Snapshot, path: &str, route: Option<&str>) -> Reject {
    let mut endpoints = snapshot.endpoints.iter();
    let routed = endpoints.any(|endpoint| endpoint.routing == Routing::Route);
    match (routed, route) {
        (true, None) => Reject::Wiring("request_attributes without xds.route_name"),
        (true, Some(_)) => Reject::Forbidden(ROUTE_REFUSED),
        (false, _) => Reject::NoEndpoint(Looking::of(path)),
    }
}

/// Whether the request shows the route key. Compared without telling by its duration where keys differ.
fn has_key(endpoint: &Endpoint, headers: &Headers) -> bool {
    let shown = headers.get("x-mcp-route-key").unwrap_or(b"");
    let key = &endpoint.route_key;
    let differing = shown.iter().zip(key).fold(0, |bits, (one, other)| bits | (one ^ other));
    !key.is_empty() && shown.len() == key.len() && differing == 0
}

/// `namespace/name` out of `httproute/<namespace>/<name>/rule/...`, as Envoy Gateway names its routes.
fn http_route(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("httproute/")?;
    let (namespace, after) = rest.split_once('/')?;
    let name = after.split('/').next()?;
    rest.get(..namespace.len() + 1 + name.len())
}

/// An endpoint that is reached by routes and has none is not reached.
fn is_reached_by(endpoint: &Endpoint, route: Option<&str>) -> bool {
    match endpoint.routing {
        Routing::Cluster => true,
        Routing::Route => route.is_some_and(|route| endpoint.routes.iter().any(|own| **own == *route)),
    }
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
pub(in crate::engine::exchange) fn accepts(headers: &Headers) -> Accepts {
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

/// Origins: loopback on any port, or one of the endpoint's. `null` and unreadable ones are foreign. Where listeners are
/// somebody else's, so is the port: the host that the request is for is an origin of its own then.
fn trusts(endpoint: &Endpoint, host: &str, origin: &str) -> bool {
    if endpoint.origins.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let from = host_of(authority);
    let own = match endpoint.routing {
        Routing::Cluster => false,
        Routing::Route => from == *host,
    };
    matches!(scheme, "http" | "https") && !authority.contains(['/', '@']) && (own || is_loopback(&from))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::fold::Folder;
    use crate::engine::snapshot::testing::{mk_alone, mk_settings};

    /// An endpoint of a cluster with these routes and hosts.
    fn mk_routed(routes: &[&str], hosts: &[&str]) -> Arc<Snapshot> {
        let mut settings = mk_settings();
        settings.routing = Routing::Route;
        settings.routes = routes.iter().map(|route| (*route).into()).collect();
        let config = Arc::make_mut(&mut settings.config);
        config.public_url.clear();
        config.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        mk_alone(Folder::default().fold(&settings, &[]).0)
    }

    fn mk_head(route: Option<&str>, host: &str, origin: &str) -> RequestHead {
        let headers = [
            (":method", "POST"),
            (":path", "/mcp"),
            (":authority", host),
            ("origin", origin),
        ];
        RequestHead {
            headers: headers.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            route: route.map(Into::into),
            ..RequestHead::default()
        }
    }

    fn is_let_in(snapshot: &Snapshot, head: &RequestHead) -> bool {
        enter(snapshot, head).is_ok()
    }

    const OWN: Option<&str> = Some("httproute/team/public/rule/0/match/0/*");

    #[test]
    fn an_endpoint_with_routes_is_entered_by_them_only() {
        let snapshot = mk_routed(&["team/public"], &[]);
        assert!(is_let_in(&snapshot, &mk_head(OWN, "mcp.test", "")));
        for route in [
            None,
            Some("httproute/team/public2/rule/0"),
            Some("httproute/other/public/rule/0"),
            Some("x"),
        ] {
            assert!(!is_let_in(&snapshot, &mk_head(route, "mcp.test", "")), "{route:?}");
        }
        let unreached = mk_routed(&[], &[]);
        assert!(!is_let_in(&unreached, &mk_head(OWN, "mcp.test", "")), "by no route");
        assert!(
            !is_let_in(&unreached, &mk_head(None, "mcp.test", "")),
            "nor without one"
        );
    }

    #[test]
    fn a_probe_learns_by_which_kind_of_route_it_came() {
        let snapshot = mk_routed(&["team/public"], &[]);
        let answer = |route, key: &str| {
            let headers = [
                (":method", "POST"),
                (":path", "/mcp"),
                (":authority", "mcp.test"),
                ("origin", "https://probe.test"),
                ("x-mcp-route-key", key),
            ];
            let head = RequestHead {
                headers: headers.into_iter().collect(),
                ..mk_head(route, "", "")
            };
            match enter(&snapshot, &head) {
                Err(Reject::Forbidden(words)) => words,
                other => panic!("{other:?}"),
            }
        };
        let key = std::str::from_utf8(&snapshot.endpoints[0].route_key).unwrap();
        assert_eq!(answer(OWN, key), ROUTE_MISSING);
        assert_eq!(answer(OWN, "guessed"), "Origin is not allowed");
        assert_eq!(answer(Some("httproute/team/mcp-upstream.a/rule/0"), key), ROUTE_REFUSED);
    }

    #[test]
    fn a_host_of_a_cluster_is_its_own_origin_on_any_port() {
        let named = mk_routed(&["team/public"], &["*.mcp.test"]);
        let any = mk_routed(&["team/public"], &[]);
        for (snapshot, host, origin, expected) in [
            (&named, "a.mcp.test:8443", "https://a.mcp.test:8443", true),
            (&named, "a.mcp.test", "http://A.mcp.test:80", true),
            (&named, "a.mcp.test", "https://b.mcp.test", false),
            (&named, "mcp.test", "", false),
            (&any, "anything.test", "https://anything.test", true),
            (&any, "anything.test", "https://evil.test", false),
            (&any, "anything.test", "https://anything.test@evil.test", false),
            (&any, "anything.test", "null", false),
        ] {
            let head = mk_head(OWN, host, origin);
            assert_eq!(is_let_in(snapshot, &head), expected, "{host} from {origin}");
        }
    }
}
