//! How the public keys of issuers are: as many series as there are issuers in the configuration.

use crate::engine::status::IssuerStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// A configured issuer.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct IssuerLabel {
    issuer: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    usable: Family<IssuerLabel, Gauge>,
    fetched: Family<IssuerLabel, Gauge<f64, AtomicU64>>,
    failures: Family<IssuerLabel, Counter>,
}

impl Issuers {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "jwks_usable",
            "1 if the issuer's tokens count: its keys were had within keepLastGood",
            self.usable.clone(),
        );
        registry.register_with_unit(
            "jwks_last_fetched_timestamp",
            "Unix time at which the issuer's keys were had last",
            Unit::Seconds,
            self.fetched.clone(),
        );
        registry.register(
            "jwks_fetch_failures",
            "Attempts to fetch the issuer's keys that failed",
            self.failures.clone(),
        );
    }

    pub(super) fn observe(&self, issuers: &[IssuerStatus]) {
        for status in issuers {
            let label = IssuerLabel {
                issuer: status.issuer.clone(),
            };
            self.usable.get_or_create(&label).set(status.usable.into());
            if let Some(at) = status.last_fetched.as_deref().and_then(unix_time) {
                self.fetched.get_or_create(&label).set(at);
            }
            let failures = self.failures.get_or_create(&label);
            failures.inner().store(status.failures, Relaxed);
        }
    }
}

fn unix_time(text: &str) -> Option<f64> {
    let at: SystemTime = humantime::parse_rfc3339(text).ok()?;
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}
