//! How a controller is: for probes and metrics.

use super::lease::Standing;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Shared by a controller's parts and whoever shows it.
#[derive(Debug)]
pub struct Health {
    standing: watch::Sender<Standing>,
    /// The Lease was read at least once.
    asked: AtomicBool,
    /// Everything in the cluster is known; true only while leading.
    complete: AtomicBool,
    registry: Registry,
    leading: Gauge,
    pub(super) conclusions: Counter,
    pub(super) applied: Counter,
    pub(super) deleted: Counter,
    pub(super) statuses: Counter,
    pub(super) failures: Counter,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Health ===

impl Health {
    /// Of a controller that has not started.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("mcp_manifold_controller");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let conclusions = counter("conclusions", "Times that conclusions were drawn from changes");
        let applied = counter("applied", "Generated objects applied");
        let deleted = counter("deleted", "Generated objects deleted");
        let statuses = counter("statuses", "Statuses written");
        let failures = counter("failures", "Writes that the API server refused or did not answer");
        let leading = Gauge::default();
        registry.register("leading", "1 while this controller leads", leading.clone());
        Self {
            standing: watch::channel(Standing::Following).0,
            asked: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            registry,
            leading,
            conclusions,
            applied,
            deleted,
            statuses,
            failures,
        }
    }

    /// What readiness waits for, a line each. None: ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let leads = *self.standing.borrow() != Standing::Following;
        let lines = [
            (
                !self.asked.load(Ordering::Relaxed),
                "the API server has not answered yet",
            ),
            (
                leads && !self.complete.load(Ordering::Relaxed),
                "not all objects of the cluster are known yet",
            ),
        ];
        lines
            .iter()
            .filter(|(missing, _)| *missing)
            .map(|(_, line)| (*line).to_owned())
            .collect()
    }

    /// The metrics in OpenMetrics form.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        // A String takes every text.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(super) fn stands(&self) -> Standing {
        *self.standing.borrow()
    }

    /// True where that is news.
    pub(super) fn stand(&self, now: Standing) -> bool {
        self.leading.set(i64::from(now == Standing::Leading));
        self.standing
            .send_if_modified(|standing| std::mem::replace(standing, now) != now)
    }

    pub(super) fn asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    pub(super) fn complete(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    pub(super) fn forget(&self) {
        self.complete.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_waits_is_ready_and_a_leader_once_it_knows_everything() {
        let health = Health::new();
        assert_eq!(health.missing().len(), 1);
        health.asked();
        assert!(health.missing().is_empty(), "it stands by");
        assert!(health.stand(Standing::Leading));
        assert!(!health.stand(Standing::Leading));
        assert_eq!(health.missing().len(), 1);
        health.complete();
        assert!(health.missing().is_empty());
    }

    #[test]
    fn metrics_carry_the_programs_prefix() {
        let health = Health::new();
        health.stand(Standing::Leading);
        health.applied.inc();
        let text = health.metrics();
        assert!(text.contains("mcp_manifold_controller_leading 1"), "{text}");
        assert!(text.contains("mcp_manifold_controller_applied_total 1"), "{text}");
    }
}
