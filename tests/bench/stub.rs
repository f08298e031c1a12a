//! The upstream of `make bench`: an MCP server that does next to nothing, so that what is measured is the gateway.
//!
//! Any path is an MCP endpoint with the same tools. Legacy era; with `--stateful` it issues session ids and asks for
//! them. `tool_2` answers with an event stream of three events, `tool_3` with one that stays open after the first,
//! `tool_4` with 20 MB of JSON; all others with a little JSON. A session's own stream (GET) says one thing and stays open.
//! One thread.

#![allow(missing_docs, reason = "a program, not a library")]

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::net::TcpListener;

const SESSION: &str = "mcp-session-id";
const CALLED: &str = r#"{"content":[{"type":"text","text":"the weather is fine and will stay so until the evening"}]}"#;

/// Of `tool_4`.
const LARGE: usize = 20 << 20;

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
    /// Tools in the list.
    #[arg(long, default_value_t = 20)]
    tools: usize,
    /// Issue session ids, and ask for them.
    #[arg(long)]
    stateful: bool,
}

struct Stub {
    stateful: bool,
    list: String,
    sessions: AtomicU64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: &'a str,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(default)]
    name: &'a str,
}

/// A body in pieces, each in a write of its own.
struct Pieces {
    /// The last first.
    left: Vec<Bytes>,
    /// The piece before has been given, and the connection has not been idle since.
    given: bool,
    /// It never ends.
    held: bool,
}

impl Pieces {
    fn whole(body: String) -> Self {
        Self {
            left: vec![body.into()],
            given: false,
            held: false,
        }
    }

    fn none() -> Self {
        Self {
            left: Vec::new(),
            given: false,
            held: false,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let pieces = self.get_mut();
        if pieces.given && !pieces.left.is_empty() {
            // The connection writes what it has when nothing more is at hand.
            pieces.given = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match pieces.left.pop() {
            Some(piece) => {
                pieces.given = true;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if pieces.held => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && !self.held
    }

    fn size_hint(&self) -> SizeHint {
        match self.left.as_slice() {
            [] if !self.held => SizeHint::with_exact(0),
            [only] if !self.held => SizeHint::with_exact(only.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl Stub {
    fn new(arguments: &Arguments) -> Self {
        let tools: Vec<String> = (0..arguments.tools).map(tool).collect();
        Self {
            stateful: arguments.stateful,
            list: format!(r#"{{"tools":[{}]}}"#, tools.join(",")),
            sessions: AtomicU64::new(0),
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
        let verb = request.method().clone();
        let session = request.headers().contains_key(SESSION);
        let body = request.into_body().collect().await.map(|body| body.to_bytes());
        let Ok(body) = body else {
            return Ok(plain(StatusCode::BAD_REQUEST));
        };
        Ok(match verb {
            Method::POST => self.post(&body, session),
            Method::DELETE => plain(StatusCode::OK),
            Method::GET if session => pushes(),
            _ => plain(StatusCode::METHOD_NOT_ALLOWED),
        })
    }

    fn post(&self, body: &[u8], session: bool) -> Response<Pieces> {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            return plain(StatusCode::BAD_REQUEST);
        };
        let Some(id) = message.id else {
            return plain(StatusCode::ACCEPTED);
        };
        if self.stateful && !session && message.method != "initialize" {
            return plain(StatusCode::BAD_REQUEST);
        }
        let member = match message.method {
            "tools/call" if message.params.name == "tool_4" => format!(r#""result":{{"x":"{}"}}"#, "y".repeat(LARGE)),
            "tools/call" => format!(r#""result":{CALLED}"#),
            "tools/list" => format!(r#""result":{}"#, self.list),
            "ping" => r#""result":{}"#.to_owned(),
            "initialize" => r#""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"stub","version":"1"}}"#.to_owned(),
            _ => r#""error":{"code":-32601,"message":"method not found"}"#.to_owned(),
        };
        if message.method == "tools/call"
            && let "tool_2" | "tool_3" = message.params.name
        {
            return events(id.get(), &member, message.params.name == "tool_3");
        }
        let mut response = Response::builder().header(header::CONTENT_TYPE, "application/json");
        if self.stateful && message.method == "initialize" {
            let number = self.sessions.fetch_add(1, Ordering::Relaxed);
            response = response.header(SESSION, format!("stub-{number:016x}"));
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{member}}}"#);
        response
            .body(Pieces::whole(body))
            .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// Two notifications and the response; held: the first of them.
fn events(id: &str, member: &str, held: bool) -> Response<Pieces> {
    let note = |progress: u8| {
        format!(
            r#"data: {{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":1,"progress":{progress}}}}}"#
        )
    };
    let result = format!(r#"data: {{"jsonrpc":"2.0","id":{id},{member}}}"#);
    let mut left: Vec<Bytes> = [result, note(2), note(1)]
        .into_iter()
        .map(|event| format!("event: message\n{event}\n\n").into())
        .collect();
    if held {
        left.drain(..2);
    }
    stream(left, held)
}

/// What a session's own stream says.
fn pushes() -> Response<Pieces> {
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"hello"}}"#;
    stream(vec![format!("event: message\ndata: {log}\n\n").into()], true)
}

/// An event stream of `left`, the last first.
fn stream(left: Vec<Bytes>, held: bool) -> Response<Pieces> {
    let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
    response
        .body(Pieces {
            left,
            given: false,
            held,
        })
        .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

/// About 250 bytes, as small real tools are.
fn tool(number: usize) -> String {
    format!(
        r#"{{"name":"tool_{number}","description":"Looks up entry number {number} and says what is known of it","inputSchema":{{"type":"object","properties":{{"city":{{"type":"string","description":"Where to look"}},"limit":{{"type":"integer","minimum":1}}}},"required":["city"]}}}}"#
    )
}

fn plain(status: StatusCode) -> Response<Pieces> {
    let mut response = Response::new(Pieces::none());
    *response.status_mut() = status;
    response
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    let stub = Rc::new(Stub::new(&arguments));
    let tasks = tokio::task::LocalSet::new();
    let accepting = tasks.run_until(async {
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let stub = Rc::clone(&stub);
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| stub.serve(request));
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    accepting.await
}
