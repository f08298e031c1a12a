//! One probe on its way: an HTTP/1.1 connection to a pod of Envoy, a request, what the answer says.
//!
//! The certificate of an HTTPS listener is not looked at: it is for the names of clients, and what is asked here is
//! whether our own data plane refuses us.

use crate::edge::kube::objects::Probe;
use crate::edge::kube::plan::Door;
use crate::engine::exchange::{ROUTE_MISSING, ROUTE_REFUSED};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, crypto};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The processor's refusals are far shorter.
const LONGEST: usize = 4096;
/// No endpoint takes it.
const ORIGIN: &str = "https://probe.mcp-manifold.invalid";
/// The header that names an upstream.
const UPSTREAM: &str = "x-mcp-upstream";
/// Should it come to a server after all: a batch, which none takes.
const BODY: &[u8] = b"[]";

/// An open connection.
pub(super) struct Line {
    send: SendRequest<Full<Bytes>>,
    authority: String,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The processor, on a route that is no endpoint's.
    Guarded,
    /// The processor, on a public route.
    Public,
    /// Somebody else, with this status.
    Other(u16),
    /// Nobody, for this reason.
    Nothing(String),
}

// === impl Line ===

impl Line {
    /// Connects. The error is a sentence.
    pub(super) async fn open(address: SocketAddr, door: &Door) -> Result<Self, String> {
        let connect = async {
            let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            if !door.tls {
                return handshake(stream).await;
            }
            let name = ServerName::try_from(door.host.to_string()).map_err(|error| error.to_string())?;
            let stream = connector()
                .connect(name, stream)
                .await
                .map_err(|error| error.to_string())?;
            handshake(stream).await
        };
        let send = match tokio::time::timeout(PATIENCE, connect).await {
            Ok(Ok(send)) => send,
            Ok(Err(reason)) => return Err(format!("no connection to Envoy at {address}: {reason}")),
            Err(_) => {
                return Err(format!(
                    "no connection to Envoy at {address} in {} s",
                    PATIENCE.as_secs()
                ));
            }
        };
        let usual = if door.tls { 443 } else { 80 };
        let authority = match door.port == usual {
            true => door.host.to_string(),
            false => format!("{}:{}", door.host, door.port),
        };
        Ok(Self { send, authority })
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (send, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // It ends with `send`, or with Envoy.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(send)
}

/// Asks for a route; for none, where no upstream is named. The connection comes back where it can be used again.
pub(super) async fn ask(mut line: Line, probe: &Probe, upstream: Option<&str>) -> (Answer, Option<Line>) {
    let request = match request(&line.authority, probe, upstream) {
        Ok(request) => request,
        Err(error) => {
            return (
                Answer::Nothing(format!("no such request can be made: {error}")),
                Some(line),
            );
        }
    };
    let exchange = async {
        line.send.ready().await?;
        let response = line.send.send_request(request).await?;
        Ok::<_, hyper::Error>(response)
    };
    let response = match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return (Answer::Nothing(format!("no answer of Envoy: {error}")), None),
        Err(_) => return (Answer::Nothing("no answer of Envoy in time".to_owned()), None),
    };
    let status = response.status().as_u16();
    // A stream of events never ends: whoever sends one is not the processor.
    let body = tokio::time::timeout(PATIENCE, Limited::new(response.into_body(), LONGEST).collect()).await;
    match body {
        Ok(Ok(body)) => (read(status, &body.to_bytes()), Some(line)),
        Ok(Err(_)) | Err(_) => (Answer::Other(status), None),
    }
}

fn request(authority: &str, probe: &Probe, upstream: Option<&str>) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut request = Request::builder()
        .method(probe.method.as_str())
        .uri(&probe.path)
        .header(header::HOST, authority)
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header(header::USER_AGENT, "mcp-manifold/controller");
    for (name, value) in &probe.headers {
        if upstream.is_some() || !name.eq_ignore_ascii_case(UPSTREAM) {
            request = request.header(name, value);
        }
    }
    request.body(Full::new(Bytes::from_static(BODY)))
}

fn read(status: u16, body: &[u8]) -> Answer {
    let message: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = message
        .as_ref()
        .and_then(|message| message.pointer("/error/message")?.as_str());
    match (status, said) {
        (403, Some(ROUTE_REFUSED)) => Answer::Guarded,
        (403, Some(ROUTE_MISSING)) => Answer::Public,
        (_, _) => Answer::Other(status),
    }
}

fn connector() -> TlsConnector {
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring knows the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// See the module. Signatures are still checked: whoever answers holds the key.
#[derive(Debug)]
struct AnyCertificate(Arc<crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
