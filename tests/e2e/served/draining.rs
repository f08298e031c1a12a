//! `drain`: the Envoy beside a processor is about to end, as when its pod is replaced.

use super::two_upstreams;
use crate::e2e::harness::client::{Client, Request, modern};
use crate::e2e::harness::puppet::Act;
use crate::e2e::harness::stream::Stream;
use serde_json::json;
use tokio::sync::watch;

/// All that the last of a session's stream says: come back.
const COME_BACK: &str = "retry: 1000\n\n";

fn get(client: &Client) -> Request {
    let request = Request::bare("GET").session(&client.session);
    request.with("accept", "text/event-stream")
}

#[tokio::test]
async fn streams_end_in_good_order_and_calls_are_served_on() {
    let (_controller, room, one, _two) = two_upstreams("").await;
    let client = room.client().await;
    let mut stream = Stream::open(room.address, &get(&client)).await;
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let mut listen = Stream::open(room.address, &modern("l", "subscriptions/listen", &filter)).await;
    let first = listen.message().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    let (gate, opened) = watch::channel(false);
    one.play_for("tools/call", Act::Wait(opened));
    let (address, session) = (room.address, client.session.clone());
    let running = tokio::spawn(async move {
        let client = Client::known(address, &session);
        client.text_of("one_x", &json!({})).await
    });
    one.until("the call is there", |_| one.posted("tools/call").len() == 1)
        .await;

    room.drain();
    assert_eq!(stream.rest().await, COME_BACK);
    assert_eq!(stream.whole, Some(true), "not cut");
    let last = listen.message().await;
    assert_eq!(
        (&last["id"], &last["result"]["resultType"]),
        (&json!("l"), &json!("complete"))
    );
    assert_eq!(listen.rest().await, "");
    assert_eq!(listen.whole, Some(true), "not cut");

    let mut early = Stream::open(room.address, &get(&client)).await;
    assert_eq!(
        early.status, 200,
        "no error, although nothing is to be heard here any more"
    );
    assert_eq!((early.rest().await.as_str(), early.whole), (COME_BACK, Some(true)));
    gate.send(true).expect("somebody waits");
    assert_eq!(running.await.expect("no panic"), "x");
    assert_eq!(client.text_of("two_y", &json!({})).await, "y", "another call");
}
