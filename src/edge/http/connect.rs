//! Opens connections: TCP, TLS where the URL says https, both within one limit.

use hyper_rustls::{ConfigBuilderExt, FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// A silent connection (an event stream) to a peer that is gone is noticed by the kernel.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Whom TLS trusts.
pub(super) type Trust = Arc<ClientConfig>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// TCP and TLS took longer than this.
#[derive(Debug, thiserror::Error)]
#[error("connecting took too long")]
pub(super) struct TooSlow(pub(super) Duration);

/// The connector of one pool.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
    dial: Arc<[SocketAddr]>,
    /// Whose turn it is to be dialled first.
    turn: Arc<AtomicUsize>,
}

impl Connector {
    /// Dials one of `dial`, in turn; where that is empty, whatever the URL's host stands for. TLS is with the URL's host
    /// all the same.
    pub(super) fn new(trust: &Trust, limit: Duration, host: &str, dial: Arc<[SocketAddr]>) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(trust))
            .https_or_http();
        let builder = match ServerName::try_from(host.trim_matches(['[', ']']).to_owned()) {
            Ok(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            // It is no name that a certificate could hold: TLS will say so.
            Err(_) => builder,
        };
        Self {
            inner: builder.enable_http1().wrap_connector(http),
            limit,
            dial,
            turn: Arc::default(),
        }
    }

    /// What is really dialled for `uri`, in the order of trying.
    fn places(&self, uri: http::Uri) -> Vec<http::Uri> {
        if self.dial.is_empty() {
            return vec![uri];
        }
        let scheme = uri.scheme_str().unwrap_or("http");
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..self.dial.len()).filter_map(|offset| self.dial.get((first + offset) % self.dial.len()));
        in_turn
            .filter_map(|address| format!("{scheme}://{address}/").parse().ok())
            .collect()
    }
}

impl Service<http::Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<http::Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let places = self.places(uri);
        let (mut inner, limit) = (self.inner.clone(), self.limit);
        Box::pin(async move {
            let connecting = async {
                let mut outcome = Err("no address to dial".into());
                for place in places {
                    outcome = inner.call(place).await;
                    if outcome.is_ok() {
                        break;
                    }
                }
                outcome
            };
            tokio::time::timeout(limit, connecting)
                .await
                .unwrap_or_else(|_| Err(TooSlow(limit).into()))
        })
    }
}

/// The system's roots, read once per process: they are hundreds of files.
///
/// # Errors
/// None could be read.
pub(super) fn system_trust() -> std::io::Result<Trust> {
    static SYSTEM: OnceLock<Trust> = OnceLock::new();
    if let Some(trust) = SYSTEM.get() {
        return Ok(Arc::clone(trust));
    }
    let config = builder()?.with_native_roots()?.with_no_client_auth();
    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(config))))
}

/// The authorities of a PEM file and nobody else.
///
/// # Errors
/// The file is unreadable or holds no certificate.
pub(super) fn own_trust(file: &Path) -> std::io::Result<Trust> {
    trust_of(&std::fs::read(file)?)
}

/// The authorities of PEM text and nobody else.
///
/// # Errors
/// It holds no certificate.
pub(super) fn trust_of(pem: &[u8]) -> std::io::Result<Trust> {
    trusting(RootCertStore::empty(), pem)
}

/// The authorities of PEM text beside those of the system, as far as the system has any.
///
/// # Errors
/// The text holds no certificate.
pub(super) fn trust_beside_system(pem: &[u8]) -> std::io::Result<Trust> {
    let mut roots = RootCertStore::empty();
    // Unreadable ones are left out: what is added on purpose counts all the same.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    trusting(roots, pem)
}

fn trusting(mut roots: RootCertStore, mut pem: &[u8]) -> std::io::Result<Trust> {
    let before = roots.len();
    for certificate in rustls_pemfile::certs(&mut pem) {
        roots.add(certificate?).map_err(std::io::Error::other)?;
    }
    if roots.len() == before {
        return Err(std::io::Error::other("no certificate in it"));
    }
    Ok(Arc::new(builder()?.with_root_certificates(roots).with_no_client_auth()))
}

/// Nobody: for upstreams without TLS.
///
/// # Errors
/// The crypto provider lacks a protocol version; it does not.
pub(super) fn no_trust() -> std::io::Result<Trust> {
    Ok(Arc::new(
        builder()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    ))
}

fn builder() -> std::io::Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)
}
