//! The real backend of public routes on Envoy Gateway: it refuses whatever reaches it.
//!
//! A request comes here only if the processor has not sent it elsewhere: it was not asked, or Envoy did not know the
//! route yet. 530 is nobody else's, so that the processor tells the second case from an upstream's answer.

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use std::future::Future;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;

/// No HTTP status of anybody else.
const STATUS: u16 = 530;
/// In the words of JSON-RPC, for whom the status tells nothing.
const BODY: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-31014,"message":"gateway unavailable"}}"#;
/// A request is read to its end, or its sender might not hear the answer; but not for ever.
const READING: Duration = Duration::from_secs(10);
/// Nor beyond this many bytes.
const READ: usize = 8 << 20;

/// Where it listens.
#[derive(Debug)]
pub enum Socket {
    /// A Unix socket.
    Unix(UnixListener),
    /// A port.
    Tcp(TcpListener),
}

/// Refuses until `stop`.
///
/// # Errors
/// The socket is of no use any more.
pub async fn run(socket: Socket, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let router = Router::new().fallback(refuse);
    match socket {
        Socket::Unix(listener) => axum::serve(listener, router).with_graceful_shutdown(stop).await,
        Socket::Tcp(listener) => axum::serve(listener, router).with_graceful_shutdown(stop).await,
    }
}

async fn refuse(body: Body) -> Response {
    // However that ends, the answer is the same.
    let _ = timeout(READING, drain(body)).await;
    let status = StatusCode::from_u16(STATUS).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, [(header::CONTENT_TYPE, "application/json")], BODY).into_response()
}

async fn drain(body: Body) {
    let mut pieces = body.into_data_stream();
    let mut read = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        read += piece.len();
        if read > READ {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn every_request_is_refused_with_a_status_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).expect("free");
        let server = tokio::spawn(run(Socket::Unix(listener), pending()));
        for request in [
            "POST /mcp HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        ] {
            let mut stream = UnixStream::connect(&path).await.expect("it listens");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("answered");
            assert!(answer.starts_with("HTTP/1.1 530 "), "{answer}");
            assert!(answer.ends_with(BODY), "{answer}");
        }
        server.abort();
    }
}
