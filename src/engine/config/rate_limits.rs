//! `rateLimits:`: how often who may do what.
//!
//! A limit is a bucket for each combination of what stands in `per`: it holds `burst` requests and is refilled evenly at
//! `limit`. Limits by address alone are Envoy's, before anything is parsed; all others are the processor's.

use super::file::{Findings, Sections};
use super::glob::Glob;
use super::scalar::Count;
use crate::engine::mcp::Method;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Faster than this there is nothing left to limit.
const FASTEST: u32 = 1_000_000;
/// A bucket is full again within this time.
const SLOWEST: Duration = Duration::from_secs(366 * 86_400);

// === truth ===

/// One of `rateLimits:`
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// In answers, logs and metrics.
    pub name: Arc<str>,
    /// There is a bucket for each combination of these; empty: one for everybody.
    pub per: Vec<Per>,
    /// So many ...
    pub count: NonZeroU32,
    /// ... in this time.
    pub unit: Unit,
    /// What a bucket holds; at least the highest cost.
    pub burst: NonZeroU32,
    /// Only calls of these tools, by their exposed names; empty: whatever it is.
    pub tools: Vec<Glob>,
    /// Only these methods; empty: whatever it is.
    pub methods: Vec<Glob>,
    /// What a call of a tool takes out of the bucket; others take 1.
    pub cost: Vec<(Glob, NonZeroU32)>,
}

/// What buckets are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// The client's address.
    Ip,
    /// Who calls; the anonymous are one.
    Principal,
    /// The gateway session; without one the principal, else the address.
    Session,
    /// The exposed name; the limit holds for tool calls only.
    Tool,
    /// The upstream; the limit holds for what an upstream is asked.
    Upstream,
    /// The JSON-RPC method.
    Method,
}

/// The time after the slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `s`
    Second,
    /// `min`
    Minute,
    /// `h`
    Hour,
    /// `day`
    Day,
}

impl RateLimit {
    /// Envoy counts it before anything is parsed: nothing but the address is asked for.
    #[must_use]
    pub fn is_by_address(&self) -> bool {
        self.per == [Per::Ip] && self.tools.is_empty() && self.methods.is_empty() && self.cost.is_empty()
    }
}

impl Per {
    /// As it is written, and as a rate limit service hears it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Principal => "principal",
            Self::Session => "session",
            Self::Tool => "tool",
            Self::Upstream => "upstream",
            Self::Method => "method",
        }
    }
}

impl Unit {
    /// How long it is.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        })
    }
}

// === the file ===

/// One of `rateLimits:`
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping such as { name: per-user, per: [principal], limit: 60/min }"
)]
pub(super) struct RawLimit {
    name: Option<String>,
    per: Vec<String>,
    limit: Option<String>,
    burst: Option<Count>,
    tools: Texts,
    methods: Texts,
    cost: BTreeMap<String, Count>,
}

/// One text or several.
#[derive(Debug, Default)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(String),
            Many(Vec<String>),
        }
        match Either::deserialize(deserializer) {
            Ok(Either::One(text)) => Ok(Self(vec![text])),
            Ok(Either::Many(texts)) => Ok(Self(texts)),
            Err(_) => Err(D::Error::custom(
                "expected a pattern such as \"github_*\", or a list of them",
            )),
        }
    }
}

/// Reads `rateLimits:`.
pub(super) fn limits(sections: &mut Sections, findings: &mut Findings) -> Vec<Arc<RateLimit>> {
    let raws: Vec<RawLimit> = sections.take("rateLimits", findings).unwrap_or_default();
    let mut names = HashSet::new();
    let mut limits = Vec::new();
    for (index, raw) in raws.into_iter().enumerate() {
        let at = format!("rateLimits[{index}]");
        let Some(limit) = limit(&at, raw, findings) else {
            continue;
        };
        if !names.insert(Arc::clone(&limit.name)) {
            findings.add(
                format!("{at}.name"),
                format!("{:?} is the name of a limit above", &*limit.name),
            );
        }
        limits.push(Arc::new(limit));
    }
    limits
}

