//! What the gateway says of itself: log, audit lines, metrics.
//!
//! An exchange ends as one [`Record`]; here it becomes one audit line and a few counts. Both are on the call path, so
//! neither waits: lines go into a buffer that a thread writes, metrics are handles made beforehand.

pub mod audit;
mod line;
pub mod log;
pub mod metrics;

pub use audit::AuditLog;
pub use metrics::Metrics;

use crate::engine::exchange::Record;
use crate::engine::exchange::record::Way;
use std::time::{Duration, SystemTime};

/// Takes the facts of exchanges.
#[derive(Debug)]
pub struct Telemetry {
    audit: AuditLog,
    metrics: Metrics,
}

impl Telemetry {
    /// Counts into `metrics`, writes lines to `audit`.
    #[must_use]
    pub const fn new(audit: AuditLog, metrics: Metrics) -> Self {
        Self { audit, metrics }
    }

    /// Takes the facts of one exchange. `elapsed`: from its first message to the decision, or to the response headers
    /// of a forward.
    pub fn record(&self, record: &Record, elapsed: Duration) {
        self.metrics.record(record, elapsed);
        if record.way != Way::Undecided {
            self.audit.record(record, elapsed, SystemTime::now());
        }
    }

    /// The metrics, for everything that is no exchange and for the admin port.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The metrics as text, in OpenMetrics form.
    #[must_use]
    pub fn scrape(&self) -> String {
        self.metrics.set_lines_lost(self.audit.lost());
        self.metrics.encode()
    }
}
