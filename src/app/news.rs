//! Which lists have changed for clients: what upstreams say, and what is seen in the snapshot.
//!
//! An upstream that says so is believed, even if its list looks the same: something about it may be new to a client. Pure.

use crate::edge::upstream::Report;
use crate::engine::catalog::Kind;
use crate::engine::snapshot::{Face, Prepared, Snapshot};
use crate::engine::stream::Kinds;
use bytes::Bytes;

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

/// What differs between two snapshots.
pub(super) fn between(before: &Snapshot, after: &Snapshot) -> (Kinds, Kinds) {
    let pairs = before.endpoints.iter().zip(&after.endpoints);
    pairs.fold(<(Kinds, Kinds)>::default(), |(legacy, modern), (before, after)| {
        (
            legacy.or(differ(&before.legacy, &after.legacy)),
            modern.or(differ(&before.modern, &after.modern)),
        )
    })
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
    use crate::engine::snapshot::testing::{mk_listing, mk_modern, mk_snapshot, mk_upstream};

    #[test]
    fn a_list_that_has_changed_is_seen_by_those_who_see_it() {
        let one = |tools: &[&str], modern: &[&str]| {
            let upstream = mk_upstream("up").legacy(mk_listing(tools)).modern(mk_modern(modern));
            mk_snapshot(&[upstream])
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
