//! Which lists have changed for clients: what upstreams say, and what is seen in the snapshot.
//!
//! An upstream that says so is believed, even if its list looks the same: something about it may be new to a client. Pure.

use crate::edge::upstream::Report;
use crate::engine::catalog::Kind;
use crate::engine::session::EndpointHash;
use crate::engine::snapshot::{Endpoint, Face, Prepared};
use crate::engine::stream::Kinds;
use bytes::Bytes;
use std::sync::Arc;

/// `known` and what this report says, as clients of the legacy and of the modern era see it: each sees what an upstream
/// lists in its own era, else what it lists in the other.
pub(super) fn more(known: (Kinds, Kinds), report: &Report) -> (Kinds, Kinds) {
    let (mut legacy, mut modern) = (report.changed_legacy, report.changed_modern);
    if report.catalog.legacy.is_none() {
        legacy = legacy.or(report.changed_modern);
    }
    if report.catalog.modern.is_none() {
        modern = modern.or(report.changed_legacy);
    }
    (known.0.or(legacy), known.1.or(modern))
}

/// Which lists of one endpoint have changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct News {
    /// Whose.
    pub(super) endpoint: EndpointHash,
    /// As legacy clients see them.
    pub(super) legacy: Kinds,
    /// As modern clients see them.
    pub(super) modern: Kinds,
}

impl News {
    /// And what upstreams said of theirs.
    pub(super) fn and(self, (legacy, modern): (Kinds, Kinds)) -> Self {
        Self {
            endpoint: self.endpoint,
            legacy: self.legacy.or(legacy),
            modern: self.modern.or(modern),
        }
    }
}

/// What differs between an endpoint and what it has become.
pub(super) fn between(before: &Endpoint, after: &Endpoint) -> News {
    let ruled = ruled(before, after);
    News {
        endpoint: after.hash,
        legacy: differ(&before.legacy, &after.legacy).or(ruled),
        modern: differ(&before.modern, &after.modern).or(ruled),
    }
}

/// The lists that other rules may show otherwise: who sees what is not compared.
fn ruled(before: &Endpoint, after: &Endpoint) -> Kinds {
    let policy = |endpoint: &Endpoint| endpoint.guarded.as_ref().map(|guarded| Arc::clone(&guarded.policy));
    let (before, after) = (policy(before), policy(after));
    let same = match (&before, &after) {
        (Some(before), Some(after)) => Arc::ptr_eq(before, after),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let hides = |kind| !same && [&before, &after].into_iter().flatten().any(|policy| policy.hides(kind));
    Kinds {
        tools: hides(Kind::Tools),
        prompts: hides(Kind::Prompts),
        resources: hides(Kind::Resources) || hides(Kind::Templates),
    }
}

fn differ(before: &Face, after: &Face) -> Kinds {
    let differs = |kind| !same(before.list(kind), after.list(kind));
    Kinds {
        tools: differs(Kind::Tools),
        prompts: differs(Kind::Prompts),
        resources: differs(Kind::Resources) || differs(Kind::Templates),
    }
}

/// The same items. What stands around them tells how long a list may be cached; that is no change of the list.
fn same(before: &Prepared, after: &Prepared) -> bool {
    let (before, after) = (items(before), items(after));
    before.len() == after.len() && before.iter().zip(after).all(|(before, after)| equal(before, after))
}

/// Most segments are shared between snapshots: not compared byte by byte.
fn equal(before: &Bytes, after: &Bytes) -> bool {
    before.len() == after.len() && (before.as_ptr() == after.as_ptr() || before == after)
}

fn items(list: &Prepared) -> &[Bytes] {
    match list.segments.as_slice() {
        [_, items @ .., _] => items,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::Snapshot;
    use crate::engine::snapshot::testing::{mk_listing, mk_modern, mk_snapshot, mk_upstream};

    #[test]
    fn a_list_that_has_changed_is_seen_by_those_who_see_it() {
        let one = |tools: &[&str], modern: &[&str]| {
            let upstream = mk_upstream("up").legacy(mk_listing(tools)).modern(mk_modern(modern));
            mk_snapshot(&[upstream])
        };
        let between = |before: &Snapshot, after: &Snapshot| {
            let news = between(&before.endpoints[0], &after.endpoints[0]);
            (news.legacy, news.modern)
        };
        let tools = Kinds {
            tools: true,
            ..Kinds::default()
        };
        let none = Kinds::default();
        let old = one(&["a"], &["a"]);
        assert_eq!(between(&old, &one(&["a"], &["a"])), (none, none));
        assert_eq!(between(&old, &one(&["a", "b"], &["a"])), (tools, none));
        assert_eq!(between(&old, &one(&["a"], &["b"])), (none, tools));
        assert_eq!(between(&old, &mk_snapshot(&[])), (tools, tools), "an upstream has gone");
    }
}
