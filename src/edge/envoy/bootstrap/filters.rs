//! The HTTP filters before the processor: what can be refused, or known, without reading a body.
//!
//! Their order is the point: CORS first, since a preflight carries no token; then addresses, identity, coarse limits.

mod address;
mod browser;

pub(super) use address::{foreign_headers, remote_address};
pub(super) use browser::{cors_policy, refusal_headers};

use super::{rate_limits, tokens};
use crate::engine::config::Config;

/// The fragments of all filters that this configuration needs, in their order; empty where it needs none.
pub(super) fn before_processor(config: &Config) -> String {
    [
        browser::cors(config),
        browser::response_headers(config),
        address::filter(config),
        tokens::filter(config),
        rate_limits::by_address(config),
    ]
    .concat()
}
