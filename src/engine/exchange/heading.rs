//! The headers of a call on its way to the upstream, and of the response on its way back (design 2, Header work).

use super::call::Outgoing;
use super::event::Headers;
use super::step::{HeaderName, HeaderWork};
use crate::engine::mcp::Era;
use crate::engine::mcp::headers::{self, encode_value};
use crate::engine::session::Binding;
use crate::engine::snapshot::Endpoint;
use bytes::Bytes;
use std::borrow::Cow;

const TO_UPSTREAM_NEVER: [&[u8]; 6] = [
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"origin",
    b"last-event-id",
    b"accept-encoding",
];
const BOTH_TYPES: &[u8] = b"application/json, text/event-stream";

/// What changes in the client's headers on their way to the upstream (design 2, Header work).
pub(super) fn request_headers(
    endpoint: &Endpoint,
    call: &Outgoing,
    era: Era,
    binding: &Binding,
    client: &Headers,
) -> HeaderWork {
    let mut set: Vec<(HeaderName, Bytes)> = Vec::with_capacity(8 + call.upstream.headers.len());
    set.push((":path".into(), call.upstream.path.clone()));
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
    set.extend_from_slice(&call.upstream.headers);
    for (name, _) in client.select(|name| TO_UPSTREAM_NEVER.contains(&name) || name.starts_with(b"x-mcp-")) {
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

/// The headers of a call that the processor makes itself.
pub(super) fn own_headers(
    call: &Outgoing,
    era: Era,
    binding: &Binding,
    client: &Headers,
) -> Vec<(Cow<'static, str>, Bytes)> {
    let mut own: Vec<(Cow<'static, str>, Bytes)> = Vec::new();
    if let Some(id) = &binding.id {
        own.push((headers::SESSION_ID.into(), Bytes::copy_from_slice(id.as_bytes())));
    }
    own.push((
        headers::PROTOCOL_VERSION.into(),
        Bytes::from_static(binding.version.as_str().as_bytes()),
    ));
    match era {
        Era::Legacy => {}
        Era::Modern => {
            // Mcp-Method and Mcp-Param-* go on as they came (SEP-2243: unknown ones must be forwarded).
            let mirrors = |name: &[u8]| name == headers::METHOD.as_bytes() || name.starts_with(b"mcp-param-");
            for (name, value) in client.select(mirrors) {
                own.push((name.to_owned().into(), Bytes::copy_from_slice(value)));
            }
            let name = match &call.renamed {
                Some(name) => Some(encode_value(name).into()),
                None => client.get(headers::NAME).map(Bytes::copy_from_slice),
            };
            own.extend(name.map(|name| (headers::NAME.into(), name)));
        }
    }
    own
}

const TO_CLIENT_NEVER: [&[u8]; 3] = [headers::SESSION_ID.as_bytes(), b"set-cookie", b"alt-svc"];

/// What must not reach the client of an upstream's response headers.
pub(super) fn response_headers(upstream: &Headers) -> HeaderWork {
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
