//! Who calls: tokens, keys and passwords against a real Envoy, and the attacks on them.

mod attacks;
mod callers;
mod documents;
pub(crate) mod issuer;
mod keysets;
mod lapsing;
mod provider;
mod tokens;

use crate::e2e::harness::client::{Request, initialize, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::Response;
use issuer::Issuer;
use serde_json::json;

/// Where the gateway says it is.
pub(super) const OWN: &str = "https://mcp.example.com/mcp";

/// A gateway that wants tokens of this issuer; `more` stands in `authentication`.
pub(super) fn guarded(issuer: &Issuer, more: &str) -> Setup {
    guarded_for(issuer, "1h", more)
}

/// The same, with keys that serve so long while there are no others.
fn guarded_for(issuer: &Issuer, keep: &str, more: &str) -> Setup {
    let jwks = issuer.jwks_url();
    Setup::new().with(&format!("publicUrl: {OWN}")).with(&format!(
        "authentication: {{ jwt: [ {{ issuer: '{}', jwks: {{ url: '{jwks}', refresh: 1s, keepLastGood: {keep} }} }} ]{more} }}",
        issuer.name()
    ))
}

/// `initialize` with this in `Authorization`.
fn begin(authorization: &str) -> Request {
    initialize("2025-11-25", &json!({})).with("authorization", authorization)
}

pub(super) fn bearer(token: &str) -> Request {
    begin(&format!("Bearer {token}"))
}

/// Waits until Envoy has fetched the keys: a good token is let in.
pub(super) async fn until_keys(gateway: &Gateway, token: &str) {
    crate::e2e::harness::eventually("the keys are there", async || {
        bearer(token).send(gateway.address).await.status == 200
    })
    .await;
}

/// A tool call in the session of that response, by whoever this is.
fn call(begun: &Response, authorization: &str, tool: &str) -> Request {
    let session = begun.header("mcp-session-id").expect("a session");
    Request::post(rpc(1, "tools/call", &json!({"name": tool, "arguments": {}})))
        .session(session)
        .with("mcp-protocol-version", "2025-11-25")
        .with("authorization", authorization)
}

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").unwrap_or_default()
}
