//! A scripted upstream: records what it is asked and answers as the script says.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use mcp_manifold::edge::http::{Target, Targets};
use mcp_manifold::engine::config;
use serde_json::Value;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;

/// Nothing in these tests takes this long unless it is broken.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) verb: Method,
    /// JSON-RPC method; empty for GET and DELETE.
    pub(super) method: String,
    pub(super) session: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// What the script answers.
pub(super) enum Reply {
    /// 200, JSON-RPC result.
    Result(String),
    /// The same, with a session id.
    Session(&'static str, String),
    /// JSON-RPC error.
    Error(u16, i64),
    /// Anything.
    Raw(u16, &'static str, String),
    /// 200, an event stream of these pieces.
    Pieces(Vec<String>),
    /// 200, an event stream of what [`Puppet::send`] says from now on.
    Open,
    /// That, but not before the notice.
    Held(Arc<Notify>, Box<Reply>),
    /// Nothing, for ever.
    Hang,
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

#[derive(Clone)]
struct Shared {
    script: Script,
    log: Arc<Mutex<Vec<Seen>>>,
    grew: watch::Sender<usize>,
    events: broadcast::Sender<String>,
}

pub(super) struct Puppet {
    shared: Shared,
    url: String,
    server: JoinHandle<()>,
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Puppet {
    pub(super) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("bound"));
        let shared = Shared {
            script: Arc::new(script),
            log: Arc::default(),
            grew: watch::Sender::new(0),
            events: broadcast::Sender::new(16),
        };
        let router = axum::Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self { shared, url, server }
    }

    pub(super) fn target(&self) -> Arc<Target> {
        Arc::new(Target::new(&mk_upstream(&self.url), None).expect("a target"))
    }

    pub(super) fn targets(&self) -> Arc<Targets> {
        mk_targets(self.target())
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// So many requests of this JSON-RPC method (or HTTP verb) have come.
    pub(super) fn count(&self, method: &str) -> usize {
        self.all(method).len()
    }

    pub(super) fn all(&self, method: &str) -> Vec<Seen> {
        let log = self.shared.log.lock().expect("whole");
        let of_it = log
            .iter()
            .filter(|seen| seen.method == method || seen.verb.as_str() == method);
        of_it.cloned().collect()
    }

    /// Waits until so many have come.
    pub(super) async fn wait_for(&self, method: &str, times: usize) {
        let mut grew = self.shared.grew.subscribe();
        let enough = grew.wait_for(|_| self.count(method) >= times);
        let waited = tokio::time::timeout(DEADLINE, enough).await;
        assert!(
            waited.is_ok(),
            "{method} came {} times, not {times}",
            self.count(method)
        );
    }

    /// Sends an event on all open streams; waits until there is one.
    pub(super) async fn send(&self, message: &str) {
        let sending = async {
            while self.shared.events.receiver_count() == 0 {
                tokio::task::yield_now().await;
            }
            let _ = self.shared.events.send(format!("data: {message}\n\n"));
        };
        tokio::time::timeout(DEADLINE, sending).await.expect("a stream is open");
    }

    /// Waits until no stream is open.
    pub(super) async fn streams_closed(&self) {
        tokio::time::timeout(DEADLINE, self.shared.events.closed())
            .await
            .expect("streams are closed");
    }
}

pub(super) fn mk_upstream(url: &str) -> config::Upstream {
    config::Upstream {
        name: "puppet".to_owned(),
        url: url.parse().expect("a URL"),
        prefix: "puppet_".to_owned(),
        credential: None,
        headers: Vec::new(),
        timeout: config::Timeouts {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(10),
            list: Duration::from_secs(10),
        },
        ca: None,
        enabled: true,
        resources_rewrite: false,
        resources_probe: false,
        via: config::Via::Envoy,
        protocol: config::Protocol::Streamable,
        eras: config::Eras::Both,
        merge: true,
        addresses: Vec::new(),
        protection: config::Protection::default(),
        delegated: config::Delegated::default(),
        listing: config::Listing::Shared,
    }
}

pub(super) fn mk_targets(target: Arc<Target>) -> Arc<Targets> {
    let targets = HashMap::from([(target.name().to_string(), target)]);
    Arc::new(Targets::from_pointee(targets))
}

/// A URL where nobody listens.
pub(super) async fn mk_dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    format!("http://{}/mcp", listener.local_addr().expect("bound"))
}

/// `result` of initialize that declares tools.
pub(super) fn greeting(capabilities: &str) -> String {
    format!(
        r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"serverInfo":{{"name":"puppet","version":"1"}},"instructions":"Be kind."}}"#
    )
}

