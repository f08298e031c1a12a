//! Credentials towards upstreams: from the environment or a file, never a client's, followed when they change.

use crate::e2e::harness::client::rpc;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet, Seen};
use serde_json::json;

/// A server that wants this token on every request.
fn guard(puppet: &Puppet, token: &'static str) {
    puppet.play(move |seen| {
        let good = seen.header("authorization") == Some(token);
        (!good).then(|| Act::reply(401, &[("www-authenticate", "Bearer")], b"who are you?"))
    });
}

fn all_carry(seen: &[Seen], token: &str) -> bool {
    seen.iter().all(|seen| seen.header("authorization") == Some(token))
}

#[tokio::test]
async fn a_credential_of_the_environment_goes_with_every_request() {
    let puppet = Puppet::start(&["echo"]).await;
    guard(&puppet, "Bearer of-the-gateway");
    let more = "credential: { header: Authorization, value: { env: TEST_TOKEN } }, headers: { x-team: tools }";
    let setup = Setup::new()
        .upstream_with("up", &puppet.url(), more)
        .variable("TEST_TOKEN", "Bearer of-the-gateway");
    let mut gateway = setup.up().await;
    let client = gateway.client().await;
    let call = rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    let request = client.request(call).with("authorization", "Bearer of-the-client");
    assert_eq!(
        request.send(gateway.address).await.message()["result"]["content"][0]["text"],
        "echo"
    );
    client.delete().await;
    puppet
        .until("DELETE", |seen| seen.iter().any(|seen| seen.verb == "DELETE"))
        .await;
    assert!(
        all_carry(&puppet.seen(), "Bearer of-the-gateway"),
        "{:?}",
        puppet.seen()
    );
    let call = puppet.posted("tools/call").pop().expect("called");
    assert_eq!(call.header("x-team"), Some("tools"));
    let values = call.headers.iter().filter(|(name, _)| name == "authorization").count();
    assert_eq!(values, 1, "{call:?}");
    let shown = gateway.ask("/status").await.text() + &gateway.ask("/tools").await.text();
    let said = gateway.program().output();
    assert!(
        !shown.contains("of-the-gateway") && !said.contains("of-the-gateway"),
        "never printed"
    );
}

#[tokio::test]
async fn a_credential_file_that_changes_is_used_for_new_calls() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new();
    let file = setup.folder.path().join("token");
    std::fs::write(&file, "Bearer first\n").expect("written");
    guard(&puppet, "Bearer first");
    let more = format!(
        "credential: {{ header: Authorization, value: {{ file: {} }} }}",
        file.display()
    );
    let gateway = setup.upstream_with("up", &puppet.url(), &more).up().await;
    let client = gateway.client().await;
    assert_eq!(client.text_of("up_echo", &json!({})).await, "echo");

    guard(&puppet, "Bearer second");
    let message = client.call("up_echo", &json!({})).await;
    assert_eq!(message["error"]["code"], -31010, "the old one is refused: {message}");
    let new = file.with_extension("new");
    std::fs::write(&new, "Bearer second\n").expect("written");
    std::fs::rename(new, &file).expect("renamed");
    eventually("the new credential is used", async || {
        client.call("up_echo", &json!({})).await["result"]["content"][0]["text"] == "echo"
    })
    .await;
}

#[tokio::test]
async fn a_refused_and_a_missing_credential_are_told_apart() {
    let (guarded, free) = (Puppet::start(&["a"]).await, Puppet::start(&["b"]).await);
    guard(&guarded, "Bearer right");
    let missing = "credential: { header: Authorization, value: { env: TEST_NOT_SET } }";
    let wrong = "credential: { header: Authorization, value: { env: TEST_WRONG } }";
    let setup = Setup::new()
        .upstream_with("wrong", &guarded.url(), wrong)
        .upstream_with("missing", &guarded.url(), missing)
        .puppet("free", &free)
        .variable("TEST_WRONG", "Bearer wrong");
    let mut gateway = setup.up().await;
    assert!(
        gateway.ready.contains("1/3 upstreams  1 tools"),
        "a missing secret never stops it: {}",
        gateway.ready
    );
    assert_eq!(gateway.upstream("wrong").await["reason"], "Unauthorized");
    assert_eq!(gateway.upstream("missing").await["reason"], "SecretMissing");
    let said = gateway.program().err();
    assert!(said.contains("TEST_NOT_SET"), "the variable is named: {said}");
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["free_b"]);
    for tool in ["wrong_a", "missing_a"] {
        let message = client.call(tool, &json!({})).await;
        assert_eq!(message["error"]["code"], -31010, "{message}");
    }
}
