//! All metrics, as one struct that is made once.
//!
//! Names follow the OpenTelemetry conventions for MCP where there is one, else they start with `mcp_manifold_`. Label
//! values are bounded: known methods, our own reasons, configured upstreams. What every exchange counts is found by
//! index, without hashing.

mod issuers;
pub(super) mod labels;
mod sessions;
mod tools;

use super::otlp::Counts;
use crate::engine::exchange::Record;
use crate::engine::exchange::record::Way;
use crate::engine::jsonrpc::Code;
use crate::engine::mcp::Era;
use crate::engine::status::{GatewayStatus, StatePart};
use issuers::Issuers;
use labels::{
    Build, Call, ErrorType, Exchanges, LimitLabel, MethodLabel, Operation, Reject, StateLabel, UpstreamLabel,
    VersionLabel,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
pub use sessions::SessionDurations;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tools::ToolNames;

/// Seconds, as the conventions ask for.
const BUCKETS: [f64; 14] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    durations: Family<Operation, Histogram>,
    /// The members of `durations` without an error, by method and revision; made when first used.
    good: [[OnceLock<Histogram>; VersionLabel::COUNT]; MethodLabel::COUNT],
    calls: Family<Call, Histogram>,
    tool_names: ToolNames,
    exchanges: [[Counter; ERAS]; WAYS],
    rejects: Family<Reject, Counter>,
    rate_limited: Family<LimitLabel, Counter>,
    buckets: Family<LimitLabel, Gauge>,
    replays: Counter,
    sessions: Gauge,
    session_durations: SessionDurations,
    generation: Gauge,
    body_bytes: Gauge,
    callers: Gauge,
    ready: Family<UpstreamLabel, Gauge>,
    tools: Family<UpstreamLabel, Gauge>,
    issuers: Issuers,
    state: Family<StateLabel, Gauge>,
    lines_lost: Counter,
    spans_sent: Counter,
    spans_dropped: Counter,
}

const WAYS: usize = 5;
const ERAS: usize = 3;

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Metrics ===

impl Metrics {
    /// All at zero; the process start time is now.
    #[must_use]
    pub fn new() -> Self {
        let exchanges = Family::<Exchanges, Counter>::default();
        let metrics = Self {
            registry: Registry::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            calls: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            tool_names: ToolNames::default(),
            good: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            exchanges: WAY_ORDER
                .map(|way| ERA_ORDER.map(|era| exchanges.get_or_create_owned(&Exchanges::new(way, era)))),
            rejects: Family::default(),
            rate_limited: Family::default(),
            buckets: Family::default(),
            replays: Counter::default(),
            sessions: Gauge::default(),
            session_durations: SessionDurations::default(),
            generation: Gauge::default(),
            body_bytes: Gauge::default(),
            callers: Gauge::default(),
            ready: Family::default(),
            tools: Family::default(),
            issuers: Issuers::default(),
            state: Family::default(),
            lines_lost: Counter::default(),
            spans_sent: Counter::default(),
            spans_dropped: Counter::default(),
        };
        metrics.registered(exchanges)
    }

    fn registered(mut self, exchanges: Family<Exchanges, Counter>) -> Self {
        let mut registry = Registry::default();
        registry.register_with_unit(
            "mcp_server_operation_duration",
            "From the request to the answer; of forwarded calls to the upstream's response headers",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "mcp_client_operation_duration",
            "Of what was asked of an upstream, from the client's request; of forwarded calls to the response headers",
            Unit::Seconds,
            self.calls.clone(),
        );
        self.session_durations.register(&mut registry);
        let started = Seconds::default();
        started.set(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
        );
        registry.register_with_unit("process_start_time", "Unix time of the start", Unit::Seconds, started);

        let own = registry.sub_registry_with_prefix("mcp_manifold");
        own.register("build", "Version of this program", Info::new(Build::THIS));
        own.register("exchanges", "HTTP exchanges by the way they were handled", exchanges);
        own.register(
            "rejects",
            "Exchanges refused by the gateway, by reason",
            self.rejects.clone(),
        );
        own.register(
            "rate_limited",
            "Exchanges refused because a bucket was empty, by rate limit",
            self.rate_limited.clone(),
        );
        own.register(
            "rate_limit_buckets",
            "Buckets in memory, by rate limit",
            self.buckets.clone(),
        );
        own.register(
            "replays",
            "Calls replayed after a lost upstream session",
            self.replays.clone(),
        );
        own.register("sessions", "Gateway sessions remembered", self.sessions.clone());
        own.register(
            "snapshot_generation",
            "Of the snapshot in force",
            self.generation.clone(),
        );
        own.register(
            "body_bytes_held",
            "Bytes of request bodies in memory",
            self.body_bytes.clone(),
        );
        own.register(
            "callers_listed",
            "Callers for whom something is kept that upstreams list for them alone",
            self.callers.clone(),
        );
        own.register(
            "upstream_ready",
            "1 if listed and the last attempt did not fail",
            self.ready.clone(),
        );
        own.register("upstream_tools", "Tools listed by the upstream", self.tools.clone());
        self.issuers.register(own);
        own.register(
            "state_write_failing",
            "1 if a part of the state folder could not be written the last time",
            self.state.clone(),
        );
        own.register(
            "audit_lines_lost",
            "Audit lines that could not be written",
            self.lines_lost.clone(),
        );
        own.register(
            "spans_sent",
            "Spans that the collector has taken",
            self.spans_sent.clone(),
        );
        own.register(
            "spans_dropped",
            "Spans that the collector has not taken in time",
            self.spans_dropped.clone(),
        );
        self.registry = registry;
        self
    }

