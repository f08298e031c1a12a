//! Who has sent a message: its era, session and version, from its headers and its body together.
//!
//! The era is told by the body's `_meta` or by the header, never by the header alone for initialize (design 2, Eras).
//! What header and body both say must agree (SEP-2243): a verdict on one of them would not hold for the other.

use super::petition::{ClientName, Petition};
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::record::Arguments;
use crate::engine::exchange::reject::Reject;
use crate::engine::exchange::step::SessionRef;
use crate::engine::jsonrpc::{Envelope, Object};
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::mcp::headers::{self, decode_value};
use crate::engine::mcp::params::ParamHeader;
use crate::engine::mcp::{Era, Method, Version};
use crate::engine::policy::Identity;
use crate::engine::session::{IdError, Timestamp};
use crate::engine::snapshot::Endpoint;
use bytes::Bytes;
use std::borrow::Cow;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Who sent a message and how it is told apart.
#[derive(Debug, Default)]
pub(in crate::engine::exchange) struct Sender {
    /// The caller's raw id; `None`: a notification or a response, or unreadable.
    pub(in crate::engine::exchange) id: Option<Bytes>,
    /// `None` until known.
    pub(in crate::engine::exchange) era: Option<Era>,
    /// Verified, not yet recalled.
    pub(in crate::engine::exchange) session: Option<SessionRef>,
    /// Method or notification name.
    pub(in crate::engine::exchange) method: Option<Cow<'static, str>>,
    /// The method is one we know.
    pub(in crate::engine::exchange) known: Option<Method>,
    /// What the message names. In a session that one's version counts.
    pub(in crate::engine::exchange) version: Option<Version>,
    /// Upstreams may send this client requests (modern: ask it for input).
    pub(in crate::engine::exchange) takes_requests: bool,
    /// What rules look at.
    pub(in crate::engine::exchange) petition: Petition,
    /// What it calls itself; `None`: not known, or nobody wants to know.
    pub(in crate::engine::exchange) client: Option<ClientName>,
    /// What is written down of what it calls with.
    pub(in crate::engine::exchange) arguments: Option<Box<Arguments>>,
}

/// The era that a message belongs to.
pub(in crate::engine::exchange) fn era(headers: &Headers, method: Option<&str>, meta: Option<&Object<'_>>) -> Era {
    let body_says = meta.is_some_and(|meta| meta.raw(META_VERSION).is_some());
    let header_says = header_is_modern(headers) && method != Some(Method::Initialize.as_str());
    // A discover without any sign is a modern probe: only that era has the method.
    let method_says = method == Some(Method::Discover.as_str());
    if body_says || header_says || method_says {
        Era::Modern
    } else {
        Era::Legacy
    }
}

/// True if the version header names 2026-07-28 or a later day, known or not.
pub(in crate::engine::exchange) fn header_is_modern(headers: &Headers) -> bool {
    headers
        .text(headers::PROTOCOL_VERSION)
        .is_some_and(|version| is_day(version) && version >= "2026-07-28")
}

fn is_day(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| {
            if at == 4 || at == 7 {
                byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        })
}

/// The session a client presents: `None` if it presents none.
pub(in crate::engine::exchange) fn session(
    endpoint: &Endpoint,
    identity: &Identity,
    headers: &Headers,
    now: Timestamp,
) -> Result<Option<SessionRef>, Reject> {
    let Some(id) = headers.get(headers::SESSION_ID) else {
        return Ok(None);
    };
    match endpoint.keys.verify(id, endpoint.hash, now) {
        Ok(claims) if claims.principal != identity.hash() => Err(Reject::SessionNotFound("session_of_other_principal")),
        Ok(claims) => Ok(Some(SessionRef {
            key: claims.key,
            endpoint: claims.endpoint,
            expires: claims.expires,
            version: claims.version,
            flags: claims.flags,
        })),
        Err(error) => Err(Reject::SessionNotFound(match error {
            IdError::Malformed => "session_malformed",
            IdError::Forged => "session_forged",
            IdError::ForeignEndpoint => "session_of_other_endpoint",
            IdError::Expired => "session_expired",
        })),
    }
}

/// The version of a legacy message: the header's, if it is a legacy revision of ours.
pub(super) fn legacy_version(headers: &Headers) -> Result<Option<Version>, Reject> {
    if headers.get(headers::PROTOCOL_VERSION).is_none() {
        return Ok(None);
    }
    named_version(headers)
        .filter(|version| version.era() == Era::Legacy)
        .map(Some)
        .ok_or(Reject::VersionHeader)
}

