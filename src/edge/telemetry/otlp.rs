//! Sends spans and metrics to a collector, over OTLP (`proto/otlp.proto`).
//!
//! Off the call path: an exchange that is traced leaves its spans in a bounded queue, metrics are those that Prometheus
//! reads, taken over when they are sent. A collector that is slow or away costs nobody anything but spans: what the queue
//! has no room for is dropped and counted.
//!
//! ```text
//! exchange -> queue -> batch -> TraceService/Export
//! metrics as text  -> points -> MetricsService/Export, each `telemetry.interval`
//! ```

mod collector;
mod metrics;
mod span;
mod text;

use crate::engine::config::Telemetry;
use crate::engine::exchange::Record;
use crate::engine::mcp::trace::Ratio;
use collector::Collector;
pub use collector::NoCollector;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, timeout_at};
use tokio_util::sync::CancellationToken;

/// Made of `proto/otlp.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod proto {
    tonic::include_proto!("mcp.manifold.otlp");
}

/// Spans that wait; more are dropped. About 1 KiB each.
const QUEUE: usize = 4096;
/// Spans in one request.
const BATCH: usize = 512;
/// For how long they gather.
const GATHER: Duration = Duration::from_secs(1);
/// What is left at the end gets so long.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where exchanges leave their spans.
#[derive(Debug)]
pub struct Spans {
    queue: mpsc::Sender<proto::Span>,
    ratio: Ratio,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// Sends what is left for it.
pub struct Exporter {
    queue: mpsc::Receiver<proto::Span>,
    collector: Collector,
    counts: Arc<Counts>,
    /// `None`: no metrics.
    interval: Option<Duration>,
}

/// The two ends of the queue to the collector that `telemetry` names; `roots`: whom TLS trusts where that does not say.
/// Needs a runtime, which holds the connection.
///
/// # Errors
/// See [`NoCollector`].
pub fn open(telemetry: &Telemetry, roots: Option<&Path>) -> Result<(Spans, Exporter), NoCollector> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let counts = Arc::new(Counts::default());
    let exporter = Exporter {
        queue: receiver,
        collector: Collector::new(&telemetry.otlp, telemetry.ca.as_ref(), roots)?,
        counts: Arc::clone(&counts),
        interval: telemetry.metrics.then_some(telemetry.interval),
    };
    let spans = Spans {
        queue: sender,
        ratio: telemetry.traces,
        counts,
    };
    Ok((spans, exporter))
}

// === impl Spans ===

impl Spans {
    /// How many of the traces that begin here are kept.
    pub(super) const fn ratio(&self) -> Ratio {
        self.ratio
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes the spans of one exchange, if it is traced.
    pub(super) fn record(&self, record: &Record, elapsed: Duration, now: SystemTime) {
        for span in span::spans(record, elapsed, now) {
            if self.queue.try_send(span).is_err() {
                self.counts.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

// === impl Exporter ===

impl Exporter {
    /// Sends until `stop`, then what is left. `scrape`: the metrics as Prometheus reads them.
    pub async fn run(self, scrape: impl Fn() -> String, stop: CancellationToken) {
        let Self {
            mut queue,
            collector,
            counts,
            interval,
        } = self;
        let spans = async {
            loop {
                let batch = tokio::select! {
                    () = stop.cancelled() => break,
                    batch = gather(&mut queue) => batch,
                };
                if batch.is_empty() {
                    // Nobody can leave anything any more.
                    return stop.cancelled().await;
                }
                tokio::select! {
                    () = stop.cancelled() => {
                        // It was under way; whether it has arrived nobody knows.
                        counts.dropped.fetch_add(batch.len() as u64, Relaxed);
                        break;
                    }
                    () = send_spans(&collector, &batch, &counts) => {}
                }
            }
        };
        let metrics = async {
            let Some(interval) = interval else {
                return stop.cancelled().await;
            };
            let mut tick = tokio::time::interval_at(Instant::now() + interval, interval);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = tick.tick() => collector.send_metrics(metrics::points(&scrape(), SystemTime::now())).await,
                }
            }
        };
        tokio::join!(spans, metrics);
        let farewell = async {
            let mut rest = Vec::new();
            while let Ok(span) = queue.try_recv() {
                rest.push(span);
            }
            if !rest.is_empty() {
                send_spans(&collector, &rest, &counts).await;
            }
            if interval.is_some() {
                collector
                    .send_metrics(metrics::points(&scrape(), SystemTime::now()))
                    .await;
            }
        };
        let _unsaid = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

async fn send_spans(collector: &Collector, batch: &[proto::Span], counts: &Counts) {
    let arrived = collector.send_spans(batch).await;
    counts.sent.fetch_add(arrived, Relaxed);
    counts.dropped.fetch_add(batch.len() as u64 - arrived, Relaxed);
}

/// The next batch. Given up, it loses nothing but what it has begun to gather; empty: nothing will ever come.
async fn gather(queue: &mut mpsc::Receiver<proto::Span>) -> Vec<proto::Span> {
    let mut batch = Vec::new();
    if queue.recv_many(&mut batch, BATCH).await == 0 {
        return batch;
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match timeout_at(until, queue.recv_many(&mut batch, room)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    batch
}

#[cfg(test)]
mod tests;
