//! Envoy's side of the connection.

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse, ProtocolConfiguration,
};
use futures_util::stream::poll_fn;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// One connection, as one worker of Envoy has it.
#[derive(Clone)]
pub(crate) struct Envoy(Channel);

impl Envoy {
    pub(crate) async fn connect(socket: &Path) -> Self {
        let endpoint = Endpoint::try_from(format!("unix:{}", socket.display())).expect("an address");
        Self(endpoint.connect().await.expect("somebody listens"))
    }

    pub(crate) async fn connect_port(port: u16) -> Self {
        let endpoint = Endpoint::try_from(format!("http://127.0.0.1:{port}")).expect("an address");
        Self(endpoint.connect().await.expect("somebody listens"))
    }

    /// Opens a stream and says `first`.
    pub(crate) async fn stream(&self, first: ProcessingRequest) -> Exchange {
        let (say, mut messages) = mpsc::unbounded_channel();
        say.send(first).expect("open");
        let mut client = ExternalProcessorClient::new(self.0.clone());
        let opening = tokio::spawn(async move {
            let outbound = poll_fn(move |context| messages.poll_recv(context));
            client.process(outbound).await.map(tonic::Response::into_inner)
        });
        Exchange {
            say: Some(say),
            hear: Hearing::Opening(opening),
        }
    }

    pub(crate) async fn is_serving(&self) -> bool {
        let request = HealthCheckRequest { service: String::new() };
        let response = HealthClient::new(self.0.clone()).check(request).await.expect("known");
        response.into_inner().status() == ServingStatus::Serving
    }
}

/// One stream. The server's headers come with its first reply.
pub(crate) struct Exchange {
    say: Option<mpsc::UnboundedSender<ProcessingRequest>>,
    hear: Hearing,
}

enum Hearing {
    Opening(tokio::task::JoinHandle<Result<Streaming<ProcessingResponse>, Status>>),
    Open(Box<Streaming<ProcessingResponse>>),
}

impl Exchange {
    pub(crate) fn say(&self, message: ProcessingRequest) {
        if let Some(say) = &self.say {
            say.send(message).expect("the stream is open");
        }
    }

    /// The next reply; `None`: a clean end.
    pub(crate) async fn hear(&mut self) -> Result<Option<ProcessingResponse>, Status> {
        let hearing = async {
            if let Hearing::Opening(opening) = &mut self.hear {
                self.hear = Hearing::Open(Box::new(opening.await.expect("no panic")?));
            }
            match &mut self.hear {
                Hearing::Open(stream) => stream.message().await,
                Hearing::Opening(_) => unreachable!("opened above"),
            }
        };
        tokio::time::timeout(Duration::from_secs(20), hearing)
            .await
            .expect("something is heard in time")
    }

    /// Closes the stream.
    pub(crate) fn leave(&mut self) {
        self.say = None;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Hearing::Opening(opening) = &self.hear {
            opening.abort();
        }
    }
}

/// POST /mcp, the body follows.
pub(crate) fn head() -> ProcessingRequest {
    let pairs = [
        (":method", "POST"),
        (":path", "/mcp"),
        (":authority", "127.0.0.1"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let headers = pairs
        .iter()
        .map(|(key, value)| HeaderValue {
            key: (*key).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..Default::default()
        })
        .collect();
    let head = HttpHeaders {
        headers: Some(HeaderMap { headers }),
        ..Default::default()
    };
    ProcessingRequest {
        request: Some(Request::RequestHeaders(head)),
        protocol_config: Some(ProtocolConfiguration {
            request_body_mode: 4,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A piece of body.
pub(crate) fn body(text: &str, end: bool) -> ProcessingRequest {
    let body = HttpBody {
        body: text.as_bytes().to_vec(),
        end_of_stream: end,
        ..Default::default()
    };
    ProcessingRequest {
        request: Some(Request::RequestBody(body)),
        ..Default::default()
    }
}

/// A reply in short: its kind, or what [`super::processors::Names`] says.
pub(crate) fn said(heard: &Result<Option<ProcessingResponse>, Status>) -> String {
    let reply = heard.as_ref().expect("no error").as_ref().expect("not ended");
    let kind = match reply.response.as_ref().expect("says something") {
        Response::RequestHeaders(_) => "request headers",
        Response::RequestBody(_) => "request body",
        Response::ImmediateResponse(answer) if answer.details.starts_with("ext_proc-") => &answer.details,
        Response::ImmediateResponse(_) => "immediate",
        Response::ResponseHeaders(_)
        | Response::ResponseBody(_)
        | Response::RequestTrailers(_)
        | Response::ResponseTrailers(_)
        | Response::StreamedImmediateResponse(_) => "something else",
    };
    kind.to_owned()
}
