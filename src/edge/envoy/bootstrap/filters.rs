//! The HTTP filters before the processor: what can be refused, or known, without reading a body.
//!
//! Their order is the point: CORS first, since a preflight carries no token; then addresses, identity, coarse limits.

use crate::engine::config::Config;

/// The fragments of all filters that this configuration needs, in their order; empty where it needs none.
pub(super) const fn before_processor(_config: &Config) -> String {
    String::new()
}
