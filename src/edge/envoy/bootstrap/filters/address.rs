//! Clients by their address: which it is, and whether it may call (`ipFilter`).

use super::super::super::template::Fill;
use crate::engine::config::{Config, Network};
use serde_json::{Value, json};

/// Without trusted proxies.
const PEER: &str = "\
# The peer is the client; its x-forwarded-for is not believed. Behind another proxy: set ipFilter.trustedProxies.
# Do not add internal_address_config: an empty one makes loopback internal, and its x-envoy-* headers are obeyed.
use_remote_address: true
";
/// With them Envoy takes nobody for external, and would obey every client's headers for its router.
const OBEYED: &str = "- remove_on_match: { key_matcher: { prefix: x-envoy- } }";

/// Which address is the client's.
pub(in super::super) fn remote_address(config: &Config) -> String {
    let proxies = &config.ip_filter.trusted_proxies;
    if proxies.is_empty() {
        return PEER.to_owned();
    }
    let ranges: Vec<Value> = proxies.iter().map(range).collect();
    Fill::default()
        .value("proxies", ranges)
        .fill(include_str!("../../template/remote_address.yaml"))
}

/// What must go besides `x-mcp-*` before anything looks at it.
pub(in super::super) fn foreign_headers(config: &Config) -> &'static str {
    match config.ip_filter.trusted_proxies.is_empty() {
        true => "",
        false => OBEYED,
    }
}

pub(super) fn filter(config: &Config) -> String {
    let (allow, deny) = (&config.ip_filter.allow, &config.ip_filter.deny);
    if allow.is_empty() && deny.is_empty() {
        return String::new();
    }
    Fill::default()
        .block("allow", id(allow, |any| any))
        .block("deny", id(deny, |any| json!({ "not_id": any })))
        .fill(include_str!("../../template/ip_filter.yaml"))
}

/// A principal out of "has one of these addresses"; empty: none.
fn id(networks: &[Network], of: impl FnOnce(Value) -> Value) -> String {
    if networks.is_empty() {
        return String::new();
    }
    let ids: Vec<Value> = networks
        .iter()
        .map(|network| json!({ "remote_ip": range(network) }))
        .collect();
    format!("- {}\n", of(json!({ "or_ids": { "ids": ids } })))
}

/// `CidrRange`
fn range(network: &Network) -> Value {
    json!({ "address_prefix": network.address.to_string(), "prefix_len": network.bits })
}
