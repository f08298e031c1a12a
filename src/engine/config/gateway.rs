//! What the file says of the gateway itself, defaults filled in, meaning checked: one function per section.

use super::file::{Findings, Sections};
use super::scalar::{Count, Size, Span};
use super::{
    AccessLog, Config, EnvoyAdmin, EnvoySettings, Limits, ListenTls, Lists, SessionSettings, audit, authentication,
    cors, ip_filter, network, policies, rate_limit_service, rate_limits, raw, telemetry, transparent,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8001);
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8002);
const MIB: usize = 1 << 20;
/// What the kernel takes as the path of a Unix socket.
const MAX_SOCKET_PATH: usize = 107;

/// Reads every section but `upstreams`.
pub(super) fn read(sections: &mut Sections, state: &Path, findings: &mut Findings) -> Config {
    let listen = address(sections, "listen", LISTEN, findings);
    let tls = sections.take("tls", findings).map(|raw| tls(&raw, findings));
    let path = path(sections, findings);
    let admin = address(sections, "admin", ADMIN, findings);
    let admin_token = sections
        .take("adminToken", findings)
        .map(|raw| findings.secret("adminToken", raw));
    apart(listen, admin, findings);
    if !admin.ip().is_loopback() && admin_token.is_none() && !findings.names("admin") {
        findings.add("adminToken", "is required where admin is not a loopback address");
    }
    let state_dir = match sections.take::<PathBuf>("stateDir", findings) {
        Some(folder) => findings.resolve("stateDir", &folder),
        None => state.to_owned(),
    };
    Config {
        public_url: public_url(sections, listen, tls.is_some(), &path, findings),
        hosts: each(sections, "hosts", network::host, findings),
        origins: each(sections, "origins", network::origin, findings),
        session: session(sections.take("session", findings).unwrap_or_default(), findings),
        limits: limits(&sections.take("limits", findings).unwrap_or_default(), findings),
        lists: lists(&sections.take("lists", findings).unwrap_or_default(), findings),
        envoy: envoy(
            sections.take("envoy", findings).unwrap_or_default(),
            [listen, admin],
            findings,
        ),
        audit: audit::read(sections, findings),
        telemetry: telemetry::read(sections, findings),
        cors: cors::read(sections, findings),
        ip_filter: ip_filter::read(sections, findings),
        transparent: transparent::read(sections, findings),
        security_headers: sections.take("securityHeaders", findings).unwrap_or(false),
        authentication: authentication::read(sections, findings),
        rate_limits: rate_limits::limits(sections, findings),
        policies: policies::read(sections, findings),
        rate_limit_service: rate_limit_service::read(sections, findings),
        listen,
        tls,
        path,
        admin,
        admin_token,
        state_dir,
        upstreams: Vec::new(),
    }
}

fn address(sections: &mut Sections, key: &'static str, default: SocketAddr, findings: &mut Findings) -> SocketAddr {
    let text: Option<String> = sections.take(key, findings);
    text.map_or(Ok(default), |text| network::address(&text))
        .unwrap_or_else(|message| {
            findings.add(key, message);
            default
        })
}

fn apart(listen: SocketAddr, admin: SocketAddr, findings: &mut Findings) {
    if network::collide(listen, admin) && !findings.names("listen") && !findings.names("admin") {
        findings.add(
            "admin",
            format!("{admin} is taken by listen ({listen}): choose another port"),
        );
    }
}

fn tls(raw: &raw::ListenTls, findings: &mut Findings) -> ListenTls {
    ListenTls {
        cert: findings.file("tls.cert", &raw.cert),
        key: findings.file("tls.key", &raw.key),
    }
}

fn path(sections: &mut Sections, findings: &mut Findings) -> String {
    let path: String = sections.take("path", findings).unwrap_or_else(|| "/mcp".to_owned());
    if let Err(message) = network::mcp_path(&path) {
        findings.add("path", message);
    }
    path
}

fn public_url(sections: &mut Sections, listen: SocketAddr, https: bool, path: &str, findings: &mut Findings) -> String {
    let Some(text) = sections.take::<String>("publicUrl", findings) else {
        return format!("{}://{listen}{path}", if https { "https" } else { "http" });
    };
    if let Err(message) = network::public_url(&text) {
        findings.add("publicUrl", message);
    }
    text
}

fn each(
    sections: &mut Sections,
    key: &'static str,
    check: fn(&str) -> Result<String, &'static str>,
    findings: &mut Findings,
) -> Vec<String> {
    let texts: Vec<String> = sections.take(key, findings).unwrap_or_default();
    let checked = texts.iter().enumerate().filter_map(|(index, text)| {
        check(text)
            .map_err(|message| findings.add(format!("{key}[{index}]"), message))
            .ok()
    });
    checked.collect()
}

fn session(raw: raw::Session, findings: &mut Findings) -> SessionSettings {
    match raw.store.as_deref() {
        None | Some("memory") => {}
        Some(_) => findings.add("session.store", "not supported yet: only memory is"),
    }
    let keys = raw.keys.into_iter().enumerate();
    SessionSettings {
        keys: keys
            .map(|(index, key)| findings.secret(&format!("session.keys[{index}]"), key))
            .collect(),
        idle: duration("session.idle", raw.idle, Duration::from_secs(30 * 60), findings),
        lifetime: duration(
            "session.lifetime",
            raw.lifetime,
            Duration::from_secs(30 * 24 * 60 * 60),
            findings,
        ),
        parked: duration("session.parked", raw.parked, Duration::from_secs(10 * 60), findings),
    }
}

