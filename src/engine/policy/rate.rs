//! Which rate limits a request falls under, out of which bucket of each, and at what cost. Counting is the edge's.

use crate::engine::config::RateLimit;
use crate::engine::config::rate_limits::Per;
use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What a request takes out of one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// The limit.
    pub limit: Arc<RateLimit>,
    /// Names the bucket: one value for each of the limit's `per`, in their order.
    pub bucket: Vec<Arc<str>>,
    /// So much.
    pub cost: NonZeroU32,
}

/// How a bucket stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The limit's name.
    pub limit: Arc<str>,
    /// What the bucket holds when it is full.
    pub burst: u32,
    /// It is refilled by so much ...
    pub count: u32,
    /// ... in so many seconds.
    pub window: u64,
    /// What is left in it.
    pub remaining: u32,
    /// Seconds until it is full again.
    pub reset: u64,
}

/// A bucket does not hold what a request costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The bucket.
    pub quota: Quota,
    /// Seconds until it will; at least 1.
    pub retry_after: u64,
}

/// What is known of a request when it is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Client address, without port; empty: unknown.
    pub address: &'a str,
    /// `None`: anonymous.
    pub principal: Option<&'a str>,
    /// Fingerprint of the gateway session, if there is one.
    pub session: Option<&'a str>,
    /// JSON-RPC method, if there is one.
    pub method: Option<&'a str>,
    /// Exposed name, if a tool is called.
    pub tool: Option<&'a str>,
    /// Whom it goes to, one or several.
    pub upstreams: &'a [Arc<str>],
}

/// All charges of one request, in the order of the configuration.
#[must_use]
pub fn charges(limits: &[Arc<RateLimit>], facts: &Facts<'_>) -> Vec<Charge> {
    let mut charges = Vec::new();
    for limit in limits.iter().filter(|limit| applies(limit, facts)) {
        let cost = cost(limit, facts);
        if !limit.per.contains(&Per::Upstream) {
            charges.extend(bucket(limit, facts, None).map(|bucket| charge(limit, bucket, cost)));
            continue;
        }
        for upstream in facts.upstreams {
            charges.extend(bucket(limit, facts, Some(upstream)).map(|bucket| charge(limit, bucket, cost)));
        }
    }
    charges
}

fn charge(limit: &Arc<RateLimit>, bucket: Vec<Arc<str>>, cost: NonZeroU32) -> Charge {
    Charge {
        limit: Arc::clone(limit),
        bucket,
        cost,
    }
}

fn applies(limit: &RateLimit, facts: &Facts<'_>) -> bool {
    let fits = |patterns: &[crate::engine::config::glob::Glob], name: Option<&str>| {
        patterns.is_empty() || name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
    };
    fits(&limit.tools, facts.tool) && fits(&limit.methods, facts.method)
}

/// Where several patterns fit, the highest.
fn cost(limit: &RateLimit, facts: &Facts<'_>) -> NonZeroU32 {
    let fitting = limit
        .cost
        .iter()
        .filter(|(pattern, _)| facts.tool.is_some_and(|tool| pattern.matches(tool)));
    fitting.map(|(_, cost)| *cost).max().unwrap_or(NonZeroU32::MIN)
}

/// `None`: the request has nothing of what the limit counts by.
fn bucket(limit: &RateLimit, facts: &Facts<'_>, upstream: Option<&Arc<str>>) -> Option<Vec<Arc<str>>> {
    let value = |per: &Per| match per {
        Per::Ip => Some(network(facts.address)),
        Per::Principal => Some(facts.principal.unwrap_or("").into()),
        Per::Session => Some(session(facts)),
        Per::Tool => facts.tool.map(Arc::from),
        Per::Upstream => upstream.cloned(),
        Per::Method => Some(facts.method.unwrap_or("").into()),
    };
    limit.per.iter().map(value).collect()
}

/// Of IPv6 the network: who has one address has all 2^64 of it. As Envoy counts them.
fn network(address: &str) -> Arc<str> {
    const NETWORK: u128 = !(u64::MAX as u128);
    match address.parse::<Ipv6Addr>() {
        Ok(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string().into(),
            None => Ipv6Addr::from_bits(address.to_bits() & NETWORK).to_string().into(),
        },
        Err(_) => address.into(),
    }
}

