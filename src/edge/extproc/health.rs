//! The gRPC health service (`grpc.health.v1`), as Envoy's `grpc_health_check` asks it.
//!
//! Serving until the drain begins. The time of the last check is kept: under `up` it tells that Envoy reaches us.

use super::service;
use futures_util::Stream;
use futures_util::stream::unfold;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// What the health service says, and when it was last asked. Clones share one state.
#[derive(Clone, Debug)]
pub struct Health {
    serving: Arc<watch::Sender<bool>>,
    checked: Arc<watch::Sender<Option<Instant>>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            serving: Arc::new(watch::Sender::new(true)),
            checked: Arc::new(watch::Sender::new(None)),
        }
    }
}

impl Health {
    /// When Envoy last asked.
    #[must_use]
    pub fn last_check(&self) -> Option<Instant> {
        *self.checked.borrow()
    }

    /// Waits for the first check, if there was none yet.
    pub async fn first_check(&self) {
        let mut checked = self.checked.subscribe();
        // The sender lives in `self`: the wait cannot end without a value.
        let _ = checked.wait_for(Option::is_some).await;
    }

    /// From now on NOT_SERVING.
    pub(super) fn leave(&self) {
        self.serving.send_replace(false);
    }

    /// NOT_FOUND for services that are not ours.
    fn known(name: &str) -> Result<(), Status> {
        if name.is_empty() || name == service::NAME {
            Ok(())
        } else {
            Err(Status::not_found("no such service"))
        }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Self::known(&request.get_ref().service)?;
        self.checked.send_replace(Some(Instant::now()));
        Ok(Response::new(response(*self.serving.borrow())))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Self::known(&request.get_ref().service)?;
        let mut serving = self.serving.subscribe();
        serving.mark_changed();
        let changes = unfold(serving, |mut serving| async move {
            serving.changed().await.ok()?;
            let now = *serving.borrow_and_update();
            Some((Ok(response(now)), serving))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn response(serving: bool) -> HealthCheckResponse {
    let status = if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use health_server::Health as _;

    fn mk_request(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest {
            service: service.to_owned(),
        })
    }

    #[tokio::test]
    async fn serving_until_the_drain_begins() {
        let health = Health::default();
        for service in ["", service::NAME] {
            let said = health.check(mk_request(service)).await.expect("known").into_inner();
            assert_eq!(said.status(), ServingStatus::Serving);
        }
        health.leave();
        let said = health.check(mk_request("")).await.expect("known").into_inner();
        assert_eq!(said.status(), ServingStatus::NotServing);
    }

    #[tokio::test]
    async fn a_foreign_service_is_not_found_and_does_not_count_as_a_check() {
        let health = Health::default();
        let status = health.check(mk_request("other.Service")).await.expect_err("unknown");
        assert_eq!(status.code(), tonic::Code::NotFound);
        assert_eq!(health.last_check(), None);
    }

    #[tokio::test]
    async fn the_first_check_is_noticed() {
        let health = Health::default();
        let ((), said) = tokio::join!(health.first_check(), health.check(mk_request("")));
        assert!(said.is_ok());
        assert!(health.last_check().is_some());
    }

    #[tokio::test]
    async fn a_watcher_hears_the_present_and_each_change() {
        let health = Health::default();
        let mut changes = health.watch(mk_request("")).await.expect("known").into_inner();
        let first = changes.next().await.expect("open").expect("said");
        assert_eq!(first.status(), ServingStatus::Serving);
        health.leave();
        let second = changes.next().await.expect("open").expect("said");
        assert_eq!(second.status(), ServingStatus::NotServing);
    }
}
