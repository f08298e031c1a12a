//! An MCP server in this process that plays what a test wants and keeps every request byte for byte.
//!
//! By default a legacy server of a few tools with sessions; `play` puts another answer in front. Dropped, it is dead:
//! its port refuses connections and open ones are cut.

use super::http::{self, Closing};
use super::{background, eventually};
use crate::e2e::process::free_port;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    pub(crate) path: String,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// `method` of the body, else empty.
    pub(crate) method: String,
    /// `id` of the body as it was written, else null.
    pub(crate) id: String,
}

/// What the puppet reads of a message; the rest may be anything.
#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    method: String,
    id: Option<Box<RawValue>>,
}

impl Seen {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A JSON-RPC response to this request.
    pub(crate) fn result(&self, result: &Value) -> Act {
        Act::text(
            200,
            &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id),
        )
    }

    /// A JSON-RPC error to this request.
    pub(crate) fn error(&self, status: u16, code: i64, message: &str) -> Act {
        let error = json!({"code": code, "message": message});
        Act::text(
            status,
            &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.id),
        )
    }
}

/// `params.name`
#[derive(Default, Deserialize)]
struct Params {
    params: Name,
}

#[derive(Default, Deserialize)]
struct Name {
    name: String,
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// These bytes, then the connection stays open.
    Say(Vec<u8>),
    /// These bytes, then the connection is closed.
    SayAndLeave(Vec<u8>),
    /// These bytes, and the act once the gate is open.
    SayThen(Vec<u8>, watch::Receiver<bool>, Box<Act>),
    /// These bytes, then this piece again and again (an empty one: nothing) until the other side is gone, which it tells.
    Pour(Vec<u8>, Vec<u8>, Arc<watch::Sender<bool>>),
    /// Nothing, for ever.
    Hang,
    /// What it would do by default, once the gate is open.
    Wait(watch::Receiver<bool>),
    /// The act, once the gate is open.
    After(watch::Receiver<bool>, Box<Act>),
}

impl Act {
    /// A response with a length.
    pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len()).into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        Self::Say(bytes)
    }

    /// A response of JSON.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::reply(status, &[("content-type", "application/json")], body.as_bytes())
    }
}

type Script = Box<dyn Fn(&Seen) -> Option<Act> + Send>;

/// What the puppet knows.
struct Strings {
    tools: Vec<Value>,
    sessions: BTreeSet<String>,
    counter: u64,
    /// To a session id that is not known.
    lost: u16,
    seen: Vec<Seen>,
    script: Option<Script>,
}

/// The server.
pub(crate) struct Puppet {
    pub(crate) address: SocketAddr,
    strings: Arc<Mutex<Strings>>,
    serving: JoinHandle<()>,
}

/// A tool of that name that anybody may call.
pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "description": format!("answers {name}"), "inputSchema": {"type": "object"}})
}

impl Puppet {
    /// With these tools, on a free port that nobody else is given when it dies.
    pub(crate) async fn start(tools: &[&str]) -> Self {
        Self::at(([127, 0, 0, 1], free_port()).into(), tools).await
    }

    /// The same at a known address: a server that comes (back) up.
    pub(crate) async fn at(address: SocketAddr, tools: &[&str]) -> Self {
        Self::listed(address, tools.iter().map(|name| tool(name)).collect()).await
    }

    /// With these items.
    pub(crate) async fn listed(address: SocketAddr, tools: Vec<Value>) -> Self {
        let strings = Arc::new(Mutex::new(Strings {
            tools,
            sessions: BTreeSet::new(),
            counter: 0,
            lost: 404,
            seen: Vec::new(),
            script: None,
        }));
        let shared = Arc::clone(&strings);
        let started = background().spawn(async move {
            let listener = TcpListener::bind(address).await.expect("the address is free");
            let address = listener.local_addr().expect("a bound socket has an address");
            (address, tokio::spawn(serve(listener, shared)))
        });
        let (address, serving) = started.await.expect("it binds");
        Self {
            address,
            strings,
            serving,
        }
    }

    /// Its MCP endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.strings().seen.clone()
    }

    /// Those that are POSTs of this method.
    pub(crate) fn posted(&self, method: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method == method).collect()
    }

    /// Those with this HTTP method.
    pub(crate) fn with_verb(&self, verb: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.verb == verb).collect()
    }

    /// Forgets what it has seen.
    pub(crate) fn forget_requests(&self) {
        self.strings().seen.clear();
    }

    /// Forgets its sessions; their ids get `status` from now on.
    pub(crate) fn lose_sessions(&self, status: u16) {
        let mut strings = self.strings();
        strings.sessions.clear();
        strings.lost = status;
    }

    /// Its sessions that are open.
    pub(crate) fn sessions(&self) -> Vec<String> {
        self.strings().sessions.iter().cloned().collect()
    }

    /// What it does instead, where the script says so.
    pub(crate) fn play(&self, script: impl Fn(&Seen) -> Option<Act> + Send + 'static) {
        self.strings().script = Some(Box::new(script));
    }

    /// The same, before what it already does.
    pub(crate) fn also(&self, script: impl Fn(&Seen) -> Option<Act> + Send + 'static) {
        let mut strings = self.strings();
        let before = strings.script.take();
        let both = move |seen: &Seen| script(seen).or_else(|| before.as_ref().and_then(|before| before(seen)));
        strings.script = Some(Box::new(both));
    }

    /// This act for every POST of the method.
    pub(crate) fn play_for(&self, method: &'static str, act: Act) {
        self.play(move |seen| (seen.method == method).then(|| act.clone()));
    }

    /// Back to the default.
    pub(crate) fn behave(&self) {
        self.strings().script = None;
    }

    /// Waits until `condition` holds of what it has seen.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&[Seen]) -> bool) {
        eventually(what, async || condition(&self.seen())).await;
    }

    fn strings(&self) -> MutexGuard<'_, Strings> {
        self.strings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.serving.abort();
        // The port must be closed when this returns: the next puppet may want it.
        while !self.serving.is_finished() {
            std::thread::yield_now();
        }
    }
}

