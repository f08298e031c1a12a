//! The admin port: health, readiness, metrics, status, tools, and a page for people (contract 5).
//!
//! Reads only, all from memory. What it shows comes from a [`Gateway`]; who may see it is decided in `access`.

mod access;
mod exposition;
mod page;
mod probes;

pub use probes::{Probes, run_probes};

use crate::engine::policy::{Explained, Question};
use crate::engine::status::{GatewayStatus, StateError, ToolList};
use access::{Access, Caller};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// After shutdown, running answers have this long.
const GRACE: Duration = Duration::from_secs(2);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin port shows.
pub trait Gateway: Send + Sync + 'static {
    /// What readiness still waits for, a line each. None: ready.
    fn missing(&self) -> Vec<String>;
    /// What is known of the gateway and its upstreams.
    fn status(&self) -> GatewayStatus;
    /// The merged tools.
    fn tools(&self) -> ToolList;
    /// What rules say of a request.
    ///
    /// # Errors
    /// Why the question makes no sense, in one line.
    fn explain(&self, question: &Question) -> Result<Explained, String>;
    /// The metrics in OpenMetrics form.
    fn metrics(&self) -> String;
}

/// Serves the admin port until `shutdown`. `token`: what callers must show; health and readiness are open without it,
/// for probes.
///
/// # Errors
/// The listener's address cannot be read.
pub async fn run(
    listener: TcpListener,
    gateway: Arc<dyn Gateway>,
    token: Option<&str>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let access = Access::new(listener.local_addr()?.ip(), token);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let graceful = async move {
        // The sender is only ever dropped.
        let _ = stopped.await;
    };
    let server = axum::serve(listener, router(gateway, access)).with_graceful_shutdown(graceful);
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        outcome = &mut server => return outcome,
        () = shutdown => drop(stop),
    }
    // An error here is the end of the grace: whoever still reads is cut off.
    let _ = tokio::time::timeout(GRACE, server).await;
    Ok(())
}

fn router(gateway: Arc<dyn Gateway>, access: Access) -> Router {
    Router::new()
        .route("/", get(show_page))
        .route("/status", get(show_status))
        .route("/tools", get(show_tools))
        .route("/explain", get(show_explanation))
        .route("/metrics", get(show_metrics))
        .route("/readyz", get(show_ready))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(middleware::from_fn_with_state(Arc::new(access), access::check))
        .with_state(gateway)
}

type Shown = State<Arc<dyn Gateway>>;

async fn show_ready(State(gateway): Shown, caller: Caller) -> Response {
    let missing = gateway.missing();
    if missing.is_empty() {
        return ("ready\n".to_owned() + &behind(gateway.as_ref(), caller)).into_response();
    }
    let told = match caller {
        Caller::Known => missing.join("\n") + "\n",
        Caller::Probe => "not ready\n".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, told).into_response()
}

/// What is no reason to be taken out of service, and yet to be seen by whoever looks.
fn behind(gateway: &dyn Gateway, caller: Caller) -> String {
    match caller {
        Caller::Known => {
            let errors = gateway.status().state_errors.into_iter();
            let line = |trouble: StateError| format!("state folder: {}: {}\n", trouble.part.as_str(), trouble.error);
            errors.map(line).collect()
        }
        Caller::Probe => String::new(),
    }
}

async fn show_status(State(gateway): Shown) -> Json<GatewayStatus> {
    Json(gateway.status())
}

async fn show_tools(State(gateway): Shown) -> Json<ToolList> {
    Json(gateway.tools())
}

async fn show_explanation(State(gateway): Shown, Query(question): Query<Question>) -> Response {
    match gateway.explain(&question) {
        Ok(explained) => Json(explained).into_response(),
        Err(message) => (StatusCode::BAD_REQUEST, message + "\n").into_response(),
    }
}

async fn show_metrics(State(gateway): Shown, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if exposition::wants_text(accept.unwrap_or_default()) {
        let text = exposition::text(&gateway.metrics());
        return ([(header::CONTENT_TYPE, exposition::TEXT)], text);
    }
    ([(header::CONTENT_TYPE, OPEN_METRICS)], gateway.metrics())
}

async fn show_page(State(gateway): Shown) -> impl IntoResponse {
    // No script, nothing from elsewhere, no frame: whatever an upstream calls itself stays text.
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    let html = page::render(&gateway.status(), &gateway.missing());
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, html)
}
