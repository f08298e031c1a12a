//! Large answers.

use super::{WAYS, both, call, events};
use crate::e2e::harness::client::Request;
use crate::e2e::harness::gateway::Wiring;
use crate::e2e::harness::puppet::Act;

const SIZE: usize = 20 << 20;

fn result() -> String {
    // Not all alike: a piece that is lost, doubled or moved is noticed.
    let numbers: String = (0..)
        .map(|n| format!("{n},"))
        .take_while({
            let mut length = 0;
            move |number| {
                length += number.len();
                length < SIZE
            }
        })
        .collect();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"n\":[{numbers}0]}}}}")
}

async fn twenty_megabytes(wiring: Wiring) {
    let both = both(wiring, "").await;
    let result = result();
    let event = format!("event: message\ndata: {result}\n\n");
    for way in WAYS {
        both.puppet.play_for("tools/call", Act::text(200, &result));
        let response = both.client.request(call(way)).send(both.gateway.address).await;
        assert!(
            response.whole && response.text() == result,
            "{way}: JSON of {} bytes",
            response.body.len()
        );
        assert_eq!(
            response.header("content-length"),
            Some(result.len().to_string().as_str()),
            "{way}"
        );
        both.puppet.play_for("tools/call", events(&[&event]));
        let response = both.client.request(call(way)).send(both.gateway.address).await;
        assert!(
            response.whole && response.text() == event,
            "{way}: events of {} bytes",
            response.body.len()
        );
    }
    // A client that reads only JSON, and one without a session.
    both.puppet.play_for("tools/call", events(&[&event]));
    let json = both.client.request(call("direct")).with("accept", "application/json");
    let response = json.send(both.gateway.address).await;
    assert!(
        response.whole && response.text() == result,
        "JSON made of events: {} bytes",
        response.body.len()
    );
    let response = Request::post(call("direct")).send(both.gateway.address).await;
    assert!(
        response.whole && response.text() == event,
        "one-shot: {} bytes",
        response.body.len()
    );
}

#[tokio::test]
async fn twenty_megabytes_pass_either_way() {
    twenty_megabytes(Wiring::FullDuplex).await;
}

#[tokio::test]
async fn twenty_megabytes_pass_either_way_under_buffered() {
    twenty_megabytes(Wiring::Buffered).await;
}
