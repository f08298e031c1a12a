//! A no-op external processor of the same crates and on the same server as the gateway: the floor that `make bench`
//! compares with. It looks at nothing; it sends every request to one upstream, or answers every request itself.
//!
//! `noop --listen unix:/path [--runtimes N] [--upstream NAME] [--route-key KEY] [--path /mcp] [--answer-bytes N | --hold]`
//!
//! With `--work-stealing` it serves on one runtime that moves tasks between its threads: the arrangement that the
//! gateway does not use, to be compared with the one it does.

#![allow(missing_docs, reason = "a program, not a library")]

use clap::Parser;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Said;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Reply;
use envoy_types::pb::envoy::service::ext_proc::v3::streamed_immediate_response::Response as Streamed;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpHeaders, ImmediateResponse,
    ProcessingRequest, ProcessingResponse, StreamedBodyResponse, StreamedImmediateResponse, TrailersResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use futures_util::Stream;
use futures_util::stream::{poll_fn, unfold};
use mcp_manifold::edge::extproc::{Health, Listen, Listener, Server};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status, Streaming};

#[derive(Parser)]
struct Arguments {
    /// unix:/path or host:port
    #[arg(long)]
    listen: Listen,
    #[arg(long, default_value = "1")]
    runtimes: NonZeroUsize,
    /// One runtime with as many threads as `--runtimes` says, instead of as many runtimes.
    #[arg(long)]
    work_stealing: bool,
    /// Value of `x-mcp-upstream`.
    #[arg(long, default_value = "one")]
    upstream: String,
    /// Value of `x-mcp-route-key`.
    #[arg(long, default_value = "bench")]
    route_key: String,
    /// Value of `:path`.
    #[arg(long, default_value = "/mcp")]
    path: String,
    /// Answer with a body of this many bytes instead of forwarding.
    #[arg(long)]
    answer_bytes: Option<usize>,
    /// Answer with an event stream that stays open after its first event.
    #[arg(long)]
    hold: bool,
}

struct Noop {
    /// What every request is told.
    verdict: Arc<Verdict>,
}

enum Verdict {
    Forward(HeaderMutation),
    Answer(ImmediateResponse),
    Hold,
}

/// One stream: the body is kept until its end, as a gateway that reads bodies must.
struct Exchange {
    inbound: Streaming<ProcessingRequest>,
    verdict: Arc<Verdict>,
    body: Vec<u8>,
    outbox: VecDeque<Reply>,
    answered: bool,
}

#[tonic::async_trait]
impl ExternalProcessor for Noop {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let exchange = Exchange {
            inbound: request.into_inner(),
            verdict: Arc::clone(&self.verdict),
            body: Vec::new(),
            outbox: VecDeque::new(),
            answered: false,
        };
        Ok(Response::new(Box::pin(unfold(exchange, Exchange::next))))
    }
}