/// Requests without a session would else share one bucket, or none.
fn session(facts: &Facts<'_>) -> Arc<str> {
    match (facts.session, facts.principal) {
        (Some(session), _) => session.into(),
        (None, Some(principal)) => format!("principal {principal}").into(),
        (None, None) => format!("ip {}", network(facts.address)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::file::parse;
    use std::path::Path;

    fn mk_limits(text: &str) -> Vec<Arc<RateLimit>> {
        let text = format!("rateLimits: [{text}]\nupstreams: [{{name: a, url: 'http://a/'}}]");
        parse(&text, Path::new("/"), Path::new("/")).expect("valid").rate_limits
    }

    const CALL: Facts<'_> = Facts {
        address: "192.0.2.1",
        principal: Some("ann"),
        session: Some("5e55"),
        method: Some("tools/call"),
        tool: Some("github_search"),
        upstreams: &[],
    };

    fn buckets(limits: &str, facts: &Facts<'_>) -> Vec<String> {
        let charges = charges(&mk_limits(limits), facts);
        charges
            .iter()
            .map(|charge| format!("{} {} {}", charge.limit.name, charge.bucket.join("|"), charge.cost))
            .collect()
    }

    #[test]
    fn each_limit_has_a_bucket_for_each_combination_of_its_keys() {
        let limits = "{name: a, limit: 1/s, per: [principal, tool]}, {name: b, limit: 1/s, per: [ip, method]}, \
                      {name: c, limit: 1/s}";
        assert_eq!(
            buckets(limits, &CALL),
            ["a ann|github_search 1", "b 192.0.2.1|tools/call 1", "c  1"]
        );
    }

    #[test]
    fn a_limit_of_tools_or_methods_is_not_about_anything_else() {
        let limits = "{name: a, limit: 1/s, tools: 'github_*'}, {name: b, limit: 1/s, methods: tools/list}, \
                      {name: c, limit: 1/s, per: [tool]}";
        assert_eq!(buckets(limits, &CALL), ["a  1", "c github_search 1"]);
        let list = Facts {
            method: Some("tools/list"),
            tool: None,
            ..CALL
        };
        assert_eq!(buckets(limits, &list), ["b  1"]);
        assert!(
            buckets("{name: a, limit: 1/s, methods: '*'}", &Facts::default()).is_empty(),
            "GET"
        );
    }

    #[test]
    fn the_highest_cost_that_fits_counts() {
        let limits = "{name: a, limit: 9/s, cost: {'*': 2, 'github_*': 5, other: 9}}";
        assert_eq!(buckets(limits, &CALL), ["a  5"]);
    }

    #[test]
    fn every_upstream_that_is_asked_is_counted() {
        let limits = "{name: a, limit: 1/s, per: [upstream]}";
        let asked = [Arc::from("one"), Arc::from("two")];
        let around = Facts {
            upstreams: &asked,
            ..CALL
        };
        assert_eq!(buckets(limits, &around), ["a one 1", "a two 1"]);
        assert!(buckets(limits, &CALL).is_empty(), "no upstream is asked");
    }

    #[test]
    fn without_a_session_the_principal_counts_else_the_address() {
        let limits = "{name: a, limit: 1/s, per: [session]}";
        assert_eq!(buckets(limits, &CALL), ["a 5e55 1"]);
        let modern = Facts { session: None, ..CALL };
        assert_eq!(buckets(limits, &modern), ["a principal ann 1"]);
        let nobody = Facts {
            principal: None,
            ..modern
        };
        assert_eq!(buckets(limits, &nobody), ["a ip 192.0.2.1 1"]);
    }

    #[test]
    fn of_ipv6_a_network_is_one_client() {
        let limits = mk_limits("{name: l, per: [ip], limit: 1/s}");
        let bucket = |address| {
            let facts = Facts { address, ..CALL };
            charges(&limits, &facts).remove(0).bucket.remove(0)
        };
        assert_eq!(&*bucket("192.0.2.1"), "192.0.2.1");
        assert_eq!(bucket("2001:db8::1"), bucket("2001:db8::ffff:0:0:2"));
        assert_ne!(bucket("2001:db8::1"), bucket("2001:db8:0:1::1"));
        assert_eq!(&*bucket("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(&*bucket(""), "");
    }
}
