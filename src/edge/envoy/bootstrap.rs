//! Envoy's bootstrap for one endpoint: listener, routes, ext_proc, local replies, the processor's cluster. Pure.
//!
//! The YAML stands in `template/`, one fragment for each concern, and says there why each line is as it is; here is
//! only what differs between configurations.

mod filters;
mod rate_limits;
mod tokens;
mod tracing;
mod transparent;

use super::Address;
use super::clusters::{self, Shared, seconds};
use super::template::{Fill, quoted};
use crate::engine::config::{AccessLog, Config, EnvoyAdmin, ListenTls};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest path of a Unix socket: `sun_path` without its closing zero.
const SOCKET_PATH: usize = 107;

/// How request bodies reach the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyMode {
    /// Piece by piece, one round trip in all.
    #[default]
    FullDuplex,
    /// Whole, after a round trip for the headers; a longer body than `limits.body` is refused by Envoy.
    Buffered,
}

/// Where upstream clusters stand.
#[derive(Clone, Debug, PartialEq)]
pub enum Clusters {
    /// In the bootstrap, for good.
    Inline,
    /// In this file, alone in its folder, which Envoy watches; written by [`super::CdsFile`].
    File(PathBuf),
}

/// What the configuration does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// Where the processor serves ext_proc.
    pub processor: Address,
    /// Where Envoy's admin interface listens.
    pub admin: Address,
    /// Value of `x-mcp-route-key`; see [`super::route_key`].
    pub route_key: String,
    /// How request bodies reach the processor.
    pub body: BodyMode,
    /// Where upstream clusters stand.
    pub clusters: Clusters,
    /// PEM bundle for upstreams without `tls.ca`; see [`super::system_roots`].
    pub roots: Option<PathBuf>,
}

impl RenderOptions {
    /// Everything in its usual place in the state folder.
    #[must_use]
    pub fn new(config: &Config, route_key: String) -> Self {
        Self {
            processor: Address::Socket(config.state_dir.join("ext-proc.sock")),
            admin: admin_address(config),
            route_key,
            body: BodyMode::FullDuplex,
            clusters: Clusters::Inline,
            roots: clusters::system_roots(),
        }
    }
}

/// Where Envoy's admin interface listens: as `envoy.admin` says, else in the state folder.
#[must_use]
pub fn admin_address(config: &Config) -> Address {
    match &config.envoy.admin {
        EnvoyAdmin::Socket(Some(path)) => Address::Socket(path.clone()),
        EnvoyAdmin::Socket(None) => Address::Socket(config.state_dir.join("envoy-admin.sock")),
        EnvoyAdmin::Tcp(address) => Address::Tcp(*address),
    }
}

/// Why there is no bootstrap.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RenderError {
    /// An `https` upstream or issuer that could not be verified.
    #[error("{0:?} is https, and no system certificates were found: set its tls.ca, or SSL_CERT_FILE")]
    NoRoots(String),
    /// Not a URL of a server.
    #[error("{0:?} has no host or port in its url")]
    NoHost(String),
    /// The kernel's limit.
    #[error("{} is longer than the {SOCKET_PATH} bytes of a Unix socket's path: choose a shorter {key}", path.display())]
    SocketPath {
        /// What was asked for.
        path: PathBuf,
        /// The key to change.
        key: &'static str,
    },
}

/// The whole bootstrap, as commented YAML.
///
/// # Errors
/// See [`RenderError`].
pub fn render(config: &Config, options: &RenderOptions) -> Result<String, RenderError> {
    let shared = Shared::new(config, options.roots.clone());
    let (dynamic, inline) = match &options.clusters {
        Clusters::Inline => (String::new(), clusters::inline(&config.upstreams, &shared)?),
        Clusters::File(file) => (dynamic_resources(file), String::new()),
    };
    Ok(Fill::default()
        .inline("wiring", wiring(options.body).to_owned())
        .inline("admin_address", admin(&options.admin)?)
        .block("dynamic_resources", dynamic)
        .value("max_connections", config.limits.streams.saturating_mul(2))
        .value("max_streams", config.limits.streams.saturating_mul(2))
        .block("listener", listener(config, options))
        .inline("processor_address", processor(&options.processor)?)
        .block(
            "clusters",
            tokens::clusters(config, options.roots.as_deref())?
                + &tracing::cluster(config, options.roots.as_deref())?
                + &inline,
        )
        .fill(include_str!("template/bootstrap.yaml")))
}

fn wiring(body: BodyMode) -> &'static str {
    match body {
        BodyMode::FullDuplex => "request bodies FULL_DUPLEX_STREAMED",
        BodyMode::Buffered => "request bodies BUFFERED",
    }
}

