//! Who is who: certificates of both sides, and the gateway that a client's certificate names.

use crate::engine::config::Confidential;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// In the certificate of a processor, before `<namespace>/<name>` of its Gateway.
const GATEWAY: &str = "mcp-manifold://gateway/";

/// What one side shows and whom it trusts; all PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Authorities of the other side; more than one while they are being replaced.
    pub ca: Arc<str>,
    /// The certificate, and those above it.
    pub certificate: Arc<str>,
    /// Its private key.
    pub key: Confidential,
}

/// Why an identity is of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not PEM, or nothing of the kind in it.
    #[error("{0} is not PEM, or holds none")]
    NotPem(&'static str),
    /// No authority that can be used.
    #[error("the certificate authority cannot be used: {0}")]
    Authority(String),
    /// Certificate and key do not belong together, or are of an unknown kind.
    #[error("certificate and key cannot be used: {0}")]
    Pair(#[source] rustls::Error),
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Identity(not shown)")
    }
}

/// Takes the connections of clients that an authority of ours has signed. Only TLS 1.3, nothing is resumed: a client
/// shows its certificate each time.
pub(super) fn acceptor(identity: &Identity) -> Result<TlsAcceptor, IdentityError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::Pair)?
        .with_client_cert_verifier(verifier(identity, provider)?)
        .with_single_cert(chain(&identity.certificate)?, key(&identity.key)?)
        .map_err(IdentityError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A client that was let in, as it showed itself.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    chain: Arc<[CertificateDer<'static>]>,
}

impl Peer {
    /// With the certificates that it showed in the handshake.
    pub(super) fn new(chain: &[CertificateDer<'_>]) -> Self {
        Self {
            chain: chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
        }
    }

    /// `<namespace>/<name>` of the Gateway that it may follow; `None`: its certificate names none, or several.
    pub(super) fn gateway(&self) -> Option<Arc<str>> {
        gateway(self.chain.first()?)
    }

    /// Whether it would be let in now: authorities come and go, certificates expire.
    pub(super) fn is_trusted(&self, identity: &Identity) -> bool {
        let Some((own, above)) = self.chain.split_first() else {
            return false;
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        verifier(identity, provider)
            .is_ok_and(|verifier| verifier.verify_client_cert(own, above, UnixTime::now()).is_ok())
    }
}

fn verifier(identity: &Identity, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(&identity.ca)?), provider)
        .build()
        .map_err(|error| IdentityError::Authority(error.to_string()))
}

/// `<namespace>/<name>` of the Gateway in a verified client certificate; `None`: it names none, or several.
fn gateway(certificate: &CertificateDer<'_>) -> Option<Arc<str>> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate
        .valid_uri_names()
        .filter_map(|uri| uri.strip_prefix(GATEWAY));
    let place = names.next()?;
    let (namespace, name) = place.split_once('/')?;
    let plain = |text: &str| !text.is_empty() && !text.contains('/');
    (names.next().is_none() && plain(namespace) && plain(name)).then(|| place.into())
}

fn authorities(pem: &str) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, "the certificate authority")? {
        roots
            .add(certificate)
            .map_err(|error| IdentityError::Authority(error.to_string()))?;
    }
    Ok(roots)
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    certificates(pem, "the certificate")
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let all: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem.as_bytes()).collect();
    all.ok()
        .filter(|all| !all.is_empty())
        .ok_or(IdentityError::NotPem(what))
}

fn key(pem: &Confidential) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let found = rustls_pemfile::private_key(&mut pem.0.as_bytes());
    found.ok().flatten().ok_or(IdentityError::NotPem("the private key"))
}
