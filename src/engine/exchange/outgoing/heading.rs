//! The headers of a call on its way to the upstream, and of the response on its way back (design 2, Header work).

use super::Outgoing;
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::step::{HeaderName, HeaderWork};
use crate::engine::mcp::Era;
use crate::engine::mcp::headers::{self, encode_value};
use crate::engine::session::Binding;
use crate::engine::snapshot::{Endpoint, Routing};
use bytes::Bytes;

const TO_UPSTREAM_NEVER: [&[u8]; 6] = [
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"origin",
    b"last-event-id",
    b"accept-encoding",
];
pub(in crate::engine::exchange) const BOTH_TYPES: &[u8] = b"application/json, text/event-stream";

/// What changes in the client's headers on their way to the upstream (design 2, Header work).
pub(in crate::engine::exchange) fn request_headers(
    endpoint: &Endpoint,
    call: &Outgoing,
    era: Era,
    binding: &Binding,
    client: &Headers,
) -> HeaderWork {
    let mut set: Vec<(HeaderName, Bytes)> = Vec::with_capacity(8 + call.upstream.headers.len());
    match endpoint.routing {
        Routing::Cluster => set.push((":path".into(), call.upstream.path.clone())),
        // The route is chosen again, by the public path; it rewrites the path itself.
        Routing::Route => {}
    }
    set.push(("x-mcp-upstream".into(), call.upstream.cluster.clone()));
    set.push(("x-mcp-route-key".into(), endpoint.route_key.clone()));
    set.push(("accept".into(), Bytes::from_static(BOTH_TYPES)));
    set.push((
        "content-length".into(),
        Bytes::from(itoa::Buffer::new().format(call.body.len()).to_owned()),
    ));
    let mut remove: Vec<HeaderName> = Vec::new();
    match era {
        Era::Legacy => {
            set.push((
                headers::PROTOCOL_VERSION.into(),
                Bytes::from_static(binding.version.as_str().as_bytes()),
            ));
        }
        Era::Modern => {
            if let Some(name) = &call.renamed {
                set.push((headers::NAME.into(), encode_value(name).into()));
            }
        }
    }
    // What already stands so costs Envoy nothing. A client's x-mcp-* never counts, it is gone before the first route; the
    // length is always said, since Envoy forgets it where it changes a body.
    let is_said = |name: &str| name.starts_with("x-mcp-") || name == "content-length";
    set.retain(|(name, value)| is_said(name) || !client.says_only(name, value));
    match (&binding.id, client.get(headers::SESSION_ID)) {
        (Some(id), _) => set.push((headers::SESSION_ID.into(), Bytes::copy_from_slice(id.as_bytes()))),
        (None, Some(_)) => remove.push(headers::SESSION_ID.into()),
        (None, None) => {}
    }
    set.extend(endpoint_header(binding));
    set.extend_from_slice(&call.upstream.headers);
    set.extend_from_slice(call.delegation.headers());
    let never = |name: &[u8]| {
        let ours = name.starts_with(b"x-mcp-") || is_key_header(endpoint, name) || speaks_for_caller(call, name);
        TO_UPSTREAM_NEVER.contains(&name) || ours || is_unchecked(era, name)
    };
    for (name, _) in client.select(never) {
        if !set.iter().any(|(kept, _)| kept == name) && !remove.iter().any(|gone| gone == name) {
            remove.push(name.to_owned().into());
        }
    }
    HeaderWork {
        set,
        remove,
        clear_route: true,
        metadata: None,
    }
}

/// What says again what the body says. In a legacy request nobody has compared the two, and the names are ours.
fn is_unchecked(era: Era, name: &[u8]) -> bool {
    let repeats = name == headers::METHOD.as_bytes() || name == headers::NAME.as_bytes();
    matches!(era, Era::Legacy) && (repeats || name.starts_with(b"mcp-param-"))
}

/// The callers' keys stay here.
fn is_key_header(endpoint: &Endpoint, name: &[u8]) -> bool {
    let header = endpoint.callers.as_ref().and_then(|callers| callers.key_header());
    header.is_some_and(|header| header.as_bytes() == name)
}

