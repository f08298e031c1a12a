//! The wire below MCP: TLS, and connections that break.

use super::puppet::{DEADLINE, greeting, mk_targets, mk_upstream};
use http::HeaderMap;
use mcp_manifold::edge::http::{HttpError, Target, TargetError};
use mcp_manifold::edge::store::MemoryStore;
use mcp_manifold::edge::upstream::Binder;
use mcp_manifold::engine::exchange::Finding;
use mcp_manifold::engine::exchange::event::UpstreamFailure;
use mcp_manifold::engine::mcp::Version;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

fn mk_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Reads one request with its body.
fn read_request(stream: &mut impl Read) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8(body).expect("text"))
}

fn write_answer(stream: &mut impl Write, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// A TLS server for `localhost` that answers one request, if it gets one.
fn serve_tls_once() -> (SocketAddr, JoinHandle<()>) {
    let certificate = std::fs::read(fixture("server.pem")).expect("a certificate");
    let certificates = rustls_pemfile::certs(&mut certificate.as_slice()).collect::<Result<Vec<_>, _>>();
    let key = std::fs::read(fixture("server.key")).expect("a key");
    let key = rustls_pemfile::private_key(&mut key.as_slice())
        .expect("PEM")
        .expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates.expect("PEM"), key)
        .expect("a certificate that fits its key");
    let (listener, address) = mk_listener();
    let server = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().expect("a client");
        let tls = ServerConnection::new(Arc::new(config)).expect("a connection");
        let mut stream = StreamOwned::new(tls, tcp);
        // A client that does not trust us sends no request.
        if read_request(&mut stream).is_ok() {
            write_answer(&mut stream, "{}").expect("answered");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (address, server)
}

async fn ask_tls(authority: &str, host: &str) -> Result<u16, HttpError> {
    let (address, server) = serve_tls_once();
    let mut upstream = mk_upstream(&format!("https://{host}:{}/mcp", address.port()));
    upstream.ca = Some(mcp_manifold::engine::config::Authority::File(fixture(authority)));
    let target = Target::new(&upstream, None).expect("a target");
    let answer = target.post(HeaderMap::new(), "{}".into(), DEADLINE).await;
    server.join().expect("no panic");
    answer.map(|response| response.status())
}

#[tokio::test]
async fn an_upstream_is_trusted_by_its_own_authority_only() {
    assert_eq!(ask_tls("ca.pem", "localhost").await, Ok(200));
    let Err(HttpError::Unreachable(stranger)) = ask_tls("other-ca.pem", "localhost").await else {
        panic!("trusted a stranger")
    };
    assert!(
        stranger.starts_with("TLS failed: invalid peer certificate"),
        "{stranger}"
    );
    let Err(HttpError::Unreachable(misnamed)) = ask_tls("ca.pem", "127.0.0.1").await else {
        panic!("trusted another name")
    };
    assert!(
        misnamed.starts_with("TLS failed: invalid peer certificate"),
        "{misnamed}"
    );
}

#[test]
fn an_authority_that_is_none_is_named() {
    let mut upstream = mk_upstream("https://localhost/mcp");
    upstream.ca = Some(mcp_manifold::engine::config::Authority::File(fixture("make.sh")));
    let Err(TargetError::Authority { file, source }) = Target::new(&upstream, None) else {
        panic!("a shell script is no authority")
    };
    assert_eq!(file, fixture("make.sh"));
    assert_eq!(source.to_string(), "no certificate in it");
}

/// Breaks off `breaks` connections after their request, then answers as an upstream without session ids.
fn serve_broken(breaks: usize) -> SocketAddr {
    let (listener, address) = mk_listener();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let Ok(mut stream): Result<TcpStream, _> = stream else {
                return;
            };
            let Ok(request) = read_request(&mut stream) else { return };
            if at < breaks {
                continue;
            }
            let body = format!(r#"{{"jsonrpc":"2.0","id":2,"result":{}}}"#, greeting("{}"));
            write_answer(&mut stream, &body).expect("answered");
            if request.contains("notifications/initialized") {
                return;
            }
        }
    });
    address
}

async fn bind_at(address: SocketAddr) -> Finding {
    let target = Target::new(&mk_upstream(&format!("http://{address}/mcp")), None).expect("a target");
    let store = Arc::new(MemoryStore::new(10));
    let runtime = tokio::runtime::Handle::current();
    let (binder, _notices) = Binder::new(mk_targets(Arc::new(target)), store, runtime);
    binder
        .one_shot(
            "puppet".into(),
            Version::V2025_11_25,
            mcp_manifold::engine::session::Delegation::NONE,
        )
        .await
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_tried_once_more() {
    let once = bind_at(serve_broken(1)).await;
    assert!(matches!(once, Finding::Bound(_)), "{once:?}");
    let twice = bind_at(serve_broken(2)).await;
    assert!(
        matches!(twice, Finding::Unbindable(UpstreamFailure::Unreachable)),
        "{twice:?}"
    );
}
