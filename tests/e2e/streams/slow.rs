//! A client that opens its session's stream and does not read it.

use super::{get, listen, open_files};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// Bytes of each event, and how many of them.
const PIECE: usize = 64 << 10;
const PIECES: usize = 512;

fn event(text: &str) -> String {
    let message =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}});
    format!("data: {message}\n\n")
}

/// A server that says a lot on every session's stream that is opened from some time on.
async fn talkative() -> (Puppet, Arc<AtomicBool>) {
    let puppet = Puppet::start(&["echo"]).await;
    let loud = Arc::new(AtomicBool::new(false));
    let is_loud = Arc::clone(&loud);
    puppet.play(move |seen| {
        let events = match is_loud.load(Ordering::Relaxed) {
            true => event(&"x".repeat(PIECE)).repeat(PIECES),
            false => event("only this"),
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        (seen.verb == "GET").then(|| Act::Say((head.to_owned() + &events).into_bytes()))
    });
    (puppet, loud)
}

/// Memory of the gateway's own process, in bytes.
fn memory(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.programs[0].id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.expect("a number") * 1024
}

/// Opens the stream with a small window, and reads nothing.
async fn unread(gateway: &Gateway, client: &crate::e2e::harness::client::Client) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut stream = socket.connect(gateway.address).await.expect("connected");
    stream.write_all(&get(client).bytes()).await.expect("written");
    stream
}

#[tokio::test]
async fn whoever_does_not_read_costs_the_processor_little_and_nobody_else_anything() {
    let (puppet, loud) = talkative().await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let reader = gateway.client().await;
    let mut stream = listen(&reader).await;
    reader.text_of("up_echo", &json!({})).await;
    assert_eq!(stream.message().await["params"]["data"], "only this");
    loud.store(true, Ordering::Relaxed);
    puppet.forget_requests();
    let (before, files) = (memory(&gateway), open_files(gateway.programs[0].id()) + 2);

    let mut silent = Vec::new();
    for _ in 0..3 {
        let client = gateway.client().await;
        client.text_of("up_echo", &json!({})).await;
        silent.push(unread(&gateway, &client).await);
    }
    puppet
        .until("their streams are open", |seen| {
            seen.iter().filter(|seen| seen.verb == "GET").count() >= 3
        })
        .await;
    // Whatever is going to be taken has been taken when nothing changes any more.
    eventually("the flow comes to rest", async || {
        let earlier = memory(&gateway);
        tokio::time::sleep(Duration::from_millis(300)).await;
        memory(&gateway) == earlier
    })
    .await;
    let grown = memory(&gateway).saturating_sub(before);
    assert!(
        grown < 24 << 20,
        "{grown} bytes for three clients to whom 96 MiB are said"
    );
    assert_eq!(reader.text_of("up_echo", &json!({})).await, "echo");
    drop(silent);
    eventually("their connections to the upstream are gone", async || {
        open_files(gateway.programs[0].id()) <= files
    })
    .await;
}