/// Who calls is the gateway's to say: nothing, too.
fn speaks_for_caller(call: &Outgoing, name: &[u8]) -> bool {
    call.upstream
        .delegate
        .as_ref()
        .is_some_and(|delegate| delegate.owns(name))
}

/// Request headers that MCP needs (Streamable HTTP), and `mcp-param-*` besides.
const OF_MCP: [&[u8]; 7] = [
    b"accept",
    b"content-type",
    b"last-event-id",
    headers::METHOD.as_bytes(),
    headers::NAME.as_bytes(),
    headers::PROTOCOL_VERSION.as_bytes(),
    headers::SESSION_ID.as_bytes(),
];
/// Envoy's own business, or its own making.
const OF_ENVOY: [&[u8]; 5] = [
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"host",
    b"x-request-id",
];

/// What changes in the client's headers on a transparent path: only what MCP needs and what is listed goes on.
pub(in crate::engine::exchange) fn transparent_headers(
    endpoint: &Endpoint,
    call: &Outgoing,
    client: &Headers,
) -> HeaderWork {
    let mut set: Vec<(HeaderName, Bytes)> = Vec::with_capacity(6 + call.upstream.headers.len());
    match endpoint.routing {
        Routing::Cluster => set.push((":path".into(), call.upstream.path.clone())),
        Routing::Route => {}
    }
    set.push(("x-mcp-upstream".into(), call.upstream.cluster.clone()));
    set.push(("x-mcp-route-key".into(), endpoint.route_key.clone()));
    set.push(("x-mcp-transparent".into(), Bytes::from_static(b"1")));
    if !call.body.is_empty() {
        let length = itoa::Buffer::new().format(call.body.len()).to_owned();
        set.push(("content-length".into(), length.into()));
    }
    set.extend_from_slice(&call.upstream.headers);
    set.extend_from_slice(call.delegation.headers());
    let listed = endpoint
        .transparent
        .as_ref()
        .map_or(&[][..], |transparent| &transparent.input_headers);
    let goes_on = |name: &[u8]| {
        let of_mcp = OF_MCP.contains(&name) || name.starts_with(b"mcp-param-");
        // Envoy finds no route without x-forwarded-proto: these are taken off on the way out.
        let of_envoy = OF_ENVOY.contains(&name) || OF_THE_GATEWAY.contains(&name) || name.first() == Some(&b':');
        let of_client = of_mcp || of_envoy || listed.iter().any(|listed| listed.as_bytes() == name);
        of_client && !speaks_for_caller(call, name)
    };
    let foreign = client.select(|name| !goes_on(name)).map(|(name, _)| name);
    let remove = without_repetition(foreign.filter(|name| !set.iter().any(|(kept, _)| kept == name)));
    HeaderWork {
        set,
        remove,
        clear_route: true,
        metadata: None,
    }
}

/// What must not reach the client of a transparent path: whose pages may read is the gateway's to say, and it is no other
/// host.
pub(in crate::engine::exchange) fn transparent_response(upstream: &Headers) -> HeaderWork {
    let gone = |name: &[u8]| name == b"alt-svc" || name.starts_with(b"access-control-");
    HeaderWork {
        remove: without_repetition(upstream.select(gone).map(|(name, _)| name)),
        ..HeaderWork::default()
    }
}

fn without_repetition<'a>(names: impl Iterator<Item = &'a str>) -> Vec<HeaderName> {
    let mut all: Vec<HeaderName> = Vec::new();
    for name in names {
        if !all.iter().any(|known| known == name) {
            all.push(name.to_owned().into());
        }
    }
    all
}

/// Who of several at the same URL holds the session: read by Envoy's load balancer, and by our own connections.
fn endpoint_header(binding: &Binding) -> Option<(HeaderName, Bytes)> {
    let address = binding.address?;
    Some((headers::ENDPOINT.into(), address.to_string().into()))
}

