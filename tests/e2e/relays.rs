//! The same upstream behind `via: envoy` and `via: direct`: what passes through Envoy passes through the processor alike.

mod endings;
mod headers;
mod large;
mod streams;

use super::harness::client::{Client, Request, rpc};
use super::harness::gateway::{Gateway, Setup, Wiring};
use super::harness::puppet::{Act, Puppet};
use serde_json::json;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Both ways, as upstreams are named.
const WAYS: [&str; 2] = ["envoy", "direct"];

/// One server, once called by Envoy and once by the processor.
struct Both {
    puppet: Puppet,
    gateway: Gateway,
    client: Client,
}

/// With further settings of each upstream.
async fn both(wiring: Wiring, more: &str) -> Both {
    let puppet = Puppet::start(&["echo"]).await;
    let mut setup = Setup::new();
    for way in WAYS {
        let settings = [more, &format!("via: {way}")].map(str::to_owned);
        let settings: Vec<String> = settings.into_iter().filter(|text| !text.is_empty()).collect();
        setup = setup.upstream_with(way, &puppet.url(), &settings.join(", "));
    }
    let gateway = setup.start(wiring).await;
    let client = gateway.client().await;
    Both {
        puppet,
        gateway,
        client,
    }
}

/// A call of the tool, one way.
fn call(way: &str) -> String {
    rpc(
        1,
        "tools/call",
        &json!({"name": format!("{way}_echo"), "arguments": {}}),
    )
}

/// A request that was sent, its response not read yet.
async fn sent(both: &Both, request: &Request) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(both.gateway.address).await.expect("connected");
    stream.write_all(&request.bytes()).await.expect("sent");
    BufReader::new(stream)
}

/// The head of an event stream of unknown length.
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// These pieces of an event stream, whole.
fn events(pieces: &[&str]) -> Act {
    let chunks: String = pieces.iter().map(|piece| chunk(piece)).collect();
    Act::Say(format!("{EVENTS}{chunks}0\r\n\r\n").into_bytes())
}
