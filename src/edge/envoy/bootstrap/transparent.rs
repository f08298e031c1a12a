//! Routes of transparent paths: in by their path, out to their server with its answer as it comes.

use super::super::template::Fill;
use super::{BodyMode, processing_mode, request_body};
use crate::engine::config::Config;

/// The way out of all of them.
pub(super) fn out(config: &Config, route_key: &str) -> String {
    if config.transparent.is_empty() {
        return String::new();
    }
    Fill::default()
        .value("route_key", route_key)
        .fill(include_str!("../template/transparent_out.yaml"))
}

/// One way in for each. Response headers are looked at in any case: nobody else keeps the time of a request there, since
/// the route out may never cut a stream.
pub(super) fn ways_in(config: &Config, body: BodyMode) -> String {
    let each = config.transparent.iter().map(|entry| {
        let request = if entry.opaque {
            ("NONE", "SKIP")
        } else {
            request_body(body)
        };
        Fill::default()
            .value("name", format!("transparent {}", entry.path))
            .value("path", &entry.path)
            .block("mode", processing_mode(request, "SEND", ("NONE", "SKIP")))
            .fill(include_str!("../template/transparent_route.yaml"))
    });
    each.collect()
}