/// What says how one connection is used, or how a message is framed on it (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [&[u8]; 11] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"http2-settings",
    b"expect",
    b"host",
    b"content-length",
];
/// What Envoy's way out takes off a forward besides: the client's address is not the upstream's business.
const OF_THE_GATEWAY: [&[u8]; 8] = [
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-envoy-external-address",
    b"x-envoy-internal",
    b"x-envoy-original-host",
];

/// The headers that a call of the processor has of its own. What a forward carries, this carries; see [`client_headers`].
pub(in crate::engine::exchange) fn own_headers(
    call: &Outgoing,
    era: Era,
    binding: &Binding,
) -> Vec<(HeaderName, Bytes)> {
    let mut own: Vec<(HeaderName, Bytes)> = Vec::with_capacity(3);
    own.push(("accept".into(), Bytes::from_static(BOTH_TYPES)));
    if let Some(id) = &binding.id {
        own.push((headers::SESSION_ID.into(), Bytes::copy_from_slice(id.as_bytes())));
    }
    own.extend(endpoint_header(binding));
    own.extend_from_slice(call.delegation.headers());
    match era {
        Era::Legacy => own.push((
            headers::PROTOCOL_VERSION.into(),
            Bytes::from_static(binding.version.as_str().as_bytes()),
        )),
        Era::Modern => {
            let name = call.renamed.as_ref();
            own.extend(name.map(|name| (headers::NAME.into(), encode_value(name).into())));
        }
    }
    own
}

/// The client's headers that go on with a call of the processor, as they would with a forward to an upstream of this era;
/// `own`: those it has already.
pub(in crate::engine::exchange) fn client_headers(
    endpoint: &Endpoint,
    call: &Outgoing,
    era: Era,
    own: &[(HeaderName, Bytes)],
    client: &Headers,
) -> Headers {
    client.filtered(|name| {
        let never = name.first() == Some(&b':')
            || OF_THE_CONNECTION.contains(&name)
            || OF_THE_GATEWAY.contains(&name)
            || TO_UPSTREAM_NEVER.contains(&name)
            || name.starts_with(b"x-mcp-")
            || is_key_header(endpoint, name)
            || speaks_for_caller(call, name)
            || is_unchecked(era, name)
            || name == headers::SESSION_ID.as_bytes();
        let taken = |set: &[(HeaderName, Bytes)]| set.iter().any(|(other, _)| other.as_bytes() == name);
        !never && !taken(own) && !taken(&call.upstream.headers)
    })
}

const TO_CLIENT_NEVER: [&[u8]; 3] = [headers::SESSION_ID.as_bytes(), b"set-cookie", b"alt-svc"];

/// What must not reach the client of an upstream's response headers.
pub(in crate::engine::exchange) fn response_headers(upstream: &Headers) -> HeaderWork {
    let mut remove: Vec<HeaderName> = Vec::new();
    for (name, _) in upstream.select(|name| TO_CLIENT_NEVER.contains(&name) || name.starts_with(b"access-control-")) {
        if !remove.iter().any(|gone| gone == name) {
            remove.push(name.to_owned().into());
        }
    }
    HeaderWork {
        set: Vec::new(),
        remove,
        clear_route: false,
        metadata: None,
    }
}

/// An upstream's response headers as the client of a relay sees them. The length is not among them.
pub(in crate::engine::exchange) fn relayed_headers(upstream: &Headers) -> Vec<(HeaderName, Bytes)> {
    let nominated = upstream.text("connection").unwrap_or_default();
    let passes = |name: &[u8]| {
        let of_the_connection =
            OF_THE_CONNECTION.contains(&name) || nominated.split(',').any(|token| token.trim().as_bytes() == name);
        let never = TO_CLIENT_NEVER.contains(&name) || name.starts_with(b"access-control-");
        name.first() != Some(&b':') && !of_the_connection && !never
    };
    let passing = upstream.select(passes);
    passing
        .map(|(name, value)| (known(name), Bytes::copy_from_slice(value)))
        .collect()
}

/// Names that most responses carry are not copied.
fn known(name: &str) -> HeaderName {
    match name {
        "content-type" => "content-type".into(),
        "date" => "date".into(),
        "cache-control" => "cache-control".into(),
        _ => name.to_owned().into(),
    }
}
