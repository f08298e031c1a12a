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
pub(super) fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// An endpoint that makes `made-for-SUBJECT`.
pub(super) async fn mk_endpoint() -> Puppet {
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

pub(super) fn keys(endpoint: &Puppet) -> String {
    format!(
        "credential: {{ exchange: {{ tokenUrl: 'http://{}/token', clientId: gateway, \
         clientSecret: {{ env: CLIENT_SECRET }}, audience: 'https://upstream.example.com' }} }}",
        endpoint.address
    )
}

pub(super) fn with_secret(issuer: &Issuer) -> Setup {
    guarded(issuer, "").variable("CLIENT_SECRET", "open sesame")
}

/// One upstream, `a`, that is told of its callers by tokens made for them.
async fn mk_one() -> (Issuer, Puppet, Puppet, Gateway) {
    let (issuer, puppet, endpoint) = (
        Issuer::start().await,
        Puppet::start(&["echo"]).await,
        mk_endpoint().await,
    );
    let setup = with_secret(&issuer).upstream_with("a", &puppet.url(), &keys(&endpoint));
    let gateway = started(setup, &issuer, &["a"]).await;
    (issuer, puppet, endpoint, gateway)
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
    let (issuer, puppet, endpoint, mut gateway) = mk_one().await;
    let elsewhere = mk_endpoint().await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let away = format!("http://{}/token", elsewhere.address);
    let refusal = json!({"error": "invalid_request", "error_description": "s3cret words"}).to_string();
    for (at, (act, code)) in [
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
    ]
    .into_iter()
    .enumerate()
    {
        let acted = act.clone();
        endpoint.play(move |_| Some(acted.clone()));
        // What one caller was told is remembered for that one.
        let name = format!("caller-{at}");
        let error = Visitor::new(&gateway, &issuer, &name).refusal("a_echo").await;
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

/// A server that takes what is made for it in this round alone, and knows each caller by it.
fn takes_only(puppet: &Puppet, round: u32) {
    puppet.play(move |seen| {
        let shown = seen.header("authorization").unwrap_or_default();
        let listing = !shown.starts_with("Bearer made-for-");
        (!listing && !shown.ends_with(&format!("-{round}"))).then(|| Act::text(401, r#"{"s3cret":"words"}"#))
    });
}

/// An endpoint that makes `made-for-SUBJECT-ROUND`.
fn makes(endpoint: &Puppet, round: u32) {
    endpoint.play(move |seen| {
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(&seen.body).into_owned().collect();
        let subject = payload(&form["subject_token"])["sub"].clone();
        let token = format!("made-for-{}-{round}", subject.as_str().expect("a subject"));
        let answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300});
        Some(Act::text(200, &answer.to_string()))
    });
}

/// Longer than a token has to be old to be made anew because it is refused.
async fn grown_old() {
    tokio::time::sleep(std::time::Duration::from_millis(5_200)).await;
}

#[tokio::test]
async fn a_token_that_was_revoked_is_made_anew_and_the_client_sees_nothing_of_it() {
    let (issuer, ways, endpoint) = (Issuer::start().await, Ways::start().await, mk_endpoint().await);
    let setup = ways.add(with_secret(&issuer), &keys(&endpoint));
    let gateway = started(setup, &issuer, &["envoy", "direct", "modern"]).await;
    makes(&endpoint, 1);
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    let tools = [
        ("envoy_echo", &ways.envoy),
        ("direct_echo", &ways.direct),
        ("modern_echo", &ways.modern),
    ];
    for (tool, _) in tools {
        assert!(alice.call(&session, tool).await.text().contains("echo"), "{tool}");
    }
    grown_old().await;
    makes(&endpoint, 2);
    for (tool, puppet) in tools {
        endpoint.forget_requests();
        puppet.forget_requests();
        puppet.also(|seen| {
            let revoked = seen.header("authorization").is_some_and(|shown| shown.ends_with("-1"));
            revoked.then(|| Act::text(401, "{}"))
        });
        let again = alice.call(&session, tool).await;
        assert_eq!(
            again.message()["result"]["content"][0]["text"],
            "echo",
            "{tool}: {again:?}"
        );
        assert_eq!(endpoint.seen().len(), 1, "{tool}: made anew once");
        let calls = puppet.posted("tools/call");
        let shown: Vec<_> = calls
            .iter()
            .map(|call| call.header("authorization").unwrap_or_default())
            .collect();
        assert_eq!(shown, ["Bearer made-for-alice-1", "Bearer made-for-alice-2"], "{tool}");
        assert!(alice.call(&session, tool).await.text().contains("echo"));
        assert_eq!(endpoint.seen().len(), 1, "{tool}: and kept");
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_every_token_is_told_of_and_nobody_is_hammered() {
    let (issuer, puppet, endpoint, mut gateway) = mk_one().await;
    makes(&endpoint, 1);
    takes_only(&puppet, 2);
    endpoint.forget_requests();
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    for _ in 0..20 {
        let answer = alice.call(&session, "a_echo").await;
        let error = answer.message()["error"].clone();
        assert_eq!(error["code"], -31010, "{answer:?}");
        assert_eq!(
            error["message"], "upstream a refused the credential of its caller",
            "whose it was, and not what it was"
        );
    }
    assert!(endpoint.seen().len() <= 2, "{} times", endpoint.seen().len());
    let seen = gateway.program().output();
    assert!(!seen.contains("made-for-alice") && !seen.contains("s3cret"), "{seen}");
}

#[tokio::test]
async fn a_refused_caller_in_a_loop_does_not_reach_the_endpoint_again() {
    let (issuer, _puppet, endpoint, gateway) = mk_one().await;
    endpoint.play(|_| Some(Act::text(400, r#"{"error":"invalid_request"}"#)));
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    for _ in 0..50 {
        let answer = alice.call(&session, "a_echo").await;
        assert_eq!(answer.message()["error"]["code"], -31011, "{answer:?}");
    }
    let asked = endpoint.seen().len();
    assert!(asked <= 3, "{asked} times within a few seconds");
    endpoint.play(|_| Some(Act::text(503, "")));
    endpoint.forget_requests();
    let names: Vec<String> = (0..30).map(|at| format!("caller-{at}")).collect();
    for name in &names {
        let error = Visitor::new(&gateway, &issuer, name).refusal("a_echo").await;
        assert_eq!(error["code"], -31010, "{error}");
    }
    let asked = endpoint.seen().len();
    assert!(asked < 15, "it is down, and was asked {asked} times");
    endpoint.play(|seen| Some(made(seen)));
    let bob = Visitor::new(&gateway, &issuer, "bob");
    let session = bob.begin().await;
    crate::e2e::harness::eventually("it is asked again", async || {
        bob.call(&session, "a_echo").await.text().contains("echo\"")
    })
    .await;
}

#[tokio::test]
async fn whatever_goes_out_for_a_caller_later_speaks_with_what_is_made_now() {
    let (issuer, puppet, endpoint, gateway) = mk_one().await;
    makes(&endpoint, 1);
    let mut alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    // A newer token of the caller: what was made for the older one is of the past.
    let mut claims = issuer.claims("alice", crate::e2e::guarded::identity::OWN);
    claims["jti"] = json!("newer");
    alice.token = issuer.key.sign(&claims);
    makes(&endpoint, 2);
    puppet.forget_requests();
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}).to_string();
    let level = rpc(8, "logging/setLevel", &json!({"level": "debug"}));
    for (body, status) in [(notification, 202), (level, 200)] {
        let answer = alice.send(Request::post(body).session(&session)).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let ended = alice.send(Request::bare("DELETE").session(&session)).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let all = |seen: &[Seen]| {
        let there = |what: &dyn Fn(&Seen) -> bool| seen.iter().any(what);
        there(&|seen| seen.method.contains("roots"))
            && there(&|seen| seen.method == "logging/setLevel")
            && there(&|seen| seen.verb == "DELETE")
    };
    puppet.until("all three have come", all).await;
    for seen in puppet
        .seen()
        .iter()
        .filter(|seen| seen.header("mcp-session-id").is_some())
    {
        assert_eq!(
            seen.header("authorization"),
            Some("Bearer made-for-alice-2"),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn two_callers_at_one_upstream_are_never_mixed_up() {
    const ROUNDS: usize = 500;
    let (issuer, ways, endpoint) = (Issuer::start().await, Ways::start().await, mk_endpoint().await);
    let setup = ways.add(with_secret(&issuer), &keys(&endpoint));
    let gateway = started(setup, &issuer, &["envoy", "direct", "modern"]).await;
    ways.forget();
    let (alice, bob) = (
        Visitor::new(&gateway, &issuer, "alice"),
        Visitor::new(&gateway, &issuer, "bob"),
    );
    let many = async |visitor: &Visitor<'_>| {
        let session = visitor.begin().await;
        for round in 0..ROUNDS {
            let tool = ["envoy_echo", "direct_echo", "modern_echo"][round % 3];
            let request = if round % 2 == 0 {
                let call = rpc(7, "tools/call", &visitor.arguments(tool));
                Request::post(call)
                    .session(&session)
                    .with("mcp-protocol-version", "2025-11-25")
            } else {
                modern(7, "tools/call", &visitor.arguments(tool))
            };
            let answer = visitor.send(request).await;
            assert_eq!(answer.message()["result"]["content"][0]["text"], "echo", "{answer:?}");
        }
        let stolen = Request::bare("GET")
            .session(&session)
            .with("accept", "text/event-stream");
        (session, stolen)
    };
    let ((session, stolen), _) = tokio::join!(many(&alice), many(&bob));
    let mut calls = 0;
    for puppet in ways.all() {
        for call in puppet.posted("tools/call") {
            let who = call.json()["params"]["arguments"]["who"]
                .as_str()
                .expect("named")
                .to_owned();
            assert_eq!(
                call.header("authorization"),
                Some(&*format!("Bearer made-for-{who}")),
                "{call:?}"
            );
            calls += 1;
        }
    }
    assert_eq!(calls, 2 * ROUNDS);
    assert_eq!(endpoint.seen().len(), 6, "two callers, three upstreams");
    // The session of one is nobody else's, mid-way or not.
    assert_eq!(bob.call(&session, "envoy_echo").await.status, 404);
    assert_eq!(bob.send(stolen).await.status, 404);
}