/// The header's, if it is one that we know.
pub(super) fn named_version(headers: &Headers) -> Option<Version> {
    let value = headers.get(headers::PROTOCOL_VERSION)?;
    Version::parse(std::str::from_utf8(value).ok()?.trim())
}

/// Everything a modern request must say twice, or at all; its version.
pub(super) fn modern_request(headers: &Headers, envelope: &Envelope<'_>, method: &str) -> Result<Version, Reject> {
    let Some(version) = envelope.meta.as_ref().and_then(|meta| meta.string(META_VERSION)) else {
        return Err(Reject::Meta("_meta lacks io.modelcontextprotocol/protocolVersion"));
    };
    match single(headers, headers::PROTOCOL_VERSION)? {
        Some(header) if header == version.as_bytes() => {}
        Some(_) => return Err(Reject::HeaderMismatch("MCP-Protocol-Version and _meta disagree")),
        None => return Err(Reject::HeaderMismatch("MCP-Protocol-Version is missing")),
    }
    let Some(spoken) = Version::parse(&version).filter(|version| version.era() == Era::Modern) else {
        return Err(Reject::Version(version.into_owned().into()));
    };
    let capabilities = envelope.meta.as_ref().and_then(|meta| meta.raw(META_CAPABILITIES));
    if !capabilities.is_some_and(|raw| raw.starts_with('{')) {
        return Err(Reject::Meta("_meta lacks io.modelcontextprotocol/clientCapabilities"));
    }
    match single(headers, headers::METHOD)? {
        Some(header) if header == method.as_bytes() => Ok(spoken),
        Some(_) => Err(Reject::HeaderMismatch("Mcp-Method and the body's method disagree")),
        None => Err(Reject::HeaderMismatch("Mcp-Method is missing")),
    }
}

/// What a client says of itself in this request: with each in the modern era, in initialize only before.
pub(super) fn client_info<'a>(envelope: &Envelope<'a>, method: Option<Method>) -> Option<&'a str> {
    if method == Some(Method::Initialize) {
        return envelope.params.raw("clientInfo");
    }
    envelope.meta.as_ref().and_then(|meta| meta.raw(META_CLIENT))
}

/// What a modern client declares with its request.
pub(super) fn modern_capabilities(envelope: &Envelope<'_>) -> ClientFlags {
    let capabilities = envelope.meta.as_ref().and_then(|meta| meta.raw(META_CAPABILITIES));
    capabilities.map(ClientFlags::read).unwrap_or_default()
}

/// Whether `Mcp-Name` says the same as the body.
pub(super) fn modern_name(headers: &Headers, name: &str) -> Result<(), Reject> {
    let Some(value) = single(headers, headers::NAME)? else {
        return Err(Reject::HeaderMismatch("Mcp-Name is missing"));
    };
    if decode_value(value).is_some_and(|header| header == name) {
        Ok(())
    } else {
        Err(Reject::HeaderMismatch("Mcp-Name and the body disagree"))
    }
}

/// Whether `Mcp-Method` and `Mcp-Name`, where they stand, say the same as the body. `name`: what the method is about, where
/// that matters.
pub(in crate::engine::exchange) fn mirrors(
    headers: &Headers,
    method: Option<&str>,
    name: Option<&str>,
) -> Result<(), Reject> {
    let said = single(headers, headers::METHOD)?;
    if said.is_some_and(|said| method.is_none_or(|method| method.as_bytes() != said)) {
        return Err(Reject::HeaderMismatch("Mcp-Method and the body's method disagree"));
    }
    let said = single(headers, headers::NAME)?;
    match (said, name) {
        (Some(said), Some(name)) if decode_value(said).is_none_or(|said| said != name) => {
            Err(Reject::HeaderMismatch("Mcp-Name and the body disagree"))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Whether `Mcp-Param-*` say the same as the arguments of the body: asked where the upstream itself does not know them.
pub(super) fn modern_params(headers: &Headers, params: &[ParamHeader], arguments: &str) -> Result<(), Reject> {
    for param in params {
        if !param.agrees(single(headers, &param.header)?, arguments) {
            return Err(Reject::HeaderMismatch("Mcp-Param-* and the arguments disagree"));
        }
    }
    Ok(())
}

/// The value of a header that may stand only once: an upstream might read the other one. Surrounding white space is no part of it.
fn single<'h>(headers: &'h Headers, name: &str) -> Result<Option<&'h [u8]>, Reject> {
    let mut values = headers.all(name).map(<[u8]>::trim_ascii);
    let first = values.next();
    if values.next().is_some() {
        return Err(Reject::HeaderMismatch("a header stands twice"));
    }
    Ok(first)
}
