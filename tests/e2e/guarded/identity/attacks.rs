//! Tokens and requests that try more than to be refused: to be used elsewhere, to be huge, to make the gateway ask an
//! address that they name.

use super::issuer::Issuer;
use super::{OWN, bearer, challenge, guarded, until_keys};
use crate::e2e::harness::check::refused;
use crate::e2e::harness::client::{Request, initialize, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::Puppet;
use serde_json::{Value, json};

const DOCUMENT: &str = "/.well-known/oauth-protected-resource/mcp";

#[tokio::test]
async fn a_token_is_of_no_use_at_another_gateway_of_the_same_issuer() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let other = "https://other.example.com/mcp";
    let jwks = issuer.jwks_url();
    let section = format!(
        "authentication: {{ jwt: [ {{ issuer: '{}', jwks: {{ url: '{jwks}', refresh: 1s }} }} ] }}",
        issuer.name()
    );
    let there = Setup::new().with(&format!("publicUrl: {other}")).with(&section);
    let (here, there) = tokio::join!(
        guarded(&issuer, "").puppet("up", &puppet).up(),
        there.puppet("up", &puppet).up()
    );
    let token = |audience: &str| issuer.key.sign(&issuer.claims("alice", audience));
    until_keys(&here, &token(OWN)).await;
    until_keys(&there, &token(other)).await;
    for (gateway, audience) in [(&here, other), (&there, OWN)] {
        let replayed = bearer(&token(audience)).send(gateway.address).await;
        assert_eq!(replayed.status, 401, "{replayed:?}");
        assert!(challenge(&replayed).contains("invalid_token"), "{replayed:?}");
    }
    let both = issuer.key.sign(&issuer.claims("alice", OWN)).replace('=', "");
    assert_eq!(
        bearer(&both).send(here.address).await.status,
        200,
        "the one it is for takes it"
    );
}

#[tokio::test]
async fn a_good_token_does_not_cover_up_another_credential() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let token = issuer.token("alice");
    until_keys(&gateway, &token).await;
    let good = format!("Bearer {token}");
    for lines in [
        &["Basic YTpi", &good][..],
        &[&good, "Basic YTpi"],
        &[&format!("Basic YTpi, {good}")],
        &[&good, &good],
    ] {
        let begin = initialize("2025-11-25", &json!({}));
        let request = lines
            .iter()
            .fold(begin, |request, line| request.and("authorization", line));
        let response = request.send(gateway.address).await;
        assert_eq!(response.status, 401, "{lines:?}: {response:?}");
    }
}

/// A good token that says a lot.
fn long_token(issuer: &Issuer, bytes: usize) -> String {
    let mut claims = issuer.claims("alice", OWN);
    claims["said"] = "x".repeat(bytes).into();
    issuer.key.sign(&claims)
}

#[tokio::test]
async fn a_token_of_60_kilobytes_is_refused_unless_headers_may_be_that_long() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let usual = guarded(&issuer, "").puppet("up", &puppet).up().await;
    until_keys(&usual, &issuer.token("alice")).await;
    let long = long_token(&issuer, 45_000);
    assert!(long.len() > 60_000, "it is encoded: {}", long.len());
    let response = bearer(&long).send(usual.address).await;
    refused("60 KB by default", &response, 431, -32600, "null");
    drop(usual);

    let setup = guarded(&issuer, "").with("limits: { headers: 96KiB }");
    let wide = setup.puppet("up", &puppet).up().await;
    until_keys(&wide, &issuer.token("alice")).await;
    assert_eq!(bearer(&long).send(wide.address).await.status, 200, "it is a good one");
    let (kept, signature) = long.rsplit_once('.').expect("three parts");
    let tampered = format!("{}.{signature}", &kept[..kept.len() - 4]);
    let response = bearer(&tampered).send(wide.address).await;
    assert_eq!(response.status, 401, "{response:?}");
    let garbage = bearer(&"x".repeat(60_000)).send(wide.address).await;
    assert_eq!(garbage.status, 401, "{garbage:?}");
    for _ in 0..50 {
        assert_eq!(bearer(&long).send(wide.address).await.status, 200);
    }
    assert_eq!(bearer(&issuer.token("bob")).send(wide.address).await.status, 200);
}

