//! What Envoy decides before the processor: pages of browsers (`cors`), addresses (`ipFilter`), tokens
//! (`authentication.jwt`). One policy for the whole Gateway.

use super::listener::cidr;
use super::{Make, Remarks, SECURITY, backends, span};
use crate::engine::config::{Cors, Issuer, Jwks};
use serde_json::{Value, json};

/// What pages of MCP clients send.
const ALLOWED: [&str; 8] = [
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "x-api-key",
];
/// Without these a page can neither keep its session nor find out where to log in, or when to come again.
const EXPOSED: [&str; 4] = [
    "mcp-protocol-version",
    "mcp-session-id",
    "retry-after",
    "www-authenticate",
];

pub(super) fn all(make: &Make<'_>, remarks: &mut Remarks) -> Vec<Value> {
    let mut spec = json!({});
    if let Some(cors) = &make.config.cors {
        spec["cors"] = self::cors(cors, remarks);
    }
    if let Some(authorization) = addresses(make) {
        spec["authorization"] = authorization;
    }
    let providers: Vec<Value> = make
        .issuers()
        .map(|(at, issuer)| provider(make, at, issuer, remarks))
        .collect();
    if !providers.is_empty() {
        // Neither a missing nor a bad token ends here: the processor answers 401 itself, with the challenge, and reads
        // what is verified in dynamic metadata, which no client can send.
        spec["jwt"] = json!({"failOpen": true, "providers": providers});
    }
    if spec.as_object().is_none_or(serde_json::Map::is_empty) {
        return Vec::new();
    }
    spec["targetRefs"] = json!([make.target()]);
    vec![make.object(&SECURITY, make.gateway(), &spec)]
}

fn cors(cors: &Cors, remarks: &mut Remarks) -> Value {
    let mut allowed = ALLOWED.to_vec();
    match cors.credentials {
        // Mcp-Param-*: as many as tools have arguments. Browsers read it as any, but for authorization.
        false => allowed.push("*"),
        true => remarks.tell(
            "cors.credentials",
            "pages can send no Mcp-Param-* headers: Envoy Gateway has a fixed list, and * counts without credentials only",
        ),
    }
    json!({
        "allowOrigins": cors.origins,
        "allowMethods": ["GET", "POST", "DELETE", "OPTIONS"],
        "allowHeaders": allowed,
        "exposeHeaders": EXPOSED,
        "allowCredentials": cors.credentials,
        "maxAge": span(cors.max_age),
    })
}

/// Who is denied is denied, even if allowed.
fn addresses(make: &Make<'_>) -> Option<Value> {
    let filter = &make.config.ip_filter;
    let rule = |name: &str, action: &str, networks: &[_]| {
        let ranges: Vec<String> = networks.iter().map(cidr).collect();
        (!ranges.is_empty()).then(|| json!({"name": name, "action": action, "principal": {"clientCIDRs": ranges}}))
    };
    let rules = [
        rule("deny", "Deny", &filter.deny),
        rule("allow", "Allow", &filter.allow),
    ];
    let rules: Vec<Value> = rules.into_iter().flatten().collect();
    let others = if filter.allow.is_empty() { "Allow" } else { "Deny" };
    (!rules.is_empty()).then(|| json!({"rules": rules, "defaultAction": others}))
}

fn provider(make: &Make<'_>, at: usize, issuer: &Issuer, remarks: &mut Remarks) -> Value {
    let bearer = |prefix: &str| json!({"name": "authorization", "valuePrefix": prefix});
    let mut provider = json!({
        "name": format!("issuer-{at}"),
        "issuer": issuer.issuer,
        "audiences": issuer.audiences_or(&make.config.public_url),
        // Not in the query, where Envoy looks too by default: URLs are logged.
        "extractFrom": {"headers": [bearer("Bearer "), bearer("bearer ")]},
    });
    match &issuer.jwks {
        Jwks::Url { url, refresh, .. } => {
            provider["remoteJWKS"] = json!({
                "uri": url.as_str(),
                "cacheDuration": span(*refresh),
                "failedRefetchDuration": "1s",
                "backendRefs": [backends::reference(&backends::of_issuer(make, at))],
            });
        }
        Jwks::File(file) => match (make.site.read)(file) {
            Ok(keys) => provider["localJWKS"] = json!({"type": "Inline", "inline": keys.trim_end()}),
            Err(error) => remarks.stop(
                format!("authentication.jwt[{at}].jwks.file"),
                format!("{}: {error}", file.display()),
            ),
        },
    }
    provider
}
