//! How long sessions lasted: those of clients here, and ours at upstreams.

use super::BUCKETS;
use super::labels::{AtUpstream, VersionLabel};
use crate::engine::session::past::Past;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Handles to the histograms of one gateway: cheap to clone, for those who end sessions.
#[derive(Clone, Debug)]
pub struct SessionDurations {
    server: Family<VersionLabel, Histogram>,
    client: Family<AtUpstream, Histogram>,
}

impl Default for SessionDurations {
    fn default() -> Self {
        Self {
            server: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            client: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }
}

impl SessionDurations {
    /// Of a client with the gateway.
    pub fn observe(&self, past: Past) {
        self.server
            .get_or_create(&VersionLabel(Some(past.version)))
            .observe(past.lasted.as_secs_f64());
    }

    /// Of the gateway with an upstream.
    pub fn observe_at(&self, upstream: &str, past: Past) {
        self.client
            .get_or_create(&AtUpstream::new(upstream, &past))
            .observe(past.lasted.as_secs_f64());
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "mcp_server_session_duration",
            "Of sessions of clients, from initialize to DELETE; of others that are over to their last use",
            Unit::Seconds,
            self.server.clone(),
        );
        registry.register_with_unit(
            "mcp_client_session_duration",
            "Of sessions with upstreams, from initialize until they were closed or turned out to be lost",
            Unit::Seconds,
            self.client.clone(),
        );
    }
}
