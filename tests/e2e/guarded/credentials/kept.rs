//! A credential for each principal, kept in a folder.

use super::*;
use crate::e2e::harness::eventually;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Where the credential of this principal is kept.
fn file_of(folder: &std::path::Path, principal: &str) -> PathBuf {
    let name = Sha256::digest(principal).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    folder.join("keys").join(name)
}

fn keep(setup: &Setup, principal: &str, credential: &str) {
    let file = file_of(setup.folder.path(), principal);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    let new = file.with_extension("new");
    std::fs::write(&new, credential).expect("written");
    std::fs::rename(new, file).expect("renamed");
}

#[tokio::test]
async fn everybody_is_spoken_for_by_their_own_and_nobody_elses() {
    let (issuer, ways, other) = (
        Issuer::start().await,
        Ways::start().await,
        Puppet::start(&["echo"]).await,
    );
    let setup = ways.add(guarded(&issuer, ""), "credential: { perPrincipal: { dir: keys } }");
    let setup = setup.upstream_with("other", &other.url(), "credential: { perPrincipal: { dir: other } }");
    for name in ["alice", "bob"] {
        keep(
            &setup,
            &format!("{}|{name}", issuer.name()),
            &format!("s3cret-of-{name}\n"),
        );
    }
    let mut gateway = started(setup, &issuer, &["envoy", "direct", "modern", "other"]).await;
    ways.forget();
    let (alice, bob) = (
        Visitor::new(&gateway, &issuer, "alice"),
        Visitor::new(&gateway, &issuer, "bob"),
    );
    let stranger = Visitor::new(&gateway, &issuer, "../../eve");
    let (.., error, elsewhere) = tokio::join!(
        alice.tour(),
        bob.tour(),
        stranger.refusal("envoy_echo"),
        alice.refusal("other_echo")
    );
    for puppet in ways.all() {
        let own = everybody(|name| format!("Bearer s3cret-of-{name}"), ["alice", "bob"]);
        assert_spoke(puppet, "authorization", &own).await;
    }
    for error in [error, elsewhere] {
        assert_eq!(error["code"], -31011, "{error}");
        let text = error["message"].as_str().expect("words");
        assert!(
            text.contains("none is kept for this one") && !text.contains("keys"),
            "{text}"
        );
    }
    assert!(other.posted("tools/call").is_empty());
    assert_hidden(&mut gateway, &["s3cret-of"]).await;
}

#[tokio::test]
async fn a_file_that_changes_counts_without_a_restart() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let keys = "credential: { perPrincipal: { dir: keys, header: X-Key } }";
    let setup = guarded(&issuer, "").upstream_with("a", &puppet.url(), keys);
    let principal = format!("{}|alice", issuer.name());
    keep(&setup, &principal, "first");
    let gateway = started(setup, &issuer, &["a"]).await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    let last = || puppet.posted("tools/call").pop().expect("called");
    assert_eq!(
        last().header("x-key"),
        Some("first"),
        "no scheme stands in another header"
    );
    keep(&gateway.setup, &principal, "second");
    eventually("the new one counts", async || {
        alice.call(&session, "a_echo").await;
        last().header("x-key") == Some("second")
    })
    .await;
    keep(&gateway.setup, &principal, "third\r\nx-admin: 1");
    eventually("one that cannot be sent is refused", async || {
        alice.call(&session, "a_echo").await.message()["error"]["code"] == -31010
    })
    .await;
    std::fs::remove_file(file_of(gateway.setup.folder.path(), &principal)).expect("removed");
    eventually("one that is gone is gone", async || {
        alice.call(&session, "a_echo").await.message()["error"]["code"] == -31011
    })
    .await;
    assert!(puppet.seen().iter().all(|seen| seen.header("x-admin").is_none()));
}

#[tokio::test]
async fn files_are_replaced_while_calls_run_and_each_call_has_one_of_them() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let setup = guarded(&issuer, "").upstream_with("a", &puppet.url(), "credential: { perPrincipal: { dir: keys } }");
    let principal = format!("{}|alice", issuer.name());
    keep(&setup, &principal, "key-0");
    let gateway = started(setup, &issuer, &["a"]).await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    let calling = async {
        for _ in 0..200 {
            let answer = alice.call(&session, "a_echo").await;
            assert_eq!(answer.message()["result"]["content"][0]["text"], "echo", "{answer:?}");
        }
    };
    let replacing = async {
        for at in 1..40 {
            keep(&gateway.setup, &principal, &format!("key-{at}"));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::join!(calling, replacing);
    for call in puppet.posted("tools/call") {
        let shown = call.header("authorization").unwrap_or_default();
        let number = shown
            .strip_prefix("Bearer key-")
            .and_then(|number| number.parse::<u32>().ok());
        assert!(number.is_some_and(|number| number < 40), "{shown}");
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_read_again_at_once() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let setup = guarded(&issuer, "").upstream_with("a", &puppet.url(), "credential: { perPrincipal: { dir: keys } }");
    let principal = format!("{}|alice", issuer.name());
    keep(&setup, &principal, "first");
    let gateway = started(setup, &issuer, &["a"]).await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    puppet.play(|seen| {
        let old = seen.header("authorization") == Some("Bearer first");
        old.then(|| Act::text(401, "{}"))
    });
    keep(&gateway.setup, &principal, "second");
    let answer = alice.call(&session, "a_echo").await;
    assert_eq!(answer.message()["result"]["content"][0]["text"], "echo", "{answer:?}");
    puppet.play(|seen| seen.header("authorization").is_some().then(|| Act::text(401, "{}")));
    let error = alice.call(&session, "a_echo").await.message()["error"].clone();
    assert_eq!(error["message"], "upstream a refused the credential of its caller");
}
