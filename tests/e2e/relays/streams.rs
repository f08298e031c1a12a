//! Streams on their way: piece by piece as they come, whatever is in them.

use super::{Both, EVENTS, WAYS, both, call, chunk, events, sent};
use crate::e2e::harness::gateway::Wiring;
use crate::e2e::harness::puppet::Act;
use crate::e2e::harness::{PATIENCE, eventually};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Reads until `what` has come; panics if it does not.
async fn read_until(stream: &mut BufReader<TcpStream>, what: &str) -> String {
    let mut text = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&text).contains(what) {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.expect("readable");
            assert_ne!(read, 0, "it ended before {what:?}: {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&piece[..read]);
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| panic!("{what:?} is held back"));
    String::from_utf8_lossy(&text).into_owned()
}

/// A server that says one piece after the other, each when the one before has arrived.
async fn one_by_one(both: &Both, way: &str, head: &str, pieces: &[&str]) {
    let mut gates = Vec::new();
    let mut act = Act::Say(b"0\r\n\r\n".to_vec());
    for piece in pieces.iter().rev() {
        let (gate, closed) = watch::channel(false);
        act = Act::SayThen(chunk(piece).into_bytes(), closed, Box::new(act));
        gates.insert(0, gate);
    }
    let Act::SayThen(first, closed, rest) = act else {
        panic!("there are pieces")
    };
    let first = [head.as_bytes(), &first].concat();
    both.puppet.play_for("tools/call", Act::SayThen(first, closed, rest));
    let mut stream = sent(both, &both.client.request(call(way))).await;
    for (piece, gate) in pieces.iter().zip(gates) {
        read_until(&mut stream, piece).await;
        gate.send(true).expect("the server waits");
    }
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("the end");
}

#[tokio::test]
async fn every_piece_passes_when_it_comes() {
    let both = both(Wiring::FullDuplex, "").await;
    let json = EVENTS.replace("text/event-stream", "application/json");
    for way in WAYS {
        one_by_one(
            &both,
            way,
            EVENTS,
            &[
                ": hi\n\n",
                "data: {\"a\"",
                ":1}\n",
                "\n",
                "garbage",
                "\r\n\r\ndata: x\n\n",
            ],
        )
        .await;
        one_by_one(
            &both,
            way,
            &json,
            &["\n", "\n\n", "{\"jsonrpc\":\"2.0\",", "\"id\":1,\"result\":{}}"],
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_no_event_stream_passes_as_it_is() {
    let both = both(Wiring::FullDuplex, "").await;
    for body in [
        "\u{0}\u{1}garbage",
        "data: {\ndata: not json\n\n\n\nid\r\rretry: x\n:\n",
        "event: a\n\n",
    ] {
        both.puppet.play_for("tools/call", events(&[body]));
        for way in WAYS {
            let response = both.client.request(call(way)).send(both.gateway.address).await;
            assert_eq!(
                (response.status, response.text().as_str(), response.whole),
                (200, body, true),
                "{way}"
            );
        }
    }
}

/// Memory of the gateway's own process, in bytes.
fn memory(both: &Both) -> usize {
    let id = both.gateway.programs[0].id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<usize>().ok());
    kib.expect("a number") * 1024
}

#[tokio::test]
async fn a_line_that_never_ends_passes_and_is_not_kept() {
    let both = both(Wiring::FullDuplex, "").await;
    for way in WAYS {
        let (gone, mut told) = watch::channel(false);
        let piece = chunk(&"x".repeat(64 << 10)).into_bytes();
        let first = format!("{EVENTS}{}", chunk("data: "));
        both.puppet
            .play_for("tools/call", Act::Pour(first.into_bytes(), piece, Arc::new(gone)));
        let before = memory(&both);
        let mut stream = sent(&both, &both.client.request(call(way))).await;
        let mut taken = 0;
        let mut buffer = vec![0; 1 << 20];
        while taken < 64 << 20 {
            let read = stream.read(&mut buffer).await.expect("readable");
            assert_ne!(read, 0, "{way}: it ended");
            taken += read;
        }
        let grown = memory(&both).saturating_sub(before);
        assert!(grown < 24 << 20, "{way}: {grown} bytes more after {taken}");
        drop(stream);
        tokio::time::timeout(PATIENCE, told.wait_for(|gone| *gone))
            .await
            .expect("the server is let go")
            .expect("it tells");
    }
}

/// Envoy takes what we say as fast as we say it (there is no flow control between an external processor and it): an
/// answer for a client that does not read is held there, not here, and freed when the client leaves.
#[tokio::test]
async fn a_client_that_never_reads_costs_the_processor_nothing() {
    let both = both(Wiring::FullDuplex, "").await;
    let answer = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"x\":\"{}\"}}}}",
        "y".repeat(20 << 20)
    );
    for way in WAYS {
        both.puppet.play_for("tools/call", Act::text(200, &answer));
        let before = memory(&both);
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(sent(&both, &both.client.request(call(way))).await);
        }
        both.puppet
            .until("all calls run", |seen| {
                seen.iter().filter(|seen| seen.method == "tools/call").count() >= 4
            })
            .await;
        // Whatever is going to be taken has been taken when nothing changes any more.
        eventually("the flow comes to rest", async || {
            let earlier = memory(&both);
            tokio::time::sleep(Duration::from_millis(300)).await;
            memory(&both) == earlier
        })
        .await;
        let grown = memory(&both).saturating_sub(before);
        assert!(grown < 40 << 20, "{way}: {grown} bytes for 80 MiB that nobody reads");
        drop(streams);
        both.puppet.forget_requests();
        both.puppet.behave();
        both.client
            .text_of(&format!("{way}_echo"), &serde_json::json!({}))
            .await;
    }
}
