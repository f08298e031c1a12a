//! Who may read the admin port.
//!
//! On loopback the Host header must be a loopback name: a web page whose name was rebound to 127.0.0.1 would show its
//! own. With a token, everything but health and readiness wants it, as `Bearer` or as the password of `Basic`, which
//! browsers ask for.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

/// The rules of one admin port.
#[derive(Clone)]
pub(super) struct Access {
    /// On loopback only: other addresses have a token, which no foreign page knows.
    check_host: bool,
    token: Option<Digested>,
}

/// Secrets are compared by their digests: the time it takes tells nothing of use.
type Digested = [u8; 32];

/// Who asks, as was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Showed the token, or none is wanted.
    Known,
    /// Did not; sees health and readiness only.
    Probe,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::Probe))
    }
}

// === impl Access ===

impl Access {
    pub(super) fn new(bound: IpAddr, token: Option<&str>) -> Self {
        Self {
            check_host: bound.is_loopback(),
            token: token.map(|token| digest(token.as_bytes())),
        }
    }

    fn caller(&self, headers: &HeaderMap) -> Caller {
        let Some(token) = &self.token else {
            return Caller::Known;
        };
        let shown = headers.get(AUTHORIZATION).and_then(shown_token);
        match shown.is_some_and(|shown| digest(&shown) == *token) {
            true => Caller::Known,
            false => Caller::Probe,
        }
    }
}

/// Lets a request through to its handler, or refuses it.
pub(super) async fn check(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    if access.check_host && !names_loopback(request.uri(), request.headers()) {
        return (StatusCode::FORBIDDEN, "this Host is not served here\n").into_response();
    }
    let caller = access.caller(request.headers());
    let open = matches!(request.uri().path(), "/healthz" | "/readyz");
    if caller == Caller::Probe && !open {
        return unauthorized();
    }
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn unauthorized() -> Response {
    const CHALLENGES: [(HeaderName, &str); 1] = [(
        WWW_AUTHENTICATE,
        "Bearer realm=\"mcp-manifold admin\", Basic realm=\"mcp-manifold admin: adminToken as password\"",
    )];
    (StatusCode::UNAUTHORIZED, CHALLENGES, "adminToken is wanted\n").into_response()
}

/// True for loopback names and for no name at all: browsers always send one.
fn names_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = match (uri.authority(), headers.get(HOST)) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(host)) => match Authority::try_from(host.as_bytes()) {
            Ok(authority) => Some(authority),
            Err(_) => return false,
        },
        (None, None) => None,
    };
    host.is_none_or(|authority| is_loopback(authority.host()))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn shown_token(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(credentials.trim()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair.split_at(colon + 1).1.to_vec())
}

fn digest(bytes: &[u8]) -> Digested {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_read_from_bearer_and_from_a_password() {
        for value in [
            "Bearer s3cret",
            "bearer  s3cret",
            "Basic dXNlcjpzM2NyZXQ=",
            "basic OnMzY3JldA==",
        ] {
            let shown = shown_token(&HeaderValue::from_static(value));
            assert_eq!(shown.as_deref(), Some(&b"s3cret"[..]), "{value}");
        }
        for value in ["s3cret", "Basic s3cret", "Digest s3cret", "Basic czNjcmV0"] {
            assert_eq!(shown_token(&HeaderValue::from_static(value)), None, "{value}");
        }
    }
}
