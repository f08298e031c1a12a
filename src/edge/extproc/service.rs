//! The gRPC method `Process`: one [`Driver`] per ext_proc stream.

use super::backroom::Backroom;
use super::codec::Wire;
use super::decode::{DecodeError, Inbound};
use super::driver::Driver;
use crate::engine::exchange::Carried;
use crate::engine::mcp::trace::{TRACEPARENT, TRACESTATE};
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tower_service::Service;

/// The service that Envoy calls.
pub(super) const NAME: &str = "envoy.service.ext_proc.v3.ExternalProcessor";
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
/// One message: a BUFFERED body or a chunk. The exchange itself refuses bodies above `limits.body`.
const LARGEST_MESSAGE: usize = 64 << 20;

/// The gateway as Envoy calls it.
#[derive(Debug)]
pub struct Processor<B> {
    backroom: Arc<B>,
}

impl<B: Backroom> Processor<B> {
    /// A processor that asks `backroom`.
    pub const fn new(backroom: Arc<B>) -> Self {
        Self { backroom }
    }
}

impl<B> Clone for Processor<B> {
    fn clone(&self) -> Self {
        Self {
            backroom: Arc::clone(&self.backroom),
        }
    }
}

impl<B: Backroom> Service<http::Request<Body>> for Processor<B> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != PROCESS {
            return Box::pin(ready(Ok(Status::unimplemented("no such method").into_http())));
        }
        let process = Process(Arc::clone(&self.backroom));
        // What a future captures it keeps beside what it awaits. Without the rest of the head it stays below 1032 bytes:
        // blocks up to there the allocator has at hand.
        let (http::request::Parts { headers, .. }, body) = request.into_parts();
        Box::pin(async move {
            let mut grpc = Grpc::new(Wire).max_decoding_message_size(LARGEST_MESSAGE);
            Ok(grpc.streaming(process, with_headers(headers, body)).await)
        })
    }
}

fn with_headers(headers: http::HeaderMap, body: Body) -> http::Request<Body> {
    let mut request = http::Request::new(body);
    *request.headers_mut() = headers;
    request
}

type Messages = Streaming<Result<Inbound, DecodeError>>;

/// The method.
struct Process<B>(Arc<B>);

impl<B: Backroom> StreamingService<Result<Inbound, DecodeError>> for Process<B> {
    type Response = crate::engine::exchange::Reply;
    type ResponseStream = Driver<B, Messages>;
    type Future = Opening<B>;

    fn call(&mut self, request: Request<Messages>) -> Opening<B> {
        let ambient = self.0.traces().and_then(|_| ambient(request.metadata()));
        Opening(Some(Driver::new(Arc::clone(&self.0), request.into_inner(), ambient)))
    }
}

/// Envoy's span of this stream, as it tells its own services.
fn ambient(metadata: &MetadataMap) -> Option<Box<Carried>> {
    let text = |key| metadata.get(key).and_then(|value| value.to_str().ok());
    Carried::read(text(TRACEPARENT), text(TRACESTATE)).map(Box::new)
}

/// Holds the response headers back until the first reply, so that both go out in one write.
struct Opening<B: Backroom>(Option<Driver<B, Messages>>);

impl<B: Backroom> Future for Opening<B> {
    type Output = Result<Response<Driver<B, Messages>>, Status>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(driver) = &mut self.0 {
            ready!(driver.poll_ready(context));
        }
        let driver = self.0.take();
        Poll::Ready(
            driver
                .map(Response::new)
                .ok_or_else(|| Status::internal("polled after its end")),
        )
    }
}
