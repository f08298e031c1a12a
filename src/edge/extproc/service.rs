//! The gRPC methods: one [`Driver`] per ext_proc stream.

use super::backroom::Backroom;
use super::driver::Driver;
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use std::future::poll_fn;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The gateway as Envoy calls it.
pub struct Processor<B> {
    backroom: Arc<B>,
}

impl<B: Backroom> Processor<B> {
    /// A processor that asks `backroom`.
    pub const fn new(backroom: Arc<B>) -> Self {
        Self { backroom }
    }
}

#[tonic::async_trait]
impl<B: Backroom> ExternalProcessor for Processor<B> {
    type ProcessStream = Driver<B, Streaming<ProcessingRequest>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let mut driver = Driver::new(Arc::clone(&self.backroom), request.into_inner());
        // The response headers wait for the first reply, so that both go out in one write.
        poll_fn(|context| driver.poll_ready(context)).await;
        Ok(Response::new(driver))
    }
}