fn dynamic_resources(file: &Path) -> String {
    let folder = file.parent().unwrap_or(Path::new("."));
    Fill::default()
        .value("cds_file", file.to_string_lossy())
        .value("cds_folder", folder.to_string_lossy())
        .fill(include_str!("template/dynamic_resources.yaml"))
}

fn listener(config: &Config, options: &RenderOptions) -> String {
    Fill::default()
        .inline("listen_address", tcp(config.listen))
        .block("buffer_limit", buffer_limit(config, options.body))
        .value("headers", config.limits.headers >> 10)
        .inline("receive", seconds(config.limits.receive))
        .block("windows", windows(config, options.body))
        .block("access_log", access_log(config))
        .block("tracing", tracing::connection_manager(config))
        .block("local_replies", local_replies(config))
        .block("routes", routes(config, options))
        .block("remote_address", filters::remote_address(config))
        .block("foreign_headers", filters::foreign_headers(config))
        .block("filters", filters::before_processor(config))
        .block("ext_proc", ext_proc(config, options.body))
        .block(
            "transport_socket",
            config.tls.as_ref().map_or_else(String::new, listener_tls),
        )
        .fill(include_str!("template/listener.yaml"))
}

fn local_replies(config: &Config) -> String {
    Fill::default()
        .block("refusal_headers", filters::refusal_headers(config))
        .fill(include_str!("template/local_replies.yaml"))
}

fn buffer_limit(config: &Config, body: BodyMode) -> String {
    match body {
        BodyMode::FullDuplex => "per_connection_buffer_limit_bytes: 1048576".to_owned(),
        BodyMode::Buffered => Fill::default()
            .value("limit", u32::try_from(config.limits.body).unwrap_or(u32::MAX))
            .fill("# limits.body: Envoy refuses a longer body (413).\nper_connection_buffer_limit_bytes: ${limit}"),
    }
}

/// The windows of HTTP/2 clients.
fn windows(config: &Config, body: BodyMode) -> String {
    /// The largest that HTTP/2 knows.
    const MAX: u32 = i32::MAX.cast_unsigned();
    const STREAM: u32 = 256 << 10;
    const CONNECTION: u32 = 1 << 20;
    let (comment, stream) = match body {
        BodyMode::FullDuplex => ("", STREAM),
        BodyMode::Buffered => (
            "# limits.body again: of an HTTP/2 request Envoy buffers no more than this.\n",
            u32::try_from(config.limits.body).unwrap_or(MAX).clamp(STREAM, MAX),
        ),
    };
    Fill::default()
        .value("stream", stream)
        .value("connection", stream.max(CONNECTION))
        .fill(&format!(
            "{comment}initial_stream_window_size: ${{stream}}\ninitial_connection_window_size: ${{connection}}"
        ))
}

fn listener_tls(tls: &ListenTls) -> String {
    Fill::default()
        .value("tls_cert", tls.cert.to_string_lossy())
        .value("tls_key", tls.key.to_string_lossy())
        .fill(include_str!("template/listener_tls.yaml"))
}

fn access_log(config: &Config) -> String {
    let file = match &config.envoy.access_log {
        AccessLog::Off => return String::new(),
        AccessLog::On => config.state_dir.join("access.log"),
        AccessLog::File(file) => file.clone(),
    };
    Fill::default()
        .value("access_log_file", file.to_string_lossy())
        .block("trace", tracing::access_log_field(config))
        .fill(include_str!("template/access_log.yaml"))
}

fn routes(config: &Config, options: &RenderOptions) -> String {
    Fill::default()
        .block("cors_policy", filters::cors_policy(config))
        .block("mode", mode(config, request_body(options.body)))
        .value("route_key", &options.route_key)
        .block("route_timeout", route_timeout(config))
        .block("transparent_out", transparent::out(config, &options.route_key))
        .block("merged", merged_routes(config, options.body))
        .block("transparent", transparent::ways_in(config, options.body))
        .block("metadata_route", metadata_route(config, options.body))
        .fill(include_str!("template/routes.yaml"))
}

/// The ways in to the merged servers; none where nothing is merged.
fn merged_routes(config: &Config, body: BodyMode) -> String {
    let merges = config.upstreams.iter().any(|upstream| upstream.merge);
    if !merges && !config.transparent.is_empty() {
        return String::new();
    }
    Fill::default()
        .value("path", &config.path)
        .block("inspected_mode", inspected_mode(request_body(body)))
        .block("get_mode", get_mode(config, body))
        .fill(include_str!("template/merged_routes.yaml"))
}

