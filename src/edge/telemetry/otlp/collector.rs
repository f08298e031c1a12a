//! The other end: one gRPC connection, made when first needed, and what is done about a collector that does not listen.

use super::proto::{
    KeyValue, Metric, MetricsRequest, MetricsResponse, Resource, ResourceMetrics, ResourceSpans, Scope, ScopeMetrics,
    ScopeSpans, Span, TraceRequest, TraceResponse,
};
use super::span::text;
use crate::engine::config::Authority;
use prost::Message;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tracing::{info, warn};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Until a collector must have taken a request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses between attempts: spans outlive a collector that is being replaced.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Why there is no collector to connect to.
#[derive(Debug, thiserror::Error)]
pub enum NoCollector {
    /// There is no such address, or it cannot be trusted.
    #[error("not an address, or no certificate in what is to be trusted")]
    Address(#[from] tonic::transport::Error),
    /// The certificate authority's file is of no use.
    #[error("ca: {}: {cause}", .file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It could not be verified.
    #[error("is https, and no system certificates were found: set telemetry.ca, or SSL_CERT_FILE")]
    NoRoots,
}

/// The client of one collector.
pub(super) struct Collector {
    address: String,
    channel: Channel,
    resource: Resource,
    /// It did not listen last time; told once when that changes.
    deaf: AtomicBool,
}

impl Collector {
    /// Connects when there is something to send.
    pub(super) fn new(address: &url::Url, ca: Option<&Authority>, roots: Option<&Path>) -> Result<Self, NoCollector> {
        let endpoint = Endpoint::from_shared(address.to_string())?;
        let endpoint = match (address.scheme(), address.host_str()) {
            ("https", Some(host)) => endpoint.tls_config(
                ClientTlsConfig::new()
                    .domain_name(host.trim_start_matches('[').trim_end_matches(']'))
                    .ca_certificate(Certificate::from_pem(authority(ca, roots)?)),
            )?,
            (_, _) => endpoint,
        };
        let endpoint = endpoint
            .connect_timeout(TIMEOUT)
            .http2_keep_alive_interval(TIMEOUT)
            .keep_alive_timeout(TIMEOUT);
        let instance = format!("{:032x}", rand::random::<u128>());
        Ok(Self {
            address: address.to_string(),
            channel: endpoint.connect_lazy(),
            resource: Resource {
                attributes: vec![
                    attribute("service.name", env!("CARGO_PKG_NAME")),
                    attribute("service.version", env!("CARGO_PKG_VERSION")),
                    attribute("service.instance.id", &instance),
                ],
            },
            deaf: AtomicBool::new(false),
        })
    }

    /// How many of them it has taken.
    pub(super) async fn send_spans(&self, spans: &[Span]) -> u64 {
        let request = || TraceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope()),
                    spans: spans.to_vec(),
                }],
            }],
        };
        let mut pauses = PAUSES.into_iter();
        loop {
            let answer: Result<TraceResponse, Status> = self.export(TRACES, request()).await;
            match (answer, pauses.next()) {
                (Ok(answer), _) => {
                    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
                    return (spans.len() as u64).saturating_sub(rejected.try_into().unwrap_or(0));
                }
                (Err(status), Some(pause)) if may_pass(status.code()) => tokio::time::sleep(pause).await,
                (Err(_), _) => return 0,
            }
        }
    }

    /// Not said again where it fails: the next ones say more.
    pub(super) async fn send_metrics(&self, metrics: Vec<Metric>) {
        let request = MetricsRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope()),
                    metrics,
                }],
            }],
        };
        let _told: Result<MetricsResponse, Status> = self.export(METRICS, request).await;
    }

    async fn export<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let exchange = async {
            let mut grpc = Grpc::new(self.channel.clone());
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(Request::new(request), PathAndQuery::from_static(path), codec);
            answer.await.map(tonic::Response::into_inner)
        };
        let answer = match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        };
        self.tell(answer.as_ref().err());
        answer
    }

    fn tell(&self, failure: Option<&Status>) {
        if self.deaf.swap(failure.is_some(), Relaxed) == failure.is_some() {
            return;
        }
        let address = &self.address;
        match failure {
            None => info!(address, "The collector listens again."),
            Some(status) => warn!(
                address,
                code = ?status.code(),
                error = status.message(),
                "The collector does not take spans and metrics; what it does not take in time is dropped."
            ),
        }
    }
}

/// PEM text of whom to trust.
fn authority(ca: Option<&Authority>, roots: Option<&Path>) -> Result<Vec<u8>, NoCollector> {
    let file = match ca {
        Some(Authority::File(file)) => file,
        Some(Authority::Pem(text) | Authority::Added(text)) => return Ok(text.as_bytes().to_vec()),
        None => roots.ok_or(NoCollector::NoRoots)?,
    };
    std::fs::read(file).map_err(|cause| NoCollector::Authority {
        file: file.to_owned(),
        cause,
    })
}

/// Whether the same request may be taken later (OTLP, Failures).
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted
    )
}

fn scope() -> Scope {
    Scope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    text(key, value)
}
