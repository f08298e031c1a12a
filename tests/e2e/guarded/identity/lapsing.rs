//! How long keys are trusted that nobody has seen any more: `keepLastGood`, and keys that were taken back.

use super::issuer::{Issuer, Key};
use super::{OWN, challenge, guarded, guarded_for, until_keys};
use crate::e2e::harness::client::{Request, rpc};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Gateway;
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::process::free_port;
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;

/// Begins no session: a caller may have so many only.
fn ping(token: &str) -> Request {
    Request::post(rpc(1, "ping", &json!({}))).with("authorization", &format!("Bearer {token}"))
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    ping(token).send(gateway.address).await.status
}

async fn until_refused(gateway: &Gateway, token: &str, what: &str) {
    eventually(what, async || status(gateway, token).await == 401).await;
}

/// What `/status` says of the issuer.
async fn keys(gateway: &Gateway) -> serde_json::Value {
    gateway.status().await["issuers"][0].clone()
}

#[tokio::test]
async fn keys_that_nobody_has_seen_for_too_long_let_nobody_in_until_they_are_back() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let mut gateway = guarded_for(&issuer, "4s", "").puppet("up", &puppet).up().await;
    let token = issuer.token("alice");
    for act in [
        Act::text(500, "{}"),
        Act::text(200, "<html>garbage</html>"),
        Act::text(200, "{\"keys\":[]}"),
        Act::reply(302, &[("location", &issuer.jwks_url())], b""),
        Act::Hang,
    ] {
        issuer.publish(&[&issuer.key]);
        until_keys(&gateway, &token).await;
        assert_eq!(keys(&gateway).await["usable"], true);
        let shown = format!("{act:?}");
        issuer.server.play(move |_| Some(act.clone()));
        assert_eq!(status(&gateway, &token).await, 200, "the last good ones serve: {shown}");
        until_refused(&gateway, &token, &format!("closed after {shown}")).await;
        let refused = ping(&token).send(gateway.address).await;
        assert!(challenge(&refused).contains("invalid_token"), "{refused:?}");
        assert!(refused.text().contains("public keys cannot be fetched"), "{refused:?}");
        assert_eq!(keys(&gateway).await["usable"], false);
    }
    let metrics = gateway.ask("/metrics").await.text();
    for line in [
        "mcp_manifold_rejects_total{reason=\"keys_lapsed\"}",
        &format!("mcp_manifold_jwks_usable{{issuer=\"{}\"}} 0", issuer.name()),
        &format!("mcp_manifold_jwks_fetch_failures_total{{issuer=\"{}\"}}", issuer.name()),
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let log = gateway.program().err();
    for line in [
        "Keys of an issuer cannot be fetched.",
        "Keys of an issuer are too old",
        "Keys of an issuer are there.",
        "keys_lapsed",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
}

#[tokio::test]
async fn a_token_that_was_let_in_is_refused_once_its_key_was_taken_back() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let old = issuer.token("alice");
    until_keys(&gateway, &old).await;
    let next = Key::new("second");
    issuer.publish(&[&next]);
    // Envoy remembers tokens that it has verified: these very bytes.
    until_refused(&gateway, &old, "its key is not there any more").await;
    let new = next.sign(&issuer.claims("alice", OWN));
    until_keys(&gateway, &new).await;
    for _ in 0..20 {
        assert_eq!(status(&gateway, &old).await, 401, "and stays so");
        assert_eq!(status(&gateway, &new).await, 200);
    }
}

/// Envoy has its keys all the while; the processor has to know by itself how old they are.
#[tokio::test]
async fn a_processor_that_starts_anew_knows_how_old_the_keys_are() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let mut gateway = guarded(&issuer, "").puppet("up", &puppet).serve_beside(&[], &[]).await;
    let token = issuer.token("alice");
    until_keys(&gateway, &token).await;
    issuer.server.play(|_| Some(Act::text(500, "{}")));
    for (forgotten, expected) in [(false, 200), (true, 401)] {
        drop(gateway.programs.remove(0));
        if forgotten {
            std::fs::remove_dir_all(gateway.setup.folder.path().join("state/jwks")).expect("it was there");
        }
        let mut command = gateway.setup.command(&["serve", "-f"]);
        command.arg(gateway.setup.file());
        let mut again = Program::start(&mut command);
        again.says("ready ").await;
        gateway.programs.insert(0, again);
        eventually("Envoy has found it", async || status(&gateway, &token).await != 503).await;
        assert_eq!(status(&gateway, &token).await, expected, "forgotten: {forgotten}");
    }
    issuer.publish(&[&issuer.key]);
    until_keys(&gateway, &token).await;
}

#[tokio::test]
async fn a_slow_endpoint_closes_nothing_while_it_answers_in_time() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded_for(&issuer, "8s", "").puppet("up", &puppet).up().await;
    let token = issuer.token("alice");
    until_keys(&gateway, &token).await;
    let document = json!({"keys": [issuer.key.public()]}).to_string();
    for _ in 0..4 {
        let (gate, closed) = watch::channel(false);
        let keys = Act::text(200, &document);
        issuer
            .server
            .play(move |_| Some(Act::After(closed.clone(), Box::new(keys.clone()))));
        let seen = issuer.server.seen().len();
        issuer.server.until("asked", |all| all.len() > seen + 1).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(status(&gateway, &token).await, 200);
        gate.send(true).expect("the puppet waits");
    }
    assert_eq!(keys(&gateway).await["usable"], true);
}

#[tokio::test]
async fn an_endpoint_that_is_down_from_the_start_lets_nobody_in() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let down = format!("http://127.0.0.1:{}/jwks", free_port());
    let setup = guarded(&issuer, "").puppet("up", &puppet);
    let text = setup.text().replace(&issuer.jwks_url(), &down);
    assert!(text.contains(&down), "{text}");
    let setup = crate::e2e::harness::gateway::Setup::new()
        .with(text.split("upstreams:").next().unwrap_or_default())
        .puppet("up", &puppet);
    let gateway = setup.up().await;
    assert_eq!(status(&gateway, &issuer.token("alice")).await, 401);
    let known = keys(&gateway).await;
    assert_eq!(known["usable"], false, "{known}");
    assert_eq!(known["lastError"], "connection refused", "{known}");
}
