//! Envoy, played by the test: one stream of it, what it says, and what it hears, in short.

use super::scripted::Scripted;
use crate::edge::extproc::backroom::Backroom;
use crate::edge::extproc::decode::decode;
use crate::edge::extproc::driver::{Driver, Received, State};
use crate::edge::extproc::encode::encode;
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::session::{Claims, SessionKey, Timestamp};
use crate::engine::snapshot::Snapshot;
use crate::engine::snapshot::testing::two_upstreams;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::streamed_immediate_response::Response as Streamed;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProcessingResponse, ProtocolConfiguration,
};
use futures_util::stream::{Stream, poll_fn};
use prost::Message as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::mpsc;
use tonic::Status;

type Inbound = Pin<Box<dyn Stream<Item = Received> + Send>>;
type Polled = Poll<Option<Result<ProcessingResponse, Status>>>;

fn over_the_wire(message: &ProcessingRequest) -> Received {
    Ok(decode(&message.encode_to_vec().into()))
}

/// One stream between a played Envoy and the driver.
pub(super) struct Stage {
    pub(super) backroom: Arc<Scripted>,
    envoy: Option<mpsc::UnboundedSender<ProcessingRequest>>,
    driver: Driver<Scripted, Inbound>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(two_upstreams())
    }

    pub(super) fn with(snapshot: Arc<Snapshot>) -> Self {
        let backroom = Arc::new(Scripted::new(snapshot));
        let (envoy, mut messages) = mpsc::unbounded_channel();
        let inbound: Inbound = Box::pin(poll_fn(move |context| {
            messages.poll_recv(context).map(|next| next.as_ref().map(over_the_wire))
        }));
        Self {
            driver: Driver::new(Arc::clone(&backroom), inbound, None),
            backroom,
            envoy: Some(envoy),
        }
    }

    pub(super) fn say(&self, message: ProcessingRequest) {
        if let Some(envoy) = &self.envoy {
            envoy.send(message).expect("the driver keeps its end");
        }
    }

    /// Envoy closes the stream.
    pub(super) fn leave(&mut self) {
        self.envoy = None;
    }

    pub(super) fn poll(&mut self) -> Polled {
        let polled = Pin::new(&mut self.driver).poll_next(&mut Context::from_waker(Waker::noop()));
        polled.map_ok(|reply| {
            let mut bytes = Vec::new();
            encode(&reply, &mut bytes);
            ProcessingResponse::decode(bytes.as_slice()).expect("Envoy can read it")
        })
    }

    /// All replies at hand, in short. Leaves the end, if it is there, to [`Stage::ending`].
    pub(super) fn replies(&mut self) -> Vec<String> {
        let mut replies = Vec::new();
        let context = &mut Context::from_waker(Waker::noop());
        while self.driver.poll_ready(context).is_ready() && self.driver.has_reply() {
            if let Poll::Ready(Some(Ok(reply))) = self.poll() {
                replies.push(short(&reply));
            }
        }
        replies
    }

    /// How the stream ended; `None`: it did not, or there was one more reply.
    pub(super) fn ending(&mut self) -> Option<Result<(), tonic::Code>> {
        match self.poll() {
            Poll::Pending | Poll::Ready(Some(Ok(_))) => None,
            Poll::Ready(None) => Some(Ok(())),
            Poll::Ready(Some(Err(status))) => Some(Err(status.code())),
        }
    }

    /// Drops the stream, as tonic does when Envoy resets it.
    pub(super) fn close(self) -> Arc<Scripted> {
        drop(self.driver);
        self.backroom
    }
}

impl<B: Backroom, S> Driver<B, S> {
    fn has_reply(&self) -> bool {
        matches!(&self.state, State::Open(live) if live.has_reply())
    }
}

// === what Envoy says ===

pub(super) fn message(request: Request) -> ProcessingRequest {
    ProcessingRequest {
        request: Some(request),
        protocol_config: Some(modes(4, 0)),
        ..Default::default()
    }
}

pub(super) fn modes(request: i32, response: i32) -> ProtocolConfiguration {
    ProtocolConfiguration {
        request_body_mode: request,
        response_body_mode: response,
        ..Default::default()
    }
}

