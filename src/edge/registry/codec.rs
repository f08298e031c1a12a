//! Endpoints and upstreams as they travel, and back. Pure.
//!
//! Writing refuses what must not leave the controller's machine (references to its files and variables); reading trusts
//! nobody: names become file names and headers, so each is checked, and an error names the place and never a value.

use super::proto;
use crate::engine::assignment::Endpoint;
use crate::engine::config::{Authority, Confidential, Credential, Eras, Protocol, Secret, Timeouts, Upstream, Via};
use http::{HeaderName, HeaderValue};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// As in the configuration file.
const LONGEST_NAME: usize = 253;

/// What cannot be told to a processor: its value lies in a file or variable of this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("upstream {upstream}: {what} is a reference, not a value")]
pub(super) struct Unsendable {
    /// Its name.
    upstream: String,
    /// Which part of it.
    what: &'static str,
}

/// What a processor cannot use. The text says where, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name:?}: {field} {problem}")]
pub struct Unreadable {
    kind: &'static str,
    name: String,
    field: &'static str,
    problem: &'static str,
}

// === upstreams ===

pub(super) fn write_upstream(upstream: &Upstream) -> Result<proto::Upstream, Unsendable> {
    let unsendable = |what| Unsendable {
        upstream: upstream.name.clone(),
        what,
    };
    let credential = match &upstream.credential {
        None => None,
        Some(Credential {
            header,
            value: Secret::Value(value),
        }) => Some(proto::Credential {
            header: header.clone(),
            value: value.0.to_string(),
        }),
        Some(Credential {
            value: Secret::Env(_) | Secret::File(_),
            ..
        }) => return Err(unsendable("its credential")),
    };
    let authority = match &upstream.ca {
        None => None,
        Some(Authority::Pem(pem) | Authority::Added(pem)) => Some(pem.to_string()),
        Some(Authority::File(_)) => return Err(unsendable("its certificate authority")),
    };
    let header = |(name, value): &(String, String)| proto::Header {
        name: name.clone(),
        value: value.clone(),
    };
    let via = match upstream.via {
        Via::Envoy => proto::Via::Envoy,
        Via::Direct => proto::Via::Direct,
    };
    let protocol = match upstream.protocol {
        Protocol::Streamable => proto::Protocol::Streamable,
        Protocol::Sse => proto::Protocol::Sse,
    };
    let eras = match upstream.eras {
        Eras::Both => proto::Eras::Both,
        Eras::Legacy => proto::Eras::Legacy,
        Eras::Modern => proto::Eras::Modern,
    };
    Ok(proto::Upstream {
        name: upstream.name.clone(),
        url: upstream.url.to_string(),
        prefix: upstream.prefix.clone(),
        credential,
        headers: upstream.headers.iter().map(header).collect(),
        connect_milliseconds: milliseconds(upstream.timeout.connect),
        call_milliseconds: milliseconds(upstream.timeout.call),
        list_milliseconds: milliseconds(upstream.timeout.list),
        authority,
        system_authorities: matches!(upstream.ca, Some(Authority::Added(_))),
        enabled: upstream.enabled,
        resources_rewrite: upstream.resources_rewrite,
        resources_probe: upstream.resources_probe,
        via: via.into(),
        protocol: protocol.into(),
        eras: eras.into(),
        addresses: upstream.addresses.iter().map(SocketAddr::to_string).collect(),
    })
}

