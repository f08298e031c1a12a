//! Rate limits by address alone, as Envoy's own filter before the processor.

use super::seconds;
use crate::edge::envoy::template::Fill;
use crate::engine::config::{Config, RateLimit};
use std::sync::Arc;

/// The filter; empty where no limit is by address alone.
pub(super) fn by_address(config: &Config) -> String {
    let limits: Vec<&Arc<RateLimit>> = config
        .rate_limits
        .iter()
        .filter(|limit| limit.is_by_address())
        .collect();
    if limits.is_empty() {
        return String::new();
    }
    let each = |fragment: &str| -> String { limits.iter().map(|limit| fill(limit, fragment)).collect() };
    // Two of them would be one header with two values: the processor's are nearer to their end, usually.
    let alone = limits.len() == config.rate_limits.len();
    let quota_headers = if alone {
        "enable_x_ratelimit_headers: DRAFT_VERSION_03"
    } else {
        ""
    };
    Fill::default()
        .block("quota_headers", quota_headers)
        .block(
            "actions",
            each(
                "- actions:\n  - generic_key: { descriptor_value: ${name} }\n  \
                 - masked_remote_address: { v4_prefix_mask_len: 32, v6_prefix_mask_len: 64 }",
            ),
        )
        .block(
            "descriptors",
            each(
                "- entries: [ { key: generic_key, value: ${name} }, { key: masked_remote_address } ]\n  \
                 token_bucket: { max_tokens: ${burst}, tokens_per_fill: ${count}, fill_interval: ${unit} }",
            ),
        )
        .fill(include_str!("../template/local_ratelimit.yaml"))
}

fn fill(limit: &RateLimit, fragment: &str) -> String {
    Fill::default()
        .value("name", &*limit.name)
        .value("burst", limit.burst)
        .value("count", limit.count)
        .inline("unit", seconds(limit.unit.duration()))
        .fill(fragment)
}
