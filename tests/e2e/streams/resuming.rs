//! `Last-Event-ID`: led to the upstream whose stream was lost.

use super::{get, listen};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::stream::Stream;
use serde_json::json;

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;

/// A server that knows how event 7 goes on.
async fn knowing() -> Puppet {
    let puppet = Puppet::start(&["echo"]).await;
    puppet.play(|seen| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        match (seen.verb.as_str(), seen.header("last-event-id")) {
            ("GET", Some("7")) => {
                let text = format!("{head}id: 8\ndata: {ANSWER}\n\n");
                Some(Act::SayAndLeave(text.into_bytes()))
            }
            ("GET", Some(_)) => Some(Act::text(400, "{}")),
            ("GET", None) => Some(Act::Say(format!("{head}: here\n\n").into_bytes())),
            _ => None,
        }
    });
    puppet
}

#[tokio::test]
async fn a_lost_stream_is_taken_up_where_it_was() {
    let (one, two) = (knowing().await, knowing().await);
    let gateway = Setup::new().puppet("one", &one).puppet("two", &two).up().await;
    let client = gateway.client().await;
    for tool in ["one_echo", "two_echo"] {
        client.text_of(tool, &json!({})).await;
    }
    let mut own = listen(&client).await;
    let request = get(&client).with("last-event-id", "me:two:7");
    let mut stream = Stream::open(client.address, &request).await;
    let event = stream.event().await.expect("an event");
    assert!(event.contains("id: me:two:8") && event.contains(ANSWER), "{event}");
    stream.rest().await;
    assert_eq!(stream.whole, Some(true), "it ends as at the upstream");
    let asked = |puppet: &Puppet| {
        puppet
            .with_verb("GET")
            .iter()
            .filter(|seen| seen.header("last-event-id").is_some())
            .count()
    };
    assert_eq!((asked(&one), asked(&two)), (0, 1));
    client.delete().await;
    own.rest().await;
    assert_eq!(own.whole, Some(true), "the session's own stream stood beside it");
}

#[tokio::test]
async fn with_one_upstream_ids_are_its_own() {
    let one = knowing().await;
    let gateway = Setup::new().puppet("one", &one).up().await;
    let client = gateway.client().await;
    client.text_of("one_echo", &json!({})).await;
    let mut stream = Stream::open(client.address, &get(&client).with("last-event-id", "7")).await;
    assert_eq!(
        stream.event().await.as_deref(),
        Some(&*format!("id: 8\ndata: {ANSWER}"))
    );
}

#[tokio::test]
async fn an_id_that_nobody_knows_begins_a_fresh_stream() {
    let one = knowing().await;
    let gateway = Setup::new().puppet("one", &one).up().await;
    let client = gateway.client().await;
    client.text_of("one_echo", &json!({})).await;
    let call = one.posted("tools/call").remove(0);
    let mut stream = Stream::open(client.address, &get(&client).with("last-event-id", "old")).await;
    assert_eq!(stream.status, 200);
    one.until("the upstream's stream is opened afresh", |seen| {
        seen.iter().any(|seen| {
            seen.verb == "GET"
                && seen.header("last-event-id").is_none()
                && seen.header("mcp-session-id") == call.header("mcp-session-id")
        })
    })
    .await;
    client.delete().await;
    stream.rest().await;
    assert_eq!(stream.whole, Some(true));
}
