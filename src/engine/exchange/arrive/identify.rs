//! Who calls: established from the request's head, before its body is read. And the document that tells clients where
//! tokens come from, which needs no caller.
//!
//! Claims come from Envoy, as metadata, which no client can send. One kind of credential counts: a token, else what
//! stands in Authorization, else a key. Who shows something that does not count is refused even where nobody must show
//! anything.

use crate::engine::exchange::event::{Headers, RequestHead};
use crate::engine::exchange::reject::{Reject, Shown};
use crate::engine::exchange::step::Answer;
use crate::engine::policy::{Callers, Challenge, Claimed, Identity, Unfit};
use crate::engine::snapshot::Endpoint;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::sync::Arc;

/// Longer names and passwords are not looked at (bcrypt reads 72 bytes).
const MAX_BASIC: usize = 1024;

/// Where paths of the document begin.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Who calls.
#[derive(Debug)]
pub(in crate::engine::exchange) enum Caller {
    /// This one.
    Known(Arc<Identity>),
    /// This one, if the password fits.
    Claimed(Claimed),
}

/// The caller, as the endpoint's `authentication` has it. The claims are the identity's from here on.
pub(in crate::engine::exchange) fn identify(endpoint: &Endpoint, head: &mut RequestHead) -> Result<Caller, Reject> {
    let Some(callers) = &endpoint.callers else {
        return Ok(Caller::Known(Arc::default()));
    };
    if let Some(claims) = head.claims.take() {
        if !shows_one_token(&head.headers) {
            return Err(invalid(callers));
        }
        return match callers.of_claims(*claims, head.key.as_deref()) {
            Ok(identity) => Ok(Caller::Known(Arc::new(identity))),
            Err(Unfit::Token) => Err(invalid(callers)),
            Err(Unfit::Lapsed) => Err(useless(Shown::Lapsed, callers)),
            Err(Unfit::Retired) => Err(useless(Shown::Retired, callers)),
            Err(Unfit::Scopes) => Err(Reject::Scopes(callers.insufficient(&[]))),
        };
    }
    match presented(callers, &head.headers) {
        Presented::Nothing if callers.required => Err(Reject::Unauthenticated(
            Shown::Nothing,
            callers.challenges.missing.clone(),
        )),
        Presented::Nothing => Ok(Caller::Known(Arc::default())),
        Presented::Key(key) => callers.holder(key).map(Caller::Known).ok_or_else(|| invalid(callers)),
        Presented::Basic(credentials) => {
            let claimed = read_basic(callers, credentials);
            claimed.map(Caller::Claimed).ok_or_else(|| invalid(callers))
        }
        Presented::Useless => Err(invalid(callers)),
    }
}

fn invalid(callers: &Callers) -> Reject {
    useless(Shown::Useless, callers)
}

fn useless(shown: Shown, callers: &Callers) -> Reject {
    Reject::Unauthenticated(shown, callers.challenges.invalid.clone())
}

/// What a caller is told whose token, key or password does not count.
pub(in crate::engine::exchange) const fn refused(challenge: Challenge) -> Reject {
    Reject::Unauthenticated(Shown::Useless, challenge)
}

/// Envoy finds a token wherever it stands in Authorization, behind another credential too, and may join several lines.
fn shows_one_token(headers: &Headers) -> bool {
    let mut authorizations = headers.all("authorization");
    match (authorizations.next(), authorizations.next()) {
        (None, _) => true,
        (Some(value), None) => {
            behind(value, b"bearer ").is_some_and(|token| !token.iter().any(|byte| matches!(byte, b' ' | b',')))
        }
        (Some(_), Some(_)) => false,
    }
}

/// What a request shows besides a token that Envoy has verified.
enum Presented<'a> {
    Nothing,
    Key(&'a [u8]),
    /// What stands behind `Basic`.
    Basic(&'a [u8]),
    /// Something that proves nothing here.
    Useless,
}

fn presented<'a>(callers: &Callers, headers: &'a Headers) -> Presented<'a> {
    let mut authorizations = headers.all("authorization");
    match (authorizations.next(), authorizations.next()) {
        (Some(value), None) => {
            let basic = callers.takes_passwords().then(|| behind(value, b"basic ")).flatten();
            basic.map_or(Presented::Useless, Presented::Basic)
        }
        (Some(_), Some(_)) => Presented::Useless,
        (None, _) => {
            let mut keys = callers.key_header().into_iter().flat_map(|header| headers.all(header));
            match (keys.next(), keys.next()) {
                (Some(key), None) => Presented::Key(key.trim_ascii()),
                (Some(_), Some(_)) => Presented::Useless,
                (None, _) => Presented::Nothing,
            }
        }
    }
}

/// The rest of `value`, if it begins with this scheme, in whatever case.
fn behind<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

/// RFC 7617, 2
fn read_basic(callers: &Callers, credentials: &[u8]) -> Option<Claimed> {
    if credentials.len() > MAX_BASIC {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(callers.claimed(name, password))
}

// === the document ===

/// The document of the first of these endpoints that has one at this path.
pub(super) fn document<'a>(
    mut endpoints: impl Iterator<Item = &'a Arc<Endpoint>>,
    headers: &Headers,
) -> Option<Result<Answer, Reject>> {
    let path = headers.text(":path")?.split(['?', '#']).next()?;
    if !path.starts_with(WELL_KNOWN) {
        return None;
    }
    let document = endpoints.find_map(|endpoint| endpoint.callers.as_ref()?.challenges.document(path))?;
    Some(match headers.get(":method") {
        Some(b"GET") => Ok(page(document)),
        Some(b"OPTIONS") => Ok(preflight()),
        _ => Err(Reject::MethodNotAllowed),
    })
}

/// Clients in browsers read it from wherever they are.
fn page(document: Bytes) -> Answer {
    Answer {
        status: 200,
        headers: vec![
            ("content-type".into(), Bytes::from_static(b"application/json")),
            ("access-control-allow-origin".into(), Bytes::from_static(b"*")),
            ("cache-control".into(), Bytes::from_static(b"public, max-age=60")),
        ],
        body: vec![document],
        details: "answered",
        metadata: None,
    }
}

/// They send MCP-Protocol-Version with it, which browsers ask about first.
fn preflight() -> Answer {
    Answer {
        status: 204,
        headers: vec![
            ("access-control-allow-origin".into(), Bytes::from_static(b"*")),
            ("access-control-allow-methods".into(), Bytes::from_static(b"GET")),
            ("access-control-allow-headers".into(), Bytes::from_static(b"*")),
            ("access-control-max-age".into(), Bytes::from_static(b"3600")),
        ],
        body: Vec::new(),
        details: "answered",
        metadata: None,
    }
}

#[cfg(test)]
mod tests;
