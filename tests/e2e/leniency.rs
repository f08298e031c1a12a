//! Where clients may be sloppy (contract 4): each leniency, and what the upstream saw of it.

use super::harness::check::answered;
use super::harness::client::{Request, initialize, rpc};
use super::harness::gateway::{Gateway, Setup};
use super::harness::puppet::{Act, Puppet};
use super::harness::shared::on_both_wirings;
use serde_json::json;

on_both_wirings! {
    async fn a_list_needs_neither_session_nor_accept_nor_version(shared) {
        let list = rpc(1, "tools/list", &json!({}));
        let requests = [
            ("no accept", Request::post(&list).without("accept")),
            ("any", Request::post(&list).with("accept", "*/*")),
            ("JSON", Request::post(&list).with("accept", "application/json")),
            ("streams only", Request::post(&list).with("accept", "text/event-stream")),
            ("something else", Request::post(&list).with("accept", "text/html")),
        ];
        for (what, request) in requests {
            let response = request.send(shared.gateway.address).await;
            let message = answered(what, &response, "1");
            assert_eq!(response.media(), "application/json", "{what}");
            assert_eq!(response.header("mcp-session-id"), None, "{what}: no session comes of nothing");
            assert!(message["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 2), "{what}: {message}");
        }
    }

    async fn a_stale_session_id_on_initialize_is_ignored(shared) {
        let request = initialize("2025-11-25", &json!({})).session("mp1.long-gone");
        let response = request.send(shared.gateway.address).await;
        answered("stale id", &response, "0");
        assert_ne!(response.header("mcp-session-id"), Some("mp1.long-gone"));
        assert!(response.header("mcp-session-id").is_some_and(|id| id.len() < 100), "{response:?}");
    }

    async fn a_call_needs_no_initialized_no_version_and_no_accept(shared) {
        let client = shared.gateway.client().await;
        let call = rpc(1, "tools/call", &json!({"name": "puppet_echo", "arguments": {}}));
        let request = Request::post(call).session(&client.session).without("accept");
        let message = answered("bare call", &request.send(shared.gateway.address).await, "1");
        assert_eq!(message["result"]["content"][0]["text"], "echo");
    }

    async fn notifications_and_responses_that_nobody_waits_for_are_accepted(shared) {
        let client = shared.gateway.client().await;
        let bodies = [
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/of/tomorrow","params":{"x":1}}"#,
            r#"{"jsonrpc":"2.0","id":"nobody","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#,
        ];
        for body in bodies {
            let response = client.request(body).send(shared.gateway.address).await;
            assert_eq!((response.status, response.body.as_slice()), (202, &b""[..]), "{body}: {response:?}");
        }
    }

    async fn an_older_client_may_leave_out_the_version_header(shared) {
        let client = shared.gateway.client().await;
        let request = Request::post(rpc(1, "prompts/list", &json!({}))).session(&client.session);
        answered("no version", &request.send(shared.gateway.address).await, "1");
    }
}

async fn gateway(puppet: &Puppet) -> Gateway {
    Setup::new().puppet("puppet", puppet).up().await
}

#[tokio::test]
async fn a_call_without_a_session_gets_an_upstream_session_for_itself() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = gateway(&puppet).await;
    puppet
        .until("it is listed", |seen| {
            seen.iter().any(|seen| seen.method == "tools/list")
        })
        .await;
    let before = puppet.sessions();
    puppet.forget_requests();

    let call = rpc(1, "tools/call", &json!({"name": "puppet_echo", "arguments": {"a": 1}}));
    let response = Request::post(call).send(gateway.address).await;
    answered("one-shot", &response, "1");
    assert_eq!(
        response.header("mcp-session-id"),
        None,
        "neither the gateway's nor the upstream's"
    );

    puppet
        .until("the session is ended", |seen| {
            seen.iter().any(|seen| seen.verb == "DELETE")
        })
        .await;
    assert_eq!(puppet.posted("initialize").len(), 1, "one session is opened");
    assert_eq!(puppet.with_verb("DELETE").len(), 1, "and ended");
    assert_eq!(puppet.sessions(), before, "nothing is left open");
}

#[tokio::test]
async fn a_client_that_reads_only_json_gets_json() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = gateway(&puppet).await;
    puppet.play(|seen| {
        (seen.method == "tools/call").then(|| {
            let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#;
            let result = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": {"content": []}});
            let events =
                format!(": hello\n\nevent: message\ndata: {note}\n\nid: 1\nevent: message\ndata: {result}\n\n");
            Act::reply(200, &[("content-type", "text/event-stream")], events.as_bytes())
        })
    });
    let client = gateway.client().await;
    let call = || client.request(rpc(1, "tools/call", &json!({"name": "puppet_echo", "arguments": {}})));
    let response = call().with("accept", "application/json").send(gateway.address).await;
    let message = answered("JSON only", &response, "1");
    assert_eq!(response.media(), "application/json");
    assert_eq!(message["result"], json!({"content": []}));

    let response = call().send(gateway.address).await;
    assert_eq!(
        response.media(),
        "text/event-stream",
        "who reads both gets what the upstream says"
    );
    assert!(response.text().contains("notifications/message"), "{}", response.text());
}

#[tokio::test]
async fn the_curl_flow_of_the_registration_guide_works() {
    // No Accept, no notifications/initialized, a host name of its own.
    let puppet = Puppet::start(&["greet"]).await;
    let gateway = Setup::new()
        .puppet("test1", &puppet)
        .with("hosts: [mcp.127-0-0-1.sslip.io]")
        .up()
        .await;
    let url = format!("http://mcp.127-0-0-1.sslip.io:{}/mcp", gateway.address.port());
    let resolve = format!("mcp.127-0-0-1.sslip.io:{}:127.0.0.1", gateway.address.port());
    let curl = async |more: &[&str], body: &str| {
        let mut command = tokio::process::Command::new("curl");
        command.args(["-s", "-D", "-", "--resolve", &resolve, "-X", "POST", &url]);
        command
            .args(["-H", "Content-Type: application/json"])
            .args(more)
            .args(["-d", body]);
        let output = command.output().await.expect("curl runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let params =
        json!({"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let hello = curl(&[], &rpc(1, "initialize", &params)).await;
    let mut lines = hello.lines();
    let id = lines
        .find_map(|line| line.strip_prefix("mcp-session-id:"))
        .expect("a session id")
        .trim()
        .to_owned();
    let session = format!("mcp-session-id: {id}");
    let list = curl(&["-H", &session], &rpc(2, "tools/list", &json!({}))).await;
    assert!(list.contains(r#""name":"test1_greet""#), "{list}");
    let call = curl(
        &["-H", &session],
        &rpc(3, "tools/call", &json!({"name": "test1_greet", "arguments": {}})),
    )
    .await;
    assert!(call.contains(r#""text":"greet""#), "{call}");
}
