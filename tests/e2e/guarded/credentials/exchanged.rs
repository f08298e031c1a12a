//! Tokens that are made for callers by a token endpoint (RFC 8693).

use super::*;
use crate::e2e::clients;
use crate::e2e::harness::program::Program;
use crate::e2e::process::free_port;
use crate::e2e::tools;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::process::Command;

/// What the token says.
fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// An endpoint that makes `made-for-SUBJECT`.
async fn mk_endpoint() -> Puppet {
    let endpoint = Puppet::start(&[]).await;
    endpoint.play(|seen| Some(made(seen)));
    endpoint
}

fn made(seen: &Seen) -> Act {
    let form: BTreeMap<_, _> = url::form_urlencoded::parse(&seen.body).into_owned().collect();
    assert_eq!((seen.verb.as_str(), seen.path.as_str()), ("POST", "/token"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("authorization"), Some("Basic Z2F0ZXdheTpvcGVuK3Nlc2FtZQ=="));
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(
        form["subject_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    assert_eq!(form["audience"], "https://upstream.example.com");
    let subject = payload(&form["subject_token"])["sub"].clone();
    let token = format!("made-for-{}", subject.as_str().expect("a subject"));
    let issued = "urn:ietf:params:oauth:token-type:access_token";
    let answer = json!({"access_token": token, "issued_token_type": issued, "token_type": "Bearer", "expires_in": 300});
    Act::text(200, &answer.to_string())
}

fn keys(endpoint: &Puppet) -> String {
    format!(
        "credential: {{ exchange: {{ tokenUrl: 'http://{}/token', clientId: gateway, \
         clientSecret: {{ env: CLIENT_SECRET }}, audience: 'https://upstream.example.com' }} }}",
        endpoint.address
    )
}

fn with_secret(issuer: &Issuer) -> Setup {
    guarded(issuer, "").variable("CLIENT_SECRET", "open sesame")
}

#[tokio::test]
async fn a_token_is_made_once_for_each_caller_and_upstream() {
    let (issuer, ways, endpoint) = (Issuer::start().await, Ways::start().await, mk_endpoint().await);
    let setup = ways.add(with_secret(&issuer), &keys(&endpoint));
    let mut gateway = started(setup, &issuer, &["envoy", "direct", "modern"]).await;
    ways.forget();
    assert!(endpoint.seen().is_empty(), "nobody has called");
    let (alice, bob) = (
        Visitor::new(&gateway, &issuer, "alice"),
        Visitor::new(&gateway, &issuer, "bob"),
    );
    tokio::join!(alice.tour(), bob.tour());
    for puppet in ways.all() {
        let own = everybody(|name| format!("Bearer made-for-{name}"), ["alice", "bob"]);
        assert_spoke(puppet, "authorization", &own).await;
    }
    assert_eq!(endpoint.seen().len(), 2 * 3, "two callers, three upstreams");
    let tokens = [alice.token.clone(), bob.token.clone()];
    let secrets = ["made-for-", "open sesame", "open+sesame", &tokens[0], &tokens[1]];
    assert_hidden(&mut gateway, &secrets).await;
}

#[tokio::test]
async fn an_endpoint_that_makes_none_lets_nothing_through() {
    let (issuer, puppet, endpoint) = (
        Issuer::start().await,
        Puppet::start(&["echo"]).await,
        mk_endpoint().await,
    );
    let elsewhere = mk_endpoint().await;
    let setup = with_secret(&issuer).upstream_with("a", &puppet.url(), &keys(&endpoint));
    let mut gateway = started(setup, &issuer, &["a"]).await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let away = format!("http://{}/token", elsewhere.address);
    let refusal = json!({"error": "invalid_request", "error_description": "s3cret words"}).to_string();
    for (act, code) in [
        (Act::text(400, &refusal), -31011),
        (Act::text(401, r#"{"error":"invalid_client"}"#), -31010),
        (Act::text(500, "s3cret words"), -31010),
        (Act::text(200, "s3cret words"), -31010),
        (Act::reply(307, &[("location", &away)], b""), -31010),
        (
            Act::text(200, r#"{"access_token":"s3cret words","token_type":"Bearer"}"#),
            -31010,
        ),
        (Act::SayAndLeave(Vec::new()), -31010),
    ] {
        let acted = act.clone();
        endpoint.play(move |_| Some(acted.clone()));
        let error = alice.refusal("a_echo").await;
        assert_eq!(error["code"], code, "{act:?}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    assert!(elsewhere.seen().is_empty(), "a redirect is not followed");
    assert!(puppet.posted("tools/call").is_empty(), "nothing went out");
    endpoint.play(|seen| Some(made(seen)));
    let session = alice.begin().await;
    assert!(
        alice.call(&session, "a_echo").await.text().contains("echo"),
        "it makes them again"
    );
    assert_eq!(
        puppet.posted("tools/call")[0].header("authorization"),
        Some("Bearer made-for-alice")
    );
    let token = alice.token.clone();
    let seen = gateway.program().output();
    assert!(!seen.contains("s3cret words") && !seen.contains(&token), "{seen}");
}

#[tokio::test]
async fn a_real_provider_makes_the_token_of_a_client_that_knows_only_the_url() {
    let puppet = Puppet::start(&["echo"]).await;
    let (own, port) = (free_port(), free_port());
    let url = format!("http://127.0.0.1:{own}/mcp");
    let issuer = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(tools::node());
    command.arg(tools::source("tests/clients/identity-provider.mjs"));
    let mut provider = Program::start(command.args([&port.to_string(), &url]));
    provider.says("ready").await;
    let audience = "https://upstream.example.com";
    let keys = format!(
        "credential: {{ exchange: {{ tokenUrl: '{issuer}/token', clientId: gateway, \
         clientSecret: {{ env: CLIENT_SECRET }}, audience: '{audience}' }} }}"
    );
    let setup = Setup::new().with(&format!("listen: 127.0.0.1:{own}")).with(&format!(
        "authentication: {{ jwt: [ {{ issuer: '{issuer}', jwks: {{ url: '{issuer}/jwks', refresh: 1s }} }} ], scopes: [mcp:tools] }}"
    ));
    let setup = setup.variable("CLIENT_SECRET", "gateway-secret");
    let gateway = setup.upstream_with("up", &puppet.url(), &keys).up().await;

    let visit = clients::authorized(&gateway.url(), "up_echo", &json!({})).await;
    assert_eq!(visit.content[0]["text"], "echo");
    let call = puppet.posted("tools/call").pop().expect("called");
    let token = call
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .expect("a token");
    let claims = payload(token);
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&json!("alice"), &json!(audience)),
        "{claims}"
    );
    assert_eq!(claims["client_id"], "gateway", "made for the gateway");
}