/// `result` of tools/list.
pub(super) fn tools(names: &[&str]) -> String {
    let tools: Vec<String> = names
        .iter()
        .map(|name| format!(r#"{{"name":"{name}","inputSchema":{{}}}}"#))
        .collect();
    format!(
        r#"{{"tools":[{}],"ttlMs":60000,"cacheScope":"public"}}"#,
        tools.join(",")
    )
}

/// A well-behaved legacy upstream with one tool; `None` for what it does not know.
pub(super) fn legacy(seen: &Seen) -> Reply {
    match (seen.verb.as_str(), seen.method.as_str()) {
        ("POST", "initialize") => Reply::Session("session-1", greeting(r#"{"tools":{}}"#)),
        ("POST", "tools/list") => Reply::Result(tools(&["a"])),
        ("POST", "ping") => Reply::Result("{}".to_owned()),
        ("POST", method) if method.starts_with("notifications/") => Reply::Raw(202, "", String::new()),
        ("DELETE", _) => Reply::Raw(204, "", String::new()),
        ("GET", _) => Reply::Raw(405, "", String::new()),
        _ => Reply::Error(400, -32000),
    }
}

async fn answer(State(shared): State<Shared>, verb: Method, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = body.get("id").cloned().unwrap_or_default();
    let seen = Seen {
        verb,
        method: body
            .get("method")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        session: headers
            .get("mcp-session-id")
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned),
        headers,
        body,
    };
    let reply = (shared.script)(&seen);
    shared.log.lock().expect("whole").push(seen);
    shared.grew.send_modify(|count| *count += 1);
    let reply = if let Reply::Held(until, reply) = reply {
        until.notified().await;
        *reply
    } else {
        reply
    };
    let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    match reply {
        Reply::Result(body) => mk_response(200, "application/json", Body::from(result(&body))),
        Reply::Session(session, body) => {
            let mut response = mk_response(200, "application/json", Body::from(result(&body)));
            let session = session.parse().expect("a header value");
            response.headers_mut().insert("mcp-session-id", session);
            response
        }
        Reply::Error(status, code) => {
            let body = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"no"}}}}"#);
            mk_response(status, "application/json", Body::from(body))
        }
        Reply::Raw(status, media, body) => mk_response(status, media, Body::from(body)),
        Reply::Pieces(pieces) => {
            let pieces = pieces
                .into_iter()
                .map(move |piece| piece.replace("$ID", &id.to_string()));
            let pieces: Vec<Result<String, Infallible>> = pieces.map(Ok).collect();
            mk_response(200, "text/event-stream", Body::from_stream(stream::iter(pieces)))
        }
        Reply::Open => {
            let open = stream::unfold(shared.events.subscribe(), |mut events| async move {
                Some((events.recv().await.ok()?, events))
            });
            let open = open.map(Ok::<_, Infallible>);
            mk_response(200, "text/event-stream", Body::from_stream(open))
        }
        Reply::Hang | Reply::Held(..) => std::future::pending().await,
    }
}

fn mk_response(status: u16, media: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    if !media.is_empty() {
        let media = media.parse().expect("a header value");
        response.headers_mut().insert("content-type", media);
    }
    response
}
