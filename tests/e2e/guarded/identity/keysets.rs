//! The issuer's public keys: fetched, rotated, gone, slow, garbage.

use super::issuer::{Issuer, Key};
use super::{OWN, bearer, guarded, until_keys};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[tokio::test]
async fn a_key_that_follows_another_is_known_within_the_refresh() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let old = issuer.token("alice");
    until_keys(&gateway, &old).await;
    let next = Key::new("second");
    issuer.publish(&[&issuer.key, &next]);
    let new = next.sign(&issuer.claims("alice", OWN));
    until_keys(&gateway, &new).await;
    assert_eq!(bearer(&old).send(gateway.address).await.status, 200, "both, meanwhile");
    issuer.publish(&[&next]);
    crate::e2e::harness::eventually("the old key counts no more", async || {
        bearer(&issuer.token("bob")).send(gateway.address).await.status == 401
    })
    .await;
    assert_eq!(bearer(&new).send(gateway.address).await.status, 200);
}

#[tokio::test]
async fn the_last_good_keys_serve_while_there_are_no_others() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    until_keys(&gateway, &issuer.token("alice")).await;
    for act in [
        Act::text(200, "garbage"),
        Act::text(200, "{\"keys\":[]}"),
        Act::text(500, "{}"),
        Act::Hang,
    ] {
        let fetched = issuer.server.seen().len();
        let shown = format!("{act:?}");
        issuer.server.play(move |_| Some(act.clone()));
        issuer
            .server
            .until("fetched anew", |seen| seen.len() > fetched + 1)
            .await;
        let response = bearer(&issuer.token("bob")).send(gateway.address).await;
        assert_eq!(response.status, 200, "after {shown}: {response:?}");
    }
}

#[tokio::test]
async fn without_keys_nobody_gets_in_and_with_them_everybody_does() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    issuer.server.play(|_| Some(Act::Hang));
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let began = Instant::now();
    let response = bearer(&issuer.token("alice")).send(gateway.address).await;
    assert_eq!(response.status, 401, "closed: {response:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "and answered");
    issuer.publish(&[&issuer.key]);
    until_keys(&gateway, &issuer.token("alice")).await;
}

#[tokio::test]
async fn nobody_waits_for_keys_that_come_slowly() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    until_keys(&gateway, &issuer.token("alice")).await;
    let next = Key::new("second");
    let keys = serde_json::json!({"keys": [issuer.key.public(), next.public()]}).to_string();
    let (gate, closed) = watch::channel(false);
    let slow = Act::After(closed, Box::new(Act::text(200, &keys)));
    let fetched = issuer.server.seen().len();
    issuer.server.play(move |_| Some(slow.clone()));
    issuer.server.until("fetched anew", |seen| seen.len() > fetched).await;
    let began = Instant::now();
    let old = bearer(&issuer.token("bob")).send(gateway.address).await;
    let new = next.sign(&issuer.claims("alice", OWN));
    let unknown = bearer(&new).send(gateway.address).await;
    assert_eq!((old.status, unknown.status), (200, 401), "by the keys that are there");
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "at once: {:?}",
        began.elapsed()
    );
    gate.send(true).expect("the puppet waits");
    until_keys(&gateway, &new).await;
}

/// Envoy has them until it ends.
#[tokio::test]
async fn a_gateway_that_is_started_while_there_are_no_keys_is_closed_until_there_are() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let gateway = guarded(&issuer, "").puppet("up", &puppet).up().await;
    let token = issuer.token("alice");
    until_keys(&gateway, &token).await;
    issuer.server.play(|_| Some(Act::text(200, "<html>garbage</html>")));
    let setup = gateway.kill();
    let gateway = setup.up().await;
    let response = bearer(&token).send(gateway.address).await;
    assert_eq!(response.status, 401, "closed: {response:?}");
    issuer.publish(&[&issuer.key]);
    until_keys(&gateway, &token).await;
}

#[tokio::test]
async fn keys_may_lie_in_a_file() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let setup = Setup::new().with(&format!("publicUrl: {OWN}")).with(&format!(
        "authentication: {{ jwt: [ {{ issuer: '{}', jwks: {{ file: jwks.json }} }} ] }}",
        issuer.name()
    ));
    let jwks = serde_json::json!({"keys": [issuer.key.public()]}).to_string();
    std::fs::write(setup.folder.path().join("jwks.json"), jwks).expect("written");
    let gateway = setup.puppet("up", &puppet).up().await;
    assert_eq!(bearer(&issuer.token("alice")).send(gateway.address).await.status, 200);
    let foreign = Key::new("first").sign(&issuer.claims("alice", OWN));
    assert_eq!(bearer(&foreign).send(gateway.address).await.status, 401);
}