    /// For those who end sessions.
    #[must_use]
    pub fn session_durations(&self) -> SessionDurations {
        self.session_durations.clone()
    }

    /// Counts one exchange.
    pub(super) fn record(&self, record: &Record, elapsed: Duration) {
        self.exchange(record.way, record.era).inc();
        if record.replayed {
            self.replays.inc();
        }
        if let (Way::Reject, Some(reason)) = (record.way, record.reason) {
            self.rejects.get_or_create(&Reject { reason }).inc();
            if record.code == Some(Code::RATE_LIMITED.0)
                && let Some(limit) = &record.rule
            {
                self.rate_limited.get_or_create(&LimitLabel::new(limit)).inc();
            }
        }
        if record.way == Way::Undecided {
            return;
        }
        let (method, version) = (MethodLabel::of(record), VersionLabel(record.version));
        let seconds = elapsed.as_secs_f64();
        if let Some(call) = Call::of(record) {
            self.calls.get_or_create(&call).observe(seconds);
        }
        match (ErrorType::of(record), self.tool_names.of(record)) {
            (ErrorType::None, None) => self.good(method, version).observe(seconds),
            (error, tool) => self
                .durations
                .get_or_create(&Operation::new(method, error, tool, version))
                .observe(seconds),
        }
    }

    /// Takes over what status says, at each scrape. `body_bytes`: bytes of request bodies held.
    pub fn observe(&self, status: &GatewayStatus, body_bytes: usize) {
        self.sessions.set(clamp(status.sessions));
        self.generation
            .set(i64::try_from(status.generation).unwrap_or(i64::MAX));
        self.body_bytes.set(clamp(body_bytes));
        // Upstreams may have gone since the last time.
        self.ready.clear();
        self.tools.clear();
        for upstream in &status.upstreams {
            let label = UpstreamLabel::new(&upstream.name);
            self.ready.get_or_create(&label).set(upstream.ready.into());
            self.tools.get_or_create(&label).set(clamp(upstream.tools));
        }
        for part in StatePart::ALL {
            let failing = status.state_errors.iter().any(|error| error.part == part);
            self.state.get_or_create(&StateLabel::new(part)).set(failing.into());
        }
        self.issuers.observe(&status.issuers);
    }

    /// Takes over how many buckets there are of each rate limit, at each scrape.
    pub fn observe_buckets(&self, buckets: &[(Arc<str>, usize)]) {
        self.buckets.clear();
        for (limit, count) in buckets {
            self.buckets.get_or_create(&LimitLabel::new(limit)).set(clamp(*count));
        }
    }

    /// Takes over for how many callers something is kept that upstreams list for them alone, at each scrape.
    pub fn observe_callers(&self, callers: usize) {
        self.callers.set(clamp(callers));
    }

    pub(super) fn set_lines_lost(&self, lines: u64) {
        self.lines_lost.inner().store(lines, Relaxed);
    }

    pub(super) fn set_spans(&self, counts: &Counts) {
        self.spans_sent.inner().store(counts.sent.load(Relaxed), Relaxed);
        self.spans_dropped.inner().store(counts.dropped.load(Relaxed), Relaxed);
    }

    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }

    fn good(&self, method: MethodLabel, version: VersionLabel) -> &Histogram {
        let make = || {
            self.durations
                .get_or_create_owned(&Operation::new(method, ErrorType::None, None, version))
        };
        self.good[method.index()][version.index()].get_or_init(make)
    }

    const fn exchange(&self, way: Way, era: Option<Era>) -> &Counter {
        &self.exchanges[way as usize][match era {
            None => 0,
            Some(Era::Legacy) => 1,
            Some(Era::Modern) => 2,
        }]
    }
}

const WAY_ORDER: [Way; WAYS] = [Way::Undecided, Way::Answer, Way::Forward, Way::Relay, Way::Reject];
const ERA_ORDER: [Option<Era>; ERAS] = [None, Some(Era::Legacy), Some(Era::Modern)];

fn clamp(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
