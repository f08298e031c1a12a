//! What differs between two configurations. (Interface first; body to come.)

use super::Config;

/// What a reload has to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Names of upstreams that are new.
    pub added: Vec<String>,
    /// Names of upstreams that are gone.
    pub removed: Vec<String>,
    /// Names of upstreams that differ.
    pub changed: Vec<String>,
    /// Keys that take effect only after a restart (`listen`, `admin`, `stateDir`, `envoy...`).
    pub needs_restart: Vec<&'static str>,
    /// Anything else differs (hosts, origins, limits, lists, ...).
    pub settings: bool,
}

/// Compares.
#[must_use]
pub fn between(_old: &Config, _new: &Config) -> Change {
    unimplemented!()
}
