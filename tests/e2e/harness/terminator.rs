//! TLS in front of a server of these tests that speaks none; the certificate is for `localhost`.

use super::background;
use crate::e2e::tools;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Dropped, it is gone, and what went through it is cut.
pub(crate) struct Terminator {
    pub(crate) port: u16,
    serving: JoinHandle<()>,
}

/// A file of `tests/fixtures/tls`.
pub(crate) fn certificate(name: &str) -> PathBuf {
    tools::source(&format!("tests/fixtures/tls/{name}"))
}

impl Terminator {
    /// Before the server at `behind`.
    pub(crate) async fn start(behind: SocketAddr) -> Self {
        let acceptor = acceptor();
        let started = background().spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            (port, tokio::spawn(serve(listener, acceptor, behind)))
        });
        let (port, serving) = started.await.expect("it binds");
        Self { port, serving }
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn acceptor() -> TlsAcceptor {
    let read = |name| std::fs::read(certificate(name)).expect("a file");
    let (certificate, key) = (read("server.pem"), read("server.key"));
    let certificates = rustls_pemfile::certs(&mut certificate.as_slice()).collect::<Result<Vec<_>, _>>();
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
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            if let (Ok(mut tls), Ok(mut plain)) = (acceptor.accept(stream).await, TcpStream::connect(behind).await) {
                // Who leaves first is theirs to say.
                let _ = copy_bidirectional(&mut tls, &mut plain).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