/// With the response phase off nobody else watches the time of a call: as everywhere, that until its answer begins. A
/// route's `timeout` would cut the answer too.
fn route_timeout(config: &Config) -> String {
    if config.envoy.response_phase {
        return "timeout: 0s".to_owned();
    }
    let timeout = seconds(largest_call_timeout(config));
    format!(
        "# The largest timeout.call, until headers: without the response phase the processor cannot keep it.\n\
         timeout: 0s\nretry_policy: {{ per_try_timeout: {timeout} }}"
    )
}

fn largest_call_timeout(config: &Config) -> Duration {
    let longest = config.upstreams.iter().map(|upstream| upstream.timeout.call).max();
    longest.unwrap_or(Duration::from_secs(60))
}

fn mode(config: &Config, body: (&str, &str)) -> String {
    let headers = if config.envoy.response_phase { "SEND" } else { "SKIP" };
    processing_mode(body, headers, ("NONE", "SKIP"))
}

/// Answers are looked at in any case: without it the ids of upstreams would collide.
fn inspected_mode(body: (&str, &str)) -> String {
    processing_mode(body, "SEND", ("FULL_DUPLEX_STREAMED", "SEND"))
}

/// Of bodies: mode and that of their trailers.
fn processing_mode(request: (&str, &str), response_headers: &str, response: (&str, &str)) -> String {
    Fill::default()
        .inline("request_body", request.0.to_owned())
        .inline("request_trailers", request.1.to_owned())
        .inline("response_headers", response_headers.to_owned())
        .inline("response_body", response.0.to_owned())
        .inline("response_trailers", response.1.to_owned())
        .fill(include_str!("template/mode.yaml"))
}

fn get_mode(config: &Config, body: BodyMode) -> String {
    match body {
        BodyMode::FullDuplex => String::new(),
        BodyMode::Buffered => Fill::default()
            .block("mode", mode(config, ("NONE", "SKIP")))
            .fill(include_str!("template/get_mode.yaml")),
    }
}

/// Whoever asks for tokens says where they come from.
fn metadata_route(config: &Config, body: BodyMode) -> String {
    if config.authentication.is_none() {
        return String::new();
    }
    Fill::default()
        .block("get_mode", get_mode(config, body))
        .fill(include_str!("template/metadata_route.yaml"))
}

fn ext_proc(config: &Config, body: BodyMode) -> String {
    let (request_body, request_trailers) = request_body(body);
    let message_timeout = largest_call_timeout(config).saturating_add(Duration::from_secs(30));
    Fill::default()
        .inline("request_body", request_body.to_owned())
        .inline("request_trailers", request_trailers.to_owned())
        .inline("message_timeout", seconds(message_timeout))
        .block("content_length", content_length(body))
        .fill(include_str!("template/ext_proc.yaml"))
}

/// Body and trailer mode; FULL_DUPLEX_STREAMED asks for trailers.
fn request_body(body: BodyMode) -> (&'static str, &'static str) {
    match body {
        BodyMode::FullDuplex => ("FULL_DUPLEX_STREAMED", "SEND"),
        BodyMode::Buffered => ("BUFFERED", "SKIP"),
    }
}

fn content_length(body: BodyMode) -> &'static str {
    match body {
        BodyMode::FullDuplex => {
            "# Not chunked towards upstreams. Envoy does not check it: the processor sets the length on every forward.\n\
             allow_content_length_header: true"
        }
        BodyMode::Buffered => "",
    }
}

fn admin(address: &Address) -> Result<String, RenderError> {
    match address {
        Address::Tcp(address) => Ok(tcp(*address)),
        // 384 is 0600: Envoy reads no octal.
        Address::Socket(path) => Ok(format!(
            "{{ pipe: {{ path: {}, mode: 384 }} }}",
            socket(path, "envoy.admin")?
        )),
    }
}

fn processor(address: &Address) -> Result<String, RenderError> {
    match address {
        Address::Tcp(address) => Ok(tcp(*address)),
        Address::Socket(path) => Ok(format!("{{ pipe: {{ path: {} }} }}", socket(path, "stateDir")?)),
    }
}

fn socket(path: &Path, key: &'static str) -> Result<String, RenderError> {
    if path.as_os_str().len() > SOCKET_PATH {
        let path = path.to_owned();
        return Err(RenderError::SocketPath { path, key });
    }
    Ok(quoted(&path.to_string_lossy()))
}

fn tcp(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("{{ socket_address: {{ address: \"{host}\", port_value: {port} }} }}")
}

#[cfg(test)]
mod tests;
