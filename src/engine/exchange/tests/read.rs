//! Reads the `=>` blocks of a transcript.

use crate::engine::config::Confidential;
use crate::engine::exchange::event::{Finding, RequestHead, ResponseHead, UpstreamFailure};
use crate::engine::mcp::Version;
use crate::engine::policy::delegate::Lack;
use crate::engine::policy::place::Kind;
use crate::engine::policy::rate::{Exhausted, Quota};
use crate::engine::session::{Binding, Client, Level};
use bytes::Bytes;

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

pub(super) fn headers(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            line.split_at_checked(1)
                .and_then(|(mark, tail)| Some((mark, tail.split_once(':')?)))
        })
        .map(|(mark, (name, value))| (format!("{mark}{name}"), value.trim().to_owned()))
        .filter(|(name, _)| !name.starts_with('@'))
        .collect()
}

pub(super) fn attribute(text: &str, name: &str) -> Option<Box<str>> {
    text.lines()
        .find_map(|line| line.strip_prefix('@')?.strip_prefix(name)?.strip_prefix(':'))
        .map(|value| value.trim().into())
}

/// A first line such as `POST /mcp`, then headers, then `@attributes`. Host and content-type are supplied.
pub(super) fn request_head(text: &str, end: bool) -> RequestHead {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (method, path) = first.split_once(' ').expect("METHOD PATH");
    let mut all = headers(rest);
    for (name, value) in [(":authority", "127.0.0.1:8001"), ("content-type", "application/json")] {
        if all.iter().all(|(key, _)| key != name) {
            all.insert(0, (name.into(), value.into()));
        }
    }
    all.insert(0, (":path".into(), path.into()));
    all.insert(0, (":method".into(), method.into()));
    RequestHead {
        headers: all.into_iter().collect(),
        end,
        source: attribute(rest, "source.address"),
        route: attribute(rest, "xds.route_name"),
        claims: attribute(rest, "claims").map(|claims| serde_json::from_str(&claims).expect("claims")),
        ..RequestHead::default()
    }
}

/// A first line with the status, then headers, then `@attributes`.
pub(super) fn response_head(text: &str, end: bool) -> ResponseHead {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut all = headers(rest);
    all.insert(0, (":status".into(), first.into()));
    ResponseHead {
        headers: all.into_iter().collect(),
        end,
        code_details: attribute(rest, "response.code_details"),
    }
}

pub(super) fn finding(words: &[&str]) -> Finding {
    match words {
        ["admitted", remaining] => Finding::Admitted(Some(Box::new(Quota {
            remaining: remaining.parse().expect("a number"),
            ..mk_quota("calls")
        }))),
        ["delegated", key] => Finding::Delegated(Ok(Confidential((*key).into()))),
        ["not-delegated"] => Finding::Delegated(Err(Lack::NotKept)),
        ["held"] => Finding::Held,
        ["crowded"] => Finding::Crowded(Kind::CallsPerSession),
        ["uncounted"] => Finding::Uncounted,
        ["exhausted", limit, seconds] => Finding::Exhausted(Box::new(Exhausted {
            quota: mk_quota(limit),
            retry_after: seconds.parse().expect("seconds"),
        })),
        ["credential", text] => Finding::Delegated(Ok(Confidential((*text).into()))),
        ["no-credential", "refused"] => Finding::Delegated(Err(Lack::Refused)),
        ["live"] => Finding::Live,
        ["ended"] => Finding::Ended,
        ["sessions-full"] => Finding::SessionsFull,
        ["introduced", capabilities, level] => {
            let client = Client {
                capabilities: (*capabilities).into(),
                info: r#"{"name":"client","version":"1"}"#.into(),
            };
            Finding::Introduced(client.into(), Level::parse(level))
        }
        ["bound", id, version] => Finding::Bound(binding(id, version)),
        ["bound", id, version, address] => Finding::Bound(Binding {
            address: Some(address.parse().expect("ip:port")),
            ..binding(id, version)
        }),
        ["reopened", id, version] => Finding::Reopened(binding(id, version)),
        ["not-parked"] => Finding::NotParked,
        ["still-there"] => Finding::StillThere,
        ["unbindable", why] => Finding::Unbindable(failure(why)),
        ["told"] => Finding::Told(true),
        ["not-told"] => Finding::Told(false),
        ["end-written"] => Finding::EndWritten(true),
        ["end-not-written"] => Finding::EndWritten(false),
        other => panic!("unknown: => found {other:?}"),
    }
}

pub(super) fn mk_quota(limit: &str) -> Quota {
    Quota {
        limit: limit.into(),
        burst: 2,
        count: 2,
        window: 60,
        remaining: 0,
        reset: 60,
    }
}

pub(super) fn binding(id: &str, version: &str) -> Binding {
    Binding {
        id: (id != "-").then(|| id.into()),
        ..Binding::stateless(Version::parse(version).expect("a version"))
    }
}

pub(super) fn failure(word: &str) -> UpstreamFailure {
    match word {
        "unreachable" => UpstreamFailure::Unreachable,
        "timed-out" => UpstreamFailure::TimedOut,
        "unauthorized" => UpstreamFailure::Unauthorized,
        "garbage" => UpstreamFailure::Garbage,
        other => panic!("unknown failure {other}"),
    }
}