fn limit(at: &str, raw: RawLimit, findings: &mut Findings) -> Option<RateLimit> {
    let name = name(at, raw.name.as_deref(), findings);
    let per = per(at, &raw.per, findings);
    let rate = rate(at, raw.limit.as_deref(), findings);
    let burst = raw
        .burst
        .and_then(|Count(burst)| not_zero(&format!("{at}.burst"), burst, findings));
    let tools = globs(&format!("{at}.tools"), &raw.tools, findings);
    let methods = globs(&format!("{at}.methods"), &raw.methods, findings);
    known(&format!("{at}.methods"), &methods, findings);
    let mut cost = Vec::new();
    for (pattern, Count(number)) in raw.cost {
        let number = not_zero(&format!("{at}.cost.{pattern}"), number, findings);
        cost.extend(number.map(|number| (Glob::new(&pattern), number)));
    }
    let (count, unit) = rate?;
    let burst = burst.unwrap_or(count);
    if (unit.duration() / count.get()).saturating_mul(burst.get()) > SLOWEST {
        findings.add(
            format!("{at}.burst"),
            format!("{burst} would take longer than a year to be there again"),
        );
        return None;
    }
    for (pattern, number) in cost.iter().filter(|(_, number)| *number > burst) {
        findings.add(
            format!("{at}.cost.{}", pattern.as_str()),
            format!("{number} is more than the bucket holds ({burst}): such a call could never be made"),
        );
    }
    Some(RateLimit {
        name: name?,
        per: per?,
        count,
        unit,
        burst,
        tools,
        methods,
        cost,
    })
}

/// A limit on a method that nobody can call would limit nothing, and nobody would notice.
fn known(at: &str, methods: &[Glob], findings: &mut Findings) {
    for method in methods.iter().map(Glob::as_str) {
        if method.contains('*') || method.starts_with("notifications/") || Method::parse(method).is_some() {
            continue;
        }
        let distance = |known: &Method| strsim::damerau_levenshtein(method, known.as_str());
        let near = Method::ALL.into_iter().min_by_key(distance);
        let near = near.filter(|near| distance(near) <= 3).map(Method::as_str);
        findings.add(
            at,
            match near {
                Some(near) => format!("{method:?} is no method; did you mean {near:?}?"),
                None => format!("{method:?} is no method of MCP"),
            },
        );
    }
}

fn name(at: &str, text: Option<&str>, findings: &mut Findings) -> Option<Arc<str>> {
    let key = format!("{at}.name");
    let text = match text {
        Some(text) => text,
        None if findings.names(&key) => return None,
        None => {
            findings.add(key, "is required");
            return None;
        }
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        findings.add(key, "1 to 64 of a-z, 0-9, -, _ and .");
        return None;
    }
    Some(text.into())
}

fn per(at: &str, texts: &[String], findings: &mut Findings) -> Option<Vec<Per>> {
    const ALL: [Per; 6] = [
        Per::Ip,
        Per::Principal,
        Per::Session,
        Per::Tool,
        Per::Upstream,
        Per::Method,
    ];
    let mut all = Vec::new();
    let mut good = true;
    for (index, text) in texts.iter().enumerate() {
        let known = ALL.into_iter().find(|per| per.as_str() == text);
        let problem = match known {
            None => "must be one of ip, principal, session, tool, upstream, method",
            Some(per) if all.contains(&per) => "stands here already",
            Some(per) => {
                all.push(per);
                continue;
            }
        };
        findings.add(format!("{at}.per[{index}]"), problem);
        good = false;
    }
    good.then_some(all)
}

fn rate(at: &str, text: Option<&str>, findings: &mut Findings) -> Option<(NonZeroU32, Unit)> {
    let key = format!("{at}.limit");
    let Some(text) = text else {
        if !findings.names(&key) {
            findings.add(key, "is required");
        }
        return None;
    };
    let parsed = text.split_once('/').and_then(|(count, unit)| {
        let count: NonZeroU32 = count.trim().parse().ok()?;
        Some((count, unit_of(unit.trim())?))
    });
    match parsed {
        Some((count, _)) if count.get() > FASTEST => {
            findings.add(key, format!("at most {FASTEST}"));
            None
        }
        Some(rate) => Some(rate),
        None => {
            findings.add(
                key,
                format!("{text:?} is no limit: write it such as 100/s, 60/min, 1000/h or 10000/day"),
            );
            None
        }
    }
}

fn unit_of(text: &str) -> Option<Unit> {
    match text {
        "s" | "sec" | "second" => Some(Unit::Second),
        "m" | "min" | "minute" => Some(Unit::Minute),
        "h" | "hour" => Some(Unit::Hour),
        "d" | "day" => Some(Unit::Day),
        _ => None,
    }
}

