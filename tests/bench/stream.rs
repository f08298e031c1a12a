//! Whole exchanges through the gRPC service, as messages of Envoy in bytes: decoding, driver, engine, encoding, audit
//! line and metrics. What is left out is HTTP/2 and the kernel.

use crate::gateway::{Gateway, NOW, Story, response_headers};
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Said;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, ProcessingRequest, ProtocolConfiguration};
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use mcp_manifold::edge::extproc::{Admission, Asked, Backroom, Budget, CallStream, Gate, HubStream, Mail, Processor};
use mcp_manifold::edge::telemetry::{AuditLog, Metrics, Telemetry};
use mcp_manifold::engine::config::AuditTarget;
use mcp_manifold::engine::exchange::event::Refusal;
use mcp_manifold::engine::exchange::step::{Attended, Call, Listen, Notice, ParkKey, Question, SessionRef};
use mcp_manifold::engine::exchange::{Parked, Record};
use mcp_manifold::engine::mcp::trace::Ratio;
use mcp_manifold::engine::session::{SessionKey, Subscription, Timestamp, Wanted};
use mcp_manifold::engine::snapshot::Snapshot;
use prost::Message;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tonic::body::Body;
use tower_service::Service;

/// The service that Envoy calls.
pub(crate) type Front = Processor<Room>;

/// What the processor asks, answered at once.
pub(crate) struct Room {
    gateway: Gateway,
    gate: Arc<Gate>,
    bodies: Budget,
    replay: Budget,
    telemetry: Telemetry,
}

impl Backroom for Room {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.gateway.snapshot)
    }
    fn admit(&self) -> Result<Admission, Refusal> {
        self.gate.admit()
    }
    fn now(&self) -> Timestamp {
        NOW
    }
    fn entropy(&self) -> u128 {
        7
    }
    fn traces(&self) -> Option<Ratio> {
        None
    }
    fn ask(&self, question: Question) -> Asked {
        Asked::Now(self.gateway.finding(&question))
    }
    fn call(&self, _call: Call) -> CallStream {
        Box::pin(futures_util::stream::empty())
    }
    fn outlive(&self, _call: CallStream, _cancelled: Option<Mail>) {}
    fn expect(&self, _session: SessionKey, _id: &str) -> Mail {
        Box::pin(std::future::pending())
    }
    fn watch(&self, _session: SessionKey, _id: &str) -> Mail {
        Box::pin(std::future::pending())
    }

    fn attend(&self, attended: Attended) -> CallStream {
        self.call(attended.call)
    }
    fn park(&self, _key: ParkKey, _parked: Box<Parked>, _call: Option<CallStream>) {}
    fn resume(&self, _key: ParkKey) -> Option<(Box<Parked>, Option<CallStream>)> {
        None
    }
    fn listen(&self, _subscription: Listen) -> HubStream {
        Box::pin(futures_util::stream::pending())
    }

    fn notify(&self, _notice: Notice) {}
    fn subscribe(&self, _session: SessionRef, _subscription: Subscription, _wanted: Wanted) {}
    fn record(&self, record: &Record, elapsed: Duration) {
        self.telemetry.record(record, elapsed);
    }
    fn bodies(&self) -> &Budget {
        &self.bodies
    }
    fn replay(&self) -> &Budget {
        &self.replay
    }
}

pub(crate) fn front() -> Front {
    let audit = AuditLog::start(&AuditTarget::File("/dev/null".into())).expect("it can always be written to");
    let room = Room {
        gateway: Gateway::new(),
        gate: Arc::new(Gate::new(100)),
        bodies: Budget::new(1 << 20),
        replay: Budget::new(1 << 20),
        telemetry: Telemetry::new(audit, Metrics::new()),
    };
    Processor::new(Arc::new(room))
}

/// One ext_proc stream as an HTTP request.
pub(crate) fn request(gateway: &Gateway, story: Story) -> http::Request<Body> {
    let mut body = Vec::new();
    let source = ("source.address", "127.0.0.1:40312");
    frame(
        &mut body,
        Said::RequestHeaders(head(gateway.request_headers(story))),
        Some(source),
    );
    let said = Said::RequestBody(HttpBody {
        body: story.body().as_bytes().to_vec(),
        end_of_stream: true,
        ..Default::default()
    });
    frame(&mut body, said, None);
    if story == Story::ToolsCall {
        let details = ("response.code_details", "via_upstream");
        frame(
            &mut body,
            Said::ResponseHeaders(head(response_headers())),
            Some(details),
        );
    }
    http::Request::post("http://processor/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(Bytes::from(body))))
        .expect("a request")
}

/// Plays one stream to its end, which must be a clean one.
pub(crate) fn play(front: &mut Front, request: http::Request<Body>) {
    let response = front.call(request).now_or_never().expect("nothing to wait for");
    let mut body = response.expect("the service is infallible").into_body();
    let mut clean = false;
    while let Some(frame) = body.frame().now_or_never().expect("nothing to wait for") {
        let frame = black_box(frame.expect("no error"));
        let status = frame.trailers_ref().and_then(|trailers| trailers.get("grpc-status"));
        clean = status.is_some_and(|status| status == "0");
    }
    assert!(clean, "the exchange was decided");
}

fn head(pairs: Vec<(&'static str, String)>) -> HttpHeaders {
    let header = |(name, value): (&str, String)| HeaderValue {
        key: name.to_owned(),
        raw_value: value.into_bytes(),
        ..Default::default()
    };
    HttpHeaders {
        headers: Some(HeaderMap {
            headers: pairs.into_iter().map(header).collect(),
        }),
        ..Default::default()
    }
}

/// One message with its gRPC prefix. The first one tells the modes.
fn frame(out: &mut Vec<u8>, said: Said, attribute: Option<(&str, &str)>) {
    let attributes = attribute.map(|(name, text)| {
        let kind = Some(Kind::StringValue(text.to_owned()));
        let fields = HashMap::from([(name.to_owned(), Value { kind })]);
        ("envoy.filters.http.ext_proc".to_owned(), Struct { fields })
    });
    let modes = ProtocolConfiguration {
        request_body_mode: BodySendMode::FullDuplexStreamed.into(),
        ..Default::default()
    };
    let message = ProcessingRequest {
        request: Some(said),
        attributes: attributes.into_iter().collect(),
        protocol_config: out.is_empty().then_some(modes),
        ..Default::default()
    };
    let length = u32::try_from(message.encoded_len()).expect("a small message");
    out.push(0);
    out.extend(length.to_be_bytes());
    message.encode(out).expect("a Vec takes any message");
}
