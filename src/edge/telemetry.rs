//! What the gateway says of itself: log, audit lines, metrics, spans.
//!
//! An exchange ends as one [`Record`]; here it becomes one audit line and a few counts. Both are on the call path, so
//! neither waits: lines go into a buffer that a thread writes, metrics are handles made beforehand.

pub mod audit;
mod line;
pub mod log;
pub mod metrics;
pub mod otlp;

pub use audit::AuditLog;
pub use metrics::Metrics;
pub use otlp::{Exporter, Spans};

use crate::engine::exchange::Record;
use crate::engine::exchange::record::Way;
use crate::engine::mcp::trace::Ratio;
use std::time::{Duration, SystemTime};

/// Takes the facts of exchanges.
#[derive(Debug)]
pub struct Telemetry {
    audit: AuditLog,
    metrics: Metrics,
    /// `None`: nothing is traced.
    spans: Option<Spans>,
}

impl Telemetry {
    /// Counts into `metrics`, writes lines to `audit`.
    #[must_use]
    pub const fn new(audit: AuditLog, metrics: Metrics) -> Self {
        Self {
            audit,
            metrics,
            spans: None,
        }
    }

    /// The same, with spans of what is traced left there.
    #[must_use]
    pub fn tracing(self, spans: Spans) -> Self {
        Self {
            spans: Some(spans),
            ..self
        }
    }

    /// How many of the traces that begin here are kept; `None`: nothing is traced.
    #[must_use]
    pub fn traces(&self) -> Option<Ratio> {
        self.spans.as_ref().map(Spans::ratio)
    }

    /// Takes the facts of one exchange. `elapsed`: from its first message to the decision, or to the response headers
    /// of a forward.
    pub fn record(&self, record: &Record, elapsed: Duration) {
        self.metrics.record(record, elapsed);
        if record.way != Way::Undecided {
            self.audit.record(record, elapsed, SystemTime::now());
        }
        if let (Some(spans), Some(_)) = (&self.spans, &record.trace) {
            spans.record(record, elapsed, SystemTime::now());
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
        if let Some(spans) = &self.spans {
            self.metrics.set_spans(spans.counts());
        }
        self.metrics.encode()
    }
}
