//! A scripted HTTP+SSE server (2024-11-05): GET /sse opens a stream, messages are POSTed to /messages/N.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::puppet::{DEADLINE, greeting, tools};

/// One message as it came.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    /// Of the stream whose endpoint it came to.
    pub(super) stream: usize,
    /// JSON-RPC method; empty for responses.
    pub(super) method: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// What the script does with a message: a status, and what the stream says before that is sent.
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) says: Vec<String>,
}

type Script = Arc<dyn Fn(&Posted) -> Done + Send + Sync>;

#[derive(Clone)]
struct Shared {
    script: Script,
    /// Data of the first event; `$N` becomes the number of the stream.
    endpoint: Arc<str>,
    streams: Arc<Mutex<Vec<Option<mpsc::UnboundedSender<String>>>>>,
    gets: Arc<Mutex<Vec<HeaderMap>>>,
    log: Arc<Mutex<Vec<Posted>>>,
    grew: watch::Sender<usize>,
}

pub(super) struct OldServer {
    shared: Shared,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for OldServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl OldServer {
    pub(super) async fn start(script: impl Fn(&Posted) -> Done + Send + Sync + 'static) -> Self {
        Self::with_endpoint("/messages/$N", script).await
    }

    pub(super) async fn with_endpoint(
        endpoint: &str,
        script: impl Fn(&Posted) -> Done + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Shared {
            script: Arc::new(script),
            endpoint: endpoint.into(),
            streams: Arc::default(),
            gets: Arc::default(),
            log: Arc::default(),
            grew: watch::Sender::new(0),
        };
        let router = Router::new()
            .route("/sse", get(open))
            .route("/messages/{stream}", post(take))
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self {
            shared,
            address,
            server,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/sse", self.address)
    }

    /// Headers of the GETs so far.
    pub(super) fn gets(&self) -> Vec<HeaderMap> {
        self.shared.gets.lock().expect("whole").clone()
    }

    /// All messages of this method so far.
    pub(super) fn all(&self, method: &str) -> Vec<Posted> {
        let log = self.shared.log.lock().expect("whole");
        log.iter().filter(|posted| posted.method == method).cloned().collect()
    }

    /// Waits until so many have come.
    pub(super) async fn wait_for(&self, method: &str, times: usize) {
        let mut grew = self.shared.grew.subscribe();
        let enough = grew.wait_for(|_| self.all(method).len() >= times);
        let waited = tokio::time::timeout(DEADLINE, enough).await;
        assert!(waited.is_ok(), "{method} did not come {times} times");
    }

    /// Says something on a stream.
    pub(super) fn say(&self, stream: usize, message: &str) {
        say(&self.shared, stream, message);
    }

    /// Ends a stream, as a restart does.
    pub(super) fn cut(&self, stream: usize) {
        let mut streams = self.shared.streams.lock().expect("whole");
        *streams.get_mut(stream).expect("a stream") = None;
    }

    /// Waits until the client has closed a stream.
    pub(super) async fn closed(&self, stream: usize) {
        let sender = {
            let streams = self.shared.streams.lock().expect("whole");
            streams.get(stream).cloned().flatten().expect("an open stream")
        };
        let closed = tokio::time::timeout(DEADLINE, sender.closed()).await;
        assert!(closed.is_ok(), "stream {stream} is still open");
    }
}

fn say(shared: &Shared, stream: usize, message: &str) {
    let streams = shared.streams.lock().expect("whole");
    if let Some(Some(sender)) = streams.get(stream) {
        let _ = sender.send(format!("event: message\ndata: {message}\n\n"));
    }
}

async fn open(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let (sender, events) = mpsc::unbounded_channel();
    let first = {
        let mut streams = shared.streams.lock().expect("whole");
        let number = streams.len().to_string();
        streams.push(Some(sender.clone()));
        shared.endpoint.replace("$N", &number)
    };
    shared.gets.lock().expect("whole").push(headers);
    if !first.is_empty() {
        let _ = sender.send(format!(": welcome\n\nevent: endpoint\ndata: {first}\n\n"));
    }
    drop(sender);
    let events = stream::unfold(events, |mut events| async move { Some((events.recv().await?, events)) });
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn take(State(shared): State<Shared>, Path(stream): Path<usize>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let method = body.get("method").and_then(Value::as_str).unwrap_or_default();
    let posted = Posted {
        stream,
        method: method.to_owned(),
        headers,
        body: body.clone(),
    };
    let known = matches!(shared.streams.lock().expect("whole").get(stream), Some(Some(_)));
    let done = if known {
        (shared.script)(&posted)
    } else {
        Done {
            status: 404,
            says: Vec::new(),
        }
    };
    shared.log.lock().expect("whole").push(posted);
    for message in done.says {
        say(&shared, stream, &message);
    }
    shared.grew.send_modify(|count| *count += 1);
    let status = StatusCode::from_u16(done.status).expect("a status");
    (status, "Accepted").into_response()
}

/// 202, and these messages.
pub(super) fn done(says: &[String]) -> Done {
    Done {
        status: 202,
        says: says.to_vec(),
    }
}

/// The response to a message.
pub(super) fn response(posted: &Posted, result: &str) -> String {
    let id = &posted.body["id"];
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A server with one tool, that answers calls with the number of their stream.
pub(super) fn plain(posted: &Posted) -> Done {
    match posted.method.as_str() {
        "initialize" => done(&[response(posted, &greeting(r#"{"tools":{},"logging":{}}"#))]),
        "tools/list" => done(&[response(posted, &tools(&["a"]))]),
        "tools/call" => done(&[response(posted, &format!(r#"{{"stream":{}}}"#, posted.stream))]),
        "ping" | "logging/setLevel" => done(&[response(posted, "{}")]),
        _ => done(&[]),
    }
}
