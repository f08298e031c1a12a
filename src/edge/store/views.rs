//! Views of lists, in memory: of one state of an endpoint, bounded in number and in bytes, the oldest goes first.

use crate::engine::snapshot::{Prepared, ViewKey, Views};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Audiences times lists.
const MOST: usize = 1024;
/// Bytes that only the kept views have.
const BYTES: usize = 64 << 20;

/// The views of one state of an endpoint.
#[derive(Default)]
pub struct MemoryViews {
    /// Held for a look-up or an insertion.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    views: HashMap<ViewKey, (Arc<Prepared>, usize)>,
    /// Keys in the order in which they came.
    order: VecDeque<ViewKey>,
    bytes: usize,
}

impl MemoryViews {
    /// No views yet.
    #[must_use]
    pub fn make() -> Arc<dyn Views> {
        Arc::new(Self::default())
    }
}

impl std::fmt::Debug for MemoryViews {
    /// Keys hold what tells callers apart: not shown.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MemoryViews")
    }
}

impl Views for MemoryViews {
    fn get(&self, key: &ViewKey) -> Option<Arc<Prepared>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.views.get(key).map(|(view, _)| Arc::clone(view))
    }

    fn keep(&self, key: ViewKey, view: &Arc<Prepared>, own: usize) {
        // A segment's place in the view costs, too.
        let cost = own + key.audience.len() * 2 + view.segments.len() * size_of::<bytes::Bytes>();
        if cost > BYTES {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let old = kept.views.insert(key.clone(), (Arc::clone(view), cost));
        match old {
            Some((_, cost)) => kept.bytes -= cost,
            None => kept.order.push_back(key),
        }
        kept.bytes += cost;
        while kept.views.len() > MOST || kept.bytes > BYTES {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some((_, cost)) = kept.views.remove(&oldest) {
                kept.bytes -= cost;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::catalog::Kind;
    use crate::engine::mcp::Era;
    use crate::engine::policy::{Audience, Caller, Identity, Policy};

    fn mk_audience(name: &str) -> Audience {
        let text =
            "upstreams: [{name: a, url: 'http://a/'}]\npolicies: {rules: [{name: r, deny: \"principal == 'x'\"}]}";
        let root = std::path::Path::new("/");
        let config = crate::engine::config::file::parse(text, root, root).expect("good");
        let identity = Identity {
            principal: Some(name.into()),
            ..Identity::default()
        };
        let policy = Policy::new(&config.policies.expect("given"));
        policy.audience(&Caller {
            identity: &identity,
            client_name: "",
            client_version: "",
            ip: "",
        })
    }

    fn mk_key(name: &str) -> ViewKey {
        ViewKey {
            era: Era::Legacy,
            kind: Kind::Tools,
            takes_requests: false,
            audience: mk_audience(name),
            caller: None,
        }
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let views = MemoryViews::default();
        let view = Arc::new(Prepared::default());
        for number in 0..=MOST {
            views.keep(mk_key(&number.to_string()), &view, 0);
        }
        assert!(views.get(&mk_key("0")).is_none());
        assert!(views.get(&mk_key("1")).is_some());
        assert_eq!(views.kept.lock().expect("whole").order.len(), MOST);
    }

    #[test]
    fn views_are_bounded_by_their_bytes() {
        let views = MemoryViews::default();
        let view = Arc::new(Prepared::default());
        views.keep(mk_key("a"), &view, BYTES / 2 + 1);
        views.keep(mk_key("a"), &view, BYTES / 2 + 1);
        assert!(views.get(&mk_key("a")).is_some(), "it replaces itself");
        views.keep(mk_key("b"), &view, BYTES / 2 + 1);
        assert!(views.get(&mk_key("a")).is_none());
        views.keep(mk_key("c"), &view, BYTES + 1);
        assert!(views.get(&mk_key("c")).is_none(), "it would not fit at all");
        assert!(views.get(&mk_key("b")).is_some());
    }
}