pub(super) fn read_upstream(raw: proto::Upstream) -> Result<Upstream, Unreadable> {
    let bad = bad("upstream", raw.name.clone());
    if !is_name(&raw.name) {
        return Err(bad(
            "name",
            "is not one: a-z, 0-9, - and ., a letter or digit at both ends",
        ));
    }
    if !raw
        .prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    {
        return Err(bad("prefix", "holds other characters than letters, digits, _ and -"));
    }
    let url = Url::parse(&raw.url)
        .ok()
        .filter(is_called)
        .ok_or_else(|| bad("url", "is not an HTTP URL"))?;
    let via = match raw.via.try_into() {
        Ok(proto::Via::Envoy) => Via::Envoy,
        Ok(proto::Via::Direct) => Via::Direct,
        Err(_) => return Err(bad("via", "is not known to this version")),
    };
    let protocol = match raw.protocol.try_into() {
        Ok(proto::Protocol::Streamable) => Protocol::Streamable,
        Ok(proto::Protocol::Sse) => Protocol::Sse,
        Err(_) => return Err(bad("protocol", "is not known to this version")),
    };
    let eras = match raw.eras.try_into() {
        Ok(proto::Eras::Both) => Eras::Both,
        Ok(proto::Eras::Legacy) => Eras::Legacy,
        Ok(proto::Eras::Modern) => Eras::Modern,
        Err(_) => return Err(bad("eras", "are not known to this version")),
    };
    let credential = match raw.credential {
        None => None,
        Some(credential) if is_header(&credential.header, &credential.value) => Some(Credential {
            header: credential.header,
            value: Secret::Value(Confidential(credential.value.into())),
        }),
        Some(_) => return Err(bad("credential", "cannot be sent as a header")),
    };
    if !raw.headers.iter().all(|header| is_header(&header.name, &header.value)) {
        return Err(bad("headers", "cannot be sent as they are"));
    }
    let addresses: Result<_, _> = raw.addresses.iter().map(|text| text.parse()).collect();
    Ok(Upstream {
        url,
        prefix: raw.prefix,
        credential,
        headers: raw
            .headers
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect(),
        timeout: Timeouts {
            connect: Duration::from_millis(raw.connect_milliseconds),
            call: Duration::from_millis(raw.call_milliseconds),
            list: Duration::from_millis(raw.list_milliseconds),
        },
        ca: raw.authority.map(|pem| match raw.system_authorities {
            true => Authority::Added(pem.into()),
            false => Authority::Pem(pem.into()),
        }),
        enabled: raw.enabled,
        resources_rewrite: raw.resources_rewrite,
        resources_probe: raw.resources_probe,
        via,
        protocol,
        eras,
        merge: true,
        addresses: addresses.map_err(|_| bad("addresses", "are not all ip:port"))?,
        protection: crate::engine::config::Protection::default(),
        delegated: crate::engine::config::Delegated::default(),
        listing: crate::engine::config::Listing::Shared,
        name: raw.name,
    })
}

// === endpoints ===

pub(super) fn write_endpoint(endpoint: &Endpoint) -> proto::Endpoint {
    proto::Endpoint {
        id: endpoint.id.to_string(),
        path: endpoint.path.to_string(),
        hosts: texts(&endpoint.hosts),
        origins: texts(&endpoint.origins),
        routes: texts(&endpoint.routes),
        route_key: endpoint.route_key.0.to_string(),
        session_keys: endpoint.session_keys.iter().map(|key| key.0.to_string()).collect(),
        body_limit: endpoint.body_limit.map(|bytes| bytes as u64),
        upstreams: texts(&endpoint.upstreams),
    }
}

pub(super) fn read_endpoint(raw: proto::Endpoint) -> Result<Endpoint, Unreadable> {
    let bad = bad("endpoint", raw.id.clone());
    if raw.id.is_empty() {
        return Err(bad("id", "is empty"));
    }
    if !raw.path.starts_with('/') {
        return Err(bad("path", "does not begin with /"));
    }
    if raw.route_key.is_empty() || HeaderValue::from_str(&raw.route_key).is_err() {
        return Err(bad("route key", "is empty or cannot be sent as a header"));
    }
    if raw.session_keys.is_empty() || raw.session_keys.iter().any(String::is_empty) {
        return Err(bad("session keys", "are missing or empty"));
    }
    let body_limit = raw.body_limit.map(usize::try_from).transpose();
    Ok(Endpoint {
        id: raw.id.into(),
        path: raw.path.into(),
        hosts: shared(raw.hosts),
        origins: shared(raw.origins),
        routes: shared(raw.routes),
        route_key: Confidential(raw.route_key.into()),
        session_keys: raw
            .session_keys
            .into_iter()
            .map(|key| Confidential(key.into()))
            .collect(),
        body_limit: body_limit.map_err(|_| bad("body limit", "is larger than memory"))?,
        upstreams: shared(raw.upstreams),
    })
}

// === words ===

fn bad(kind: &'static str, name: String) -> impl Fn(&'static str, &'static str) -> Unreadable {
    move |field, problem| Unreadable {
        kind,
        name: name.clone(),
        field,
        problem,
    }
}

fn is_name(text: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    text.len() <= LONGEST_NAME
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|byte| edge(byte) || *byte == b'-' || *byte == b'.')
}

/// A header's name is kept in lower case: it is compared as it stands.
fn is_header(name: &str, value: &str) -> bool {
    let known = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|header| header.as_str() == name);
    known && HeaderValue::from_str(value).is_ok()
}

fn is_called(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host() && url.port() != Some(0)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn texts(all: &[Arc<str>]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn shared(all: Vec<String>) -> Vec<Arc<str>> {
    all.into_iter().map(Arc::from).collect()
}

#[cfg(test)]
mod tests;
