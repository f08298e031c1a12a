//! Health, readiness and metrics of a program that is no gateway. It shows nothing that would need a token.

use super::GRACE;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What is shown.
pub struct Probes {
    /// What readiness still waits for, a line each. None: ready.
    pub missing: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The metrics in OpenMetrics form.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// Serves them until `shutdown`.
///
/// # Errors
/// Of the listener.
pub async fn run_probes(
    listener: TcpListener,
    probes: Probes,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(probes));
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served,
        () = async { shutdown.await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

async fn ready(State(probes): State<Arc<Probes>>) -> Response {
    let missing = (probes.missing)();
    match missing.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response(),
    }
}

async fn metrics(State(probes): State<Arc<Probes>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, super::OPEN_METRICS)], (probes.metrics)())
}