#[tokio::test]
async fn no_address_that_a_request_names_is_asked() {
    let issuer = Issuer::start().await;
    let (puppet, elsewhere) = (Puppet::start(&["echo"]).await, Puppet::start(&[]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    until_keys(&gateway, &issuer.token("alice")).await;
    let (host, url) = (
        elsewhere.address.to_string(),
        format!("http://{}/jwks", elsewhere.address),
    );
    for (what, request) in by_token(&issuer, &url)
        .into_iter()
        .chain(by_headers(&issuer, &host, &url))
        .chain(by_body(&issuer, &gateway, &url).await)
    {
        let response = request.send(gateway.address).await;
        assert!(response.status < 500, "{what}: {response:?}");
        assert!(elsewhere.seen().is_empty(), "{what}: {:?}", elsewhere.seen());
        let said = format!("{:?} {}", response.headers, challenge(&response));
        assert!(!said.contains(&host), "{what} comes back in headers: {response:?}");
    }
    for (what, request) in documents(&host, &url) {
        let response = request.send(gateway.address).await;
        if response.status == 200 {
            assert_eq!(response.message()["resource"], OWN, "{what}: {response:?}");
            assert_eq!(
                response.message()["authorization_servers"],
                json!([issuer.name()]),
                "{what}"
            );
        } else {
            assert!(matches!(response.status, 400 | 403 | 404 | 405), "{what}: {response:?}");
        }
        assert!(!response.text().contains(&host), "{what}: {response:?}");
        assert!(elsewhere.seen().is_empty(), "{what}: {:?}", elsewhere.seen());
    }
}

/// Tokens that say where to look for something.
fn by_token(issuer: &Issuer, url: &str) -> Vec<(String, Request)> {
    let mut all = Vec::new();
    for name in ["jku", "x5u", "jwk", "kid", "iss", "cty"] {
        let header = json!({ name: url });
        let claims = issuer.claims("alice", OWN);
        all.push((
            format!("{name} in a token's header"),
            bearer(&issuer.key.sign_with(&claims, &header)),
        ));
    }
    for name in ["iss", "jku", "x5u", "jwks_uri", "_claim_sources", "cnf"] {
        let mut claims = issuer.claims("alice", OWN);
        claims[name] = match name {
            "_claim_sources" => json!({"src1": {"endpoint": url, "access_token": "x"}}),
            "cnf" => json!({"jku": url}),
            _ => url.into(),
        };
        all.push((format!("{name} in claims"), bearer(&issuer.key.sign(&claims))));
    }
    all
}

fn by_headers(issuer: &Issuer, host: &str, url: &str) -> Vec<(String, Request)> {
    let good = || bearer(&issuer.token("alice"));
    let names = [
        ("host", host),
        ("origin", url),
        ("referer", url),
        ("x-forwarded-host", host),
        ("forwarded", &format!("host={host}")),
        ("x-original-url", url),
        ("x-rewrite-url", url),
        ("x-envoy-original-dst-host", host),
        ("x-envoy-original-path", url),
        ("x-mcp-upstream", host),
        ("x-mcp-endpoint", host),
        ("x-mcp-transparent", "1"),
        ("destination", url),
        ("link", &format!("<{url}>; rel=\"oauth-protected-resource\"")),
    ]
    .map(|(name, value)| (format!("the header {name}"), good().with(name, value)));
    let target = (
        "an absolute target".to_owned(),
        good().path(&format!("http://{host}/mcp")),
    );
    let realm = format!("Bearer resource_metadata=\"{url}\"");
    let named = ("metadata of its own".to_owned(), good().with("authorization", &realm));
    names.into_iter().chain([target, named]).collect()
}

/// What a session may say of URLs.
async fn by_body(issuer: &Issuer, gateway: &Gateway, url: &str) -> Vec<(String, Request)> {
    let token = format!("Bearer {}", issuer.token("alice"));
    let begun = bearer(&issuer.token("alice")).send(gateway.address).await;
    let session = begun.header("mcp-session-id").expect("a session").to_owned();
    let client = json!({"name": "x", "version": "1", "websiteUrl": url, "icons": [{"src": url}]});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let said = |method: &str, params: &Value| {
        let request = Request::post(rpc(1, method, params)).session(&session);
        request
            .with("mcp-protocol-version", "2025-11-25")
            .with("authorization", &token)
    };
    [
        ("initialize", params),
        ("resources/read", json!({"uri": url})),
        ("resources/subscribe", json!({"uri": url})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/resource", "uri": url}, "argument": {"name": "a", "value": ""}}),
        ),
        (
            "tools/call",
            json!({"name": "up_echo", "arguments": {"url": url}, "_meta": {"resource_metadata": url}}),
        ),
        ("tools/call", json!({"name": url, "arguments": {}})),
    ]
    .iter()
    .map(|(method, params)| (format!("{method} {params}"), said(method, params)))
    .collect()
}

/// The document that says where tokens come from, asked for in ways that might change it.
fn documents(host: &str, url: &str) -> Vec<(String, Request)> {
    let get = |path: &str| Request::bare("GET").path(path);
    vec![
        ("another host".to_owned(), get(DOCUMENT).with("host", host)),
        (
            "a foreign host".to_owned(),
            get(DOCUMENT).with("host", "evil.example.com"),
        ),
        (
            "another forwarded host".to_owned(),
            get(DOCUMENT).with("x-forwarded-host", host),
        ),
        (
            "another scheme".to_owned(),
            get(DOCUMENT).with("x-forwarded-proto", "gopher"),
        ),
        (
            "an absolute target".to_owned(),
            get(&format!("http://{host}{DOCUMENT}")),
        ),
        (
            "a resource in the query".to_owned(),
            get(&format!("{DOCUMENT}?resource={url}")),
        ),
        ("a resource in the path".to_owned(), get(&format!("{DOCUMENT}/{url}"))),
        (
            "another prefix".to_owned(),
            get(DOCUMENT).with("x-forwarded-prefix", url),
        ),
        (
            "somebody's token".to_owned(),
            get(DOCUMENT).with("authorization", &format!("Bearer {url}")),
        ),
        (
            "initialize there".to_owned(),
            initialize("2025-11-25", &json!({})).path(DOCUMENT),
        ),
    ]
}
