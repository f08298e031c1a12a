//! Which tokens let their bearers in.

use super::issuer::{Issuer, Key, encode, now};
use super::{OWN, bearer, begin, call, challenge, guarded, until_keys};
use crate::e2e::harness::client::initialize;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Puppet, Seen};
use serde_json::json;

#[tokio::test]
async fn only_a_good_token_for_this_gateway_lets_in() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let mut gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let good = issuer.token("alice");
    until_keys(&gateway, &good).await;

    let missing = initialize("2025-11-25", &json!({})).send(gateway.address).await;
    assert_eq!(missing.status, 401, "{missing:?}");
    assert_eq!(
        challenge(&missing),
        "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
    );
    assert_eq!(missing.message()["id"], json!(null), "the body is not read before");
    assert_eq!(missing.message()["error"]["code"], -32600);

    let claims = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut claims = issuer.claims("mallory", OWN);
        change(&mut claims);
        claims
    };
    let sign = |change: &dyn Fn(&mut serde_json::Value)| issuer.key.sign(&claims(change));
    let body = encode(&claims(&|_| {}));
    let unsigned = format!("{}.{body}.", encode(&json!({"alg": "none", "typ": "JWT"})));
    let symmetric = format!("{}.{body}.AAAA", encode(&json!({"alg": "HS256", "kid": "first"})));
    let foreign = Key::new("first");
    let elsewhere = Puppet::start(&[]).await;
    let own_keys = json!({"jku": format!("http://{}/jwks", elsewhere.address), "jwk": foreign.public()});
    for (what, token) in [
        ("expired", sign(&|claims| claims["exp"] = (now() - 3600).into())),
        ("not valid yet", sign(&|claims| claims["nbf"] = (now() + 3600).into())),
        (
            "without an end",
            sign(&|claims| drop(claims.as_object_mut().expect("an object").remove("exp"))),
        ),
        (
            "of another gateway",
            sign(&|claims| claims["aud"] = "https://other.example.com/mcp".into()),
        ),
        (
            "for nobody",
            sign(&|claims| drop(claims.as_object_mut().expect("an object").remove("aud"))),
        ),
        (
            "of another issuer",
            sign(&|claims| claims["iss"] = "https://evil.example.com".into()),
        ),
        (
            "of nobody",
            sign(&|claims| drop(claims.as_object_mut().expect("an object").remove("sub"))),
        ),
        ("alg none", unsigned),
        ("alg HS256", symmetric),
        ("a wrong key", foreign.sign(&issuer.claims("mallory", OWN))),
        (
            "a key it brings along",
            foreign.sign_with(&issuer.claims("mallory", OWN), &own_keys),
        ),
        ("cut", good.rsplit_once('.').expect("three parts").0.to_owned()),
        ("garbage", "garbage".to_owned()),
        ("empty", String::new()),
    ] {
        let response = bearer(&token).send(gateway.address).await;
        assert_eq!(response.status, 401, "{what}: {response:?}");
        assert!(
            challenge(&response).contains("error=\"invalid_token\""),
            "{what}: {response:?}"
        );
        assert!(
            challenge(&response).contains("resource_metadata="),
            "{what}: {response:?}"
        );
    }
    assert!(elsewhere.seen().is_empty(), "no address out of a token is asked");

    let two = bearer(&good)
        .and("authorization", "Basic eDp5")
        .send(gateway.address)
        .await;
    assert_ne!(two.status, 200, "two answers to one question: {two:?}");
    let query = initialize("2025-11-25", &json!({})).path(&format!("/mcp?access_token={good}"));
    assert_eq!(query.send(gateway.address).await.status, 401, "not in the URL");
    let huge = bearer(&"x".repeat(60_000)).send(gateway.address).await;
    assert!(matches!(huge.status, 401 | 431), "{huge:?}");

    let said = gateway.program().output();
    assert!(!said.contains(&good) && !said.contains(good.split('.').nth(1).expect("a payload")));
    let bothered = |seen: &Seen| seen.text().contains("mallory") || seen.header("authorization").is_some();
    assert!(!puppet.seen().iter().any(bothered), "no upstream hears of it");
}

