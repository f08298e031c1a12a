//! The upstream of `make bench`: an MCP server that does next to nothing, so that what is measured is the gateway.
//!
//! Any path is an MCP endpoint with the same tools. Legacy era; with `--stateful` it issues session ids and asks for
//! them. One thread.

#![allow(missing_docs, reason = "a program, not a library")]

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;

const SESSION: &str = "mcp-session-id";
const CALLED: &str = r#"{"content":[{"type":"text","text":"the weather is fine and will stay so until the evening"}]}"#;

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

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let verb = request.method().clone();
        let session = request.headers().contains_key(SESSION);
        let body = request.into_body().collect().await.map(|body| body.to_bytes());
        let Ok(body) = body else {
            return Ok(plain(StatusCode::BAD_REQUEST));
        };
        Ok(match verb {
            Method::POST => self.post(&body, session),
            Method::DELETE => plain(StatusCode::OK),
            _ => plain(StatusCode::METHOD_NOT_ALLOWED),
        })
    }

    fn post(&self, body: &[u8], session: bool) -> Response<Full<Bytes>> {
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
            "tools/call" => format!(r#""result":{CALLED}"#),
            "tools/list" => format!(r#""result":{}"#, self.list),
            "ping" => r#""result":{}"#.to_owned(),
            "initialize" => r#""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"stub","version":"1"}}"#.to_owned(),
            _ => r#""error":{"code":-32601,"message":"method not found"}"#.to_owned(),
        };
        let mut response = Response::builder().header(header::CONTENT_TYPE, "application/json");
        if self.stateful && message.method == "initialize" {
            let number = self.sessions.fetch_add(1, Ordering::Relaxed);
            response = response.header(SESSION, format!("stub-{number:016x}"));
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{member}}}"#);
        response
            .body(Full::from(body))
            .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// About 250 bytes, as small real tools are.
fn tool(number: usize) -> String {
    format!(
        r#"{{"name":"tool_{number}","description":"Looks up entry number {number} and says what is known of it","inputSchema":{{"type":"object","properties":{{"city":{{"type":"string","description":"Where to look"}},"limit":{{"type":"integer","minimum":1}}}},"required":["city"]}}}}"#
    )
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
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
