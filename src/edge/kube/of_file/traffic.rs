//! How much: rate limits by address alone, and what each server is asked at once.

use super::{Make, Purpose, ROUTE, Remarks, TRAFFIC, paths, routes, span};
use crate::engine::config::rate_limits::Unit;
use crate::engine::config::{RateLimit, Upstream};
use serde_json::{Value, json};
use std::time::Duration;

/// Without `outlierDetection`: how often servers that cannot be reached are looked at, and for how long they are spared.
const LOOK: Duration = Duration::from_secs(1);
const EJECTION: Duration = Duration::from_secs(2);
/// So many in a row there never are.
const NEVER: u32 = i32::MAX.cast_unsigned();
/// Everybody, each address by itself.
const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];

pub(super) fn all(make: &Make<'_>, remarks: &mut Remarks) -> Vec<Value> {
    let servers = make.reached().map(|(at, upstream)| server(make, at, upstream, remarks));
    let mut all: Vec<Value> = servers.collect();
    all.insert(0, clients(make));
    all
}

/// Of the ways in.
fn clients(make: &Make<'_>) -> Value {
    let ways_in = Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Upstream);
    let selectors: Vec<Value> = ways_in.map(|purpose| make.selector(purpose)).collect();
    let mut spec = json!({
        "targetSelectors": selectors,
        // Streams may be silent.
        "timeout": {"http": {"streamIdleTimeout": "0s"}},
    });
    let limits = make.config.rate_limits.iter();
    let limits: Vec<_> = limits.filter(|limit| limit.is_by_address()).collect();
    if !limits.is_empty() {
        let rules = limits.iter().flat_map(|limit| rules(limit));
        spec["rateLimit"] = json!({"type": "Local", "local": {"rules": rules.collect::<Vec<Value>>()}});
    }
    make.object(&TRAFFIC, &make.name("clients"), &spec)
}

/// Envoy Gateway counts for each route by itself, and a bucket holds what comes in one unit of time (1.9): so it only keeps
/// the worst away from what comes first, tokens and the processor. The processor counts as the file says.
fn rules(limit: &RateLimit) -> impl Iterator<Item = Value> {
    let unit = match limit.unit {
        Unit::Second => "Second",
        Unit::Minute => "Minute",
        Unit::Hour => "Hour",
        Unit::Day => "Day",
    };
    let most = limit.count.max(limit.burst);
    EVERYBODY.into_iter().map(move |range| {
        json!({
            "clientSelectors": [{"sourceCIDR": {"type": "Distinct", "value": range}}],
            "limit": {"requests": most, "unit": unit},
            // The processor's are the ones that count.
            "xRateLimitHeaders": "Off",
        })
    })
}

/// Of the routes to one server.
fn server(make: &Make<'_>, at: usize, upstream: &Upstream, remarks: &mut Remarks) -> Value {
    let breaker = &upstream.protection.circuit_breaker;
    let most = |limit: Option<u32>| limit.map_or(make.config.limits.streams, |limit| limit as usize);
    let outlier = upstream.protection.outlier_detection;
    if outlier.is_some() {
        let message = "who is out stays out longer each time, up to 5 minutes: Envoy Gateway cannot set another end";
        remarks.tell(format!("upstreams[{at}].outlierDetection.ejection"), message);
    }
    let spec = json!({
        "targetRefs": targets(make, upstream),
        // The processor names the address that opened the session, or none.
        "loadBalancer": {"type": "RoundRobin", "endpointOverride": {"extractFrom": [{"header": "x-mcp-endpoint"}]}},
        "timeout": {
            "tcp": {"connectTimeout": span(upstream.timeout.connect)},
            // Connections: below the 5 s of common servers, a connection that they close just then fails a call.
            "http": {"connectionIdleTimeout": "4s", "streamIdleTimeout": "0s"},
        },
        "circuitBreaker": {
            "maxConnections": most(breaker.connections),
            "maxPendingRequests": most(breaker.pending),
            "maxParallelRequests": most(breaker.requests),
        },
        "healthCheck": {
            "panicThreshold": 0,
            "passive": {
                "splitExternalLocalOriginErrors": true,
                "consecutiveLocalOriginFailures": 5,
                "consecutiveGatewayErrors": 0,
                "consecutive5XxErrors": outlier.map_or(NEVER, |outlier| outlier.consecutive_5xx),
                "interval": span(outlier.map_or(LOOK, |outlier| outlier.interval)),
                "baseEjectionTime": span(outlier.map_or(EJECTION, |outlier| outlier.ejection)),
                "maxEjectionPercent": 100,
            },
        },
    });
    make.object(&TRAFFIC, &super::backends::of_upstream(make, &upstream.name), &spec)
}

fn targets(make: &Make<'_>, upstream: &Upstream) -> Vec<Value> {
    let routed = make.routed().any(|(_, routed)| routed.name == upstream.name);
    let merged = routed.then(|| routes::to_upstream(make, &upstream.name));
    let slugs = paths::slugs(&make.config.transparent);
    let entries = make.config.transparent.iter().zip(&slugs);
    let own = entries.filter(|(entry, _)| entry.upstream == upstream.name);
    let names = merged.into_iter().chain(own.map(|(_, slug)| routes::out(make, slug)));
    names
        .map(|name| json!({"group": super::GATEWAY_API, "kind": ROUTE.kind, "name": name}))
        .collect()
}