fn headers(pairs: &[(&str, &str)], end: bool) -> HttpHeaders {
    let headers = pairs
        .iter()
        .map(|(key, value)| HeaderValue {
            key: (*key).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..Default::default()
        })
        .collect();
    HttpHeaders {
        headers: Some(HeaderMap { headers }),
        end_of_stream: end,
        ..Default::default()
    }
}

pub(super) fn head(method: &str, end: bool) -> ProcessingRequest {
    let pairs = [
        (":method", method),
        (":path", "/mcp"),
        (":authority", "127.0.0.1:8001"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    message(Request::RequestHeaders(headers(&pairs, end)))
}

/// A POST in a session whose client can be asked.
pub(super) fn head_in_session(snapshot: &Snapshot) -> ProcessingRequest {
    let endpoint = snapshot.endpoints.first().expect("an endpoint");
    let id = endpoint.keys.sign(&Claims {
        flags: ClientFlags::from_bits(7),
        version: Version::V2025_11_25,
        endpoint: endpoint.hash,
        key: SessionKey(42),
        expires: Timestamp(1_900_000_000_000),
        principal: 0,
    });
    let pairs = [
        (":method", "POST"),
        (":path", "/mcp"),
        (":authority", "127.0.0.1:8001"),
        ("content-type", "application/json"),
        ("mcp-session-id", id.as_str()),
    ];
    message(Request::RequestHeaders(headers(&pairs, false)))
}

pub(super) fn body(text: &str, end: bool) -> ProcessingRequest {
    message(Request::RequestBody(http_body(text, end)))
}

pub(super) fn trailers() -> ProcessingRequest {
    message(Request::RequestTrailers(HttpTrailers::default()))
}

pub(super) fn response_head(status: u16) -> ProcessingRequest {
    let status = status.to_string();
    let pairs = [(":status", status.as_str()), ("content-type", "application/json")];
    message(Request::ResponseHeaders(headers(&pairs, false)))
}

/// The head of an answer that is an event stream.
pub(super) fn event_stream_head() -> ProcessingRequest {
    let pairs = [(":status", "200"), ("content-type", "text/event-stream")];
    message(Request::ResponseHeaders(headers(&pairs, false)))
}

pub(super) fn response_body(text: &str, end: bool) -> ProcessingRequest {
    message(Request::ResponseBody(http_body(text, end)))
}

pub(super) fn response_trailers() -> ProcessingRequest {
    message(Request::ResponseTrailers(HttpTrailers::default()))
}

fn http_body(text: &str, end: bool) -> HttpBody {
    HttpBody {
        body: text.as_bytes().to_vec(),
        end_of_stream: end,
        ..Default::default()
    }
}

// === what it hears, in short ===

pub(super) fn short(reply: &ProcessingResponse) -> String {
    match reply.response.as_ref().expect("every reply says something") {
        Response::RequestHeaders(_) => "request headers".to_owned(),
        Response::ResponseHeaders(_) => "response headers".to_owned(),
        Response::RequestBody(body) => short_body("request body", body),
        Response::ResponseBody(body) => short_body("response body", body),
        Response::RequestTrailers(_) => "request trailers".to_owned(),
        Response::ResponseTrailers(_) => "response trailers".to_owned(),
        Response::ImmediateResponse(answer) => {
            format!("immediate {}", answer.status.as_ref().map_or(0, |status| status.code))
        }
        Response::StreamedImmediateResponse(streamed) => match streamed.response.as_ref().expect("says something") {
            Streamed::HeadersResponse(_) => "stream head".to_owned(),
            Streamed::BodyResponse(piece) if piece.end_of_stream => "stream piece, end".to_owned(),
            Streamed::BodyResponse(_) => "stream piece".to_owned(),
            Streamed::TrailersResponse(_) => "stream trailers".to_owned(),
        },
    }
}

fn short_body(name: &str, body: &BodyResponse) -> String {
    let mutation = body.response.as_ref().and_then(|common| common.body_mutation.as_ref());
    match mutation.and_then(|mutation| mutation.mutation.as_ref()) {
        Some(Mutation::StreamedResponse(piece)) if piece.end_of_stream => format!("{name}, end"),
        Some(Mutation::StreamedResponse(_)) => name.to_owned(),
        Some(Mutation::Body(_) | Mutation::ClearBody(_)) | None => format!("{name}, whole"),
    }
}
