//! A processor that does what the body of a request tells it: `to NAME`, `lie NAME`, `answer`, `leave`, `wait`.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Said;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Reply;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ImmediateResponse, ProcessingRequest,
    ProcessingResponse, StreamedBodyResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use futures_util::Stream;
use futures_util::stream::{self, StreamExt};
use mcp_manifold::edge::extproc::{Health, Listen, Listener, Server};
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;
use tonic::{Request, Response, Status, Streaming};

/// Opens the socket.
pub(crate) async fn bind(socket: &Path) -> Listener {
    let listen: Listen = format!("unix:{}", socket.display()).parse().expect("an address");
    listen.bind().await.expect("the socket is free")
}

/// Serves until `shutdown`.
pub(crate) async fn serve(listener: Listener, route_key: String, shutdown: impl Future<Output = ()>) {
    let server = Server {
        listeners: vec![listener],
        runtimes: NonZeroUsize::MIN,
        grace: Duration::from_secs(1),
        health: Health::default(),
    };
    server
        .run(ExternalProcessorServer::new(Obedient { route_key }), shutdown)
        .await
        .expect("the server ends well");
}

struct Obedient {
    route_key: String,
}

type Replies = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ExternalProcessor for Obedient {
    type ProcessStream = Replies;

    async fn process(&self, request: Request<Streaming<ProcessingRequest>>) -> Result<Response<Replies>, Status> {
        let mut inbound = request.into_inner();
        let head = inbound.message().await?.ok_or_else(|| Status::internal("no head"))?;
        let buffered = head
            .protocol_config
            .is_some_and(|modes| modes.request_body_mode == i32::from(BodySendMode::Buffered));
        // Under BUFFERED the body comes only after a reply to the headers.
        let go_on = buffered.then(|| Ok(reply(Reply::RequestHeaders(HeadersResponse::default()), None)));
        let route_key = self.route_key.clone();
        let decided = stream::once(async move {
            let heard = hear(&mut inbound).await;
            let later = inbound.filter_map(async |message| {
                let said = message.ok()?.request?;
                matches!(said, Said::ResponseHeaders(_)).then(|| Ok(pass()))
            });
            let Heard::Body(body) = heard else {
                return stream::once(async { Ok(pass()) }).chain(later).boxed();
            };
            match decide(body, &route_key) {
                None => stream::empty().boxed(),
                Some(replies) if replies.is_empty() => stream::pending().boxed(),
                Some(replies) => stream::iter(replies.into_iter().map(Ok)).chain(later).boxed(),
            }
        });
        Ok(Response::new(stream::iter(go_on).chain(decided.flatten()).boxed()))
    }
}

enum Heard {
    /// In full.
    Body(Vec<u8>),
    /// Envoy refused the request before its body was complete.
    Response,
}

async fn hear(inbound: &mut Streaming<ProcessingRequest>) -> Heard {
    let mut body = Vec::new();
    while let Ok(Some(message)) = inbound.message().await {
        if let Some(Said::ResponseHeaders(_)) = message.request {
            return Heard::Response;
        }
        let Some(Said::RequestBody(piece)) = message.request else {
            break;
        };
        body.extend(piece.body);
        if piece.end_of_stream {
            break;
        }
    }
    Heard::Body(body)
}

fn pass() -> ProcessingResponse {
    reply(Reply::ResponseHeaders(HeadersResponse::default()), None)
}

/// `None`: the stream ends without a word.
fn decide(body: Vec<u8>, route_key: &str) -> Option<Vec<ProcessingResponse>> {
    let text = String::from_utf8_lossy(&body).into_owned();
    let mut words = text.split(' ');
    match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
        ("to", name) => Some(forward(name, route_key, body)),
        ("lie", name) => Some(forward(name, "another key", body)),
        ("answer", _) => Some(vec![answer()]),
        ("leave", _) => None,
        _ => Some(Vec::new()),
    }
}

fn forward(name: &str, key: &str, body: Vec<u8>) -> Vec<ProcessingResponse> {
    let headers = CommonResponse {
        header_mutation: Some(HeaderMutation {
            set_headers: vec![
                set(":path", "/there?query=1"),
                set("x-mcp-upstream", name),
                set("x-mcp-route-key", key),
            ],
            remove_headers: Vec::new(),
        }),
        clear_route_cache: true,
        ..Default::default()
    };
    let chunk = StreamedBodyResponse {
        body,
        end_of_stream: true,
        ..Default::default()
    };
    let body = CommonResponse {
        body_mutation: Some(BodyMutation {
            mutation: Some(Mutation::StreamedResponse(chunk)),
        }),
        ..Default::default()
    };
    let headers = HeadersResponse {
        response: Some(headers),
    };
    let body = BodyResponse { response: Some(body) };
    vec![
        reply(Reply::RequestHeaders(headers), Some("7")),
        reply(Reply::RequestBody(body), None),
    ]
}

fn answer() -> ProcessingResponse {
    let answer = ImmediateResponse {
        status: Some(HttpStatus { code: 404 }),
        body: b"own words".to_vec(),
        ..Default::default()
    };
    let mut reply = reply(Reply::ImmediateResponse(answer), Some("7"));
    if let Some(Kind::StructValue(facts)) = reply
        .dynamic_metadata
        .as_mut()
        .and_then(|metadata| metadata.fields.get_mut("mcp.manifold"))
        .and_then(|value| value.kind.as_mut())
    {
        facts.fields.insert("answered".to_owned(), text("yes"));
    }
    reply
}

fn reply(response: Reply, id: Option<&str>) -> ProcessingResponse {
    let facts = id.map(|id| Struct {
        fields: [("id".to_owned(), text(id))].into(),
    });
    let metadata = facts.map(|facts| Struct {
        fields: [("mcp.manifold".to_owned(), value(Kind::StructValue(facts)))].into(),
    });
    ProcessingResponse {
        response: Some(response),
        dynamic_metadata: metadata,
        ..Default::default()
    }
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

fn set(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..Default::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}
