//! Calls that do not end as they should: deadlines, clients that leave, servers that break off.

use super::{Both, EVENTS, WAYS, both, call, chunk, sent};
use crate::e2e::harness::check::refused;
use crate::e2e::harness::client::{Client, rpc};
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::{PATIENCE, http};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::sync::watch;

/// The server says this, then nothing; the receiver hears when its connection is gone.
fn pour(first: &str) -> (Act, watch::Receiver<bool>) {
    let (gone, told) = watch::channel(false);
    (Act::Pour(first.as_bytes().to_vec(), Vec::new(), Arc::new(gone)), told)
}

async fn until(mut told: watch::Receiver<bool>, what: &str) {
    tokio::time::timeout(PATIENCE, told.wait_for(|gone| *gone))
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
        .expect("the server tells before it ends");
}

async fn cancelled(both: &Both, way: &str) {
    both.puppet
        .until(&format!("{way}: the server hears that nobody waits"), |seen| {
            seen.iter().any(|seen| seen.method == "notifications/cancelled")
        })
        .await;
}

async fn a_deadline(wiring: Wiring) {
    let both = both(wiring, "timeout: { call: 1s }").await;
    for way in WAYS {
        both.puppet.forget_requests();
        let (act, told) = pour("");
        both.puppet.play_for("tools/call", act);
        let response = both.client.request(call(way)).send(both.gateway.address).await;
        refused(way, &response, 200, -31013, "1");
        until(told, "the late call is dropped").await;
        cancelled(&both, way).await;
        let notes = both.puppet.posted("notifications/cancelled");
        assert_eq!(notes[0].json()["params"]["requestId"], 1, "{notes:?}");
    }
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    a_deadline(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline_under_buffered() {
    a_deadline(Wiring::Buffered).await;
}

#[tokio::test]
async fn after_the_head_no_deadline_of_calls_counts() {
    let both = both(Wiring::FullDuplex, "timeout: { call: 1s }").await;
    let (gate, closed) = watch::channel(false);
    let result = chunk("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n");
    let rest = Act::Say(format!("{result}0\r\n\r\n").into_bytes());
    both.puppet.play_for(
        "tools/call",
        Act::SayThen(EVENTS.as_bytes().to_vec(), closed, Box::new(rest)),
    );
    let requests = WAYS.map(|way| both.client.request(call(way)));
    let [mut forward, mut relay] = [sent(&both, &requests[0]).await, sent(&both, &requests[1]).await];
    let mut line = String::new();
    for stream in [&mut forward, &mut relay] {
        stream.read_line(&mut line).await.expect("a status line");
    }
    // More than the deadline: it has had every chance to fire.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    gate.send(true).expect("the puppet waits");
    for mut stream in [forward, relay] {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.expect("the end");
        assert!(rest.contains(r#""result":{}"#), "{rest}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_call_with_it_and_cancels_nothing() {
    let both = both(Wiring::FullDuplex, "").await;
    for way in WAYS {
        for first in ["", EVENTS] {
            both.puppet.forget_requests();
            let (act, told) = pour(first);
            both.puppet.play_for("tools/call", act);
            let stream = sent(&both, &both.client.request(call(way))).await;
            both.puppet
                .until("the call runs", |seen| {
                    seen.iter().any(|seen| seen.method == "tools/call")
                })
                .await;
            drop(stream);
            until(told, "the call of a client that left is dropped").await;
        }
        // Legacy: leaving is not cancelling.
        both.puppet.behave();
        both.client.text_of(&format!("{way}_echo"), &json!({})).await;
        assert!(both.puppet.posted("notifications/cancelled").is_empty(), "{way}");
    }
}

const NOTE: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";

/// What the client has of a stream that breaks off after `pieces`, once its beginning has arrived.
async fn broken(both: &Both, way: &str, pieces: &[&str]) -> (String, bool) {
    let chunks: String = pieces.iter().map(|piece| chunk(piece)).collect();
    let (gate, closed) = watch::channel(false);
    let leave = Box::new(Act::SayAndLeave(Vec::new()));
    both.puppet.play_for(
        "tools/call",
        Act::SayThen(format!("{EVENTS}{chunks}").into_bytes(), closed, leave),
    );
    let mut stream = sent(both, &both.client.request(call(way))).await;
    stream.fill_buf().await.expect("it begins");
    gate.send(true).expect("the server waits");
    let response = http::receive(&mut stream).await.expect("a response");
    assert_eq!(response.status, 200, "{response:?}");
    (response.text(), response.whole)
}

#[tokio::test]
async fn a_stream_that_breaks_off_never_looks_complete() {
    let both = both(Wiring::FullDuplex, "").await;
    let (text, whole) = broken(&both, "envoy", &[NOTE]).await;
    assert!(text == NOTE && !whole, "{whole} {text}");
    // The processor can still say so, in an event.
    let (text, _) = broken(&both, "direct", &[NOTE, "data: {\"half"]).await;
    let error = text.rsplit("data: ").next().unwrap_or_default();
    let error: serde_json::Value = serde_json::from_str(error.trim()).expect("a message");
    assert_eq!(
        (&error["id"], &error["error"]["code"]),
        (&json!(1), &json!(-31010)),
        "{text}"
    );
    // Where the client can ask the server for the rest, it is left to do so.
    for way in WAYS {
        let resumable = format!("id: 1\n{NOTE}");
        let (text, whole) = broken(&both, way, &[&resumable]).await;
        assert!(text == resumable && !whole, "{way}: {whole} {text}");
        let answer = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
        let (text, whole) = broken(&both, way, &[answer]).await;
        assert!(text == answer && !whole, "{way}: {whole} {text}");
    }
}

#[tokio::test]
async fn a_lost_session_is_reopened_unseen_either_way() {
    let both = both(Wiring::FullDuplex, "").await;
    for way in WAYS {
        let tool = format!("{way}_echo");
        assert_eq!(both.client.text_of(&tool, &json!({})).await, "echo");
        for status in [404, 400] {
            both.puppet.lose_sessions(status);
            assert_eq!(both.client.text_of(&tool, &json!({})).await, "echo", "{way} {status}");
        }
    }
}

#[tokio::test]
async fn under_buffered_a_relayed_call_that_asks_its_client_is_refused() {
    let both = both(Wiring::Buffered, "").await;
    let asked = Client::connect_as(both.gateway.address, "2025-11-25", &json!({"elicitation": {}})).await;
    let question = "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"elicitation/create\",\"params\":{}}\n\n";
    let (act, told) = pour(&format!("{EVENTS}{}", chunk(question)));
    both.puppet.play_for("tools/call", act);
    let response = asked.request(call("direct")).send(both.gateway.address).await;
    let message = refused("direct", &response, 503, -31014, "1");
    let words = message["error"]["message"].as_str().unwrap_or_default();
    assert!(words.contains("request_body_mode"), "it names the setting: {words}");
    until(told, "the call is dropped").await;
    cancelled(&both, "direct").await;
}

/// An event stream that stays open behind these events.
fn endless(events: &str) -> Act {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    Act::Say(format!("{head}{events}").into_bytes())
}

#[tokio::test]
async fn a_client_that_reads_only_json_does_not_wait_for_the_end_of_an_endless_stream() {
    let puppet = Puppet::start(&["tool"]).await;
    let more = "timeout: { call: 1s }";
    let gateway = Setup::new().upstream_with("up", &puppet.url(), more).up().await;
    let client = gateway.client().await;
    let call = rpc(7, "tools/call", &json!({"name": "up_tool", "arguments": {}}));
    let request = client.request(call).with("accept", "application/json");
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;

    puppet.play_for("tools/call", endless(&format!("data: {log}\n\n")));
    let silent = request.send(gateway.address).await.message();
    assert_eq!(
        (&silent["id"], &silent["error"]["code"]),
        (&json!(7), &json!(-31013)),
        "{silent}"
    );

    let answered = r#"data: {"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;
    puppet.play_for("tools/call", endless(&format!("data: {log}\n\n{answered}\n\n")));
    let response = request.send(gateway.address).await;
    assert_eq!(response.media(), "application/json");
    assert_eq!(response.message()["result"], json!({"content": []}));
}
