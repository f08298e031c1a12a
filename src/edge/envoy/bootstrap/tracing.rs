//! Envoy's own spans: it begins a trace, or goes on with the client's, and tells processor and upstream of it.

use crate::edge::envoy::clusters::Peer;
use crate::edge::envoy::template::Fill;
use crate::engine::config::{Config, Telemetry};

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
pub(super) fn cluster(config: &Config) -> String {
    let Some(collector) = wanted(config).and_then(|telemetry| Peer::of(&telemetry.otlp)) else {
        return String::new();
    };
    Fill::default()
        .block("discovery", collector.discovery())
        .value("address", &collector.address)
        .value("port", collector.port)
        .fill(include_str!("../template/tracing_cluster.yaml"))
}

/// Where nothing of ours is kept, a client's trace is not ours to go on with either.
fn wanted(config: &Config) -> Option<&Telemetry> {
    config
        .telemetry
        .as_ref()
        .filter(|telemetry| !telemetry.traces.is_none())
}