fn limits(raw: &raw::Limits, findings: &mut Findings) -> Limits {
    let limits = Limits {
        body: size("limits.body", raw.body, 4 * MIB, findings),
        bodies: size("limits.bodies", raw.bodies, 256 * MIB, findings),
        receive: duration("limits.receive", raw.receive, Duration::from_secs(30), findings),
        replay: size("limits.replay", raw.replay, 256 * MIB, findings),
        depth: count("limits.depth", raw.depth, 128, findings),
        streams: count("limits.streams", raw.streams, 10_000, findings) as usize,
        sessions: count("limits.sessions", raw.sessions, 100_000, findings) as usize,
        sessions_per_principal: count("limits.sessionsPerPrincipal", raw.sessions_per_principal, 100, findings)
            as usize,
        calls_per_session: optional("limits.callsPerSession", raw.calls_per_session, findings),
        calls_per_principal: optional("limits.callsPerPrincipal", raw.calls_per_principal, findings),
        streams_per_principal: optional("limits.streamsPerPrincipal", raw.streams_per_principal, findings),
        headers: size("limits.headers", raw.headers, 32 << 10, findings),
    };
    if !(1 << 10..=8 * MIB).contains(&limits.headers) || !limits.headers.is_multiple_of(1 << 10) {
        findings.add("limits.headers", "must be whole KiB, from 1KiB to 8MiB");
    }
    if limits.bodies < limits.body {
        findings.add(
            "limits.bodies",
            "is less than limits.body: no body of that size could ever be held",
        );
    }
    limits
}

fn lists(raw: &raw::Lists, findings: &mut Findings) -> Lists {
    Lists {
        first: duration("lists.first", raw.first, Duration::from_secs(2), findings),
        // Zero means: a dead upstream leaves the lists at once.
        keep_last_good: raw
            .keep_last_good
            .map_or(Duration::from_secs(10 * 60), |Span(value)| value),
        refresh: duration("lists.refresh", raw.refresh, Duration::from_secs(5 * 60), findings),
        principals: count("lists.principals", raw.principals, 1000, findings) as usize,
        principal_age: duration(
            "lists.principalAge",
            raw.principal_age,
            Duration::from_secs(5 * 60),
            findings,
        ),
    }
}

fn envoy(raw: raw::Envoy, taken: [SocketAddr; 2], findings: &mut Findings) -> EnvoySettings {
    // On Envoy Gateway the access log is somebody else's.
    let read = !matches!(raw.access_log, None | Some(raw::AccessLog::Switch(false))) || !raw.routes.is_empty();
    EnvoySettings {
        concurrency: count("envoy.concurrency", raw.concurrency, 2, findings),
        metadata: raw.metadata.unwrap_or(read),
        admin: raw
            .admin
            .map_or(EnvoyAdmin::Socket(None), |text| envoy_admin(&text, taken, findings)),
        response_phase: raw.response_phase.unwrap_or(true),
        access_log: match raw.access_log {
            None | Some(raw::AccessLog::Switch(false)) => AccessLog::Off,
            Some(raw::AccessLog::Switch(true)) => AccessLog::On,
            Some(raw::AccessLog::File(path)) => AccessLog::File(findings.resolve("envoy.accessLog", &path)),
        },
        routes: routes(&raw.routes, findings),
    }
}

fn routes(texts: &[String], findings: &mut Findings) -> Vec<Arc<str>> {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        !name.is_empty() && name.bytes().all(plain)
    };
    for (index, text) in texts.iter().enumerate() {
        let parts = text.split_once('/');
        if !parts.is_some_and(|(namespace, name)| is_name(namespace) && is_name(name)) {
            findings.add(
                format!("envoy.routes[{index}]"),
                "must be an HTTPRoute as namespace/name",
            );
        }
    }
    texts.iter().map(|text| text.as_str().into()).collect()
}

fn envoy_admin(text: &str, taken: [SocketAddr; 2], findings: &mut Findings) -> EnvoyAdmin {
    const KEY: &str = "envoy.admin";
    if let Ok(address) = text.parse::<SocketAddr>() {
        if !address.ip().is_loopback() {
            findings.add(
                KEY,
                "must be a loopback address or a socket: Envoy asks nobody for a password there",
            );
        } else if taken.into_iter().any(|other| network::collide(address, other)) {
            findings.add(
                KEY,
                format!("{address} is taken by listen or admin: choose another port"),
            );
        }
        return EnvoyAdmin::Tcp(address);
    }
    let path = findings.resolve(KEY, Path::new(text));
    if text.contains(':') {
        findings.add(KEY, "neither IP:port nor the path of a socket");
    } else if path.as_os_str().len() > MAX_SOCKET_PATH {
        findings.add(
            KEY,
            format!(
                "the path of a socket has at most {MAX_SOCKET_PATH} bytes: {}",
                path.display()
            ),
        );
    }
    EnvoyAdmin::Socket(Some(path))
}

// === values that may be absent, but not zero ===

pub(super) fn duration(key: &str, value: Option<Span>, default: Duration, findings: &mut Findings) -> Duration {
    value.map_or(default, |Span(value)| findings.above_zero(key, value))
}

fn size(key: &str, value: Option<Size>, default: usize, findings: &mut Findings) -> usize {
    value.map_or(default, |Size(value)| findings.above_zero(key, value))
}

fn optional(key: &str, value: Option<Count>, findings: &mut Findings) -> Option<u32> {
    value.map(|Count(value)| findings.above_zero(key, value))
}

fn count(key: &str, value: Option<Count>, default: u32, findings: &mut Findings) -> u32 {
    value.map_or(default, |Count(value)| findings.above_zero(key, value))
}
