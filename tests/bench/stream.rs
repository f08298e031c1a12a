//! Whole exchanges through the gRPC service, as messages of Envoy in bytes: decoding, driver, engine, encoding, audit
//! line and metrics. What is left out is HTTP/2 and the kernel.

use crate::gateway::{Gateway, Guard, NOW, Story, response_headers};
use crate::guards;
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, Metadata};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Said;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Reply;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse, ProtocolConfiguration,
};
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use mcp_manifold::edge::extproc::{Admission, Asked, Backroom, Budget, CallStream, Gate, HubStream, Mail, Processor};
use mcp_manifold::edge::identity::Passwords;
use mcp_manifold::edge::identity::passwords::Look;
use mcp_manifold::edge::telemetry::{AuditLog, Metrics, Telemetry};
use mcp_manifold::edge::throttle::{Counted, Throttle, Verdict};
use mcp_manifold::engine::config::AuditTarget;
use mcp_manifold::engine::exchange::event::Refusal;
use mcp_manifold::engine::exchange::step::{Attended, Call, Listen, Notice, ParkKey, Question, SessionRef};
use mcp_manifold::engine::exchange::{Finding, Parked, Record};
use mcp_manifold::engine::mcp::trace::Ratio;
use mcp_manifold::engine::policy::Claims;
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
    throttle: Throttle,
    passwords: Passwords,
    /// For passwords that are not known yet.
    runtime: tokio::runtime::Runtime,
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
        if let Question::Compare(claimed) = question {
            return Asked::Now(Finding::Compared(match self.passwords.compare(claimed) {
                Look::Now(compared) => compared,
                Look::Later(later) => self.runtime.block_on(later),
            }));
        }
        if let Question::Admit(charges) = question {
            let Counted::Now(Verdict::Admitted(quota)) = self.throttle.admit(charges) else {
                panic!("a bucket is empty");
            };
            return Asked::Now(Finding::Admitted(quota));
        }
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

/// A gateway under this guard.
pub(crate) fn front(guard: &Guard) -> Front {
    let gateway = Gateway::guarded(guard);
    let throttle = Throttle::default();
    for endpoint in &gateway.snapshot.endpoints {
        throttle
            .follow(&endpoint.rate_limits, None)
            .expect("there is no service");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let audit = AuditLog::start(&AuditTarget::File("/dev/null".into())).expect("it can always be written to");
    let room = Room {
        gateway,
        throttle,
        passwords: Passwords::new(runtime.handle().clone()),
        runtime,
        gate: Arc::new(Gate::new(100)),
        bodies: Budget::new(1 << 20),
        replay: Budget::new(1 << 20),
        telemetry: Telemetry::new(audit, Metrics::new()),
    };
    Processor::new(Arc::new(room))
}

/// One ext_proc stream as an HTTP request; `claims`: of a verified token, or none.
pub(crate) fn request(gateway: &Gateway, story: Story, claims: &Claims) -> http::Request<Body> {
    let mut body = Vec::new();
    let source = ("source.address", "127.0.0.1:40312");
    frame(
        &mut body,
        Said::RequestHeaders(head(gateway.request_headers(story))),
        Some(source),
        claims,
    );
    let none = Claims::new();
    let said = Said::RequestBody(HttpBody {
        body: story.body().as_bytes().to_vec(),
        end_of_stream: true,
        ..Default::default()
    });
    frame(&mut body, said, None, &none);
    if story == Story::ToolsCall {
        let details = ("response.code_details", "via_upstream");
        frame(
            &mut body,
            Said::ResponseHeaders(head(response_headers())),
            Some(details),
            &none,
        );
    }
    http::Request::post("http://processor/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(Bytes::from(body))))
        .expect("a request")
}

/// Plays one stream to its end, which must be a clean one; how many bytes we said.
pub(crate) fn play(front: &mut Front, request: http::Request<Body>) -> usize {
    let mut length = 0;
    listen(front, request, |piece| length += piece.len());
    length
}

/// Panics unless a stream goes as its story should: the call is forwarded, a list has so many tools.
pub(crate) fn check(front: &mut Front, request: http::Request<Body>, story: Story, tools: usize) {
    let mut said = Vec::new();
    listen(front, request, |piece| said.extend_from_slice(&piece));
    let length = said.get(1..5).and_then(|length| length.try_into().ok());
    let length = u32::from_be_bytes(length.expect("a message")) as usize;
    let first = ProcessingResponse::decode(said.get(5..5 + length).expect("the whole of it")).expect("a message");
    let good = match &first.response {
        Some(Reply::ImmediateResponse(answer)) => {
            let found = answer
                .body
                .windows(13)
                .filter(|piece| piece == br#""inputSchema""#)
                .count();
            let whole = story != Story::ToolsList || found == tools;
            story != Story::ToolsCall && answer.status.is_some_and(|status| status.code == 200) && whole
        }
        Some(Reply::RequestHeaders(_)) => story == Story::ToolsCall,
        _ => false,
    };
    assert!(good, "{} goes another way: {:?}", story.method(), first.response);
}

fn listen(front: &mut Front, request: http::Request<Body>, mut heard: impl FnMut(Bytes)) {
    let response = front.call(request).now_or_never().expect("nothing to wait for");
    let mut body = response.expect("the service is infallible").into_body();
    let mut clean = false;
    while let Some(frame) = body.frame().now_or_never().expect("nothing to wait for") {
        let frame = frame.expect("no error");
        let status = frame.trailers_ref().and_then(|trailers| trailers.get("grpc-status"));
        clean = status.is_some_and(|status| status == "0");
        if let Ok(piece) = black_box(frame).into_data() {
            heard(piece);
        }
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
fn frame(out: &mut Vec<u8>, said: Said, attribute: Option<(&str, &str)>, claims: &Claims) {
    let attributes = attribute.map(|(name, text)| {
        let kind = Some(Kind::StringValue(text.to_owned()));
        let fields = HashMap::from([(name.to_owned(), Value { kind })]);
        ("envoy.filters.http.ext_proc".to_owned(), Struct { fields })
    });
    let modes = ProtocolConfiguration {
        request_body_mode: BodySendMode::FullDuplexStreamed.into(),
        ..Default::default()
    };
    let metadata = (!claims.is_empty()).then(|| Metadata {
        filter_metadata: guards::metadata(claims),
        ..Default::default()
    });
    let message = ProcessingRequest {
        request: Some(said),
        metadata_context: metadata,
        attributes: attributes.into_iter().collect(),
        protocol_config: out.is_empty().then_some(modes),
        ..Default::default()
    };
    let length = u32::try_from(message.encoded_len()).expect("a small message");
    out.push(0);
    out.extend(length.to_be_bytes());
    message.encode(out).expect("a Vec takes any message");
}