fn not_zero(key: &str, number: u32, findings: &mut Findings) -> Option<NonZeroU32> {
    let number = NonZeroU32::new(number);
    if number.is_none() {
        findings.add(key, "must be above 0");
    }
    number
}

fn globs(key: &str, texts: &Texts, findings: &mut Findings) -> Vec<Glob> {
    for text in texts.0.iter().filter(|text| text.is_empty()) {
        findings.add(key, format!("{text:?} is no name, nor a pattern for names"));
    }
    texts.0.iter().map(|text| Glob::new(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::file::parse;
    use std::path::Path;

    const ONE: &str = "\nupstreams: [{name: a, url: 'http://a.example/mcp'}]";

    fn read(limit: &str) -> Result<Arc<RateLimit>, Vec<String>> {
        let text = format!("rateLimits: [{limit}]{ONE}");
        match parse(&text, Path::new("/"), Path::new("/state")) {
            Ok(config) => Ok(Arc::clone(&config.rate_limits[0])),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn a_limit_has_a_rate_and_a_burst_that_is_the_rate_unless_it_is_given() {
        let limit = read("{name: user, per: [principal, tool], limit: 60/min, tools: 'github_*'}").expect("valid");
        assert_eq!(
            (limit.count.get(), limit.unit, limit.burst.get()),
            (60, Unit::Minute, 60)
        );
        assert_eq!(limit.per, [Per::Principal, Per::Tool]);
        assert!(limit.tools[0].matches("github_search"));
        let limit =
            read("{name: user, limit: 10000/day, burst: 5, methods: [tools/call, 'prompts/*']}").expect("valid");
        assert_eq!((limit.unit, limit.burst.get()), (Unit::Day, 5));
        assert!(limit.per.is_empty(), "one bucket for everybody");
    }

    #[test]
    fn a_limit_by_address_alone_is_envoys() {
        assert!(
            read("{name: a, per: [ip], limit: 100/s}")
                .expect("valid")
                .is_by_address()
        );
        for more in [
            "per: [ip, tool]",
            "per: [ip], tools: x",
            "per: [ip], methods: ping",
            "per: [principal]",
        ] {
            let limit = read(&format!("{{name: a, limit: 1/s, {more}}}")).expect("valid");
            assert!(!limit.is_by_address(), "{more}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_places() {
        for (limit, expected) in [
            ("{per: [ip], limit: 1/s}", "rateLimits[0].name: is required"),
            (
                "{name: A b, limit: 1/s}",
                "rateLimits[0].name: 1 to 64 of a-z, 0-9, -, _ and .",
            ),
            ("{name: a}", "rateLimits[0].limit: is required"),
            (
                "{name: a, limit: often}",
                "rateLimits[0].limit: \"often\" is no limit: write it such as 100/s, 60/min, 1000/h or 10000/day",
            ),
            ("{name: a, limit: 2000000/s}", "rateLimits[0].limit: at most 1000000"),
            (
                "{name: a, limit: 1/s, per: [user]}",
                "rateLimits[0].per[0]: must be one of ip, principal, session, tool, upstream, method",
            ),
            (
                "{name: a, limit: 1/s, per: [ip, ip]}",
                "rateLimits[0].per[1]: stands here already",
            ),
            (
                "{name: a, limit: 1/day, burst: 400}",
                "rateLimits[0].burst: 400 would take longer than a year to be there again",
            ),
            (
                "{name: a, limit: 1/s, burst: 0}",
                "rateLimits[0].burst: must be above 0",
            ),
            (
                "{name: a, limit: 1/s, methods: tool/call}",
                "rateLimits[0].methods: \"tool/call\" is no method; did you mean \"tools/call\"?",
            ),
            (
                "{name: a, limit: 5/s, cost: {x_big: 6}}",
                "rateLimits[0].cost.x_big: 6 is more than the bucket holds (5): such a call could never be made",
            ),
        ] {
            assert_eq!(read(limit), Err(vec![expected.to_owned()]), "{limit}");
        }
        let twice = read("{name: a, limit: 1/s}, {name: a, limit: 2/s}");
        assert_eq!(
            twice,
            Err(vec![
                "rateLimits[1].name: \"a\" is the name of a limit above".to_owned()
            ])
        );
    }
}
