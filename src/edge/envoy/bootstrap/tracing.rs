//! Envoy's own spans: it begins a trace, or goes on with the client's, and tells processor and upstream of it.

use super::RenderError;
use crate::edge::envoy::clusters::Peer;
use crate::edge::envoy::template::Fill;
use crate::engine::config::{Authority, Config, Telemetry};
use std::path::Path;

/// What the connection manager is told; empty: nothing is traced.
pub(super) fn connection_manager(config: &Config) -> String {
    let Some(telemetry) = wanted(config) else {
        return String::new();
    };
    Fill::default()
        .value("percent", telemetry.traces.percent())
        .fill(include_str!("../template/tracing.yaml"))
}

/// By which a line is found again among the spans; empty: nothing is traced.
pub(super) fn access_log_field(config: &Config) -> &'static str {
    match wanted(config) {
        Some(_) => "trace: \"%TRACE_ID%\"",
        None => "",
    }
}

/// The collector; empty: nothing is traced.
///
/// # Errors
/// An `https` URL without any certificate authority.
pub(super) fn cluster(config: &Config, roots: Option<&Path>) -> Result<String, RenderError> {
    let Some(telemetry) = wanted(config) else {
        return Ok(String::new());
    };
    let name = || "telemetry.otlp".to_owned();
    let collector = Peer::of(&telemetry.otlp).ok_or_else(|| RenderError::NoHost(name()))?;
    let roots = telemetry.ca.as_ref().and_then(Authority::file).or(roots);
    let transport_socket = match (telemetry.otlp.scheme(), roots) {
        ("https", None) => return Err(RenderError::NoRoots(name())),
        ("https", Some(roots)) => collector.tls_http2(roots),
        (_, _) => String::new(),
    };
    Ok(Fill::default()
        .block("discovery", collector.discovery())
        .value("address", &collector.address)
        .value("port", collector.port)
        .block("transport_socket", transport_socket)
        .fill(include_str!("../template/tracing_cluster.yaml")))
}

/// Where nothing of ours is kept, a client's trace is not ours to go on with either.
fn wanted(config: &Config) -> Option<&Telemetry> {
    config
        .telemetry
        .as_ref()
        .filter(|telemetry| !telemetry.traces.is_none())
}
