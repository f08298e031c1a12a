//! HTTP+SSE servers (`protocol: sse`) by others: everything that a client can do at one, it can do through the gateway.

use crate::e2e::harness::check::answered;
use crate::e2e::harness::client::{Client, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup, Wiring};
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::{PATIENCE, eventually};
use crate::e2e::process::{self, Running, everything_sse, everything_sse_at};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

const SSE: &str = "prefix: '', protocol: sse";

async fn one(url: &str) -> Gateway {
    Setup::new().upstream_with("old", url, SSE).up().await
}

/// The messages of an event stream.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

async fn restarted(server: Running, port: u16) -> Running {
    drop(server);
    tokio::task::spawn_blocking(move || everything_sse_at(port))
        .await
        .expect("started")
}

#[tokio::test]
async fn the_reference_server_is_listed_and_called() {
    let (_server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let client = gateway.client().await;
    let tools = client.tools().await;
    assert!(tools.contains(&"echo".to_owned()), "{tools:?}");
    assert_eq!(
        client.text_of("echo", &json!({"message": "hello"})).await,
        "Echo: hello"
    );
    let row = gateway.upstream("old").await;
    assert_eq!(
        (&row["ready"], &row["reason"]),
        (&json!(true), &json!("Ready")),
        "{row}"
    );
    assert_eq!(row["protocolVersion"], "2025-11-25");
    assert_eq!(row["eras"], json!(["legacy"]));
    let prompts = client.rpc("prompts/list", &json!({})).await;
    assert!(prompts["result"]["prompts"][0].is_object(), "{prompts}");
    let prompt = client.rpc("prompts/get", &json!({"name": "simple-prompt"})).await;
    assert!(prompt["result"]["messages"][0].is_object(), "{prompt}");
    let resources = client.rpc("resources/list", &json!({})).await;
    let uri = &resources["result"]["resources"][0]["uri"];
    let read = client.rpc("resources/read", &json!({"uri": uri})).await;
    assert_eq!(&read["result"]["contents"][0]["uri"], uri, "{read}");
    assert!((200..300).contains(&client.delete().await));
}

#[tokio::test]
async fn progress_and_logs_come_with_the_call_that_causes_them() {
    let (_server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let client = gateway.client().await;
    let params = json!({
        "name": "trigger-long-running-operation",
        "arguments": {"duration": 0.3, "steps": 3},
        "_meta": {"progressToken": "p"},
    });
    let body = rpc("slow", "tools/call", &params);
    let response = client.request(body).send(gateway.address).await;
    assert_eq!(response.media(), "text/event-stream", "{response:?}");
    let messages = events(&response.text());
    let progress: Vec<&Value> = messages.iter().map(|message| &message["params"]["progress"]).collect();
    assert_eq!(
        progress,
        [&json!(1), &json!(2), &json!(3), &Value::Null],
        "{messages:?}"
    );
    assert_eq!(messages[3]["id"], "slow");
    let params = json!({"name": "toggle-simulated-logging", "arguments": {}});
    let body = rpc("logs", "tools/call", &params);
    let response = client.request(body).send(gateway.address).await;
    let messages = events(&response.text());
    assert_eq!(messages[0]["method"], "notifications/message", "{messages:?}");
    assert_eq!(messages[1]["id"], "logs");
}

#[tokio::test]
async fn two_clients_use_the_same_ids_at_once() {
    let (_server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let clients = [gateway.client().await, gateway.client().await];
    let calls = (0..10).flat_map(|number| clients.iter().map(move |client| (number, client)));
    let calls = calls.enumerate().map(|(nth, (number, client))| async move {
        let message = nth.to_string();
        let params = json!({"name": "echo", "arguments": {"message": message}});
        let body = rpc(number, "tools/call", &params);
        let response = client.request(body).send(client.address).await;
        let answer = answered("echo", &response, &number.to_string());
        assert_eq!(answer["result"]["content"][0]["text"], format!("Echo: {message}"));
    });
    join_all(calls).await;
}

#[tokio::test]
async fn a_restart_of_the_upstream_is_not_seen_by_its_clients() {
    let (server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let client = gateway.client().await;
    client.text_of("echo", &json!({"message": "before"})).await;
    let _server = restarted(server, port).await;
    assert_eq!(
        client.text_of("echo", &json!({"message": "after"})).await,
        "Echo: after"
    );
}

#[tokio::test]
async fn a_restart_of_the_gateway_is_not_seen_either() {
    let (_server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let client = gateway.client().await;
    client.text_of("echo", &json!({"message": "before"})).await;
    let gateway = gateway.kill().up().await;
    let client = client.moved_to(gateway.address);
    assert_eq!(
        client.text_of("echo", &json!({"message": "after"})).await,
        "Echo: after"
    );
}

#[tokio::test]
async fn a_dead_server_is_seen_in_status_at_once_and_calls_fail_with_their_id() {
    let (server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let client = gateway.client().await;
    client.text_of("echo", &json!({"message": "before"})).await;
    drop(server);
    gateway
        .until_upstream("old", "is unreachable", |row| row["reason"] == "Unreachable")
        .await;
    let message = client.call("echo", &json!({"message": "after"})).await;
    assert_eq!(message["error"]["code"], -31010, "{message}");
}

#[tokio::test]
async fn clients_that_read_only_json_and_clients_without_a_session_are_served() {
    let (_server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let client = gateway.client().await;
    let params = json!({
        "name": "trigger-long-running-operation",
        "arguments": {"duration": 0.1, "steps": 2},
        "_meta": {"progressToken": 1},
    });
    let request = client
        .request(rpc(1, "tools/call", &params))
        .with("accept", "application/json");
    let response = request.send(gateway.address).await;
    assert_eq!(response.media(), "application/json", "{response:?}");
    answered("json only", &response, "1");
    let request = client.request(rpc(2, "tools/call", &params)).without("mcp-session-id");
    answered("one-shot", &request.send(gateway.address).await, "2");
}

#[tokio::test]
async fn under_buffered_the_answer_is_one_json_body() {
    let (_server, port) = everything_sse();
    let url = format!("http://127.0.0.1:{port}/sse");
    let gateway = Setup::new()
        .upstream_with("old", &url, SSE)
        .start(Wiring::Buffered)
        .await;
    let client = gateway.client().await;
    assert_eq!(
        client.text_of("echo", &json!({"message": "hello"})).await,
        "Echo: hello"
    );
}

#[tokio::test]
async fn the_python_server_is_served() {
    let server = process::python_sse_server();
    let gateway = one(&server.said).await;
    let client = gateway.client().await;
    assert_eq!(client.text_of("reverse", &json!({"text": "abc"})).await, "cba");
    let sum = client
        .text_of("add", &json!({"a": 9_007_199_254_740_993_u64, "b": 1}))
        .await;
    assert_eq!(sum, "9007199254740994");
    let row = gateway.upstream("old").await;
    assert_eq!(row["eras"], json!(["legacy"]), "{row}");
}

#[tokio::test]
async fn an_endpoint_off_the_origin_is_refused_and_status_says_so() {
    let thief = Puppet::start(&[]).await;
    let puppet = Puppet::start(&[]).await;
    let elsewhere = format!("http://{}/messages", thief.address);
    let stream =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: endpoint\ndata: {elsewhere}\n\n");
    puppet.play(move |seen| (seen.verb == "GET").then(|| Act::Say(stream.clone().into_bytes())));
    let gateway = Setup::new()
        .upstream_with(
            "old",
            &puppet.url(),
            "protocol: sse, credential: { header: x-key, value: { env: OLD_KEY } }",
        )
        .variable("OLD_KEY", "secret")
        .up()
        .await;
    gateway
        .until_upstream("old", "is refused", |row| row["reason"] == "ProtocolError")
        .await;
    let row = gateway.upstream("old").await;
    let words = format!("leads off the origin of url, to http://{}", thief.address);
    assert!(row["lastError"].as_str().unwrap_or_default().contains(&words), "{row}");
    assert!(thief.seen().is_empty(), "{:?}", thief.seen());
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_connection() {
    let (server, port) = everything_sse();
    let gateway = one(&format!("http://127.0.0.1:{port}/sse")).await;
    let client = gateway.client().await;
    client.text_of("echo", &json!({"message": "hello"})).await;
    let left = || server.output().matches("Client Disconnected").count();
    let before = left();
    client.delete().await;
    eventually("the upstream sees its client leave", async || left() > before).await;
}

#[tokio::test]
async fn what_the_server_asks_its_client_during_a_call_is_answered() {
    let server = process::python_sse_server();
    let gateway = one(&server.said).await;
    let client = Client::connect_as(gateway.address, "2025-11-25", &json!({"elicitation": {}})).await;
    let params = json!({"name": "greet", "arguments": {}, "_meta": {"progressToken": 1}});
    let request = client.request(rpc("call", "tools/call", &params));
    let mut stream = TcpStream::connect(gateway.address).await.expect("connected");
    stream.write_all(&request.bytes()).await.expect("written");
    let mut lines = BufReader::new(stream).lines();
    let progress = next_message(&mut lines).await;
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    let asked = next_message(&mut lines).await;
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    let accepted = json!({"action": "accept", "content": {"name": "Ada"}});
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": accepted});
    let taken = client.request(answer.to_string()).send(gateway.address).await;
    assert_eq!(taken.status, 202, "{taken:?}");
    let result = next_message(&mut lines).await;
    assert_eq!(result["id"], "call", "{result}");
    assert_eq!(result["result"]["content"][0]["text"], "Hello, Ada!", "{result}");
}

/// The next message of an event stream.
async fn next_message(lines: &mut Lines<BufReader<TcpStream>>) -> Value {
    let reading = async {
        loop {
            let line = lines.next_line().await.expect("read").expect("a message comes");
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("in time")
}
