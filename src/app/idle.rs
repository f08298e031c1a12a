//! Tells operators of rules that can never decide anything; `check` says the same.

use crate::engine::config::{Config, idle};
use tracing::warn;

/// At the start, and whenever other rules come into force.
pub(super) fn tell(config: &Config) {
    for problem in idle::rules(config) {
        warn!(key = problem.path, reason = problem.message, "A rule is of no use.");
    }
}
