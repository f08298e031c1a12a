//! `Last-Event-ID`: led to the upstream whose stream was lost.

use super::{get, listen};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet, Seen};
use crate::e2e::harness::stream::Stream;
use serde_json::json;
use std::collections::HashSet;
use std::sync::Mutex;

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;

/// A server that knows how event 7 goes on.
async fn knowing() -> Puppet {
    knowing_of("7").await
}

/// A server that knows how this event goes on.
async fn knowing_of(id: &'static str) -> Puppet {
    let puppet = Puppet::start(&["echo"]).await;
    puppet.play(move |seen| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        match (seen.verb.as_str(), seen.header("last-event-id")) {
            ("GET", Some(last)) if last == id => {
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

/// Answers that Envoy forwards are not read, where their client takes no requests: their ids name nobody.
#[tokio::test]
async fn an_id_that_names_no_upstream_is_taken_to_whoever_knows_it() {
    let (one, two) = (knowing_of("a-7").await, knowing_of("b-7").await);
    let gateway = Setup::new().puppet("one", &one).puppet("two", &two).up().await;
    let client = gateway.client().await;
    for tool in ["one_echo", "two_echo"] {
        client.text_of(tool, &json!({})).await;
    }
    let own = listen(&client).await;
    for (last, named) in [("a-7", "id: me:one:8"), ("b-7", "id: me:two:8")] {
        let mut stream = Stream::open(client.address, &get(&client).with("last-event-id", last)).await;
        let event = stream.event().await.expect("an event");
        assert!(event.contains(named) && event.contains(ANSWER), "{last}: {event}");
        stream.rest().await;
        assert_eq!(stream.whole, Some(true), "it ends as at the upstream");
    }
    let others = one.with_verb("GET");
    let others: Vec<_> = others.iter().filter_map(|seen| seen.header("last-event-id")).collect();
    assert_eq!(
        others,
        ["a-7"],
        "the one that was called last was asked first, and knew it"
    );
    assert_eq!(own.whole, None, "the session's own stream stands beside");
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

/// Servers of the TypeScript SDK say 400 to an event that they do not keep, as others do to a session.
#[tokio::test]
async fn a_stream_whose_server_has_forgotten_the_last_event_begins_afresh() {
    let one = Puppet::start(&["echo"]).await;
    let asked_again = Mutex::new(HashSet::new());
    one.play(move |seen| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let said = |text: &str| {
            let data = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": text}});
            format!("{head}id: 9\ndata: {data}\n\n").into_bytes()
        };
        let session = seen.header("mcp-session-id").map(str::to_owned);
        let mut asked_again = asked_again.lock().expect("no test has panicked there");
        match (seen.verb.as_str(), seen.header("last-event-id")) {
            ("GET", Some(_)) => {
                asked_again.insert(session);
                Some(Act::text(400, "{}"))
            }
            ("GET", None) if asked_again.contains(&session) => Some(Act::Say(said("after"))),
            ("GET", None) => Some(Act::SayAndLeave(said("before"))),
            _ => None,
        }
    });
    let gateway = Setup::new().puppet("one", &one).up().await;
    let client = gateway.client().await;
    client.text_of("one_echo", &json!({})).await;
    let mut stream = listen(&client).await;
    for text in ["before", "after"] {
        assert_eq!(stream.message().await["params"]["data"], text);
    }
    client.text_of("one_echo", &json!({})).await;
    let [first, second] = <[_; 2]>::try_from(one.posted("tools/call")).expect("two calls");
    let session = |seen: &Seen| seen.header("mcp-session-id").map(str::to_owned);
    assert_eq!(session(&first), session(&second), "it was not lost");
}
