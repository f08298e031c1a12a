//! The Gateway, and what holds for everything that comes in on it, before anything looks at it.

use super::{
    CLASS, CLIENTS, ENVOY_GATEWAY, GATEWAY, GATEWAY_API, Make, PROXY, Place, Remarks, SecretKind, SecretWanted, Source,
    span,
};
use crate::engine::config::{Config, Network};
use serde_json::{Value, json};

/// Browsers believe it over HTTPS only, for a year (RFC 6797, 8.1).
const HTTPS_HEADER: (&str, &str) = ("strict-transport-security", "max-age=31536000");
/// What browsers must not do with responses.
const SECURITY_HEADERS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
];

pub(super) fn all(make: &Make<'_>, remarks: &mut Remarks) -> Vec<Value> {
    let class = make.site.class.is_none().then(|| class(make));
    class
        .into_iter()
        .chain([gateway(make, remarks), clients(make)])
        .collect()
}

/// The Gateway's certificate.
pub(super) fn secret(make: &Make<'_>) -> Option<SecretWanted> {
    let tls = make.config.tls.as_ref()?;
    let entries = [("tls.crt", &tls.cert), ("tls.key", &tls.key)];
    Some(SecretWanted {
        place: Place {
            namespace: make.namespace().into(),
            name: make.name("tls").into(),
        },
        entries: entries
            .map(|(key, file)| (key.to_owned(), Source::File(file.clone())))
            .into(),
        kind: SecretKind::Tls,
        label: make.label.clone(),
    })
}

/// The class of nobody else, so that none of a user's is changed.
fn class_name(make: &Make<'_>) -> String {
    make.site.class.map_or_else(
        || format!("mcp-manifold-{}-{}", make.namespace(), make.gateway()),
        str::to_owned,
    )
}

fn class(make: &Make<'_>) -> Value {
    let mut class = make.bare(&CLASS, None, &class_name(make));
    class["spec"] = json!({"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"});
    class
}

fn gateway(make: &Make<'_>, remarks: &mut Remarks) -> Value {
    let url = url::Url::parse(&make.config.public_url).ok();
    let port_of = |scheme: &str| {
        url.as_ref()
            .filter(|url| url.scheme() == scheme)
            .and_then(url::Url::port_or_known_default)
    };
    let listener = match &make.config.tls {
        Some(_) => json!({
            "name": "mcp",
            "protocol": "HTTPS",
            "port": port_of("https").unwrap_or(443),
            "tls": {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": make.name("tls")}]},
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        }),
        None => json!({
            "name": "mcp",
            "protocol": "HTTP",
            "port": port_of("http").unwrap_or(80),
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        }),
    };
    if make.config.tls.is_none() && make.config.public_url.starts_with("https:") {
        remarks.tell(
            "publicUrl",
            "is https, and there is no tls: whatever stands before the Gateway has to end it",
        );
    }
    let spec = json!({
        "gatewayClassName": class_name(make),
        "infrastructure": {"parametersRef": {"group": ENVOY_GATEWAY, "kind": PROXY.kind, "name": make.gateway()}},
        "listeners": [listener],
    });
    make.object(&GATEWAY, make.gateway(), &spec)
}

fn clients(make: &Make<'_>) -> Value {
    let config = make.config;
    let mut headers = json!({
        // A server behind may read x_mcp_upstream as x-mcp-upstream.
        "withUnderscoresAction": "RejectRequest",
        // They belong to the processor. Removed before the first route is chosen.
        "earlyRequestHeaders": {"removeOnMatch": [{"type": "Prefix", "value": "x-mcp-"}]},
    });
    let security = security_headers(config);
    if !security.is_empty() {
        headers["lateResponseHeaders"] = json!({"set": security});
    }
    let mut spec = json!({
        "targetRefs": [{"group": GATEWAY_API, "kind": GATEWAY.kind, "name": make.gateway()}],
        "headers": headers,
        "path": {"escapedSlashesAction": "RejectRequest"},
        "timeout": {"http": {
            "requestReceivedTimeout": span(config.limits.receive),
            "requestHeadersReceivedTimeout": "10s",
        }},
        "connection": {
            "bufferLimit": "1Mi",
            "connectionLimit": {"value": config.limits.streams.saturating_mul(2)},
        },
    });
    let proxies: Vec<String> = config.ip_filter.trusted_proxies.iter().map(cidr).collect();
    if !proxies.is_empty() {
        spec["clientIPDetection"] = json!({"xForwardedFor": {"trustedCIDRs": proxies}});
        // Behind trusted proxies Envoy takes nobody for external, and would obey every client's headers for its router.
        spec["headers"]["earlyRequestHeaders"]["removeOnMatch"] =
            json!([{"type": "Prefix", "value": "x-mcp-"}, {"type": "Prefix", "value": "x-envoy-"}]);
    }
    make.object(&CLIENTS, make.gateway(), &spec)
}

fn security_headers(config: &Config) -> Vec<Value> {
    let is_https = config.tls.is_some() || config.public_url.starts_with("https:");
    let headers = SECURITY_HEADERS.into_iter().chain(is_https.then_some(HTTPS_HEADER));
    let headers = headers.filter(|_| config.security_headers);
    headers
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

/// `10.0.0.0/8`
pub(super) fn cidr(network: &Network) -> String {
    format!("{}/{}", network.address, network.bits)
}