impl Exchange {
    async fn next(mut self) -> Option<(Result<ProcessingResponse, Status>, Self)> {
        loop {
            if let Some(reply) = self.outbox.pop_front() {
                let response = ProcessingResponse {
                    response: Some(reply),
                    ..Default::default()
                };
                return Some((Ok(response), self));
            }
            if self.answered {
                return None;
            }
            match self.inbound.message().await {
                Ok(Some(message)) => self.hear(message.request?),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::RequestHeaders(head) if head.end_of_stream => self.decide(None),
            Said::RequestHeaders(_) => {}
            Said::RequestBody(piece) => {
                self.body.extend_from_slice(&piece.body);
                if piece.end_of_stream {
                    let body = std::mem::take(&mut self.body);
                    self.decide(Some(body));
                }
            }
            Said::ResponseHeaders(_) => self
                .outbox
                .push_back(Reply::ResponseHeaders(HeadersResponse::default())),
            Said::ResponseBody(piece) => {
                let reply = chunk(piece.body, piece.end_of_stream);
                self.outbox.push_back(Reply::ResponseBody(reply));
            }
            Said::RequestTrailers(_) => {
                self.outbox
                    .push_back(Reply::RequestTrailers(TrailersResponse::default()));
            }
            Said::ResponseTrailers(_) => {
                self.outbox
                    .push_back(Reply::ResponseTrailers(TrailersResponse::default()));
            }
        }
    }

    fn decide(&mut self, body: Option<Vec<u8>>) {
        match &*self.verdict {
            Verdict::Answer(answer) => {
                self.outbox.push_back(Reply::ImmediateResponse(answer.clone()));
                self.answered = true;
            }
            Verdict::Hold => self.outbox.extend(held()),
            Verdict::Forward(mutation) => {
                let common = CommonResponse {
                    header_mutation: Some(mutation.clone()),
                    clear_route_cache: true,
                    ..Default::default()
                };
                let headers = HeadersResponse { response: Some(common) };
                self.outbox.push_back(Reply::RequestHeaders(headers));
                if let Some(body) = body {
                    self.outbox.push_back(Reply::RequestBody(chunk(body, true)));
                }
            }
        }
    }
}

fn chunk(body: Vec<u8>, end: bool) -> BodyResponse {
    let mutation = Mutation::StreamedResponse(StreamedBodyResponse {
        body,
        end_of_stream: end,
        ..Default::default()
    });
    let common = CommonResponse {
        body_mutation: Some(BodyMutation {
            mutation: Some(mutation),
        }),
        ..Default::default()
    };
    BodyResponse { response: Some(common) }
}

/// The beginning of a response of our own.
fn held() -> [Reply; 2] {
    let header = |key: &str, value: &str| HeaderValue {
        key: key.to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..Default::default()
    };
    let headers = HttpHeaders {
        headers: Some(HeaderMap {
            headers: vec![header(":status", "200"), header("content-type", "text/event-stream")],
        }),
        ..Default::default()
    };
    let piece = StreamedBodyResponse {
        body: b"event: message\ndata: {}\n\n".to_vec(),
        ..Default::default()
    };
    [Streamed::HeadersResponse(headers), Streamed::BodyResponse(piece)].map(|response| {
        Reply::StreamedImmediateResponse(StreamedImmediateResponse {
            response: Some(response),
        })
    })
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

fn verdict(arguments: &Arguments) -> Verdict {
    if arguments.hold {
        return Verdict::Hold;
    }
    let Some(bytes) = arguments.answer_bytes else {
        return Verdict::Forward(HeaderMutation {
            set_headers: vec![
                set(":path", &arguments.path),
                set("x-mcp-upstream", &arguments.upstream),
                set("x-mcp-route-key", &arguments.route_key),
            ],
            remove_headers: Vec::new(),
        });
    };
    Verdict::Answer(ImmediateResponse {
        status: Some(HttpStatus { code: 200 }),
        headers: Some(HeaderMutation {
            set_headers: vec![set("content-type", "application/json")],
            remove_headers: Vec::new(),
        }),
        body: vec![b' '; bytes],
        ..Default::default()
    })
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut builder = if arguments.work_stealing {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.worker_threads(arguments.runtimes.get());
    builder.enable_all().build()?.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let verdict = Arc::new(verdict(&arguments));
    let service = ExternalProcessorServer::new(Noop { verdict });
    let listener = arguments.listen.bind().await?;
    if arguments.work_stealing {
        let Listener::Unix(sockets, _file) = listener else {
            anyhow::bail!("--work-stealing serves Unix sockets")
        };
        let incoming = poll_fn(move |context| sockets.poll_accept(context).map_ok(|(socket, _)| socket).map(Some));
        tonic::transport::Server::builder()
            .serve_with_incoming(service, incoming)
            .await?;
        return Ok(());
    }
    let server = Server {
        listeners: vec![listener],
        runtimes: arguments.runtimes,
        grace: Duration::from_secs(1),
        health: Health::default(),
    };
    let shutdown = async {
        let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .expect("signals can be watched")
            .recv()
            .await;
    };
    server.run(service, shutdown).await?;
    Ok(())
}
