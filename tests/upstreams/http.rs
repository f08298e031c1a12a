//! The HTTP side: `/mcp` with what the options ask for before rmcp sees a request, and `/control`.

use crate::control;
use crate::server::Server;
use crate::state::State;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use std::sync::Arc;
use std::time::Duration;

/// The request's body as it came, among the extensions of its head.
#[derive(Clone)]
pub(crate) struct RawBody(pub(crate) Bytes);

type Service = StreamableHttpService<Server, LocalSessionManager>;

pub(crate) fn router(state: Arc<State>) -> Router {
    let sessions = Arc::new(LocalSessionManager::default());
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(!state.options.stateless)
        .with_json_response(state.options.json)
        .with_max_request_body_bytes(64 << 20);
    // Beyond loopback it is known by names that it cannot know.
    let config = if state.options.host.is_loopback() {
        config
    } else {
        config.disable_allowed_hosts()
    };
    let shared = Arc::clone(&state);
    let service = StreamableHttpService::new(move || Ok(Server::new(&shared)), Arc::clone(&sessions), config);
    let control = control::router(Arc::clone(&state), sessions);
    Router::new()
        .route(
            "/mcp",
            any(move |request| handle(Arc::clone(&state), service.clone(), request)),
        )
        .nest("/control", control)
}

async fn handle(state: Arc<State>, service: Service, request: Request) -> Response {
    tokio::time::sleep(Duration::from_millis(state.options.delay)).await;
    if !authorized(&state, &request) {
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            "no valid token\n",
        )
            .into_response();
    }
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if parts.method == Method::POST
        && let Some(told) = control::note(&state, &body)
    {
        return told;
    }
    parts.extensions.insert(RawBody(body.clone()));
    service
        .handle(Request::from_parts(parts, Full::new(body)))
        .await
        .map(Body::new)
}

fn authorized(state: &State, request: &Request) -> bool {
    let Some(token) = &state.options.token else { return true };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    given.and_then(|given| given.strip_prefix("Bearer ")) == Some(token)
}