async fn serve(listener: TcpListener, strings: Arc<Mutex<Strings>>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, Arc::clone(&strings)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, strings: Arc<Mutex<Strings>>) {
    let mut stream = BufReader::new(stream);
    while let Ok((first, headers)) = http::head(&mut stream).await {
        let mut body = Vec::new();
        if http::body(&mut stream, &headers, Closing::IsNotAwaited, &mut body)
            .await
            .is_err()
        {
            return;
        }
        let mut words = first.split(' ').map(str::to_owned);
        let mut seen = Seen {
            verb: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            headers,
            body,
            method: String::new(),
            id: "null".to_owned(),
        };
        let message: Message = serde_json::from_slice(&seen.body).unwrap_or_default();
        seen.method = message.method;
        if let Some(id) = message.id {
            id.get().clone_into(&mut seen.id);
        }
        let mut act = strings.lock().unwrap_or_else(PoisonError::into_inner).handle(seen);
        loop {
            let (mut gate, then) = match act {
                Act::After(gate, then) => (gate, then),
                Act::SayThen(bytes, gate, then) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                    (gate, then)
                }
                Act::Pour(first, piece, gone) => {
                    pour(&mut stream, &first, &piece).await;
                    gone.send_replace(true);
                    return;
                }
                ended @ (Act::Say(_) | Act::SayAndLeave(_) | Act::Hang | Act::Wait(_)) => {
                    act = ended;
                    break;
                }
            };
            let _abandoned = gate.wait_for(|open| *open).await;
            act = *then;
        }
        let (bytes, leave) = match act {
            Act::Say(bytes) => (bytes, false),
            Act::SayAndLeave(bytes) => (bytes, true),
            Act::Hang | Act::Wait(_) | Act::After(..) | Act::SayThen(..) | Act::Pour(..) => {
                return std::future::pending().await;
            }
        };
        if stream.write_all(&bytes).await.is_err() || leave {
            return;
        }
    }
}

/// Ends when the other side is gone.
async fn pour(stream: &mut BufReader<TcpStream>, first: &[u8], piece: &[u8]) {
    let (mut reader, mut writer) = stream.get_mut().split();
    let write = async {
        let mut written = writer.write_all(first).await;
        while written.is_ok() && !piece.is_empty() {
            written = writer.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        if written.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let listen = async { while reader.read_u8().await.is_ok() {} };
    tokio::select! {
        () = write => {}
        () = listen => {}
    }
}

impl Strings {
    fn handle(&mut self, seen: Seen) -> Act {
        let scripted = self.script.as_ref().and_then(|script| script(&seen));
        let act = match scripted {
            Some(Act::Wait(gate)) => Act::After(gate, Box::new(self.legacy(&seen))),
            Some(act) => act,
            None => self.legacy(&seen),
        };
        self.seen.push(seen);
        act
    }

    /// What the specification of 2025-11-25 asks of a server with sessions.
    fn legacy(&mut self, seen: &Seen) -> Act {
        let session = seen.header("mcp-session-id").map(str::to_owned);
        let known = session.as_ref().is_some_and(|id| self.sessions.contains(id));
        match (seen.verb.as_str(), seen.method.as_str(), session) {
            ("POST", "initialize", _) => self.initialize(seen),
            (_, _, None) => seen.error(400, -32600, "session id is missing"),
            (_, _, Some(_)) if !known => seen.error(self.lost, -32001, "session not found"),
            ("DELETE", _, Some(id)) => {
                self.sessions.remove(&id);
                Act::reply(200, &[], b"")
            }
            ("POST", method, Some(_)) => self.posted(seen, method),
            _ => Act::reply(405, &[("allow", "POST, DELETE")], b""),
        }
    }

    fn initialize(&mut self, seen: &Seen) -> Act {
        self.counter += 1;
        let id = format!("puppet-{}", self.counter);
        self.sessions.insert(id.clone());
        let asked = seen.json()["params"]["protocolVersion"].clone();
        let result = json!({
            "protocolVersion": asked,
            "capabilities": {"tools": {"listChanged": true}, "logging": {}},
            "serverInfo": {"name": "puppet", "version": "1"},
        });
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, seen.id);
        let headers = [("content-type", "application/json"), ("mcp-session-id", id.as_str())];
        Act::reply(200, &headers, body.as_bytes())
    }

    fn posted(&self, seen: &Seen, method: &str) -> Act {
        match method {
            "ping" | "logging/setLevel" => seen.result(&json!({})),
            "tools/list" => seen.result(&json!({"tools": self.tools})),
            "tools/call" => {
                let params: Params = serde_json::from_slice(&seen.body).unwrap_or_default();
                seen.result(&json!({"content": [{"type": "text", "text": params.params.name}]}))
            }
            _ if seen.id == "null" => Act::reply(202, &[], b""),
            _ => seen.error(200, -32601, "method not found"),
        }
    }
}
