//! The same on every road that a call may take, and what must not change on the way.

use super::{Asker, HEAD, client, event, open, say};
use crate::e2e::harness::client::{Request, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup, Wiring};
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::stream::Stream;
use serde_json::json;

const SAMPLE: &str = r#"{"jsonrpc":"2.0","id":"a-1","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1,"tools":[{"name":"x","inputSchema":{"type":"object"}}],"toolChoice":{"mode":"auto"}}}"#;

async fn asked_and_answered(asker: &Asker, gateway: &Gateway) {
    let client = client(gateway).await;
    let mut stream = open(&client, 1, "up_ask").await;
    let question = stream.event().await.expect("a question");
    let exposed = SAMPLE.replace(r#""a-1""#, r#""mm:up:\"a-1\"""#);
    assert_eq!(question.lines().nth(1), Some(format!("data: {exposed}").as_str()));
    let answer = r#"{"jsonrpc":"2.0","id":"mm:up:\"a-1\"","result":{"role":"assistant"}}"#;
    assert_eq!(say(&client, answer).await, 202);
    assert_eq!(
        asker.until_told().await.text(),
        r#"{"jsonrpc":"2.0","id":"a-1","result":{"role":"assistant"}}"#
    );
    assert_eq!(stream.message().await["id"], 1);
    assert_eq!(stream.rest().await.trim(), "");
    assert_eq!(stream.whole, Some(true));
}

#[tokio::test]
async fn through_envoy() {
    let asker = Asker::start(SAMPLE).await;
    let gateway = Setup::new().puppet("up", &asker.puppet).up().await;
    asked_and_answered(&asker, &gateway).await;
}

#[tokio::test]
async fn through_envoy_with_buffered_requests() {
    let asker = Asker::start(SAMPLE).await;
    let gateway = Setup::new().puppet("up", &asker.puppet).start(Wiring::Buffered).await;
    asked_and_answered(&asker, &gateway).await;
}

#[tokio::test]
async fn directly() {
    let asker = Asker::start(SAMPLE).await;
    let gateway = Setup::new()
        .upstream_with("up", &asker.puppet.url(), "via: direct")
        .up()
        .await;
    asked_and_answered(&asker, &gateway).await;
}

#[tokio::test]
async fn without_the_response_phase() {
    let asker = Asker::start(SAMPLE).await;
    let setup = Setup::new()
        .puppet("up", &asker.puppet)
        .with("envoy: { responsePhase: false }");
    asked_and_answered(&asker, &setup.up().await).await;
}

#[tokio::test]
async fn after_the_upstream_has_lost_its_session() {
    lost_and_asked(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn after_the_upstream_has_lost_its_session_with_buffered_requests() {
    lost_and_asked(Wiring::Buffered).await;
}

async fn lost_and_asked(wiring: Wiring) {
    let asker = Asker::start(SAMPLE).await;
    let gateway = Setup::new().puppet("up", &asker.puppet).start(wiring).await;
    let client = client(&gateway).await;
    let mut stream = open(&client, 1, "up_ask").await;
    stream.message().await;
    drop(stream);
    lose(&asker.puppet);
    let mut stream = open(&client, 2, "up_ask").await;
    assert_eq!(stream.header("content-length"), None);
    assert_eq!(stream.message().await["id"], r#"mm:up:"a-1""#);
    assert_eq!(
        say(&client, r#"{"jsonrpc":"2.0","id":"mm:up:\"a-1\"","result":{}}"#).await,
        202
    );
    assert_eq!(stream.message().await["id"], 2);
    assert_eq!(stream.rest().await.trim(), "");
    assert_eq!(stream.whole, Some(true));
    let calls = asker.puppet.posted("tools/call");
    assert_eq!(calls.len(), 3, "one in vain, and its replay");
    assert_eq!(calls[1].body, calls[2].body);
}

/// The first call, and every ping, of the old session hears that it is gone.
fn lose(puppet: &Puppet) {
    let old = puppet.posted("tools/call")[0]
        .header("mcp-session-id")
        .map(str::to_owned);
    puppet.also(move |seen| {
        let of_old = seen.header("mcp-session-id").is_some() && seen.header("mcp-session-id") == old.as_deref();
        of_old.then(|| seen.error(404, -32001, "session not found"))
    });
}

#[tokio::test]
async fn a_large_result_passes_unchanged() {
    const SIZE: usize = 20 << 20;
    let puppet = Puppet::start(&["ask"]).await;
    puppet.play(|seen| {
        (seen.method == "tools/call").then(|| {
            let text = "x".repeat(SIZE);
            let result = format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#,
                seen.id
            );
            Act::SayAndLeave((HEAD.to_owned() + &event(&result)).into_bytes())
        })
    });
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = client(&gateway).await;
    let mut stream = open(&client, 1, "up_ask").await;
    let body = stream.rest().await;
    assert_eq!(stream.whole, Some(true));
    let text = "x".repeat(SIZE);
    let result = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#);
    assert!(body == event(&result), "{} bytes", body.len());
}

#[tokio::test]
async fn a_json_answer_passes_unchanged() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = client(&gateway).await;
    let call = rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
    let mut stream = Stream::open(client.address, &client.request(call)).await;
    assert_eq!(stream.header("content-type"), Some("application/json"));
    let body = stream.rest().await;
    assert_eq!(
        body,
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"echo","type":"text"}]}}"#
    );
}

#[tokio::test]
async fn a_stream_that_its_server_leaves_is_resumed_there() {
    let (polling, other) = (Puppet::start(&["slow"]).await, Puppet::start(&["slow"]).await);
    polling.play(|seen| match (seen.verb.as_str(), seen.method.as_str()) {
        ("POST", "tools/call") => {
            let priming = format!("{HEAD}id: s/1\r\nretry: 10\r\ndata: \r\n\r\n");
            Some(Act::SayAndLeave(priming.into_bytes()))
        }
        ("GET", _) if seen.header("last-event-id") == Some("s/1") => {
            let result = event(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
            Some(Act::SayAndLeave(format!("{HEAD}id: s/2\r\n{result}").into_bytes()))
        }
        _ => None,
    });
    let gateway = Setup::new().puppet("a", &other).puppet("b", &polling).up().await;
    let client = client(&gateway).await;
    client.text_of("a_slow", &json!({})).await;
    let mut stream = open(&client, 1, "b_slow").await;
    assert_eq!(stream.rest().await, "id: me:b:s/1\r\nretry: 10\r\ndata: \r\n\r\n");
    let resume = Request::bare("GET")
        .session(&client.session)
        .with("mcp-protocol-version", "2025-11-25")
        .with("accept", "text/event-stream")
        .with("last-event-id", "me:b:s/1");
    let mut resumed = Stream::open(gateway.address, &resume).await;
    assert_eq!(resumed.status, 200);
    assert_eq!(resumed.message().await["id"], 1);
}
