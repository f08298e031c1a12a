//! Keys and passwords.

use super::{begin, challenge};
use crate::e2e::harness::client::{Request, initialize};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::puppet::Puppet;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

fn hex_of(key: &str) -> String {
    Sha256::digest(key).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn write(setup: &Setup, name: &str, text: &str) {
    let file = setup.folder.path().join(name);
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(new, file).expect("renamed");
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

#[tokio::test]
async fn a_key_lets_its_holder_in_until_it_is_taken_out() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().with("authentication: { apiKeys: { header: X-Key, file: keys.yaml } }");
    let entry = |name: &str, key: &str| format!("- {{ name: {name}, sha256: '{}', roles: [admin] }}\n", hex_of(key));
    write(&setup, "keys.yaml", &entry("ci", "the-first-key"));
    let mut gateway = setup.puppet("up", &puppet).up().await;
    let with = |key: &str| initialize("2025-11-25", &json!({})).with("x-key", key);
    let missing = initialize("2025-11-25", &json!({})).send(gateway.address).await;
    assert_eq!(
        (missing.status, challenge(&missing)),
        (401, "ApiKey realm=\"mcp\", header=\"x-key\"")
    );
    assert_eq!(with("wrong").send(gateway.address).await.status, 401);
    let begun = with("the-first-key").send(gateway.address).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let called = super::call(&begun, "", "up_echo")
        .without("authorization")
        .with("x-key", "the-first-key");
    assert_eq!(
        called.send(gateway.address).await.message()["result"]["content"][0]["text"],
        "echo"
    );
    for seen in puppet.seen() {
        assert_eq!(seen.header("x-key"), None, "the key stays here: {seen:?}");
    }

    write(&gateway.setup, "keys.yaml", &entry("ops", "the-second-key"));
    eventually("the new key counts", async || {
        with("the-second-key").send(gateway.address).await.status == 200
    })
    .await;
    assert_eq!(
        with("the-first-key").send(gateway.address).await.status,
        401,
        "taken out"
    );
    write(&gateway.setup, "keys.yaml", "- { name: ops, sha256: the-second-key }\n");
    eventually("the broken file is named", async || {
        gateway
            .programs
            .iter()
            .any(|program| program.err().contains("keys.yaml"))
    })
    .await;
    assert_eq!(
        with("the-second-key").send(gateway.address).await.status,
        200,
        "the last good one holds"
    );
    let said = gateway.program().output();
    assert!(
        !said.contains("the-first-key") && !said.contains("the-second-key"),
        "{said}"
    );
}

#[tokio::test]
async fn a_password_lets_in_and_guessing_it_takes_long() {
    let puppet = Puppet::start(&["echo"]).await;
    for wiring in [Wiring::FullDuplex, Wiring::Buffered] {
        let setup = Setup::new().with("authentication: { basic: { file: htpasswd } }");
        let hash = bcrypt::hash("open sesame", 6).expect("hashed");
        write(&setup, "htpasswd", &format!("alice:{hash}\n"));
        let mut gateway = setup.puppet("up", &puppet).start(wiring).await;
        let right = begin(&basic("alice", "open sesame"));
        let response = right.send(gateway.address).await;
        assert_eq!(response.status, 200, "{wiring:?}: {response:?}");
        let missing = initialize("2025-11-25", &json!({})).send(gateway.address).await;
        assert_eq!(
            (missing.status, challenge(&missing)),
            (401, "Basic realm=\"mcp\", charset=\"UTF-8\"")
        );
        for (name, password) in [("alice", ""), ("bob", "open sesame"), ("", "")] {
            let response = begin(&basic(name, password)).send(gateway.address).await;
            assert_eq!(response.status, 401, "{name}: {response:?}");
        }
        let mut refused = None;
        for guess in 0..20 {
            let response = begin(&basic("alice", &format!("guess {guess}")))
                .send(gateway.address)
                .await;
            if response.status == 429 {
                refused = Some(response);
                break;
            }
            assert_eq!(response.status, 401, "{response:?}");
        }
        let refused = refused.expect("who guesses has to wait");
        assert_eq!(refused.message()["error"]["code"], -31012);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        assert_eq!(right.send(gateway.address).await.status, 200, "who knows it need not");
        assert!(!gateway.program().output().contains("sesame"));
    }
}

#[tokio::test]
async fn a_principal_has_so_many_sessions_and_others_have_theirs() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new()
        .with("limits: { sessionsPerPrincipal: 2 }")
        .with("authentication: { required: false, apiKeys: { file: keys.yaml } }");
    let entry = |name: &str| format!("- {{ name: {name}, sha256: '{}' }}\n", hex_of(name));
    write(&setup, "keys.yaml", &(entry("one") + &entry("two")));
    let gateway = setup.puppet("up", &puppet).up().await;
    let begin = |key: &str| initialize("2025-11-25", &json!({})).with("x-api-key", key);
    let first = begin("one").send(gateway.address).await;
    assert_eq!(begin("one").send(gateway.address).await.status, 200);
    let third = begin("one").send(gateway.address).await;
    assert_eq!((third.status, &third.message()["error"]["code"]), (503, &json!(-31014)));
    assert_eq!(begin("two").send(gateway.address).await.status, 200, "another caller");
    for _ in 0..3 {
        let anonymous = initialize("2025-11-25", &json!({})).send(gateway.address).await;
        assert_eq!(anonymous.status, 200);
    }
    let session = first.header("mcp-session-id").expect("a session");
    let end = Request::bare("DELETE").session(session);
    assert_eq!(end.send(gateway.address).await.status, 404, "not by anybody");
    assert_eq!(end.with("x-api-key", "one").send(gateway.address).await.status, 200);
    assert_eq!(
        begin("one").send(gateway.address).await.status,
        200,
        "there is room again"
    );
}
