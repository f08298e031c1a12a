//! `circuitBreaker:` and `outlierDetection:` of an upstream: when it is spared, or not asked at all.

use super::file::Findings;
use super::scalar::{Count, Span};
use super::{Via, gateway};
use serde::Deserialize;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(10);
const EJECTION: Duration = Duration::from_secs(30);

// === truth ===

/// Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// `circuitBreaker:`
    pub circuit_breaker: CircuitBreaker,
    /// `outlierDetection:`; `None`: only failures to connect count.
    pub outlier_detection: Option<OutlierDetection>,
}

/// What an upstream is asked at once, at most. Beyond it calls fail at once (-31010).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Envoy's connections to it; default `limits.streams`.
    pub connections: Option<u32>,
    /// Requests that wait for a connection; default `limits.streams`.
    pub pending: Option<u32>,
    /// Calls under way, Envoy's and the processor's own each; default `limits.streams`, the processor's own unlimited.
    pub requests: Option<u32>,
}

/// Which answers take an upstream out of service, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// So many 5xx answers in a row.
    pub consecutive_5xx: u32,
    /// How often those who are out are looked at.
    pub interval: Duration,
    /// Out for so long; each time longer, up to ten times that.
    pub ejection: Duration,
}

// === the file ===

/// `circuitBreaker:`
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with connections, pending, requests"
)]
pub(super) struct RawBreaker {
    connections: Option<Count>,
    pending: Option<Count>,
    requests: Option<Count>,
}

/// `outlierDetection:`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with consecutive5xx, interval, ejection")]
pub(super) struct RawOutlier {
    consecutive5xx: Count,
    interval: Option<Span>,
    ejection: Option<Span>,
}

/// Reads both.
pub(super) fn read(
    at: &str,
    breaker: Option<&RawBreaker>,
    outlier: Option<&RawOutlier>,
    via: Via,
    findings: &mut Findings,
) -> Protection {
    Protection {
        circuit_breaker: breaker.map_or_else(CircuitBreaker::default, |raw| self::breaker(at, raw, findings)),
        outlier_detection: outlier.map(|raw| self::outlier(at, raw, via, findings)),
    }
}

fn breaker(at: &str, raw: &RawBreaker, findings: &mut Findings) -> CircuitBreaker {
    let mut read = |key, value: Option<Count>| {
        let path = format!("{at}.circuitBreaker.{key}");
        value.map(|Count(value)| findings.above_zero(&path, value))
    };
    CircuitBreaker {
        connections: read("connections", raw.connections),
        pending: read("pending", raw.pending),
        requests: read("requests", raw.requests),
    }
}

/// Answers that the processor itself receives pass no Envoy.
fn outlier(at: &str, raw: &RawOutlier, via: Via, findings: &mut Findings) -> OutlierDetection {
    let at = format!("{at}.outlierDetection");
    if via == Via::Direct {
        findings.add(at.clone(), "is Envoy's work, and this upstream is called directly");
    }
    OutlierDetection {
        consecutive_5xx: findings.above_zero(&format!("{at}.consecutive5xx"), raw.consecutive5xx.0),
        interval: gateway::duration(&format!("{at}.interval"), raw.interval, INTERVAL, findings),
        ejection: gateway::duration(&format!("{at}.ejection"), raw.ejection, EJECTION, findings),
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::config::file::parse;
    use std::path::Path;

    fn problems(keys: &str) -> Vec<String> {
        let text = format!("upstreams: [{{name: a, url: 'http://a/', {keys}}}]");
        match parse(&text, Path::new("/"), Path::new("/")) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert!(problems("circuitBreaker: {requests: 5}, outlierDetection: {consecutive5xx: 3}").is_empty());
        assert_eq!(
            problems("circuitBreaker: {connections: 0}"),
            ["upstreams[0].circuitBreaker.connections: must be above 0"]
        );
        assert_eq!(
            problems("outlierDetection: {consecutive5xx: 3}, via: direct"),
            ["upstreams[0].outlierDetection: is Envoy's work, and this upstream is called directly"]
        );
        assert_eq!(
            problems("outlierDetection: {interval: 1s}"),
            ["upstreams[0].outlierDetection: missing field `consecutive5xx`"]
        );
    }
}
