//! For clients in browsers: whose pages may call (`cors`), and what browsers must not do with responses
//! (`securityHeaders`).

use super::super::super::template::Fill;
use crate::engine::config::{Config, Cors};
use serde_json::{Value, json};

pub(super) fn cors(config: &Config) -> String {
    match &config.cors {
        Some(_) => include_str!("../../template/cors.yaml").to_owned(),
        None => String::new(),
    }
}

/// For the virtual host.
pub(in super::super) fn cors_policy(config: &Config) -> String {
    let Some(Cors {
        origins,
        credentials,
        max_age,
    }) = &config.cors
    else {
        return String::new();
    };
    let exact: Vec<_> = origins.iter().map(|origin| json!({ "exact": origin })).collect();
    Fill::default()
        .value("origins", exact)
        .value("credentials", credentials)
        .value("max_age", max_age.as_secs().to_string())
        .fill(include_str!("../../template/cors_policy.yaml"))
}

/// The headers of every response, those included that filters make themselves.
pub(super) fn response_headers(config: &Config) -> String {
    let security: String = security(config).map(|header| format!("- append: {header}\n")).collect();
    let cors = match &config.cors {
        Some(_) => include_str!("../../template/cors_headers.yaml"),
        None => "",
    };
    if security.is_empty() && cors.is_empty() {
        return String::new();
    }
    Fill::default()
        .block("cors", cors)
        .block("security", security)
        .fill(include_str!("../../template/response_headers.yaml"))
}

/// The same for what is refused before there are filters: headers too long, requests that are none.
pub(in super::super) fn refusal_headers(config: &Config) -> String {
    let headers: Vec<Value> = security(config).collect();
    match headers.is_empty() {
        true => String::new(),
        false => format!("headers_to_add: {}", Value::from(headers)),
    }
}

/// What browsers must not do with responses, as `HeaderValueOption`; nothing unless it is asked for.
fn security(config: &Config) -> impl Iterator<Item = Value> {
    const ALWAYS: [(&str, &str); 4] = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
    ];
    /// For a year. Browsers believe it over HTTPS only (RFC 6797, 8.1).
    const HTTPS: (&str, &str) = ("strict-transport-security", "max-age=31536000");
    let is_https = config.tls.is_some() || config.public_url.starts_with("https:");
    let headers = ALWAYS.into_iter().chain(is_https.then_some(HTTPS));
    headers.filter(|_| config.security_headers).map(
        |(key, value)| json!({ "header": { "key": key, "value": value }, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD" }),
    )
}
