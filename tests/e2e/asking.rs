//! Upstreams that ask the client while a call runs, and what the client says to them.

mod answers;
mod listed;
mod roads;

use super::harness::client::{Client, rpc};
use super::harness::gateway::{Gateway, Setup};
use super::harness::puppet::{Act, Puppet, Seen};
use super::harness::stream::Stream;
use serde_json::{Value, json};
use tokio::sync::watch;

/// All that a client of 2025-11-25 can be asked.
fn all() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {"listChanged": true}})
}

/// Head of an event stream that ends with its connection.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

fn event(data: &str) -> String {
    format!("event: message\r\ndata: {data}\r\n\r\n")
}

/// A server whose tool `ask` sends `question`, and answers the call with what it is told.
struct Asker {
    puppet: Puppet,
}

impl Asker {
    async fn start(question: &'static str) -> Self {
        let puppet = Puppet::start(&["ask"]).await;
        let (told, gate) = watch::channel(false);
        puppet.play(move |seen| play(seen, question, &told, &gate));
        Self { puppet }
    }

    /// The messages that are no requests of the handshake, in order.
    fn told(&self) -> Vec<Seen> {
        let seen = self.puppet.seen().into_iter();
        seen.filter(|seen| seen.verb == "POST" && (seen.method.is_empty() || is_notice(&seen.method)))
            .collect()
    }

    async fn until_told(&self) -> Seen {
        self.puppet
            .until("the upstream is told", |seen| {
                seen.iter()
                    .any(|seen| seen.verb == "POST" && (seen.method.is_empty() || is_notice(&seen.method)))
            })
            .await;
        self.told().pop().expect("it just was")
    }
}

fn is_notice(method: &str) -> bool {
    method.starts_with("notifications/") && method != "notifications/initialized"
}

fn play(seen: &Seen, question: &str, told: &watch::Sender<bool>, gate: &watch::Receiver<bool>) -> Option<Act> {
    if seen.verb == "POST" && seen.method.is_empty() {
        let _nobody_waits = told.send(true);
        return Some(Act::reply(202, &[], b""));
    }
    (seen.method == "tools/call").then(|| {
        let _nobody_waits = told.send(false);
        let result = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, seen.id);
        let question = HEAD.to_owned() + &event(question);
        let answer = Act::SayAndLeave(event(&result).into_bytes());
        Act::SayThen(question.into_bytes(), gate.clone(), Box::new(answer))
    })
}

async fn client(gateway: &Gateway) -> Client {
    Client::connect_as(gateway.address, "2025-11-25", &all()).await
}

async fn open(client: &Client, id: u64, tool: &str) -> Stream {
    let call = rpc(id, "tools/call", &json!({"name": tool, "arguments": {}}));
    let stream = Stream::open(client.address, &client.request(call)).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("mcp-session-id"), None);
    stream
}

/// POSTs a message that has no answer; the status.
async fn say(client: &Client, message: &str) -> u16 {
    client.request(message).send(client.address).await.status
}

async fn two(question: &'static str, more: &str) -> (Asker, Asker, Gateway) {
    let (a, b) = (Asker::start(question).await, Asker::start(question).await);
    let setup = Setup::new().upstream_with("a", &a.puppet.url(), more);
    let gateway = setup.upstream_with("b", &b.puppet.url(), more).up().await;
    (a, b, gateway)
}