#[tokio::test]
async fn the_token_stays_here_and_its_bearer_is_named() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let (alice, bob) = (issuer.token("alice"), issuer.token("bob"));
    until_keys(&gateway, &alice).await;
    let begun = bearer(&alice).send(gateway.address).await;
    let called = call(&begun, &format!("Bearer {alice}"), "up_echo")
        .send(gateway.address)
        .await;
    assert_eq!(called.message()["result"]["content"][0]["text"], "echo");
    let stolen = call(&begun, &format!("Bearer {bob}"), "up_echo")
        .send(gateway.address)
        .await;
    assert_eq!(stolen.status, 404, "another principal's session: {stolen:?}");
    let nobody = call(&begun, "Bearer x", "up_echo").send(gateway.address).await;
    assert_eq!(nobody.status, 401);
    for seen in puppet.seen() {
        assert_eq!(seen.header("authorization"), None, "{seen:?}");
    }
    assert_eq!(puppet.posted("tools/call").len(), 1);
    let principal = format!("\"principal\":\"{}|alice\"", issuer.name());
    crate::e2e::harness::eventually("the audit line names the caller", async || {
        gateway
            .programs
            .iter()
            .any(|program| program.err().contains(&principal))
    })
    .await;
}

#[tokio::test]
async fn a_token_without_the_scopes_hears_which_are_needed() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, ", scopes: [mcp:tools, mcp:more]")
        .puppet("up", &puppet)
        .up()
        .await;
    let token = |scope: &str| {
        let mut claims = issuer.claims("alice", OWN);
        claims["scope"] = scope.into();
        issuer.key.sign(&claims)
    };
    until_keys(&gateway, &token("mcp:tools openid mcp:more")).await;
    let short = bearer(&token("mcp:tools")).send(gateway.address).await;
    assert_eq!(short.status, 403, "{short:?}");
    assert_eq!(short.message()["error"]["code"], -31011);
    assert!(
        challenge(&short).starts_with("Bearer error=\"insufficient_scope\", scope=\"mcp:tools mcp:more\""),
        "{short:?}"
    );
    let missing = begin("").without("authorization").send(gateway.address).await;
    assert!(
        challenge(&missing).ends_with("scope=\"mcp:tools mcp:more\""),
        "{missing:?}"
    );
}

#[tokio::test]
async fn metadata_that_a_client_makes_up_is_nothing() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let payload = issuer.claims("mallory", OWN).to_string();
    for header in [
        "x-mcp-principal",
        "x-envoy-metadata",
        "x-jwt-payload",
        "x-envoy-dynamic-metadata",
        "jwt-authn",
    ] {
        let forged = initialize("2025-11-25", &json!({})).with(header, &payload);
        assert_eq!(forged.send(gateway.address).await.status, 401, "{header}");
    }
}

#[tokio::test]
async fn the_same_subject_of_two_issuers_is_two_callers() {
    let (one, two, puppet) = (
        Issuer::start().await,
        Issuer::start().await,
        Puppet::start(&["echo"]).await,
    );
    let issuer = |issuer: &Issuer| {
        let (name, jwks) = (issuer.name(), issuer.jwks_url());
        format!("{{ issuer: '{name}', jwks: {{ url: '{jwks}', refresh: 1s }} }}")
    };
    let setup = Setup::new().with(&format!("publicUrl: {OWN}")).with(&format!(
        "authentication: {{ jwt: [ {}, {} ] }}",
        issuer(&one),
        issuer(&two)
    ));
    let gateway = setup.puppet("up", &puppet).up().await;
    let (first, second) = (one.token("alice"), two.token("alice"));
    until_keys(&gateway, &first).await;
    until_keys(&gateway, &second).await;
    let begun = begin(&format!("bearer {first}")).send(gateway.address).await;
    assert_eq!(begun.status, 200, "in whatever case: {begun:?}");
    let call = async |token: &str| {
        let call = call(&begun, &format!("Bearer {token}"), "up_echo");
        call.send(gateway.address).await.status
    };
    assert_eq!((call(&first).await, call(&second).await), (200, 404));
    let crossed = two.key.sign(&one.claims("alice", OWN));
    assert_eq!(
        bearer(&crossed).send(gateway.address).await.status,
        401,
        "one signs for the other"
    );
}
